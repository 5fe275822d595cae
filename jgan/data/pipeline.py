"""From a config to batches: the only part of the data package that programs call.

A batch of kind `aligned` is `{"a": [n, h, w, ca], "b": [n, h, w, cb]}` in the files' own type (uint8,
uint16, or float32 in [-1, 1]); `a` is always the input and `b` the target. Batches are indexed by
step: `batches(k)` goes on where a run of k steps stopped, with no stored state, and what a step
sees does not depend on workers or on the number of processes.
"""

from collections.abc import Iterator

from absl import flags
import grain
import numpy as np

import jgan
from jgan.data import cache
from jgan.data import examples
from jgan.data import pairs
from jgan.data import transforms

KINDS = ("aligned",)
SOURCES = ("folder", "facades")
DIRECTIONS = ("AtoB", "BtoA")

_AHEAD = 4  # batches prepared in advance


def train(data, *, batch_size: int, seed: int, processes: tuple[int, int] = (0, 1)) -> "Stream":
    """Returns the training batches of a config, after every file was looked at.

    Args:
      data: the `data` part of a config.
      batch_size: examples per step over all processes.
      seed: of order, crops and flips.
      processes: (index, count) of this process; it gets examples index, index + count, ... of each
        global batch.

    Raises:
      jgan.UserError: an impossible setting, or files that cannot be used (unless data.skip_bad).
    """
    _validate(data)
    index, count = processes
    if batch_size < 1 or batch_size % count:
        raise jgan.UserError(
            f"batch_size is {batch_size}: a positive multiple of {count} (processes) would work"
        )
    side = {"resize": data.load_size, "none": data.size, "crop": None}[data.jitter]
    # Workers share what is on disk through the pages of the system; memory is theirs alone.
    limit = data.cache_gib * 2**30
    memory, share = (0, limit / data.workers) if data.workers else (limit, 0)
    found = _open(data, data.split, side, memory, share, on_disk=True)
    if data.workers > len(found):
        raise jgan.UserError(
            f"data.workers is {data.workers} but there are only {len(found)} examples: "
            f"0 to {len(found)} would work"
        )
    return Stream(found, data, batch_size // count, seed, processes)


def evaluation(data, split: str, size: int | None = None) -> "Whole":
    """Returns the whole examples of a split, without chance: a sequence of {"a", "b", "name"}.

    They are data.size squared, or of native size where the jitter is `crop`; `size` makes them
    size squared in any case. Beyond a quarter of data.cache_gib they are decoded at each use.

    Raises:
      jgan.UserError: as in `train`.
    """
    _validate(data)
    side = size or (None if data.jitter == "crop" else data.size)
    found = _open(data, split, side, data.cache_gib * 2**28, 0, on_disk=False, whole=True)
    return Whole(found, data)


class Stream:
    """Training batches: `channels` (ca, cb), `dtypes`, `examples` (how many), `names`, `bad`."""

    def __init__(self, found, data, batch_size, seed, processes):
        self.examples, self.names, self.bad = len(found), found.names, found.bad
        self.channels, self.dtypes = _signature(found, data)
        self._workers, self._iterators = data.workers, []
        index, count = processes
        dataset = grain.MapDataset.source(found).seed(seed % 2**32).shuffle().repeat()
        dataset = dataset.random_map(_Cut(data))
        self._dataset = dataset[index::count].batch(batch_size, drop_remainder=True)

    def batches(self, start_step: int = 0) -> Iterator[dict[str, np.ndarray]]:
        """Returns an endless iterator over the batches of start_step, start_step + 1, ...

        Batches are prepared in the background; `close()` of the iterator ends that.
        """
        read = grain.ReadOptions(num_threads=2, prefetch_buffer_size=_AHEAD)
        dataset = self._dataset[start_step:].to_iter_dataset(read)
        if self._workers:
            if not flags.FLAGS.is_parsed():  # Grain's workers look at them; a notebook has none
                flags.FLAGS.mark_as_parsed()
            dataset = dataset.mp_prefetch(
                grain.MultiprocessingOptions(num_workers=self._workers, per_worker_buffer_size=2)
            )
        iterator = iter(dataset)
        self._iterators.append(iterator)
        return iterator

    def close(self) -> None:
        """Ends the threads and workers of all iterators."""
        while self._iterators:
            self._iterators.pop().close()


class Whole:
    """A sequence of whole examples {"a", "b", "name"}; `channels`, `dtypes`, `names`, `bad`."""

    def __init__(self, found, data):
        self._found, self._data = found, data
        self.names, self.bad = found.names, found.bad
        self.channels, self.dtypes = _signature(found, data)

    def __len__(self) -> int:
        return len(self._found)

    def __getitem__(self, index: int) -> dict:
        index = range(len(self))[index]
        made = _finish(self._found[index], self._data.pair, self._data.direction)
        return made | {"name": self.names[index]}


class _Cut(grain.transforms.RandomMap):
    # Planes to an example of a batch: everything here is cheap, everything dear was cached.

    def __init__(self, data):
        self._size, self._flip, self._pair = data.size, data.flip, data.pair
        self._direction = data.direction

    def random_map(self, planes, rng):
        planes = transforms.random_crop(planes, self._size, self._flip, rng)
        return _finish(planes, self._pair, self._direction)


def _finish(planes, pair: str, direction: str) -> dict[str, np.ndarray]:
    if len(planes) == 1:
        planes = pairs.make(pair, planes[0])
    a, b = planes if direction == "AtoB" else planes[::-1]
    return {"a": np.ascontiguousarray(a), "b": np.ascontiguousarray(b)}


def _open(data, split, side, memory, share, on_disk, whole=False):
    if data.source == "facades":
        # Never on disk: a file there could not tell that the drawing has changed.
        store = cache.Cache(memory, None, share=share)
        # A crop of drawn pictures is cut from load_size: at `size` there would be nothing to move.
        size = side or (data.size if whole else max(data.size, data.load_size))
        return examples.drawn(data, split, size, store)
    where = cache.folder(data.cache_dir) if on_disk else None
    least = data.size if side is None and not whole else 1
    return examples.files(data, split, side, cache.Cache(memory, where, share=share), least)


def _signature(found, data):
    made = _finish(found[0], data.pair, data.direction)
    return tuple(made[side].shape[-1] for side in "ab"), tuple(made[side].dtype for side in "ab")


def _validate(data) -> None:
    for field, known in (
        ("kind", KINDS),
        ("source", SOURCES),
        ("direction", DIRECTIONS),
        ("jitter", transforms.JITTERS),
        ("pair", ("", *pairs.PAIRS)),
    ):
        if data[field] not in known:
            names = ", ".join(name or "''" for name in known)
            raise jgan.UserError(f"data.{field} is {data[field]!r}: one of {names} would work")
    for field, least in (("size", 1), ("workers", 0), ("cache_gib", 0)):
        if data[field] < least:
            raise jgan.UserError(f"data.{field} is {data[field]}: {least} or more would work")
    if data.jitter == "resize" and data.load_size < data.size:
        raise jgan.UserError(
            f"data.load_size is {data.load_size}, but data.size={data.size} is cut from it: "
            f"{data.size} or more would work"
        )
