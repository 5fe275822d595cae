"""Sweeps: the runs of all variants and seeds of a `sweeps.Sweep`, trained here or written for a cluster.

A run of a sweep is a run like any other, in DIR/VARIANT/seedN. Nothing else is remembered about it: it is finished if
it has the checkpoint of its last step, and continues if it has an earlier one. `sweep_projections` has the runs of a
sweep that projects photos instead.
"""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import contextlib
import importlib.util
import os
import subprocess
import sys
import time
from typing import Any
from typing import NamedTuple
from typing import TextIO

import ml_collections

import jgan
from jgan import bound
from jgan import fields
from jgan import paths
from jgan import sweeps
from jgan.metrics import segmentation
from jgan.runs import config as run_config

_PATIENCE = 300  # seconds to wait for the trainings of a sweep that was killed


class Job(NamedTuple):
    """One training of a sweep.

    Attributes:
        name: VARIANT/seedN.
        workdir: of the run.
        overrides: what differs from the other runs.
        config: as the command makes it.
        flags: of launch.train.
    """

    name: str
    workdir: str
    overrides: Mapping[str, Any]
    config: ml_collections.ConfigDict
    flags: tuple[str, ...]

    log = "train.log"  # in its directory
    unit = "step"  # of what `step` and `steps` count

    def command(self, python: str = sys.executable) -> list[str]:
        """The command line of the training."""
        return [python, "-m", "launch.train", *self.flags]

    @property
    def step(self) -> int:
        """The last step that it has a checkpoint of."""
        return progress(self.workdir)

    @property
    def steps(self) -> int:
        """How many there are to be."""
        return self.config.steps

    def is_finished(self) -> bool:
        """Whether it has all of its steps.

        Raises:
            jgan.UserError: the directory holds a run of another config.
        """
        if not os.path.exists(os.path.join(self.workdir, "config.json")):
            return False
        old, new = run_config.read(self.workdir), ml_collections.ConfigDict(self.config.to_dict())
        run_config.take_names(new)
        segmentation.take_palette(new)
        run_config.take_facts(new, old)
        run_config.check_continuation(self.workdir, old, new)
        return progress(self.workdir) >= new.steps


class Group(NamedTuple):
    """Runs of one variant that train together. It has what a `Job` has, and is never finished.

    Attributes:
        jobs: the runs, which differ in their seeds alone and are at one step.
    """

    jobs: tuple[Job, ...]

    log, unit = Job.log, Job.unit

    @property
    def name(self) -> str:
        """VARIANT/seed0+1+2."""
        return self.jobs[0].name + "".join(f"+{job.config.seed}" for job in self.jobs[1:])

    @property
    def workdir(self) -> str:
        """The directory of the variant, in which the runs lie."""
        return os.path.dirname(self.jobs[0].workdir)

    @property
    def steps(self) -> int:
        """How many there are to be."""
        return self.jobs[0].steps

    def command(self, python: str = sys.executable) -> list[str]:
        """The command line of the training."""
        own = ("--config.seed=", "--workdir=")
        shared = [flag for flag in self.jobs[0].flags if not flag.startswith(own)]
        numbers = ",".join(str(job.config.seed) for job in self.jobs)
        return [python, "-m", "launch.train", *shared, f"--seeds={numbers}", f"--workdir={self.workdir}"]

    @property
    def step(self) -> int:
        """The last step that all of them have a checkpoint of."""
        return min(job.step for job in self.jobs)


def grouped(jobs: Sequence[Job], count: int) -> list[Job | Group]:
    """The same runs, with up to `count` of each variant that are at one step in the place of each of them."""
    if count == 1:
        return list(jobs)
    parts: dict[tuple[str, int], list[Job]] = {}
    for job in jobs:
        parts.setdefault((os.path.dirname(job.workdir), job.step), []).append(job)
    made: list[Job | Group] = []
    for part in parts.values():
        for first in range(0, len(part), count):
            chosen = tuple(part[first : first + count])
            made.append(Group(chosen) if len(chosen) > 1 else chosen[0])
    return made


def read(text: str) -> sweeps.Sweep:
    """The sweep of FILE.py or FILE.py:PRESET.

    Raises:
        jgan.UserError: there is no such file or preset, or it makes no sweep.
    """
    path, _, preset = text.partition(":")
    try:
        spec = importlib.util.spec_from_file_location("sweep_file", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        made = module.get_sweep(preset)
    except FileNotFoundError:
        raise jgan.UserError(f"--sweep={text}: there is no file {path}.") from None
    except jgan.UserError as error:
        raise jgan.UserError(f"--sweep={text}: {error}") from None
    except (AttributeError, KeyError, TypeError, ValueError, SyntaxError, ImportError) as error:
        raise jgan.UserError(f"--sweep={text}: {type(error).__name__}: {error}".rstrip(".") + ".") from error
    if not isinstance(made, sweeps.Sweep):
        raise jgan.UserError(f"--sweep={text}: get_sweep has to return a jgan.sweeps.Sweep.")
    try:
        return sweeps.check(made)
    except jgan.UserError as error:
        raise jgan.UserError(f"--sweep={text}: {error}") from None


def expand(
    sweep: sweeps.Sweep,
    workdir: str,
    *,
    seeds: int,
    given: Sequence[str],
    load: Callable[[list[str]], ml_collections.ConfigDict],
) -> list[Job]:
    """The runs of a sweep, all of whose configs exist.

    Args:
        sweep: as `read` gives it.
        workdir: directory of the sweep.
        seeds: how many of each variant.
        given: flags `--config.FIELD=VALUE` for all runs, which override the sweep's `base`.
        load: (flags of launch.train) -> config, which refuses fields and values with a `jgan.UserError`.

    Raises:
        jgan.UserError: what `load` refuses, or a flag for a field that the sweep itself varies.
    """
    chosen = {flag.removeprefix("--config.").partition("=")[0]: flag for flag in given}
    varied = {field for _, overrides in sweep.variants for field in overrides} | {"seed"}
    for field in varied & chosen.keys():
        raise jgan.UserError(f"{chosen[field]}: the sweep itself sets {field}.")
    base = {field: value for field, value in sweep.base.items() if field not in chosen}
    made = []
    for name, overrides in sweeps.seeds(sweep.variants, seeds):
        place = os.path.join(workdir, *name.split("/"))
        flags = [f"--config={sweep.config}"]
        flags += [f"--config.{field}={as_flag(value)}" for field, value in {**base, **overrides}.items()]
        flags += [*given, f"--workdir={place}"]
        made.append(Job(name, place, overrides, load(flags), tuple(flags)))
    return made


def check(jobs: Sequence[Job]) -> None:
    """Refuses variants that cannot be trained, as far as that is known before their data are read.

    Raises:
        jgan.UserError: fields of a variant do not go together.
    """
    import jax  # which to expand a sweep needs not

    from jgan.systems import SYSTEMS

    jax.config.update("jax_platforms", "cpu")  # of this process alone: GPUs are for its trainings
    for variant, job in {os.path.dirname(job.name): job for job in jobs}.items():
        config = ml_collections.ConfigDict(job.config.to_dict())
        if "label" in fields.of(config.data) and not config.data.names:
            continue  # a net for labels that only the data know
        try:
            run_config.take_names(config)
            segmentation.take_palette(config)
            SYSTEMS[config.system](config)
        except jgan.UserError as error:
            raise jgan.UserError(f"variant {variant}: {error}") from None


def describe(sweep: sweeps.Sweep, jobs: Sequence[Job], given: Sequence[str]) -> str:
    """The expansion as a person reads it: what all runs share, and a line for each run."""
    base = [f"{field}={as_flag(value)}" for field, value in sweep.base.items()]
    shared = " ".join(
        [sweep.config, *base, *(flag.removeprefix("--").removeprefix("config.") for flag in given)]
    )
    width = max(len(job.name) for job in jobs)
    what = {"train": "runs of", "project": "projections by"}[sweep.program]
    lines = [f"{len(jobs)} {what} {shared}"]
    for job in jobs:
        differs = " ".join(f"{field}={as_flag(value)}" for field, value in job.overrides.items())
        lines.append(f"  {job.name:<{width}}  {differs}")
    return "\n".join(lines)


def progress(workdir: str) -> int:
    """The last step of a run that has a complete checkpoint; 0 if there is none."""
    folder = os.path.join(workdir, "checkpoints")
    try:
        if paths.is_remote(folder):
            names = [mark.parent.name for mark in paths.of(folder).glob("*/commit_success.txt")]
        else:
            names = os.listdir(folder)
    except OSError:
        return 0
    return max((int(name) for name in names if name.isdecimal()), default=0)


def pending(jobs: Sequence[Job], stream: TextIO | None = None) -> tuple[list[Job], dict[str, str]]:
    """(the runs that are not finished, {name: why it cannot go on} of others); `stream` is told of all but these."""
    left, failed = [], {}
    for job in jobs:
        try:
            if job.is_finished():
                print(f"{job.name}: finished already", file=stream, flush=True)
            else:
                left.append(job)
        except jgan.UserError as error:
            failed[job.name] = str(error)
            print(f"{job.name}: FAILED: {error}", file=stream, flush=True)
    return left, failed


def here(jobs: Sequence[Job | Group], workdir: str, at_once: int = 1) -> dict[str, str]:
    """Trains runs in processes of their own, some at a time; returns {name: last line} of those that failed.

    Those that train at a time divide the processor's cores (`shares`). Of a group that fails each run that is not
    finished is trained alone, so that one cannot stop the others. A training ends with the sweep, whatever ends it, and
    saves before. Its output goes to `train.log` in its run, or that of a group in the directory of its variant.

    Raises:
        jgan.UserError: another sweep trains in this directory.
    """
    with _alone(workdir) as descriptor:
        waiting, failed = [*jobs], {}
        running: list[tuple[Job | Group, subprocess.Popen, float, tuple[int, ...]]] = []
        free = shares(at_once)
        try:
            while waiting or running:
                while waiting and len(running) < at_once:
                    job = waiting.pop(0)
                    step, ended = job.step, max(len(jobs) - len(waiting), 1)
                    goes = f"continues at {job.unit} {step}" if step else "begins"
                    print(f"{job.name}: {goes} ({ended} of {len(jobs)})", flush=True)
                    cores = free.pop(0)
                    running.append((job, _start(job, descriptor, cores), time.monotonic(), cores))
                time.sleep(0.1)
                for one in [one for one in running if one[1].poll() is not None]:
                    running.remove(one)
                    job, process, begun, cores = one
                    free.append(cores)
                    sentence = _outcome(job, process.returncode)
                    if sentence and isinstance(job, Group):
                        waiting += [one for one in job.jobs if one.step < one.steps]
                    elif sentence:
                        failed[job.name] = sentence
                    taken = f"finished in {time.monotonic() - begun:.0f} s"
                    print(f"{job.name}: {f'FAILED: {sentence}' if sentence else taken}", flush=True)
        finally:
            for _, process, *_ in running:
                process.terminate()
            for _, process, *_ in running:
                process.wait()
    return failed


def shares(count: int) -> list[tuple[int, ...]]:
    """The processor's cores in `count` equal parts; () is all of them.

    A small net gains little from a second core, and two that share two cores wait for each other: on cores of their
    own they are nearly twice as fast.
    """
    cores = sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else []
    size = len(cores) // count
    if count == 1 or not size:
        return [()] * count
    return [tuple(cores[k * size : (k + 1) * size]) for k in range(count)]


def parts(count: int) -> int:
    """How many trainings a group of `count` seeds is divided into: on CPUs one for each core, else one."""
    if count == 1 or sys.platform != "linux":
        return 1
    # Asked in another process, since one that has asked would hold a GPU's memory from the trainings.
    asked = subprocess.run(
        [sys.executable, "-c", "import jax; print(jax.default_backend())"], capture_output=True, text=True
    )
    return min(count, len(os.sched_getaffinity(0))) if asked.stdout.strip() == "cpu" else 1


def _start(job: Job | Group, descriptor: int, cores: Sequence[int]) -> subprocess.Popen:
    """The process of a training, which keeps the sweep's lock while it runs."""
    os.makedirs(job.workdir, exist_ok=True)
    with open(os.path.join(job.workdir, job.log), "ab") as log:
        return subprocess.Popen(
            bound.command(job.command(), cores),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            pass_fds=(descriptor,) if descriptor >= 0 else (),
        )


def _outcome(job: Job | Group, status: int) -> str:
    """Why a training that ended has failed; empty if it is finished."""
    if status == 0:
        step = job.step
        return "" if step >= job.steps else f"stopped at {job.unit} {step} of {job.steps}"
    with open(os.path.join(job.workdir, job.log), encoding="utf-8", errors="replace") as log:
        lines = [line.strip() for line in log if line.strip()]
    told = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return (told or lines or [f"ended by signal {-status}" if status < 0 else f"exit status {status}"])[-1]


@contextlib.contextmanager
def _alone(workdir: str) -> Iterator[int]:
    """The descriptor of a lock of the directory, which trainings inherit: it is held until the last of them ends."""
    try:
        import fcntl
    except ImportError:  # this operating system has no such locks
        yield -1
        return
    with open(os.path.join(workdir, "lock"), "a", encoding="utf-8") as file:
        until = time.monotonic() + _PATIENCE
        told = False
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise jgan.UserError(f"another sweep trains in {workdir}: wait until it ends.") from None
                if not told:
                    print("waiting for the trainings of an earlier sweep to save and end", flush=True)
                told = True
                time.sleep(0.2)
            except OSError:  # a file system without locks
                break
        yield file.fileno()


def as_flag(value: Any) -> str:
    """A value as a flag has it."""
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else repr(value)
