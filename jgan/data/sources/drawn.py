"""Examples that are drawn here, the built-in facades and objects: nothing of them is on disk."""

from typing import Any

import jgan
from jgan.data import decoded
from jgan.data import facades
from jgan.data import objects
from jgan.data.sources.entry import Entry

NAMES = ("facades", "objects")

_STYLES = ("day", "dusk")  # of facades without pairs: A and B


def open(kind: str, data: Any, split: str, size: int) -> tuple["Drawn", ...]:
    """Returns the pictures of a split at `size`; two sources, by day and at dusk, of domains without pairs.

    Neither splits nor domains share a picture.

    Raises:
      jgan.UserError: another split, or a number or size that cannot be drawn.
    """
    if split not in (data.split, data.val_split):
        raise jgan.UserError(
            f"drawn pictures have no split {split!r}: there are {data.split}, {data.val_split}"
        )
    held_out = split == data.val_split != data.split
    number = data.val_number if held_out else data.number
    if kind == "unaligned":
        seed = 4 * data.seed + 2 * held_out
        return tuple(
            Drawn(facades.Facades(size, number, seed + i, style), {side: "photo"})
            for i, (side, style) in enumerate(zip("ab", _STYLES, strict=True))
        )
    seed = 2 * data.seed + held_out
    if kind == "images" and data.source == "objects":
        return (Drawn(objects.Objects(size, number, seed), {"images": ""}),)
    made = facades.Facades(size, number, seed)
    if kind == "images":
        return (Drawn(made, {"images": "photo"}),)
    if data.pair:
        return (Drawn(made, {"photo": "photo"}),)
    sides = ("a", "b") if data.direction == "AtoB" else ("b", "a")
    return (Drawn(made, dict(zip(sides, ("labels", "photo"), strict=True))),)


class Drawn:
    """Drawn pictures as an `entry.Source`."""

    def __init__(self, drawing: Any, fields: dict[str, str]):
        """Of a sequence of pictures, or of dicts of them, of which `fields` says {field: key}."""
        self._drawing, self._keys = drawing, fields
        self.fields, self.names, self.exclusive, self.bad, self.lists = tuple(fields), (), (), [], ()
        self.entries = [Entry(f"{index:05d}") for index in range(len(drawing))]

    def __str__(self) -> str:
        return str(self._drawing)

    def read(self, entry: Entry) -> dict[str, decoded.Picture]:
        """Returns {field: picture} of an entry, drawn now."""
        made = self._drawing[int(entry.name)]
        return {field: decoded.Picture(made[key] if key else made) for field, key in self._keys.items()}
