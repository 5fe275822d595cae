"""The flags of a program that runs as several processes, and how they are connected."""

import os

from absl import flags

import jgan
import launch
from launch import processes

DISTRIBUTED = flags.DEFINE_bool(
    "distributed",
    False,
    "this is one of several processes that SLURM, Open MPI, Kubernetes or a TPU pod started",
)
ADDRESS = flags.DEFINE_string("coordinator_address", None, "HOST:PORT of process 0")
PROCESSES = flags.DEFINE_integer("num_processes", None, "how many processes work together")
PROCESS = flags.DEFINE_integer("process_id", None, "which one this is, from 0")
TIMEOUT = flags.DEFINE_float(
    "timeout", 300, "seconds that processes wait for each other at the start", lower_bound=1
)

_LONGEST = 7 * 24 * 3600  # seconds that --timeout may have

ALL = (DISTRIBUTED, ADDRESS, PROCESSES, PROCESS, TIMEOUT)


def check(*, apart: bool = True) -> None:
    """Refuses numbers of processes that make no sense with a `jgan.UserError`.

    Args:
        apart: processes may also work without a connection, each on its own part.
    """
    if not TIMEOUT.value <= _LONGEST:  # or no number
        raise jgan.UserError(f"--timeout={TIMEOUT.value:g}: 1 to {_LONGEST} seconds would work.")
    if DISTRIBUTED.value:
        return  # the cluster knows what is not given
    if not apart and not ADDRESS.value:
        launch.goes_with(
            *(
                (flag, False, "--coordinator_address or --distributed")
                for flag in (PROCESSES, PROCESS, TIMEOUT)
            )
        )
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


def connect(*, preemptible: bool = False) -> None:
    """Connects this process with the others, if flags say that there are others.

    Args:
        preemptible: the program asks JAX at each step whether one of the processes has got SIGTERM; that of others
            ends at once.

    Raises:
        jgan.UserError: the flags do not say who the others are.
        processes.Fault: a process is missing.
    """
    if not (DISTRIBUTED.value or ADDRESS.value):
        return
    from launch import compiled

    compiled.let_go()
    import jax

    address, count, index, devices = whole(ADDRESS.value, PROCESSES.value, PROCESS.value, TIMEOUT.value)
    processes.meet(address, count, index, TIMEOUT.value)
    jax.config.update("jax_enable_preemption_service", preemptible)
    jax.distributed.initialize(
        address,
        count,
        index,
        devices,
        cluster_detection_method="deactivate",
        initialization_timeout=int(TIMEOUT.value),
        heartbeat_timeout_seconds=processes.HEARTBEAT,
        # JAX would listen on all interfaces.
        coordinator_bind_address=address
        if processes.is_local(address.rpartition(":")[0].strip("[]"))
        else None,
    )


def whole(
    address: str | None, count: int | None, index: int | None, timeout: float
) -> tuple[str, int, int, list[int] | None]:
    """(address, count, index, devices of this process or None for all), with what flags leave out from the cluster.

    Where the flags say all of it, no cluster is asked: under SLURM, JAX would give each process one GPU alone.

    Raises:
        jgan.UserError: neither flags nor a cluster say it.
    """
    devices = None
    if None in (address, count, index):
        from jax._src import clusters  # what jax.distributed.initialize asks, before the processes have met

        address, count, index, devices = clusters.ClusterEnv.auto_detect_unset_distributed_params(
            address or os.environ.get("JAX_COORDINATOR_ADDRESS"), count, index, None, None, int(timeout)
        )
    if None in (address, count, index):
        raise jgan.UserError(
            "neither SLURM, Open MPI, Kubernetes nor a TPU pod says who the other processes are: "
            "--coordinator_address, --num_processes and --process_id together would work."
        )
    return address, count, index, devices
