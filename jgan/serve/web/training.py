"""The run while it is being trained: a process of its own, and how far it is, from what it leaves in its directory."""

from collections import deque
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time
from typing import Any

import jgan
from jgan.runs import config as run_config
from jgan.runs import log

_NICE = 5  # behind the page, which has to come at once
_PATIENCE = 60.0  # seconds to save in, before the process is killed
# What the new process does first: it yields to the server, and asks Linux for SIGTERM (1: PR_SET_PDEATHSIG), on which
# it saves and ends, when the server is gone, however that came about.
_PROGRAM = """
import ctypes, os, runpy, sys
parent, nice = int(sys.argv.pop(1)), int(sys.argv.pop(1))
os.nice(nice)
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 15)
if os.getppid() == parent:
    runpy.run_module("launch.train", run_name="__main__", alter_sys=True)
"""


def finished(workdir: str) -> bool:
    """Whether the run in `workdir` has taken all of its steps.

    The directory is looked at, because the library that reads checkpoints takes seconds to load.
    """
    try:
        steps = run_config.read(workdir).steps
    except jgan.UserError:
        return False
    saved = pathlib.Path(workdir, "checkpoints").glob("*/commit_success.txt")
    return any(p.parent.name.isdigit() and int(p.parent.name) >= steps for p in saved)


def check(config: str) -> None:
    """Refuses what is no FILE.py or FILE.py:PRESET that is there, with a `jgan.UserError`."""
    file = config.partition(":")[0]
    if not file.endswith(".py") or not os.path.isfile(file):
        raise jgan.UserError(f"--train={config} is no config: configs/dcgan.py:editor would work.")


class Training:
    """A run being trained by `launch.train`; to be started by the program's main thread, with which it ends."""

    def __init__(self, config: str, workdir: str):
        """Of a config, as `launch.train --config` takes it, in a directory in which a run may have begun."""
        run_config.prepare(workdir)
        self.workdir = pathlib.Path(workdir)
        self._lines: deque[str] = deque(maxlen=40)
        self._begun = time.time()
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-c", _PROGRAM, str(os.getpid()), str(_NICE)),
                *(f"--config={config}", f"--workdir={workdir}"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # Ctrl-C is for the server, which then ends the training
        )
        self._reader = threading.Thread(target=self._read, name="jgan-training", daemon=True)
        self._reader.start()

    def wait(self) -> None:
        """Returns when the run is trained; a `jgan.UserError` says why it never will be."""
        status = self._process.wait()
        self._reader.join(5)
        if status != 0 or not finished(str(self.workdir)):
            raise jgan.UserError(f"the training ended with status {status}: {self._reason()}")

    def stop(self) -> None:
        """Ends the training; what it has learnt is saved, and the same command goes on from there."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    @property
    def pid(self) -> int:
        return self._process.pid

    def progress(self) -> dict[str, Any]:
        """{"step", "steps", "seconds_left", "samples"}: numbers or None, and names for `picture`, newest last."""
        try:
            config = run_config.read(str(self.workdir))
        except jgan.UserError:
            return {"step": 0, "steps": None, "seconds_left": None, "samples": []}
        step, left = _advance(self.workdir / "metrics.jsonl", config, self._begun)
        names = (p.name for p in (self.workdir / "samples").glob("*.png") if p.stem.isdigit())
        return {"step": step, "steps": config.steps, "seconds_left": left, "samples": sorted(names)}

    def picture(self, name: str) -> bytes | None:
        """The bytes of one of the pictures that `progress` names; None for any other name."""
        if not re.fullmatch(r"[0-9]{1,12}\.png", name):
            return None
        try:
            return (self.workdir / "samples" / name).read_bytes()
        except OSError:
            return None

    def _read(self) -> None:
        for line in self._process.stdout:
            self._lines.append(line.rstrip())
            print(line, end="", file=sys.stderr, flush=True)

    def _reason(self) -> str:
        said = [line for line in self._lines if line.strip()]
        told = [line.removeprefix("error: ") for line in said if line.startswith("error: ")]
        return (told or said or ["it said nothing."])[-1][:300]


def _advance(metrics: pathlib.Path, config: Any, begun: float) -> tuple[int, float | None]:
    # (step, seconds left); between two lines of the log steps are counted on at the last rate.
    records = [r for r in log.read(metrics) if isinstance(r.get("images_per_second"), float)]
    if not records:
        return 0, None
    last = records[-1]
    seconds = config.batch_size / max(last["images_per_second"], 1e-9)
    try:
        written = metrics.stat().st_mtime
    except OSError:
        return last["step"], None
    since = max(0.0, time.time() - written) if written >= begun else 0.0
    step = min(last["step"] + min(int(since / seconds), config.log_every), config.steps)
    return step, round((config.steps - step) * seconds, 1)
