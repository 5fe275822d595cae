"""What a config asks of the pictures of a source: channels, bits, whether they hold classes, and a pair to make."""

from typing import Any
from typing import NamedTuple

from jgan import fields
from jgan.data import framing
from jgan.data import pairs


class Asked(NamedTuple):
    """The demands of a config on a picture of a file; a field is None if the config does not set it.

    Attributes:
        channels: to which the picture is brought; None: those that most files have.
        plain: whether it holds classes, and is resized by nearest neighbour.
        bits: which its integers fill (`framing.bits`); None: all of their type.
    """

    channels: int | None = None
    plain: bool | None = None
    bits: int | None = None


class Kind(NamedTuple):
    """The form that the pictures of a source will get.

    Attributes:
        asked: {name: what is asked} of the pictures that the source reads, in its order.
        label: what a label is; None where there is none.
        pair: the pair that is made of a photo, or "".
        sides: what the two pictures of such a pair are called in a batch.
        least: smallest height and width allowed.
    """

    asked: dict[str, Asked]
    label: fields.Field | None = None
    pair: str = ""
    sides: tuple[str, str] = ("a", "b")
    least: int = 1


def kind(data: Any, read: tuple[str, ...], *, least: int = 1, drawn: bool = False) -> Kind:
    """The form that a config asks for, of a source that reads pictures of these names.

    Args:
        data: the `data` part of a config, of which `channels`, `labels`, `bits` and `pair` are used.
        read: fields of the batch, or `photo`, of which a pair is made.
        least: smallest height and width allowed.
        drawn: whether the pictures are drawn by jgan, already as they should be: then only a pair is asked for.
    """
    batch, names = fields.of(data), sides(data)
    pair = data.pair if data.kind == "aligned" else ""
    asked = {}
    for name in read:
        where = names[1] if name == "photo" else name
        picture = batch[where]
        one = Asked(
            picture.channels if data.get("channels", ()) else None,
            picture.plain if data.get("labels", "") and not pair and "b" in batch else None,
            framing.bits(data, letter(where)) if data.get("bits", ()) else None,
        )
        if pair and pairs.PAIRS[pair].takes:
            one = one._replace(channels=pairs.PAIRS[pair].takes)
        asked[name] = Asked() if drawn else one
    return Kind(asked, batch.get("label"), pair, names, least)


def sides(data: Any) -> tuple[str, str]:
    """The names in a batch of A and B of files, or of the picture made from a photo and the photo.

    Only pairs have a direction; without them both are trained.
    """
    return ("b", "a") if data.kind == "aligned" and data.direction == "BtoA" else ("a", "b")


def letter(name: str) -> str:
    """The side, "a" or "b", whose settings apply to a picture of this name; single images are "a"."""
    return name if name in ("a", "b") else "a"
