"""The operations of a session: what a person does, as plain values that are kept and can be undone.

`jgan.serve.session` folds them to a drawing, and has their names too.
"""

from typing import NamedTuple

from jgan.latent import constraints
from jgan.latent import document

Latent = tuple[float, ...]  # all numbers of a latent, leaf after leaf, in the order of the tree
# The value of a control: the name of a class, an amount, or (name, number) for each attribute.
Value = str | float | tuple[tuple[str, float], ...]
Given = tuple[tuple[str, Value], ...]  # (control, value), sorted by control


class Stroke(NamedTuple):
    """Adds a stroke; a warp has the `latent` of the image from which it takes its patch. A mask asks for nothing."""

    stroke: document.Colour | document.Sketch | document.Warp | document.Mask
    latent: Latent | None = None


class Erase(NamedTuple):
    """Removes strokes by their numbers."""

    strokes: tuple[int, ...]


class Clear(NamedTuple):
    """Removes all strokes."""


class Weigh(NamedTuple):
    """Sets the weights of the terms."""

    weights: constraints.Weights


class Fix(NamedTuple):
    """Makes a latent the start and the anchor of all candidates; strokes stay."""

    latent: Latent


class Give(NamedTuple):
    """Sets a control of the generator, such as the class that it draws; strokes and anchor stay."""

    name: str
    value: Value


class Restart(NamedTuple):
    """Begins anew without strokes: from the projection of the open photo, or from random starts if none is open."""

    seed: int


class Open(NamedTuple):
    """Opens a photo: candidates begin at its projection, and the canvas has its size.

    Attributes:
        photo: the key of the photo in the session.
        name: the name of its file.
        size: height and width of the photo.
        box: top, left and side of the square of it that the pad shows, as in `jgan.data.framing`.
        latent: its projection.
        given: the values under which the projection was found; None: those that are set where it is opened, as in
            files of earlier versions.
    """

    photo: str
    name: str
    size: tuple[int, int]
    box: tuple[int, int, int]
    latent: Latent
    given: Given | None = None


class Close(NamedTuple):
    """Closes the photo and removes all strokes."""


class Steer(NamedTuple):
    """Makes what sliders give the start and the anchor of all candidates; strokes stay.

    Attributes:
        latent: the base with these values.
        values: (name, number) of the sliders, sorted by name, as `jgan.serve.device.steering` has them.
        base: the latent at which all sliders are neutral; None: that of the `Steer` before.
    """

    latent: Latent
    values: tuple[tuple[str, float], ...]
    base: Latent | None = None


class Second(NamedTuple):
    """Opens a second photo beside the first one, for what is made of two; fields as in `Open`."""

    photo: str
    name: str
    size: tuple[int, int]
    box: tuple[int, int, int]
    latent: Latent
    given: Given | None = None


class Part(NamedTuple):
    """Closes the second photo."""


Operation = Stroke | Erase | Clear | Weigh | Fix | Give | Restart | Open | Close | Steer | Second | Part
# Candidates begin anew after these operations.
GROUNDS = (Fix, Give, Restart, Open, Close, Steer)
