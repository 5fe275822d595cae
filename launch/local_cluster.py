"""Runs a program as several processes on this machine, as a cluster would: for trying out what a cluster will do.

    python -m launch.local_cluster --processes=2 --devices=2 -- launch.train --config=configs/pix2pix.py --workdir=RUN

Each process has so many virtual devices, which are threads of the processor. What a process prints has its number in
front. SIGTERM and Ctrl-C are passed on, so that a training saves; a second one kills. When a process fails, the others
end too, and the exit status is that of the first one that failed, or 128 and the number of the signal that ended it.
"""

from collections.abc import Sequence
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import IO

from absl import flags

import jgan
from jgan import bound
import launch

_PROCESSES = flags.DEFINE_integer("processes", 2, "how many processes", lower_bound=1)
_DEVICES = flags.DEFINE_integer("devices", 1, "virtual devices of each process", lower_bound=1)
_CONNECTED = flags.DEFINE_bool(
    "connected",
    True,
    "connect the processes; otherwise each works on its own part, as those of an archive do",
)
_DRY_RUN = flags.DEFINE_bool("dry_run", False, "show the command of each process, and start none")

_PATIENCE = 30  # seconds for the others to end by themselves when a process has failed


def main() -> None:
    if not _PROGRAM:
        raise jgan.UserError(
            "name the program after --, such as: -- launch.train --config=configs/pix2pix.py:demo"
        )
    made = commands(_PROGRAM, _PROCESSES.value, connected=_CONNECTED.value)
    environment = {"JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": str(_DEVICES.value)}
    if _DRY_RUN.value:
        for command in made:
            print(shlex.join([*(f"{name}={value}" for name, value in environment.items()), *command]))
        return
    sys.exit(run(made, environment))


def commands(program: Sequence[str], count: int, *, connected: bool = True) -> list[list[str]]:
    """The command of each process: `program` is a module and its flags."""
    shared = [f"--num_processes={count}"]
    if connected:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            shared = [f"--coordinator_address=127.0.0.1:{free.getsockname()[1]}", *shared]
    return [[sys.executable, "-m", *program, *shared, f"--process_id={index}"] for index in range(count)]


def run(commands: Sequence[Sequence[str]], environment: dict[str, str]) -> int:
    """Runs commands together and returns the exit status of all: 0, or that of the first one that failed."""
    processes, readers, asked = [], [], []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: asked.append(number))
    for index, command in enumerate(commands):
        process = subprocess.Popen(
            bound.command(command),
            env={**os.environ, **environment, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # the terminal's Ctrl-C goes to this process alone
        )
        processes.append(process)
        for source, to in ((process.stdout, sys.stdout.buffer), (process.stderr, sys.stderr.buffer)):
            readers.append(threading.Thread(target=_pass_on, args=(source, to, index)))
            readers[-1].start()
    status = _wait(processes, asked)
    for reader in readers:
        reader.join()
    return status


def _wait(processes: Sequence[subprocess.Popen], asked: list[int]) -> int:
    """Waits for all processes, passes on signals, and kills those that do not end though one has failed."""
    status, passed, until = 0, 0, None
    while any(process.poll() is None for process in processes):
        if len(asked) > passed:
            passed += 1
            for process in processes:
                # What has not been handled twice is not going to be.
                process.send_signal(signal.SIGTERM if passed == 1 else signal.SIGKILL)
        status = status or _failed(processes)
        if status and until is None:
            until = time.monotonic() + _PATIENCE
        if until and time.monotonic() > until:
            for process in processes:
                process.kill()
        time.sleep(0.02)
    return status or _failed(processes)


def _failed(processes: Sequence[subprocess.Popen]) -> int:
    """The exit status of a process that has failed, first of all of one that was killed; 0 if none has."""
    ended = {index: process.poll() for index, process in enumerate(processes) if process.poll()}
    for index, status in sorted(ended.items(), key=lambda item: item[1]):
        if status < 0:
            print(f"process {index} was ended by {signal.Signals(-status).name}", file=sys.stderr, flush=True)
            return 128 - status
        return status
    return 0


def _pass_on(source: IO[bytes], to: IO[bytes], index: int) -> None:
    """Copies lines with the number of their process in front."""
    for line in source:
        to.write(f"[{index}] ".encode() + line.rstrip(b"\n") + b"\n")
        to.flush()


_PROGRAM: list[str] = []

if __name__ == "__main__":
    if "--" in sys.argv:
        place = sys.argv.index("--")
        _PROGRAM += sys.argv[place + 1 :]
        del sys.argv[place:]
    launch.run(main)
