"""trace.jsonl of a run: by what its first steps, and each state that was saved, can be told from those of another run.

Of each of the first `STEPS` steps it has the metrics with all their digits and a checksum of the batch, and of some of
them, as of each step that was saved, a checksum of every array of the state: CRC-32 of its bytes. Metrics depend on
all weights, so that a difference shows in those of the step after it at the latest, and the checksums say in which
array it is.

The checksums of a step take as long as reading the state once on the host, and only those of `DIGESTED` and of saves
are taken; all other steps cost the checksum of a batch.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
import functools
import os
from typing import Any
from typing import NamedTuple
import zlib

import jax
from jax.experimental import multihost_utils
import numpy as np

import jgan
from jgan.runs import log

FILE = "trace.jsonl"
STEPS = 50
DIGESTED = frozenset({0, 1, 2, 4, 8, 16, 32, STEPS})
_BATCH = "batch/"


class Parting(NamedTuple):
    """Where two trainings part.

    Attributes:
        step: the first step that has something different.
        name: of the first array or metric of it that differs, such as params/generator/down_0/kernel or g_loss.
        since: the last step after which all arrays of the state were known to be equal; None: they differed at the
            start.
        leaf: the first array of the state that is known to differ; empty where none is.
        leaf_step: after which step.
    """

    step: int
    name: str
    since: int | None
    leaf: str = ""
    leaf_step: int = 0


class Trace:
    """The trace of a run that is being written."""

    def __init__(self, workdir: str | None, step: int, digested: Iterable[int] = DIGESTED) -> None:
        """Opens the trace of a run to append after `step`; what it has of later steps is dropped.

        Args:
            workdir: of the run; None to write nothing, as all processes but the first do.
            step: the step from which the run continues; 0 for a new one.
            digested: the steps of which every array of the state is told.
        """
        self._log = log.Log(os.path.join(workdir, FILE) if workdir else None, step)
        self._on, self._digested = workdir is not None, frozenset(digested)
        self._names: list[str] | None = None

    def batch(self, step: int, batch: Mapping[str, np.ndarray]) -> dict[str, str]:
        """The checksums of a batch by field; {} of steps that are not told, and where each process has a part of it."""
        if not self._on or step > STEPS or jax.process_count() > 1:
            return {}
        return {_BATCH + name: checksum(x) for name, x in batch.items()}

    def due(self, step: int) -> bool:
        """Whether the state after a step is told, saved or not: in all processes the same."""
        return step in self._digested

    def state(self, step: int, state: Any, *, saved: bool = False) -> None:
        """Writes the checksums of a state if it is one that is told; waits for it.

        All processes must call it, since each may hold parts of arrays.
        """
        if not (saved or self.due(step)):
            return
        if not self._on and all(leaf.is_fully_replicated for leaf in jax.tree.leaves(state)):
            return
        sums = digests(state)
        if not self._on:
            return
        if self._names is None:
            self._names = list(sums)
            # Once, since there are hundreds of them.
            self._log.write({"step": step, "names": self._names})
        self._log.write({"step": step, "state": " ".join(sums.values())})

    def metrics(self, step: int, values: Mapping[str, float], batch: Mapping[str, str]) -> None:
        """Writes the metrics of a step and the checksums of its batch, as `batch` gave them."""
        if step <= STEPS:
            self._log.write({"step": step, **batch, **values})

    def flush(self) -> None:
        """As `Log.flush`."""
        self._log.flush()

    def close(self) -> None:
        """Closes the file."""
        self._log.close()


def checksum(x: Any) -> str:
    """CRC-32 of the bytes of an array, eight hexadecimal digits."""
    x = np.ascontiguousarray(x)
    return f"{_crc32()(x.reshape(-1).view(np.uint8)):08x}"


@functools.cache
def _crc32() -> Callable[[np.ndarray], int]:
    """CRC-32 by libdeflate, which is faster than Python's own, where imagecodecs was built with it."""
    import imagecodecs  # only what trains pays for loading it

    return imagecodecs.deflate_crc32 if imagecodecs.DEFLATE.available else zlib.crc32


def digests(state: Any) -> dict[str, str]:
    """{path: checksum} of all arrays of a training state but the frozen ones, in the order of its fields."""
    sums = {}
    for path, leaf in jax.tree_util.tree_flatten_with_path(state)[0]:
        name = "/".join(jax.tree_util.keystr((key,), simple=True) for key in path)
        if not name.startswith("frozen/"):
            sums[name] = checksum(_whole(leaf))
    return sums


def _whole(leaf: jax.Array) -> np.ndarray:
    """An array on the host, of which every device, or all of them together, have all."""
    if leaf.is_fully_replicated:
        # A view of its own: the array itself would keep the memory that the next step reuses.
        return np.asarray(leaf.addressable_data(0))
    return np.asarray(multihost_utils.process_allgather(leaf, tiled=True))


def read(workdir: str) -> dict[int, dict[str, Any]]:
    """{step: {name: checksum or metric}} of a run, in the order in which a step computes them.

    Raises:
        jgan.UserError: the run has none, as those of earlier versions.
    """
    names: list[str] = []
    told: dict[int, dict[str, Any]] = {}
    for record in log.read(os.path.join(workdir, FILE)):
        if "names" in record:
            names = record["names"]
        elif "state" in record:
            sums = dict(zip(names, record["state"].split(), strict=False))
            told.setdefault(record["step"], {})["state"] = sums
        else:
            rest = {name: value for name, value in record.items() if name != "step"}
            told.setdefault(record["step"], {})["step"] = rest
    if not told:
        raise jgan.UserError(
            f"the run in {workdir} has no {FILE}, by which it could be repeated and compared: runs that were begun "
            "with an earlier version of jgan have none."
        )
    return told


def parting(
    then: Mapping[int, Mapping[str, Any]], now: Mapping[int, Mapping[str, Any]], steps: int
) -> Parting | None:
    """Where two traces part within so many steps; None where all that both have is equal.

    Of a step the batch comes first, then the metrics, which the losses give, and then the state after it.
    """
    since, found = None, None
    for step in range(steps + 1):
        for part in ("step", "state"):
            name = _different(then.get(step, {}).get(part, {}), now.get(step, {}).get(part, {}))
            if name and found is None:
                found = Parting(max(step, 1), name, since)
            if name and part == "state":
                return found._replace(leaf=name, leaf_step=step)
            if part == "state" and found is None and part in then.get(step, {}):
                since = step
    return found


def _different(was: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """The first name of which two parts of a step differ; empty where one has nothing of it, or all is equal."""
    names = dict.fromkeys([*was, *here]) if was and here else ()
    return next((name for name in names if was.get(name) != here.get(name)), "")
