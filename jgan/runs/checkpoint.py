"""Checkpoints of a training state on disk: whole states to continue, weights alone to use.

Orbax (v1 API) writes the files, keeps the last few and the best, and makes a save atomic: a checkpoint
is written under a temporary name and renamed when it is complete, so a process killed in the middle
leaves the previous ones untouched. Every field of the state (params, stats, opt, ...) is stored apart,
so that inference reads no optimiser. `frozen` is never stored: it belongs to the run, not to a step.
"""

from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
import dataclasses
import errno
import logging
import math
import os
import pathlib
import sys
import types
from typing import Any
from typing import Self

import jax
import jax.numpy as jnp
from orbax.checkpoint import v1 as ocp

import jgan
from jgan import paths
from jgan.runs import mirror
from jgan.runs import retention

NOT_STORED = ("frozen",)


class Checkpoints:
    """The checkpoints of one directory, to be used as a context manager.

    At most one save is under way at a time. Every process of a multi-process program must make the
    same calls in the same order; Orbax synchronises them.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        keep: int = 2,
        best: tuple[str, str] | None = ("l1", "min"),
        read_only: bool = False,
    ) -> None:
        """Opens `directory`, made if missing, and removes what an interrupted save left there.

        Args:
            directory: path that holds the checkpoints and nothing else, or does not exist yet.
            keep: how many of the last checkpoints stay; at least 1.
            best: None, or (metric, "min" | "max"): the best checkpoint by that metric stays as well.
            read_only: refuse to save and change nothing on disk: for programs that only read, perhaps while another one
                still trains.

        Raises:
            jgan.UserError: the path is a file, cannot be written, or is missing with `read_only`.
        """
        if keep < 1:
            raise jgan.UserError(f"checkpoints to keep must be at least 1, not {keep}")
        if best is not None and best[1] not in ("min", "max"):
            raise jgan.UserError(
                f'the best checkpoint is the one of "min" or "max" {best[0]}, not "{best[1]}"'
            )
        self.directory = paths.of(directory).absolute()
        self._best = best
        self._read_only = read_only
        self._unseen = False  # whether a save was begun whose outcome has not been asked for yet
        _check_directory(self.directory, read_only)
        logging.getLogger("absl").addFilter(_logged_once)
        _hush_late_writes()
        self._mirror = mirror.of(self.directory, read_only=read_only)
        if not read_only:
            retention.finish_deletions(self._mirror.folder)
        self._retention = retention.Policy(self._mirror.folder, keep, best)
        context = ocp.Context()
        # Noise-like float32 gains a tenth from compression and pays for it with double the time.
        context.array.saving.use_compression = False
        context.pytree.loading.partial_load = True  # `_check_fit` refuses what is missing, by name
        self._checkpointer = ocp.training.Checkpointer(
            str(self._mirror.folder),
            context=context,
            preservation_policy=self._retention,
            cleanup_tmp_directories=not read_only,
        )

    def __enter__(self) -> Self:
        """These checkpoints themselves."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        """Closes; an error of the last save is raised, or added as a note to the error that is under way."""
        try:
            self.close()
        except jgan.UserError as failure:
            if error is None:
                raise
            error.add_note(str(failure))  # the first error is the one that the user has to see

    @property
    def steps(self) -> list[int]:
        """The steps that have a complete checkpoint, ascending; waits for a save under way."""
        self.wait()
        return [info.step for info in self._complete()]

    @property
    def latest(self) -> int | None:
        """The last step that has a complete checkpoint, or None."""
        return max(self.steps, default=None)

    @property
    def best(self) -> int | None:
        """The step with the best finite metric (the later one of equals), or None without any."""
        self.wait()
        if self._best is None:
            return None
        scored = [(retention.score(c.metrics, self._best), c.step) for c in self._complete()]
        score, step = max(scored, default=(-math.inf, None))
        return step if score > -math.inf else None

    def metrics(self, step: int) -> dict:
        """The metrics that were saved with `step`; {} if none were."""
        self._check_step(step)
        return dict(next(c.metrics for c in self._complete() if c.step == step) or {})

    def save(self, step: int, state: Any, metrics: dict[str, Any] | None = None) -> bool:
        """Saves `state` as the checkpoint of `step`, writing in the background; False if there is one already.

        The caller may donate the arrays of `state` as soon as this returns. It waits for the previous save first. A
        step that already has a checkpoint keeps it.

        Args:
            step: number of the checkpoint.
            state: dataclass of pytrees; its fields are stored apart, `frozen` not at all.
            metrics: flat dict of numbers, read back by `metrics` and used to choose the best checkpoint.

        Raises:
            jgan.UserError: this or the previous save could not be written, as on a full disk.
        """
        if self._read_only:
            raise jgan.UserError(f"{self.directory} was opened for reading and cannot be saved to")
        if self._is_gone():  # Orbax would make a new one, or wait for it for ever
            raise jgan.UserError(_failed(self.directory, "it was removed while the run went on", []))
        if step in self.steps:
            return False
        # Orbax cannot store a field without arrays (no EMA, no statistics). The dict must be a new one each time, since
        # Orbax adds to it.
        fields = {k: v for k, v in _fields(state).items() if jax.tree.leaves(v)}
        if metrics is not None:
            metrics = {k: float(v) for k, v in metrics.items()}
        if jax.default_backend() == "cpu":
            # Orbax reads the arrays where they lie, and a step that wants to reuse their memory would
            # have to wait for the disk. Elsewhere they have been copied to the host when it returns.
            fields = jax.block_until_ready(_copy(fields))
        self._retention.saving = step
        with self._failures():
            self._checkpointer.save_checkpointables_async(step, fields, force=True, metrics=metrics)
        self._unseen = True
        return True

    def check(self) -> None:
        """Raises the error that `wait` would raise, once it is known, without waiting: for use between two steps."""
        if self._unseen and not self._checkpointer.is_saving_in_progress():
            self._unseen = False
            with self._failures():
                self._checkpointer.wait()
                self._mirror.push()
        self._mirror.check()

    def wait(self) -> None:
        """Returns when no save is under way; raises jgan.UserError if it could not be written."""
        with self._failures():
            self._checkpointer.wait()
            self._mirror.push()
            self._mirror.wait()

    def restore(self, step: int, abstract_state: Any) -> Any:
        """The state that was saved at `step`, in the structure and shardings of `abstract_state`.

        Args:
            step: one of `steps`.
            abstract_state: the dataclass with a jax.ShapeDtypeStruct for each array (jax.eval_shape), with shardings;
                without one an array goes to the default device. `frozen` is passed on unchanged.

        Raises:
            jgan.UserError: there is no such checkpoint, or it does not fit; names the first array that differs.
        """
        return dataclasses.replace(abstract_state, **self._load(step, _fields(abstract_state), whole=True))

    def restore_weights(self, step: int, abstract_weights: dict) -> dict:
        """The arrays named in `abstract_weights` as they were saved at `step`; no others are read.

        Args:
            step: one of `steps`.
            abstract_weights: {field: abstract pytree}, for instance of params, stats and ema, of all nets or of some.

        Raises:
            jgan.UserError: there is no such checkpoint, or it does not fit; names the first array that differs.
        """
        return self._load(step, dict(abstract_weights), whole=False)

    def close(self) -> None:
        """Waits for a save under way and releases the directory."""
        with self._failures():
            try:
                self._checkpointer.wait()
                self._mirror.push()
                self._mirror.wait()
            finally:
                with contextlib.suppress(*_WRITE_ERRORS):  # `wait` has raised it
                    self._checkpointer.close()
                self._mirror.close()

    def _is_gone(self) -> bool:
        """Whether the directory was removed; in an object store there is none before it holds something."""
        return not paths.is_remote(self.directory) and not self.directory.is_dir()

    def _complete(self) -> list[Any]:
        """The checkpoints that are complete, as Orbax describes them."""
        gone = retention.deletions(self._mirror.folder)
        return [info for info in self._checkpointer.checkpoints if info.step not in gone]

    def _load(self, step: int, abstract: Mapping[str, Any], whole: bool) -> dict[str, Any]:
        """{field: value} of a checkpoint in the structure of `abstract`, which has all of its fields if `whole`."""
        self._check_step(step)
        name = f"the checkpoint of step {step} in {self.directory}"
        self._mirror.fetch(step)
        with _readable(name):
            stored = self._checkpointer.checkpointables_metadata(step).metadata
        for field in abstract.keys() & stored.keys():
            if stored[field] is None:
                raise jgan.UserError(f"{name} is damaged: its {field} cannot be read")
        _check_fit(name, stored, abstract, whole)
        wanted = {k: jax.tree.map(_placed, v) for k, v in abstract.items() if jax.tree.leaves(v)}
        if not wanted:
            return abstract
        with _readable(name):
            return {**abstract, **self._checkpointer.load_checkpointables(step, wanted)}

    def _check_step(self, step: int) -> None:
        """Refuses a step without a checkpoint with a `jgan.UserError`."""
        steps = self.steps
        if step not in steps:
            there = ", ".join(map(str, steps)) if steps else "none"
            raise jgan.UserError(f"{self.directory} has no checkpoint of step {step}; there are: {there}")

    @contextlib.contextmanager
    def _failures(self) -> Iterator[None]:
        """Turns an error of writing into one sentence, and forgets the checkpoint that failed."""
        try:
            yield
        except _WRITE_ERRORS as error:
            if self._is_gone():
                removed = "it was removed while the run went on"
                raise jgan.UserError(_failed(self.directory, removed, [])) from error
            self._checkpointer.reload()
            steps = [info.step for info in self._complete()]
            raise jgan.UserError(_failed(self.directory, _reason(error), steps)) from error


def _failed(directory: pathlib.Path, reason: str, steps: list[int]) -> str:
    """The sentence on a save that failed, with the checkpoint that is left."""
    kept = f"the one of step {max(steps)} is intact" if steps else "there is no earlier one"
    return f"a checkpoint could not be written to {directory}: {reason}; {kept}"


def _hush_late_writes() -> None:
    """Silences writes that end after another one failed, when the event loop to which they report is closed."""
    following = sys.unraisablehook
    if getattr(following, "hushes_late_writes", False):
        return

    def hook(unraisable: Any) -> None:
        if str(unraisable.exc_value) != "Event loop is closed":
            following(unraisable)

    hook.hushes_late_writes = True
    sys.unraisablehook = hook


@jax.jit
def _copy(tree: Any) -> Any:
    """A copy of all arrays."""
    return jax.tree.map(jnp.copy, tree)


# The errors that Orbax and TensorStore raise when the file system refuses.
_WRITE_ERRORS = (OSError, ValueError, RuntimeError)


@contextlib.contextmanager
def _readable(name: str) -> Iterator[None]:
    """Turns an error of reading, as from a file that was cut or deleted, into one sentence."""
    try:
        yield
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        first = str(error).strip().split("\n")[0][:200]
        raise jgan.UserError(f"{name} is damaged and cannot be read: {first}") from error


def _logged_once(record: logging.LogRecord) -> bool:
    """A filter of log records, False for those of Orbax: errors that it raises as well, and advice on timing."""
    return "orbax" not in record.pathname


def _reason(error: BaseException) -> str:
    """Why the file system refused, in words; the text of `error` itself where that is not known."""
    chain, text = [], " ".join(str(error).split())[:200]
    while error is not None and error not in chain:
        chain.append(error)
        error = error.__cause__ or error.__context__
    reasons = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO)
    for cause in chain:
        for number in reasons:
            if getattr(cause, "errno", None) == number or os.strerror(number) in str(cause):
                return os.strerror(number).lower()
    return text


def _fields(state: Any) -> dict[str, Any]:
    """{name: value} of the fields that are stored."""
    names = [f.name for f in dataclasses.fields(state) if f.name not in NOT_STORED]
    return {name: getattr(state, name) for name in names}


def _check_directory(directory: pathlib.Path, read_only: bool) -> None:
    """Makes a directory for checkpoints if it may; a `jgan.UserError` where it cannot be used."""
    try:
        str(directory).encode()
    except UnicodeEncodeError:  # the library that writes arrays needs UTF-8
        raise jgan.UserError(
            f"checkpoints cannot be kept in {directory}, whose name is not UTF-8: another directory would work"
        ) from None
    if paths.is_remote(directory):
        if read_only and not directory.is_dir():
            raise jgan.UserError(f"{directory} does not exist, so there is no checkpoint to read")
        return
    for path in (directory, *directory.parents):
        if path.exists():
            if not path.is_dir():
                raise jgan.UserError(f"{path} is a file where a directory for checkpoints has to be")
            break
    if read_only:
        if not directory.is_dir():
            raise jgan.UserError(f"{directory} does not exist, so there is no checkpoint to read")
        return
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = os.strerror(error.errno).lower()
        raise jgan.UserError(f"{directory} could not be made: {reason}") from error
    if not os.access(directory, os.W_OK | os.X_OK):
        raise jgan.UserError(f"{directory} cannot be written to: permission denied")


def _check_fit(name: str, stored: Mapping[str, Any], abstract: Mapping[str, Any], whole: bool) -> None:
    """Refuses, by name, the first array of `abstract`, or of `stored` if `whole`, without an equal in the other."""
    wanted = _leaves(abstract)
    first = [field for field in abstract if field in stored]  # so that the user's order decides
    rest = [field for field in stored if field not in abstract and field != "metrics"]
    there = _leaves({field: stored[field] for field in first + rest})
    for path, leaf in wanted.items():
        if path not in there:
            raise jgan.UserError(f"{name} does not fit: it has no {path}, which is {leaf} here")
        if leaf != there[path]:
            raise jgan.UserError(f"{name} does not fit: {path} is {there[path]} there, {leaf} here")
    for path, leaf in there.items() if whole else ():
        if path not in wanted:
            raise jgan.UserError(f"{name} does not fit: it has {path} ({leaf}), which is not here")


def _leaves(fields: Mapping[str, Any]) -> dict[str, str]:
    """{path: "float32[3,4]"} of pytrees, the same for a named tuple and for the dict that Orbax makes of it."""
    described = {}
    for field, tree in fields.items():
        for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
            name = "/".join([field, *(jax.tree_util.keystr((k,), simple=True) for k in path)])
            described[name] = f"{leaf.dtype}[{','.join(map(str, leaf.shape))}]"
    return described


def _placed(leaf: Any) -> jax.ShapeDtypeStruct:
    """`leaf` with a sharding, so that Orbax does not ask for the devices of the machine that wrote it."""
    sharding = getattr(leaf, "sharding", None)
    if sharding is None:
        sharding = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)
