"""Random access to the examples of a split as planes, before anything random happens to them.

Planes are `(a, b)` or, in a domain without pairs and where a pair is made later, `(photo,)`: `[h, w, c]` in the
file's own type, resized already if the geometry asks for it, and cached in that form.
"""

import collections
import os
from typing import NamedTuple

import numpy as np

import jgan
from jgan.data import cache
from jgan.data import check
from jgan.data import framing
from jgan.data import images
from jgan.data import notes
from jgan.data import pairs
from jgan.data import transforms
from jgan.data.sources import entry as entry_lib
from jgan.data.sources import folder
from jgan.data.sources import named


class Sides(NamedTuple):
    """What is asked of the planes of a file, in their order in the file.

    Attributes:
      channels: that they are brought to; empty: those that most files have.
      labels: whether each holds classes, and is resized by nearest neighbour; empty: none does.
      bits: that their integers fill (`framing.bits`); empty: all of their type.
    """

    channels: tuple[int, ...] = ()
    labels: tuple[bool, ...] = ()
    bits: tuple[int, ...] = ()


AS_THEY_ARE = Sides()


def sides(data) -> Sides:
    """Returns what is asked of the planes A and B of files: `data.labels`, `data.channels` and `data.bits`."""
    channels = tuple(data.get("channels", ()))
    bits = tuple(framing.bits(data, side) for side in "ab") if data.get("bits", ()) else ()
    labels = tuple(side in data.get("labels", "") for side in "ab")
    if data.kind == "images":
        return Sides(channels, bits=bits[:1])
    if data.kind == "aligned" and data.direction == "BtoA":
        channels, labels, bits = channels[::-1], labels[::-1], bits[::-1]
    if data.kind == "aligned" and data.pair:  # files are photos, of which the pair is made
        return Sides((3,) if data.pair in ("gray", "lab") else channels[1:], bits=bits[1:])
    return Sides(channels, labels if any(labels) else (), bits)


def files(
    data, split: str, resized: int | None, store: cache.Cache, least: int = 1, asked: Sides = AS_THEY_ARE
) -> "Files":
    """Returns the usable examples of a split on disk, every file of it having been looked at.

    Args:
      data: the `data` part of a config.
      split: name of the split.
      resized: side to which all planes are resized, None for native size.
      store: the cache.
      least: smallest height and width allowed.
      asked: of the planes of a file.

    Raises:
      jgan.UserError: files that cannot be used, unless data.skip_bad; or none that can.
    """
    single = bool(data.pair)
    if named.is_name(data.source):
        if not single:
            raise jgan.UserError(
                f"{data.source} holds single images: data.kind=unaligned or one of data.pair={'|'.join(pairs.PAIRS)} "
                "would work"
            )
        return _look_at([_records(data, split, resized, store, least, data.pair, asked)], data, split)[0]
    entries, bad = folder.find(data.root, split, single=single, splits=(data.split, data.val_split))
    found = Files(entries, resized, store, least, single=single, pair=data.pair, asked=asked)
    return _look_at([found], data, split, bad)[0]


def domains(
    data, split: str, resized: int | None, store: cache.Cache, least: int = 1, asked: Sides = AS_THEY_ARE
) -> tuple["Files", "Files"]:
    """Returns the usable examples of the domains A and B of a split on disk; arguments and errors as in `files`.

    Each has examples of its own number, every one a photo by itself; an empty domain is an error.
    """
    each = _each(asked)
    if named.is_name(data.source):
        found = zip("AB", each, strict=True)
        records = [_records(data, f"{split}{side}", resized, store, least, asked=one) for side, one in found]
        return _look_at(records, data, split)
    found = folder.find_domains(data.root, split, splits=(data.split, data.val_split))
    if len(found) == 1:
        found = folder.alternate(*found)
        if not found[1]:
            raise jgan.UserError(
                f"domain B is empty: {found[0][0].files[0]} is the only file, and gives A its left half"
            )
    made = [
        Files(entries, resized, store, least, single=True, asked=one)
        for entries, one in zip(found, each, strict=True)
    ]
    return _look_at(made, data, split)


def domains_or_pairs(data, split: str, resized: int | None, store: cache.Cache, asked: Sides = AS_THEY_ARE):
    """Returns `domains`, or `(pairs,)` where the files are pairs after all.

    Pairs side by side are; so are the files of two folders if each has a partner of the same name, but for a final
    `_A` or `_B`, and of the same size. Named sets hold no pairs.
    """
    if named.is_name(data.source):
        return domains(data, split, resized, store, asked=asked)
    found = folder.find_domains(data.root, split, splits=(data.split, data.val_split))
    if len(found) == 1:
        return _look_at([Files(*found, resized, store, 1, asked=asked)], data, split)
    a, b = domains(data, split, resized, store, asked=asked)
    names = [[folder.pair_name(entry.name) for entry in entries] for entries in found]
    if sorted(names[0]) == sorted(names[1]) and len(set(names[0])) == len(names[0]):
        matched = Matched(a, b)
        if matched.sizes_agree:
            return (matched,)
    return a, b


def singles(
    data,
    split: str,
    fit: transforms.Fit,
    store: cache.Cache,
    least: int = 1,
    *,
    on: tuple[str, str],
    asked: Sides = AS_THEY_ARE,
) -> "Files":
    """Returns the usable single images of a split on disk, `(image,)` each; errors as in `files`.

    Args:
      fit: how they are brought to a size.
      on: data.split and data.val_split. Where the data have neither split (of a named set: not both), a share
        `data.held_out` of all images is kept for the second.
    """
    part, share = data.get("part", ""), data.get("held_out", 0.05)
    if named.is_name(data.source):
        names = named.splits(data.root, data.source)
        there = [name + part for name in on]
        alone = on[0] != on[1] and split in on and there[0] in names and there[1] not in names
        records = named.Images(data.root, data.source, there[0] if alone else split + part)
        entries = folder.hold_out(records.entries, split == on[1], share) if alone else records.entries
        found = Files(entries, fit, store, least, single=True, read=records.read, asked=asked)
        return _look_at([found], data, split)[0]
    entries = folder.find_images(data.root, split, part=part, splits=on, share=share)
    return _look_at([Files(entries, fit, store, least, single=True, asked=asked)], data, split)[0]


class Files:
    """Planes of files, through the cache; `names`, and `bad` as [(path, reason)]. Pickles."""

    def __init__(
        self, entries, resized, store, least, *, single=False, pair="", read=folder.read, asked=AS_THEY_ARE
    ):
        """`resized`: a side, a `transforms.Fit` or None; `single` and `read` as in `folder.read`.

        `pair` is made of single photos, here or later; `asked` is what is asked of the planes of a file.
        """
        self.entries, self._resized, self._store, self._least = entries, resized, store, least
        self._single, self._pair, self._read, self._asked = single, pair, read, asked
        self._keys, self._dtypes, self._sizes, self.bad = [""] * len(entries), None, {}, []
        self._bytes, self._channels = [()] * len(entries), None
        # What became of files that were read, and the largest values of planes, by what is told at the start.
        self.remarks, self.peaks, self.notes = {}, {}, []

    @property
    def names(self) -> list[str]:
        return [entry.name for entry in self.entries]

    @property
    def files(self) -> dict[str, int]:
        """The files of the examples in use, and their sizes in bytes."""
        both = zip(self.entries, self._bytes, strict=True)
        return {file: size for entry, sizes in both for file, size in zip(entry.files, sizes, strict=True)}

    @property
    def halves(self) -> tuple[float, float] | None:
        """The least and the largest width / height of halves of files that hold pairs side by side; None of others.

        A few files are looked at, all over the split: pixels that come from the cache do not tell.
        """
        if len(self.entries[0].files) > 1 or self._single and self.entries[0].part not in ("A", "B"):
            return None
        some = self.entries[:: max(1, len(self.entries) // 8)]
        shapes = [self._read(entry, self._single)[0].shape for entry in some]
        aspects = [width / height for height, width, _ in shapes]
        return min(aspects), max(aspects)

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> cache.Planes:
        entry, dear = self.entries[index], self._pair in pairs.WHOLE
        planes = self._store.get(self._keys[index], lambda: self._make(entry), dear=dear)
        if not self._dtypes:
            return planes
        both = zip(planes, self._channels, strict=True)
        planes = [x if x.shape[-1] == c else framing.with_channels(images.Picture(x), c) for x, c in both]
        return tuple(map(images.convert, planes, self._dtypes))

    def fits(self, index: int, plane: int, channels: int) -> str:
        """Returns how a plane comes to so many channels, as `framing.adapt` remarks it; empty if it does not."""
        try:
            return framing.adapt(images.Picture(self[index][plane]), channels).remarks[-1]
        except jgan.UserError:
            return ""

    def kind(self, index: int) -> tuple:
        """Returns (channels, dtype) of each plane; raises UserError if the example is unusable.

        From here on the file counts as it is now: its time and size are not asked for again, which
        would cost a round trip per example on a file server.
        """
        entry = self.entries[index]
        made = self._pair if self._pair in pairs.WHOLE else self._single
        recipe = f"version 2, side {self._resized}, pair {made}" + (f", part {entry.part}" * bool(entry.part))
        recipe += f", {self._asked}" * any(self._asked)
        try:
            self._bytes[index] = tuple(os.stat(file).st_size for file in entry.files)
            key = cache.key(entry.files, recipe)
        except OSError as error:
            raise jgan.UserError(f"{error.filename} cannot be read: {error.strerror}") from None
        self._keys[index] = key
        planes = self[index]
        height, width = planes[0].shape[:2]
        if min(height, width) < self._least:
            sides = (
                " a half" if entry.part in ("A", "B") or not self._single and len(entry.files) == 1 else ""
            )
            raise jgan.UserError(
                f"{entry.place} is {width}x{height}{sides}, smaller than the crop of {self._least} "
                "(data.size)"
            )
        if self._pair:
            try:
                pairs.channels_of(self._pair, planes[-1].shape[-1])
            except jgan.UserError as error:
                raise jgan.UserError(f"{entry.place} does not fit: {error}") from None
        self.peaks[index] = notes.peak(planes)
        return tuple((plane.shape[-1], plane.dtype) for plane in planes)

    def peak(self, plane: int, what: str) -> notes.Peak:
        """Returns the largest value of a plane over all examples in use, for `notes.unused_range`."""
        order = sorted(self.peaks, key=lambda index: -self.peaks[index][plane])
        dtype = self._dtypes[plane]
        found = notes.Peak(what, self.peaks[order[0]][plane], int(images.white(dtype)))
        # Resizing passes the values of the files, by a quarter where they are noise: those are looked at again.
        if not found._replace(value=found.value * 3 // 4).bits:
            return found
        read = (self._read(self.entries[index], self._single) for index in order[:8])
        return found._replace(value=max(notes.peak(x.pixels for x in pictures)[plane] for pictures in read))

    def size(self, index: int) -> tuple[int, int]:
        """Returns the height and width in the file, of an example that was read from it."""
        return self._sizes[self.entries[index]]

    def choose(self, kept: list[int], channels: tuple, dtypes: tuple, bad: check.Bad) -> None:
        """Leaves only the examples of these indices, and brings their planes to these channels and types."""
        self.peaks = {place: self.peaks[index] for place, index in enumerate(kept)}
        self.entries = [self.entries[index] for index in kept]
        self._keys = [self._keys[index] for index in kept]
        self._bytes = [self._bytes[index] for index in kept]
        self._channels, self._dtypes, self.bad = channels, dtypes, bad

    def _make(self, entry) -> cache.Planes:
        pictures = self._read(entry, self._single)
        self._sizes[entry] = pictures[0].shape[:2]
        channels, bits = (x or (0,) * len(pictures) for x in (self._asked.channels, self._asked.bits))
        taken = [framing.adapt(x, c or None, b) for x, c, b in zip(pictures, channels, bits, strict=True)]
        self.remarks[entry] = {remark for picture in taken for remark in picture.remarks}
        planes = tuple(picture.pixels for picture in taken)
        return _prepared(planes, self._pair, self._resized, self._asked.labels)


class Matched:
    """Planes (a, b) of two domains of files put together by name; `sizes_agree` says whether all fit."""

    def __init__(self, a, b):
        self._domains, self.bad, self.files = (a, b), a.bad + b.bad, a.files | b.files
        self.notes = a.notes + b.notes
        places = [{folder.pair_name(name): i for i, name in enumerate(domain.names)} for domain in (a, b)]
        self.names = [name for name in places[0] if name in places[1]]  # one may have been left out as bad
        self._places = [tuple(place[name] for place in places) for name in self.names]
        self.sizes_agree = bool(self.names) and all(a.size(i) == b.size(j) for i, j in self._places)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> cache.Planes:
        i, j = self._places[index]
        return self._domains[0][i] + self._domains[1][j]


def _records(
    data, split: str, resized, store, least: int, pair: str = "", asked: Sides = AS_THEY_ARE
) -> Files:
    found = named.Images(data.root, data.source, split)
    return Files(found.entries, resized, store, least, single=True, pair=pair, read=found.read, asked=asked)


def _each(asked: Sides) -> list[Sides]:
    # What is asked of domains, of which every file has one plane.
    return [Sides(asked.channels[i : i + 1], asked.labels[i : i + 1]) for i in range(2)]


def _look_at(sides: list[Files], data, split: str, bad: check.Bad = ()) -> tuple[Files, ...]:
    # Reads every example of all Files once and leaves out what cannot be used, or refuses it.
    for side in sides:
        entries = side.entries
        kinds, failed = check.scan(side.kind, len(entries), what=f"{split or data.root} images")
        good = {index: kind for index, kind in enumerate(kinds) if index not in failed}
        channels, told = [], collections.Counter()
        for plane in range(len(next(iter(good.values()), ()))):
            counts = {index: kind[plane][0] for index, kind in good.items()}
            channels.append(check.usual(counts.values()))
            for index, why in check.odd_ones(counts).items():
                remark = side.fits(index, plane, channels[-1])
                told[remark] += 1
                if not remark:
                    failed[index] = f"{_file_of(entries[index], plane)} {why}"
                    del good[index]
        # Files of several bit depths are brought to the widest of them.
        dtypes = tuple(
            check.widest(dtype for _, dtype in plane) for plane in zip(*good.values(), strict=True)
        )
        blamed = [_blamed(entries[index].files, why) for index, why in sorted(failed.items())]
        side.choose(sorted(good), tuple(channels), dtypes, [*bad, *blamed])
        side.notes = _notes(side, told, data)
        if not good:
            check.refuse(side.bad, len(side.bad))
    sides[0].notes += notes.unused_range(_peaks(sides, data))
    found = [one for side in sides for one in side.bad]
    if found and not data.skip_bad:
        check.refuse(found, len(found) + sum(map(len, sides)))
    return tuple(sides)


def _file_of(entry: entry_lib.Entry, plane: int) -> str:
    return entry.files[plane] if len(entry.files) > 1 else entry.place


def _blamed(files: tuple[str, ...], sentence: str) -> tuple[str, str]:
    # The sentences begin with the file they are about.
    for file in files:
        if sentence.startswith(f"{file} "):
            return file, sentence.removeprefix(f"{file} ")
    return files[0], sentence


def _notes(side: Files, told: collections.Counter, data) -> list[str]:
    for remarks in side.remarks.values():
        told.update(remarks)
    del told[""]
    return check.told(told, len(side)) + ([] if named.is_name(data.source) else notes.left_out(side.entries))


def _peaks(sides: list[Files], data) -> list[notes.Peak]:
    # Of each plane of files that may be meant to have less bits than their type, the input first.
    if data.get("bits", ()):
        return []
    if len(sides) == 1 and len(sides[0].peaks[0]) == 1 or data.get("pair", ""):
        return [sides[0].peak(-1, "the pictures")]
    planes = [(side, plane) for side in sides for plane in range(len(side.peaks[0]))]
    found = [side.peak(plane, name) for name, (side, plane) in zip("AB", planes, strict=True)]
    found = found[::-1] if data.get("direction", "AtoB") == "BtoA" and len(sides) == 1 else found
    labels = data.get("labels", "")  # whose values are names of classes
    return [
        peak._replace(value=0) if letter in labels else peak for letter, peak in zip("ab", found, strict=True)
    ]


def _prepared(
    planes, pair: str, resized: int | None, labels: tuple[bool, ...] = ()
) -> tuple[np.ndarray, ...]:
    if isinstance(resized, transforms.Fit):
        planes = tuple(transforms.fit(plane, resized) for plane in planes)
    elif resized:
        ways = [
            transforms.nearest if label else transforms.resize for label in labels or [False] * len(planes)
        ]
        planes = tuple(way(plane, (resized, resized)) for way, plane in zip(ways, planes, strict=True))
    return pairs.make(pair, planes[0]) if pair in pairs.WHOLE else planes
