"""Processes that end with the one that starts them, for whatever reason that one ends."""

from collections.abc import Sequence
import os
import sys

# It asks Linux for a SIGTERM (1: PR_SET_PDEATHSIG) when its parent ends, keeps to some cores (none named: all of them),
# and becomes a command, unless its parent has ended before.
_PROGRAM = (
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 15); cores = [int(x) for x in sys.argv[2].split(',') if x]; "
    "cores and os.sched_setaffinity(0, cores); "
    "os.getppid() == int(sys.argv[1]) and os.execv(sys.argv[3], sys.argv[3:])"
)


def command(arguments: Sequence[str], cores: Sequence[int] = ()) -> list[str]:
    """The command of a process that gets SIGTERM when the thread that starts it ends, and keeps to some cores.

    Linux alone has both: elsewhere it is the command itself.

    Args:
        arguments: the command, whose first argument is the path of a program.
        cores: by their numbers; empty: all that this process has.
    """
    if sys.platform != "linux":
        return list(arguments)
    return [sys.executable, "-c", _PROGRAM, str(os.getpid()), ",".join(map(str, cores)), *arguments]
