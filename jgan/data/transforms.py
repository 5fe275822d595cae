"""Geometry of an example: resizing, random crops and flips, the same for all its planes.

The jitter of pix2pix (Isola et al. 2017, section 6.2): both halves are resized to `load_size`
squared, the same random square of `size` is cut from them, and they are mirrored together with
probability one half. `crop` cuts at native scale; `none` only resizes to `size`. Single images are never squashed:
of them the short side is resized, and squares are cut (`Fit`).

What happens to a field of an example depends on its class alone: `GEOMETRY`.
"""

from collections.abc import Callable
from collections.abc import Mapping
from typing import Any
from typing import NamedTuple

import numpy as np
from PIL import Image

from jgan import fields

JITTERS = ("resize", "crop", "none")


class Fit(NamedTuple):
    """A size for single images, whose short side is resized before a square is cut from the middle."""

    short: int | None = None  # pixels; None: native scale
    square: int | None = None  # pixels; None: all of it


def fit(image: np.ndarray, to: Fit, way: Callable[..., np.ndarray] | None = None) -> np.ndarray:
    """An image `[h, w, c]` brought to a size, in its own type and with its own aspect.

    Args:
        image: `[h, w, c]`.
        to: the size.
        way: the function that resizes; None: `resize`.
    """
    height, width = image.shape[:2]
    if to.short:
        short = min(height, width)
        size = tuple(max(to.short, round(side * to.short / short)) for side in (height, width))
        image = (way or resize)(image, size)
        height, width = image.shape[:2]
    if to.square:
        y, x = (height - to.square) // 2, (width - to.square) // 2
        image = image[max(y, 0) : max(y, 0) + to.square, max(x, 0) : max(x, 0) + to.square]
    return image


def resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """An image `[h, w, c]` resized to `size = (h, w)`: bicubic with antialiasing, in its own type.

    uint8 is rounded to uint8 as Pillow (hence torchvision) does, every channel by itself, so that transparency does not
    bleed into colour. uint16 and float32 are computed in float32, rounded and clipped to their range, floats to [-1,
    1].
    """
    height, width, channels = image.shape
    if (height, width) == tuple(size):
        return image
    to = (size[1], size[0])
    if image.dtype == np.uint8 and channels == 3:
        return np.array(Image.fromarray(image).resize(to, Image.Resampling.BICUBIC))
    planes = []
    for channel in range(channels):
        plane = image[..., channel]
        plane = plane if image.dtype == np.uint8 else plane.astype(np.float32)
        plane = Image.fromarray(np.ascontiguousarray(plane)).resize(to, Image.Resampling.BICUBIC)
        planes.append(np.asarray(plane))
    result = np.stack(planes, axis=-1)
    if image.dtype == np.float32:
        return np.clip(result, -1, 1)
    if image.dtype != np.uint8:
        top = np.iinfo(image.dtype).max
        return np.clip(np.rint(result), 0, top).astype(image.dtype)
    return result


def nearest(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """An image `[h, w, c]` at `size = (h, w)`, each pixel with the value of the nearest one, so that no value is new.

    This is how maps of classes are resized: a mean of two classes would be a third one, or none.
    """
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(int) for new, old in zip(size, image.shape, strict=False)
    )
    return image[rows[:, None], columns]


class Cut(NamedTuple):
    """A square of an example: `size` pixels a side from row `y` and column `x` on, mirrored or not."""

    y: int
    x: int
    size: int
    mirror: bool


class Geometry(NamedTuple):
    """The changes to values of one class of field when a whole example is resized, and when a square is cut."""

    resized: Callable[[Any, Any, int | Fit], Any]  # (field, value, side or fit) -> value
    cut: Callable[[Any, Cut], Any]  # (value, cut) -> value


def _resized_picture(field: fields.Picture, image: np.ndarray, to: int | Fit) -> np.ndarray:
    """A picture brought to a size, in the way of its field."""
    way = nearest if field.plain else resize
    return fit(image, to, way) if isinstance(to, Fit) else way(image, (to, to))


def _cut_picture(image: np.ndarray, cut: Cut) -> np.ndarray:
    """A square of a picture."""
    part = image[cut.y : cut.y + cut.size, cut.x : cut.x + cut.size]
    return np.ascontiguousarray(part[:, ::-1] if cut.mirror else part)


# A value about the whole picture, such as a label, holds for every part of it too.
_UNTOUCHED = Geometry(lambda field, value, to: value, lambda value, cut: value)

GEOMETRY: dict[type, Geometry] = {
    fields.Picture: Geometry(_resized_picture, _cut_picture),
    fields.Label: _UNTOUCHED,
    fields.Attributes: _UNTOUCHED,
}


def resized(
    example: Mapping[str, Any], of: Mapping[str, fields.Field], to: int | Fit | None
) -> dict[str, Any]:
    """An example with every field brought to a size: a side of a square, a `Fit`, or None for native size.

    Args:
        example: {name: value}.
        of: {name: field} of each of them.
        to: the size.
    """
    if to is None:
        return dict(example)
    return {name: GEOMETRY[type(of[name])].resized(of[name], value, to) for name, value in example.items()}


def random_crop(
    example: Mapping[str, Any],
    of: Mapping[str, fields.Field],
    size: int,
    flip: bool,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """The same random square of `size` of every field of an example, mirrored together if `flip`.

    Offsets are uniform over all positions at which the square fits, ends included; if `flip`, the square is mirrored
    with probability one half.

    Args:
        example: {name: value}; its pictures `[h, w, c]` have one height and width.
        of: {name: field} of each of them.
        size: pixels a side.
        flip: whether it may be mirrored.
        rng: draws the same numbers whatever the settings.
    """
    pictures = [value for name, value in example.items() if isinstance(of[name], fields.Picture)]
    height, width = pictures[0].shape[:2]
    # Three draws whatever the settings, so that turning the flip off leaves the crops alone.
    y = int(rng.integers(height - size + 1))
    x = int(rng.integers(width - size + 1))
    cut = Cut(y, x, size, rng.integers(2) == 1 and flip)
    return {name: GEOMETRY[type(of[name])].cut(value, cut) for name, value in example.items()}
