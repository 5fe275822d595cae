"""Random access to the examples {name: value} of a split, before anything random happens to them.

An example has the fields of its batch or, where a pair is made later, `photo`: pictures `[h, w, c]` in the file's own
type, already resized if the geometry asks for it and cached in that form, and labels as the source gives them.
"""

import collections
from collections.abc import Mapping
from typing import Any

import numpy as np

import jgan
from jgan import fields
from jgan import paths
from jgan.data import asked
from jgan.data import cache
from jgan.data import check
from jgan.data import framing
from jgan.data import images
from jgan.data import notes
from jgan.data import pairs
from jgan.data import transforms
from jgan.data.sources import drawn
from jgan.data.sources import entry as entry_lib
from jgan.data.sources import folder
from jgan.data.sources import named


def open(
    data: Any, split: str, side: int | None, store: cache.Cache, *, whole: bool = False
) -> tuple["Examples", ...]:
    """The usable examples of a split; of domains without pairs, those of A and those of B.

    Every file has been read once before this returns. Pictures that jgan draws are not, since they cannot be bad.

    Args:
        data: the `data` part of a config.
        split: its name.
        side: to which pictures are resized, in pixels; None: native size.
        store: the cache.
        whole: for evaluation, without crops.

    Raises:
        jgan.UserError: some files cannot be used, unless data.skip_bad, or none can.
    """
    if data.source in drawn.NAMES:
        # A crop of drawn pictures is cut from load_size: at `size` the crop would have no other position.
        size = side or (data.size if whole else max(data.size, data.load_size))
        opened = drawn.open(data.kind, data, split, size)
        return tuple(Examples(one, asked.kind(data, one.fields, drawn=True), None, store) for one in opened)
    single = fields.KINDS[data.kind][0] == "images"
    resized = side
    if single:  # single images keep their aspect
        resized = transforms.Fit(side, (side or data.size) if whole or data.jitter == "none" else None)
    least = data.size if side is None and (single or not whole) else 1
    at = named if named.is_name(data.source) else folder
    opened = tuple(
        Examples(one, asked.kind(data, one.fields, least=least), resized, store)
        for one in at.open(data.kind, data, split, whole=whole)
    )
    _look_at(opened, data, split)
    return opened


def partners(a: "Examples", b: "Examples") -> list[tuple[int, int]] | None:
    """The places [(in a, in b)] of the pairs that two domains consist of; None if the domains are not pairs.

    They are pairs if each file has a partner of the same name, except for a final `_A` or `_B`, and of the same size.
    Records of named sets and drawn pictures are never pairs.
    """
    names = [[entry.pair_name for entry in side.source.entries] for side in (a, b)]
    apart = any(not entry.files or entry.is_record for entry in a.source.entries)
    if apart or sorted(names[0]) != sorted(names[1]) or len(set(names[0])) < len(names[0]):
        return None
    places = [{entry.pair_name: i for i, entry in enumerate(side.entries)} for side in (a, b)]
    # One of a pair may have been left out as bad.
    both = [tuple(place[name] for place in places) for name in places[0] if name in places[1]]
    return both if both and all(a.size(i) == b.size(j) for i, j in both) else None


def from_photo(
    data: Any, photo: images.Picture | np.ndarray, name: str = "a"
) -> tuple[np.ndarray, images.Picture]:
    """The input `name` of a run, made from a photo, and the photo with the channels that the run knows.

    A run on made pairs (`data.pair`) makes its input from the photo in the same way as during training.

    Args:
        data: the `data` part of a run's config, with the facts that training wrote.
        photo: as `framing.adapt` takes it.
        name: of the input in a batch.

    Raises:
        jgan.UserError: the photo has channels that the run cannot take.
    """
    pair, batch = data.get("pair", ""), fields.of(data)
    if not pair:
        taken = framing.adapt(photo, batch[name].channels, framing.bits(data, asked.letter(name)))
        return taken.pixels, taken
    sides = asked.sides(data)
    channels = pairs.PAIRS[pair].takes or batch[sides[1]].channels
    taken = framing.adapt(photo, channels, framing.bits(data, sides[1]))
    return dict(zip(sides, pairs.make(pair, taken.pixels), strict=True))[name], taken


def shown(data: Any, inputs: Mapping[str, Any], output: Any) -> Any:
    """The picture of an output that a person should see, given its inputs or the example to which it is compared.

    For most runs that is the output. For the pair `lab`, lightness and colour are joined to float32 RGB in [-1, 1].

    Args:
        data: the `data` part of a run's config.
        inputs: {name: picture or pictures [..., h, w, c]}, of any type of pictures.
        output: as many pictures.
    """
    pair = data.get("pair", "")
    if not pair or pairs.PAIRS[pair].show is None:
        return output
    both = [images.convert(np.asarray(x), np.float32) for x in (inputs["a"], output)]
    return pairs.show(pair, *(both if asked.sides(data) == ("a", "b") else both[::-1]))


class Examples:
    """The examples {name: value} of a source, read through the cache; they can be pickled.

    Examples in files have to be read once (`look`) and chosen (`choose`) before they are used.

    Attributes:
        source: where they come from.
        entries: of the source that are in use.
        planes: names of the pictures that the cache holds of each example.
        bad: [(path, reason)] of files that are not used.
        remarks: {entry: remarks on how its pictures were changed}.
        peaks: {index: the largest value of each plane}.
        notes: sentences on the files for the person who trains.
    """

    def __init__(
        self,
        source: entry_lib.Source,
        kind: asked.Kind,
        resized: int | transforms.Fit | None,
        store: cache.Cache,
    ) -> None:
        """The examples of `source`, with the pictures that `kind` asks for.

        Args:
            source: of one split.
            kind: what the pictures are to become.
            resized: the side or the fit to which they are resized; None: native size.
            store: the cache.
        """
        self.source, self.entries = source, source.entries
        self._kind, self._resized, self._store = kind, resized, store
        # Single pictures are whole files, halves of files, or files of a domain.
        self._single = len(source.fields) == 1
        self._whole_pair = bool(kind.pair) and pairs.PAIRS[kind.pair].whole
        self.planes = kind.sides if self._whole_pair else source.fields
        self._read_as = {name: fields.Picture(plain=bool(x.plain)) for name, x in kind.asked.items()}
        self._fields = dict.fromkeys(self.planes, fields.Picture()) | (
            {"label": kind.label} if kind.label else {}
        )
        self._keys = ["" if entry.files else f"{source} {i}" for i, entry in enumerate(self.entries)]
        self._bytes, self._sizes = [()] * len(self.entries), {}
        self._channels, self._dtypes, self.bad = None, None, []
        # How files were changed when they were read, and the largest values of their planes: for the notes at the
        # start.
        self.remarks, self.peaks, self.notes = {}, {}, []

    @property
    def names(self) -> list[str]:
        """The names of the examples in use."""
        return [entry.name for entry in self.entries]

    @property
    def files(self) -> dict[str, int]:
        """{file: size in bytes} of the examples in use."""
        both = zip(self.entries, self._bytes, strict=True)
        return {file: size for entry, sizes in both for file, size in zip(entry.files, sizes, strict=True)}

    @property
    def halves(self) -> tuple[float, float] | None:
        """The least and the largest width / height of halves, if the files hold pairs side by side; otherwise None.

        A few files from all parts of the split are read, because the pixels in the cache may have been resized.
        """
        first = self.entries[0]
        if len(first.files) != 1 or self._single and first.part not in ("A", "B"):
            return None
        some = self.entries[:: max(1, len(self.entries) // 8)]
        shapes = [self._pictures(entry)[0].shape for entry in some]
        aspects = [width / height for height, width, _ in shapes]
        return min(aspects), max(aspects)

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """{name: value} of an example: the pictures of `planes`, and the label if there is one."""
        planes = self._planes(index)
        if self._dtypes:
            both = zip(planes, self._channels, strict=True)
            planes = [x if x.shape[-1] == c else framing.with_channels(images.Picture(x), c) for x, c in both]
            planes = map(images.convert, planes, self._dtypes)
        example = dict(zip(self.planes, planes, strict=True))
        if self._kind.label is None:
            return example
        number = np.int32 if isinstance(self._kind.label, fields.Label) else np.float32
        return example | {"label": np.asarray(self.entries[index].label, number)}

    def whole(self, index: int) -> dict[str, Any]:
        """An example as it is in a batch, without random crops and flips."""
        return self._finished(self[index])

    def draw(self, index: int, size: int, flip: bool, rng: np.random.Generator) -> dict[str, Any]:
        """A random square of `size` of an example as it is in a batch, mirrored or not if `flip`."""
        return self._finished(transforms.random_crop(self[index], self._fields, size, flip, rng))

    def look(self, index: int) -> tuple[tuple[int, np.dtype], ...]:
        """(channels, dtype) of each plane of an example, which is read for that.

        From here on the time and size of its files are not asked for again, which would cost a round trip per example
        on a file server.

        Raises:
            jgan.UserError: the example cannot be used.
        """
        entry, kind = self.entries[index], self._kind
        try:
            self._bytes[index] = tuple(paths.status(file).size for file in entry.files)
            self._keys[index] = cache.key(entry.files, self._recipe(entry))
        except OSError as error:
            raise jgan.UserError(f"{error.filename} cannot be read: {error.strerror}") from None
        planes = self._planes(index)
        height, width = planes[0].shape[:2]
        if min(height, width) < kind.least:
            half = entry.part in ("A", "B") or not self._single and len(entry.files) == 1
            raise jgan.UserError(
                f"{entry.place} is {width}x{height}{' a half' * half}, smaller than the crop of {kind.least} "
                "(data.size)"
            )
        if kind.pair:
            try:
                pairs.channels_of(kind.pair, planes[-1].shape[-1])
            except jgan.UserError as error:
                raise jgan.UserError(f"{entry.place} does not fit: {error}") from None
        self.peaks[index] = notes.peak(planes)
        return tuple((plane.shape[-1], plane.dtype) for plane in planes)

    def choose(
        self, kept: list[int], channels: tuple[int, ...], dtypes: tuple[np.dtype, ...], bad: check.Bad
    ) -> None:
        """Leaves only the examples of these indices, and brings their planes to these channels and types."""
        self.peaks = {place: self.peaks[index] for place, index in enumerate(kept)}
        self.entries = [self.entries[index] for index in kept]
        self._keys = [self._keys[index] for index in kept]
        self._bytes = [self._bytes[index] for index in kept]
        self._channels, self._dtypes, self.bad = channels, dtypes, bad

    def fits(self, index: int, plane: int, channels: int) -> str:
        """The remark of `framing.adapt` on how a plane gets so many channels; empty if it cannot."""
        try:
            return framing.adapt(images.Picture(self._planes(index)[plane]), channels).remarks[-1]
        except jgan.UserError:
            return ""

    def peak(self, plane: int, what: str) -> notes.Peak:
        """The largest value of a plane over all examples in use, for `notes.unused_range`."""
        order = sorted(self.peaks, key=lambda index: -self.peaks[index][plane])
        dtype = self._dtypes[plane]
        peak = notes.Peak(what, self.peaks[order[0]][plane], int(images.white(dtype)))
        # Resizing exceeds the values of the files, by a quarter if they are noise: then the files are read again.
        if not peak._replace(value=peak.value * 3 // 4).bits:
            return peak
        read = (self._pictures(self.entries[index]) for index in order[:8])
        return peak._replace(value=max(notes.peak(x.pixels for x in pictures)[plane] for pictures in read))

    def size(self, index: int) -> tuple[int, int]:
        """The height and width in the file of an example that was read from it."""
        return self._sizes[self.entries[index]]

    def _pictures(self, entry: entry_lib.Entry) -> list[images.Picture]:
        """The pictures of an entry, as they are in its files."""
        return list(self.source.read(entry).values())

    def _planes(self, index: int) -> cache.Planes:
        """The planes of an example, from the cache or made now."""
        planes = self._store.find(self._keys[index])
        if planes is None:
            planes = self._store.put(
                self._keys[index], self._make(self.entries[index]), costly=self._whole_pair
            )
        return planes

    def _make(self, entry: entry_lib.Entry) -> cache.Planes:
        """The planes of an entry, read, adapted and resized."""
        pictures = self.source.read(entry)
        self._sizes[entry] = next(iter(pictures.values())).shape[:2]
        asked = self._kind.asked
        taken = {
            name: framing.adapt(x, asked[name].channels, asked[name].bits or 0)
            for name, x in pictures.items()
        }
        self.remarks[entry] = {remark for picture in taken.values() for remark in picture.remarks}
        pixels = {name: picture.pixels for name, picture in taken.items()}
        planes = tuple(transforms.resized(pixels, self._read_as, self._resized).values())
        return pairs.make(self._kind.pair, *planes) if self._whole_pair else planes

    def _recipe(self, entry: entry_lib.Entry) -> str:
        """A text on how the planes are made, part of their name in the cache.

        It is spelled as in earlier versions, so that the planes that these have written can be used.
        """
        made = self._kind.pair if self._whole_pair else self._single
        recipe = f"version 2, side {self._resized}, pair {made}" + (f", part {entry.part}" * bool(entry.part))
        asked = [
            tuple(x for x in column if x is not None)
            for column in zip(*self._kind.asked.values(), strict=True)
        ]
        settings = "channels={}, labels={}, bits={}".format(*asked)
        return recipe + f", Sides({settings})" * any(asked)

    def _finished(self, example: dict[str, Any]) -> dict[str, Any]:
        """An example with the pair made of its photo, if it is one of made pairs, and with contiguous arrays."""
        kind = self._kind
        if "photo" in example:
            example = dict(zip(kind.sides, pairs.make(kind.pair, example["photo"]), strict=True))
        return {name: np.asarray(example[name], order="C") for name in sorted(example)}


def _look_at(sides: tuple[Examples, ...], data: Any, split: str) -> None:
    """Reads every example of all sides once and leaves out those that cannot be used, or refuses them."""
    for side in sides:
        entries = side.entries
        kinds, failed = check.scan(side.look, len(entries), what=f"{split or data.root} images")
        good = {index: kind for index, kind in enumerate(kinds) if index not in failed}
        channels, changes = [], collections.Counter()
        for plane in range(len(next(iter(good.values()), ()))):
            counts = {index: kind[plane][0] for index, kind in good.items()}
            channels.append(check.usual(counts.values()))
            for index, why in check.odd_ones(counts).items():
                remark = side.fits(index, plane, channels[-1])
                changes[remark] += 1
                if not remark:
                    failed[index] = f"{_file_of(entries[index], plane)} {why}"
                    del good[index]
        # Files of several bit depths are brought to the widest of them.
        dtypes = tuple(
            check.widest([dtype for _, dtype in plane]) for plane in zip(*good.values(), strict=True)
        )
        blamed = [_blamed(entries[index].files, why) for index, why in sorted(failed.items())]
        side.choose(sorted(good), tuple(channels), dtypes, [*side.source.bad, *blamed])
        side.notes = _notes(side, changes)
        if not good:
            check.refuse(side.bad, len(side.bad))
    sides[0].notes += notes.unused_range(_peaks(sides, data))
    bad = [one for side in sides for one in side.bad]
    if bad and not data.skip_bad:
        check.refuse(bad, len(bad) + sum(map(len, sides)))


def _file_of(entry: entry_lib.Entry, plane: int) -> str:
    """The file of a plane, as a sentence names it."""
    return entry.files[plane] if len(entry.files) > 1 else entry.place


def _blamed(files: tuple[str, ...], sentence: str) -> tuple[str, str]:
    """(file, reason) of a sentence, which begins with the file that it is about."""
    for file in files:
        if sentence.startswith(f"{file} "):
            return file, sentence.removeprefix(f"{file} ")
    return files[0], sentence


def _notes(side: Examples, changes: collections.Counter) -> list[str]:
    """The sentences on the files of a side, given how often which change of channels was made."""
    for remarks in side.remarks.values():
        changes.update(remarks)
    del changes[""]
    left = [*side.source.notes, *notes.left_out(side.entries, side.source.lists)]
    return check.sentences(changes, len(side)) + left


def _peaks(sides: tuple[Examples, ...], data: Any) -> list[notes.Peak]:
    """The peaks of all planes whose values may be meant to fill fewer bits than their type has, the input first."""
    if data.get("bits", ()):
        return []
    if len(sides) == 1 and len(sides[0].planes) == 1 or data.get("pair", ""):
        return [sides[0].peak(-1, "the pictures")]
    planes = [(side, plane) for side in sides for plane in range(len(side.planes))]
    peaks = {
        side.planes[plane]: side.peak(plane, letter)
        for letter, (side, plane) in zip("AB", planes, strict=True)
    }
    labels = data.get("labels", "")  # their values are numbers of classes
    return [peaks[name]._replace(value=0) if name in labels else peaks[name] for name in sorted(peaks)]
