"""Random access to the examples of a split as planes, before anything random happens to them.

Planes are `(a, b)` or, where a pair is made later, `(photo,)`: `[h, w, c]` in the file's own type,
resized already if the geometry asks for it, and cached in that form.
"""

import numpy as np

import jgan
from jgan.data import cache
from jgan.data import check
from jgan.data import facades
from jgan.data import folder
from jgan.data import images
from jgan.data import pairs
from jgan.data import transforms

DRAWN_SPLITS = ("train", "val")


def files(data, split: str, resized: int | None, store: cache.Cache, least: int = 1) -> "Files":
    """Returns the usable examples of a split on disk, every file of it having been looked at.

    Args:
      data: the `data` part of a config.
      split: name of the split.
      resized: side to which all planes are resized, None for native size.
      store: the cache.
      least: smallest height and width allowed.

    Raises:
      jgan.UserError: files that cannot be used, unless data.skip_bad; or none that can.
    """
    entries, bad = folder.find(data.root, split, single=bool(data.pair), splits=(data.split, data.val_split))
    total = len(entries) + len(bad)
    found = Files(entries, data.pair, resized, store, least)
    kinds, failed = check.scan(found.kind, len(entries), what=f"{split or data.root} images")
    good = {index: kind for index, kind in enumerate(kinds) if index not in failed}
    for plane in range(1 if data.pair else 2):
        odd = check.odd_ones({index: kind[plane][0] for index, kind in good.items()})
        failed |= {index: f"{entries[index].files[-1 if plane else 0]} {why}" for index, why in odd.items()}
        good = {index: kind for index, kind in good.items() if index not in odd}
    bad += [_blamed(entries[index].files, why) for index, why in sorted(failed.items())]
    if bad and (not data.skip_bad or not good):
        check.refuse(bad, total)
    # Files of several bit depths are brought to the widest of them.
    dtypes = tuple(check.widest(dtype for _, dtype in plane) for plane in zip(*good.values(), strict=True))
    found.choose(sorted(good), dtypes, bad)
    return found


def drawn(data, split: str, size: int, store: cache.Cache) -> "Drawn":
    """Returns the built-in facades of a split at `size`; `train` and `val` share no seed.

    Raises:
      jgan.UserError: another split, or a number or size that cannot be drawn.
    """
    if split not in DRAWN_SPLITS:
        raise jgan.UserError(f"drawn facades have no split {split!r}: there are {', '.join(DRAWN_SPLITS)}")
    number = data.val_number if split == "val" else data.number
    source = facades.Facades(size, number, seed=2 * data.seed + (split == "val"))
    return Drawn(source, data, store)


class Files:
    """Planes of files, through the cache; `names`, and `bad` as [(path, reason)]. Pickles."""

    def __init__(self, entries, pair, resized, store, least):
        self._entries, self._pair, self._resized, self._store = entries, pair, resized, store
        self._least, self._keys, self._dtypes, self.bad = least, [""] * len(entries), None, []

    @property
    def names(self) -> list[str]:
        return [entry.name for entry in self._entries]

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, index: int) -> cache.Planes:
        entry, dear = self._entries[index], self._pair in pairs.WHOLE
        planes = self._store.get(self._keys[index], lambda: self._make(entry), dear=dear)
        return tuple(map(images.convert, planes, self._dtypes)) if self._dtypes else planes

    def kind(self, index: int) -> tuple:
        """Returns (channels, dtype) of each plane; raises UserError if the example is unusable.

        From here on the file counts as it is now: its time and size are not asked for again, which
        would cost a round trip per example on a file server.
        """
        entry = self._entries[index]
        made = self._pair if self._pair in pairs.WHOLE else bool(self._pair)
        try:
            key = cache.key(entry.files, f"version 1, side {self._resized}, pair {made}")
        except OSError as error:
            raise jgan.UserError(f"{error.filename} cannot be read: {error.strerror}") from None
        self._keys[index] = key
        planes = self[index]
        height, width = planes[0].shape[:2]
        if min(height, width) < self._least:
            sides = "" if self._pair or len(entry.files) > 1 else " a half"
            raise jgan.UserError(
                f"{entry.files[0]} is {width}x{height}{sides}, smaller than the crop of {self._least} "
                "(data.size)"
            )
        if self._pair:
            try:
                pairs.channels_of(self._pair, planes[-1].shape[-1])
            except jgan.UserError as error:
                raise jgan.UserError(f"{entry.files[0]} does not fit: {error}") from None
        return tuple((plane.shape[-1], plane.dtype) for plane in planes)

    def choose(self, kept: list[int], dtypes: tuple, bad: check.Bad) -> None:
        """Leaves only the examples of these indices, and brings their planes to these types."""
        self._entries = [self._entries[index] for index in kept]
        self._keys = [self._keys[index] for index in kept]
        self._dtypes, self.bad = dtypes, bad

    def _make(self, entry) -> cache.Planes:
        return _prepared(folder.read(entry, bool(self._pair)), self._pair, self._resized)


class Drawn:
    """Planes of drawn facades, labels being A and photos B; kept in memory only. Pickles."""

    def __init__(self, source, data, store):
        self._source, self._pair, self._store, self.bad = source, data.pair, store, []

    @property
    def names(self) -> list[str]:
        return [f"{index:05d}" for index in range(len(self))]

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> cache.Planes:
        return self._store.get(str(index), lambda: self._make(index))

    def _make(self, index: int) -> cache.Planes:
        both = self._source[index]
        planes = (both["photo"],) if self._pair else (both["labels"], both["photo"])
        return _prepared(planes, self._pair, None)


def _blamed(files: tuple[str, ...], sentence: str) -> tuple[str, str]:
    # The sentences begin with the file they are about.
    for file in files:
        if sentence.startswith(f"{file} "):
            return file, sentence.removeprefix(f"{file} ")
    return files[0], sentence


def _prepared(planes, pair: str, resized: int | None) -> tuple[np.ndarray, ...]:
    if resized:
        planes = tuple(transforms.resize(plane, (resized, resized)) for plane in planes)
    return pairs.make(pair, planes[0]) if pair in pairs.WHOLE else planes
