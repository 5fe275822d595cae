"""The training of a run in another process; its progress is read from the directory of the run."""

from collections import deque
import os
import pathlib
import re
import runpy
import signal
import subprocess
import sys
import threading
import time
from typing import Any

import ml_collections

import jgan
from jgan.runs import config as run_config
from jgan.runs import log

_NICE = 5  # of the training, so that the server answers first
_PATIENCE = 60.0  # seconds that the process has for saving before it is killed
# The new process first lowers its priority, and asks Linux for a SIGTERM (1: PR_SET_PDEATHSIG) at the end of the
# server, for whatever reason that ends; the training then saves and ends as well.
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

    It looks only for files, because the library that reads checkpoints takes seconds to load.
    """
    try:
        steps = run_config.read(workdir).steps
    except jgan.UserError:
        return False
    saved = pathlib.Path(workdir, "checkpoints").glob("*/commit_success.txt")
    return any(p.parent.name.isdigit() and int(p.parent.name) >= steps for p in saved)


def check(config: str) -> None:
    """Raises a `jgan.UserError` if a config is not FILE.py or FILE.py:PRESET with a file that exists."""
    file = config.partition(":")[0]
    if not file.endswith(".py") or not os.path.isfile(file):
        raise jgan.UserError(f"--train={config} is no config: configs/dcgan.py:editor would work.")


def config(asked: str) -> ml_collections.ConfigDict:
    """The config that `check` let pass, as `launch.train` reads it.

    Raises:
        jgan.UserError: a file that is no config, or one without that preset.
    """
    file, _, preset = asked.partition(":")
    try:
        return runpy.run_path(file)["get_config"](*[preset] * bool(preset))
    except Exception as error:
        # The file is Python: anything can be wrong with it, and its last sentence says what.
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise jgan.UserError(f"--train={asked} cannot be read: {reason[-1]}") from error


class Training:
    """A run that `launch.train` trains; the main thread of the program must make it, because both end together."""

    def __init__(self, config: str, workdir: str):
        """The training by a config, as `launch.train --config` takes it, in a directory that may have the begun run."""
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
            start_new_session=True,  # Ctrl-C goes to the server, which then ends the training
        )
        self._reader = threading.Thread(target=self._read, name="jgan-training", daemon=True)
        self._reader.start()

    def wait(self) -> None:
        """Returns when the run is trained.

        Raises:
            jgan.UserError: the training has failed; the sentence says why.
        """
        status = self._process.wait()
        self._reader.join(5)
        if status != 0 or not finished(str(self.workdir)):
            raise jgan.UserError(f"the training ended with status {status}: {self._reason()}")

    def stop(self) -> None:
        """Ends the training, which saves first, so that the same command continues it."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    @property
    def pid(self) -> int:
        """The number of the process."""
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
        """The bytes of a picture in `samples` of `progress`; None for any other name."""
        if not re.fullmatch(r"[0-9]{1,12}\.png", name):
            return None
        try:
            return (self.workdir / "samples" / name).read_bytes()
        except OSError:
            return None

    def _read(self) -> None:
        """Keeps the last lines of the output of the process, and prints all of them."""
        for line in self._process.stdout:
            self._lines.append(line.rstrip())
            print(line, end="", file=sys.stderr, flush=True)

    def _reason(self) -> str:
        """The last error in the output of the process, or its last line."""
        lines = [line for line in self._lines if line.strip()]
        errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
        return (errors or lines or ["it said nothing."])[-1][:300]


def _advance(
    metrics: pathlib.Path, config: ml_collections.ConfigDict, begun: float
) -> tuple[int, float | None]:
    """(step, seconds left) of a run; between two lines of its log, the steps are estimated by the last rate."""
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
