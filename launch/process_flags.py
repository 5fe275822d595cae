"""The flags of a program that runs as several processes, and how they are connected."""

from absl import flags

import jgan

DISTRIBUTED = flags.DEFINE_bool(
    "distributed", False, "this is one of several processes that the cluster itself connects"
)
ADDRESS = flags.DEFINE_string("coordinator_address", None, "HOST:PORT of process 0")
PROCESSES = flags.DEFINE_integer("num_processes", None, "how many processes work together")
PROCESS = flags.DEFINE_integer("process_id", None, "which one this is, from 0")
ALL = (DISTRIBUTED, ADDRESS, PROCESSES, PROCESS)


def check() -> None:
    """Refuses numbers of processes that make no sense with a `jgan.UserError`."""
    if DISTRIBUTED.value:
        return  # the cluster knows what is not given
    number, count = PROCESS.value, PROCESSES.value
    if (number is None) != (count is None):
        raise jgan.UserError("--num_processes and --process_id go together: both or none must be given.")
    if count is not None and not 0 <= number < count:
        raise jgan.UserError(
            f"--process_id={number} of --num_processes={count}: 0 to {count - 1} would work."
            if count > 0
            else f"--num_processes={count}: 1 or more would work."
        )


def share() -> tuple[int, int]:
    """(number of this process, how many there are), of processes that are connected, or that are only counted."""
    from jgan import sharding

    if DISTRIBUTED.value or ADDRESS.value or PROCESSES.value is None:
        return sharding.share()
    return PROCESS.value, PROCESSES.value


def connect() -> None:
    """Connects this process with the others, if flags say that there are others."""
    if DISTRIBUTED.value or ADDRESS.value:
        from launch import compiled

        compiled.let_go()
        import jax

        jax.distributed.initialize(ADDRESS.value, PROCESSES.value, PROCESS.value)
