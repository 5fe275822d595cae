"""Examples that jgan draws, the built-in facades and objects: none of them is on disk."""

from typing import Any

import jgan
from jgan.data import decoded
from jgan.data import facades
from jgan.data import objects
from jgan.data.objects import attributes
from jgan.data.sources import labels
from jgan.data.sources.entry import Entry

NAMES = ("facades", "objects")

_STYLES = ("day", "dusk")  # of facades without pairs: A and B


def open(kind: str, data: Any, split: str, size: int) -> tuple["Drawn", ...]:
    """The pictures of a split at `size`; for domains without pairs two sources, as data.drawn says.

    Neither splits nor domains have a picture in common.

    Args:
        kind: of the batches.
        data: the `data` part of a config.
        split: its name.
        size: pixels a side.

    Raises:
        jgan.UserError: the split is unknown, or such a number or size cannot be drawn.
    """
    if split not in (data.split, data.val_split):
        raise jgan.UserError(
            f"drawn pictures have no split {split!r}: there are {data.split}, {data.val_split}"
        )
    held_out = split == data.val_split != data.split
    number = data.val_number if held_out else data.number
    if kind == "unaligned":
        seed = 4 * data.seed + 2 * held_out
        if data.get("drawn", ""):
            return _unpaired(data, size, number, seed, held_out)
        return tuple(
            Drawn(facades.Facades(size, number, seed + i, style), {side: "photo"})
            for i, (side, style) in enumerate(zip("ab", _STYLES, strict=True))
        )
    seed = 2 * data.seed + held_out
    if data.source == "objects":
        return (_objects(kind, data, size, number, seed),)
    made = facades.Facades(size, number, seed)
    if kind == "images":
        return (Drawn(made, {"images": "photo"}),)
    if data.pair:
        return (Drawn(made, {"photo": "photo"}),)
    sides = ("a", "b") if data.direction == "AtoB" else ("b", "a")
    return (Drawn(made, dict(zip(sides, ("labels", "photo"), strict=True))),)


def _unpaired(data: Any, size: int, number: int, seed: int, held_out: bool) -> tuple["Drawn", ...]:
    """Label maps (A) and photos (B) without pairs; what is held out are pairs, so that outputs can be compared."""
    if data.drawn != "labels":
        raise jgan.UserError(f"data.drawn is {data.drawn!r}: 'labels', or nothing, would work")
    sides = {"a": "labels", "b": "photo"}
    if held_out:
        return (Drawn(facades.Facades(size, number, seed), sides),)
    return tuple(
        Drawn(facades.Facades(size, number, seed + i), {side: key})
        for i, (side, key) in enumerate(sides.items())
    )


def _objects(kind: str, data: Any, size: int, number: int, seed: int) -> "Drawn":
    """The drawn objects, with labels if the kind has them."""
    families = tuple(data.get("families", ())) or objects.FAMILIES
    if kind == "images":
        return Drawn(objects.Objects(size, number, seed, families), {"images": ""})
    for family in families:
        if family not in objects.FAMILIES:
            raise jgan.UserError(
                f"data.families has {family!r}, which is no family: {', '.join(objects.FAMILIES)} can be drawn"
            )
    where = f"data.source={data.source}" + f" with data.families={','.join(families)}" * bool(
        data.get("families", ())
    )
    if data.label == "class":
        names = labels.chosen(data, families, where)
        source = Drawn(objects.Objects(size, number, seed, names), {"images": ""}, names)
        known = [names.index(source.drawing.factors(index)["family"]) for index in range(number)]
    else:
        there = attributes.known(families) if data.get("names", ()) else attributes.usual(families)
        names = labels.chosen(data, there, where)
        exclusive = tuple(data.get("exclusive", ())) or attributes.exclusive(names)
        made = attributes.Attributed(size, number, seed, families, names, exclusive)
        source = Drawn(made, {"images": ""}, names, exclusive)
        known = [made.attributes(index) for index in range(number)]
    source.entries = [entry._replace(label=label) for entry, label in zip(source.entries, known, strict=True)]
    return source


class Drawn:
    """Drawn pictures as an `entry.Source`."""

    def __init__(
        self,
        drawing: Any,
        fields: dict[str, str],
        names: tuple[str, ...] = (),
        exclusive: tuple[str, ...] = (),
    ) -> None:
        """The examples of a drawing.

        Args:
            drawing: a sequence of pictures, or of dicts of pictures.
            fields: {field: key of its picture in the dict, or "" if the sequence is of pictures}.
            names: as in `entry.Source`.
            exclusive: as in `entry.Source`.
        """
        self.drawing, self._keys = drawing, fields
        self.fields, self.names, self.exclusive = tuple(fields), names, exclusive
        self.bad, self.lists, self.notes = [], (), ()
        self.entries = [Entry(f"{index:05d}") for index in range(len(drawing))]

    def __str__(self) -> str:
        return str(self.drawing)

    def read(self, entry: Entry) -> dict[str, decoded.Picture]:
        """{field: picture} of an entry, drawn now."""
        made = self.drawing[int(entry.name)]
        return {field: decoded.Picture(made[key] if key else made) for field, key in self._keys.items()}
