"""The flags of a program that runs as several processes, and how they are connected."""

from absl import flags

DISTRIBUTED = flags.DEFINE_bool(
    "distributed", False, "this is one of several processes that the cluster itself connects"
)
ADDRESS = flags.DEFINE_string("coordinator_address", None, "HOST:PORT of process 0")
PROCESSES = flags.DEFINE_integer("num_processes", None, "how many processes work together")
PROCESS = flags.DEFINE_integer("process_id", None, "which one this is, from 0")


def connect() -> None:
    """Connects this process with the others, if flags say that there are others."""
    if DISTRIBUTED.value or ADDRESS.value:
        from launch import compiled

        compiled.let_go()
        import jax

        jax.distributed.initialize(ADDRESS.value, PROCESSES.value, PROCESS.value)
