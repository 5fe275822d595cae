"""From a config to batches: the only part of the data package that programs call.

A batch is `{"a": [n, h, w, ca], "b": [n, h, w, cb]}` in the files' own type (uint8, uint16, or float32 in
[-1, 1]). Of kind `aligned`, `a` is always the input and `b` the target. Of kind `unaligned` they are images of two
domains, chosen as in the PyTorch code of CycleGAN (Zhu et al. 2017): an epoch has as many examples as the larger
domain; in a shuffled order of its numbers, A gives the image of that number modulo |A|, and B any image with equal
probability; each is cropped and flipped by itself.

Of kind `images` a batch is `{"images": [n, h, w, c]}`. Single images keep their aspect: with the jitter `resize` their
short side becomes data.load_size before the random crop; with `none` it becomes data.size and the middle is cut out.

Of kind `labelled` a batch is {"images": [n, h, w, c], "label"}: the same images, each with its class (data.label=class,
int32 [n]) or its attributes (data.label=attributes, float32 [n, k] from 0, absent, to 1, present; NaN where the data do
not know). If the attributes are those of several data sets, each batch holds pictures of one of them: the batch of step
k is of set k modulo their number, as in the code of StarGAN (Choi et al. 2018), however large each set is.

Batches are indexed by step: `batches(k)` continues where a run of k steps stopped, without any stored state, and the
batch of a step does not depend on workers or on the number of processes.
"""

from collections.abc import Iterator
from collections.abc import Sequence
import os
from typing import Any

from absl import flags
import grain
import numpy as np

import jgan
from jgan import fields
from jgan import paths
from jgan.data import cache
from jgan.data import examples
from jgan.data import labelling
from jgan.data import pairs
from jgan.data import transforms
from jgan.data.sources import drawn
from jgan.data.sources import named

KINDS = tuple(fields.KINDS)
DRAWN = drawn.NAMES
SOURCES = ("folder", *DRAWN)
PARTS = ("", "A", "B")
DIRECTIONS = ("AtoB", "BtoA")
LABELS = ("", "a", "b", "ab")
LABEL = ("class", "attributes")

_AHEAD = 4  # batches prepared in advance


def train(
    data: Any,
    *,
    batch_size: int,
    seed: int,
    processes: tuple[int, int] = (0, 1),
    sets: tuple[int, ...] = (),
    mask: bool = True,
) -> "Stream":
    """The training batches of a config, after every file has been read once.

    Args:
        data: the `data` part of a config.
        batch_size: examples per step over all processes.
        seed: of order, crops and flips.
        processes: (index, count) of this process; of each global batch, cut into `count` equal parts, it gets the
            part of that index.
        sets: of attributes of several data sets, the number of those of each, in the order of the names; numbers that
            do not fit the names are left to the system, which refuses them.
        mask: whether the system is told which attributes are not known; otherwise all have to be.

    Raises:
        jgan.UserError: a setting is impossible, a set has no picture, too little is known of an attribute, or files
            cannot be used (unless data.skip_bad).
    """
    _validate(data)
    index, count = processes
    if batch_size < 1 or batch_size % count:
        raise jgan.UserError(
            f"batch_size is {batch_size}: a positive multiple of {count} (processes) would work"
        )
    side = {"resize": data.load_size, "none": data.size, "crop": None}[data.jitter]
    # Workers share the files on disk through the pages of the system; each has memory of its own.
    limit = data.cache_gib * 2**30
    memory, share = (0, limit / data.workers) if data.workers else (limit, 0)
    domains = _open(data, data.split, side, memory, share, on_disk=True)
    number = max(map(len, domains))
    if data.workers > number:
        raise jgan.UserError(
            f"data.workers is {data.workers} but there are only {number} examples: 0 to {number} would work"
        )
    stream = Stream(domains, data, batch_size // count, seed, processes, sets)
    labelling.check_known(domains[0], mask)
    return stream


def evaluation(data: Any, split: str, size: int | None = None) -> "Whole":
    """The whole examples of a split, without random crops and flips: a sequence of {"a", "b", "name"}.

    They are data.size squared, or of native size if the jitter is `crop`; with `size` they are size squared in any
    case. Beyond a quarter of data.cache_gib they are decoded each time they are used.

    The attribute `paired` says whether a and b belong together. Of kind `unaligned` they do if the split holds pairs
    side by side, or two folders whose files have the same names (except for a final `_A` or `_B`) and sizes; otherwise
    example i has "a" only if A has more than i images, and "b" likewise.

    Of kind `images` they are {"images": [h, w, c], "name"}: the middle square, its side resized to data.size (or
    `size`); with the jitter `crop`, data.size pixels of it at native scale, as in training. Of kind `labelled` they
    have a "label" too.

    Args:
        data: the `data` part of a config.
        split: its name.
        size: the side of the examples in pixels; None: data.size or native, as above.

    Raises:
        jgan.UserError: as in `train`.
    """
    _validate(data)
    side = size or (None if data.jitter == "crop" else data.size)
    domains = _open(data, split, side, data.cache_gib * 2**28, 0, on_disk=False, whole=True)
    return Whole(domains, data)


class Stream:
    """Training batches.

    Attributes:
        facts: what only the data contain, for `config.data`: "channels" of the pictures of a batch, in the order of
            their fields; for labels "names", and "exclusive" if drawn attributes cannot be present together.
        dtypes: {field: its type in a batch}.
        examples: the number of examples in an epoch.
        names: of the examples.
        bad: [(path, reason)] of files that are not used.
        files: {file: size in bytes} of the examples, by their places below data.root.
        lists: the same of the lists of their labels.
        labels: a digest of their labels; empty if they have none, or none of their files'.
        halves: the least and the largest width / height of a half, if the files hold pairs side by side; otherwise
            None.
        notes: sentences on how files were changed, for the person who trains on them.
    """

    def __init__(
        self,
        domains: tuple[examples.Examples, ...],
        data: Any,
        batch_size: int,
        seed: int,
        processes: tuple[int, int],
        sets: tuple[int, ...] = (),
    ) -> None:
        self.names, self.bad = _names(domains), [one for domain in domains for one in domain.bad]
        self.notes = [note for domain in domains for note in domain.notes] + labelling.notes(domains[0])
        self.files, self.halves = _files(domains, data), domains[0].halves
        self.lists, self.labels = _files(domains, data, lists=True), labelling.digest(domains[0])
        self.facts, self.dtypes = _facts(domains, data)
        self.examples = max(map(len, domains))
        self._workers, self._iterators = data.workers, []
        self._again = lambda seed: Stream(domains, data, batch_size, seed, processes, sets)
        (index, count), found = processes, []
        for k, numbers in enumerate(labelling.members(domains[0], sets) or [range(self.examples)]):
            dataset = grain.MapDataset.range(len(numbers)).seed((seed + k) % 2**32).shuffle().repeat()
            dataset = dataset.random_map(_Draw(domains, data, numbers))
            if count > 1:  # the rows of this process, of every batch
                rows = range(index * batch_size, (index + 1) * batch_size)
                parts = [dataset[row :: count * batch_size] for row in rows]
                dataset = grain.MapDataset.mix(parts) if len(parts) > 1 else parts[0]
            found.append(dataset.batch(batch_size, drop_remainder=True))
        self._dataset = found[0] if len(found) == 1 else grain.MapDataset.mix(found)  # in turn

    def batches(self, start_step: int = 0) -> Iterator[dict[str, np.ndarray]]:
        """An endless iterator over the batches of start_step, start_step + 1, ...

        Batches are prepared in the background until `close()` of the iterator is called.
        """
        read = grain.ReadOptions(num_threads=2, prefetch_buffer_size=_AHEAD)
        dataset = self._dataset[start_step:].to_iter_dataset(read)
        if self._workers:
            if not flags.FLAGS.is_parsed():  # Grain's workers read the flags, which a notebook has not parsed
                flags.FLAGS.mark_as_parsed()
            dataset = dataset.mp_prefetch(
                grain.MultiprocessingOptions(num_workers=self._workers, per_worker_buffer_size=2)
            )
        iterator = iter(dataset)
        self._iterators.append(iterator)
        return iterator

    def again(self, seed: int) -> "Stream":
        """A stream of the same examples, which are held once for both, in the order and with the crops of a seed."""
        return self._again(seed)

    def close(self) -> None:
        """Ends the threads and workers of all iterators."""
        while self._iterators:
            self._iterators.pop().close()


class Whole:
    """A sequence of whole examples {field: value, "name": name}.

    Attributes:
        paired: whether "a" and "b" of an example belong together.
        facts: as in `Stream`, and so are dtypes, names, bad, files, lists, labels and notes.
    """

    def __init__(self, domains: tuple[examples.Examples, ...], data: Any) -> None:
        self._domains, self._places = domains, None
        self.paired = len(domains) == 1 and "b" in fields.KINDS[data.kind]
        self.names, self.bad = _names(domains), [one for domain in domains for one in domain.bad]
        if len(domains) == 2:
            self._places = examples.partners(*domains)
            self.paired = self._places is not None
        if self.paired and self._places:
            self.names = [domains[0].entries[i].pair_name for i, _ in self._places]
        self.notes = [note for domain in domains for note in domain.notes]
        self.files, self.lists = _files(domains, data), _files(domains, data, lists=True)
        self.labels = labelling.digest(domains[0])
        self.facts, self.dtypes = _facts(domains, data)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> dict[str, Any]:
        index = range(len(self))[index]
        places = self._places[index] if self._places else [index] * len(self._domains)
        example = {}
        for domain, place in zip(self._domains, places, strict=True):
            example |= domain.whole(place) if place < len(domain) else {}
        return example | {"name": self.names[index]}


class _Draw(grain.transforms.RandomMap):
    """The step from a number to a random crop of an example; it is cheap, since all costly results are in the cache."""

    def __init__(self, domains: tuple[examples.Examples, ...], data: Any, numbers: Sequence[int]) -> None:
        self._domains, self._how, self._numbers = domains, (data.size, data.flip), numbers

    def random_map(self, number: int, rng: np.random.Generator) -> dict[str, Any]:
        number = self._numbers[number]
        if len(self._domains) == 1:
            return self._domains[0].draw(number, *self._how, rng)
        a, b = self._domains
        partner = int(rng.integers(len(b)))
        return a.draw(number % len(a), *self._how, rng) | b.draw(partner, *self._how, rng)


def _open(
    data: Any, split: str, side: int | None, memory: float, share: float, on_disk: bool, whole: bool = False
) -> tuple[examples.Examples, ...]:
    """The examples of a split with a cache of their own.

    Drawn pictures are never cached on disk, because a file there would still be used after the drawing has changed.
    """
    on_disk = on_disk and data.source not in DRAWN
    store = cache.Cache(memory, cache.folder(data.cache_dir) if on_disk else None, share=share)
    return examples.open(data, split, side, store, whole=whole)


def _names(domains: tuple[examples.Examples, ...]) -> list[str]:
    """The names of the examples; those of domains without pairs are named by the image of the larger domain."""
    return max((domain.names for domain in domains), key=len)


def _files(domains: tuple[examples.Examples, ...], data: Any, lists: bool = False) -> dict[str, int]:
    """{file: size in bytes} of the examples, or of their lists of labels.

    By places that stay the same if the folder is moved or its path is spelled differently.
    """
    if lists:
        files = {file: paths.status(file).size for domain in domains for file in domain.source.lists}
    else:
        files = {file: size for domain in domains for file, size in domain.files.items()}
    if data.source != "folder":
        return {os.path.basename(file): size for file, size in files.items()}
    top = os.path.expanduser(data.root)
    return {os.path.relpath(file, top): size for file, size in files.items()}


def _facts(domains: tuple[examples.Examples, ...], data: Any) -> tuple[dict[str, Any], dict[str, np.dtype]]:
    """The facts that only the data contain, and the types of a batch."""
    first = {name: value for domain in domains for name, value in domain.whole(0).items()}
    pictures = [name for name in fields.KINDS[data.kind] if name != "label"]
    facts = {"channels": tuple(first[name].shape[-1] for name in pictures)}
    if "label" in first:
        source = domains[0].source
        facts |= {"names": source.names} | ({"exclusive": source.exclusive} if source.exclusive else {})
    return facts, {name: first[name].dtype for name in fields.KINDS[data.kind]}


def _validate(data: Any) -> None:
    """Refuses settings of the `data` part of a config that are unknown or contradict each other."""
    choices = {"kind": KINDS, "jitter": transforms.JITTERS}
    if named.is_name(data.source):
        named.parse(data.source)
    else:
        sources = {"images": SOURCES, "labelled": ("folder", "objects")}.get(data.kind, ("folder", "facades"))
        choices |= {"source": (*sources, f"{named.PREFIX}NAME")}
    if data.kind == "aligned":
        choices |= {"direction": DIRECTIONS, "pair": ("", *pairs.PAIRS)}
    if data.kind in ("aligned", "unaligned"):
        choices |= {"labels": LABELS}
    if data.kind == "labelled":
        choices |= {"label": LABEL}
    if data.kind == "images":
        choices |= {"part": ("",) if data.source in DRAWN else PARTS}
    if data.kind in ("images", "labelled"):
        share = data.get("held_out", 0.05)
        if not 0 < share < 1:
            raise jgan.UserError(f"data.held_out is {share}: a share between 0 and 1 would work")
    for field, known in choices.items():
        value = data.get(field, "")
        if value not in known:
            names = ", ".join(name or "''" for name in known)
            raise jgan.UserError(f"data.{field} is {value!r}: one of {names} would work")
    if data.get("labels", "") and data.kind == "aligned" and data.pair:
        raise jgan.UserError(
            f"data.labels={data.labels} is for pairs in files, but data.pair={data.pair} makes them of photos"
        )
    if data.kind == "aligned" and named.is_name(data.source) and not data.pair:
        raise jgan.UserError(
            f"{data.source} holds single images: data.kind=unaligned or one of data.pair={'|'.join(pairs.PAIRS)} "
            "would work"
        )
    bits = tuple(data.get("bits", ()))
    if len(bits) > 2 or not all(isinstance(number, int) and 0 <= number <= 16 for number in bits):
        raise jgan.UserError(
            f"data.bits is {bits}: a number up to 16, or two for input and target, such as 12 or 12,8, would work"
        )
    for field, least in (("size", 1), ("workers", 0), ("cache_gib", 0)):
        if data[field] < least:
            raise jgan.UserError(f"data.{field} is {data[field]}: {least} or more would work")
    if data.jitter == "resize" and data.load_size < data.size:
        raise jgan.UserError(
            f"data.load_size is {data.load_size}, but data.size={data.size} is cut from it: "
            f"{data.size} or more would work"
        )
