"""Geometry of an example: resizing, random crops and flips, alike for all its planes.

The jitter of pix2pix (Isola et al. 2017, section 6.2): both halves are resized to `load_size`
squared, the same random square of `size` is cut from them, and they are mirrored together with
probability one half. `crop` cuts at native scale; `none` only resizes to `size`. Single images are never squashed:
of them the short side is resized, and squares are cut (`Fit`).
"""

from typing import NamedTuple

import numpy as np
from PIL import Image

JITTERS = ("resize", "crop", "none")


class Fit(NamedTuple):
    """How a single image is brought to a size: its short side is resized, then a square is cut from its middle."""

    short: int | None = None  # pixels; None: native scale
    square: int | None = None  # pixels; None: all of it


def fit(image: np.ndarray, to: Fit) -> np.ndarray:
    """Returns `[h, w, c]` as `to` says, in its own type and with its own aspect."""
    height, width = image.shape[:2]
    if to.short:
        short = min(height, width)
        image = resize(
            image, tuple(max(to.short, round(side * to.short / short)) for side in (height, width))
        )
        height, width = image.shape[:2]
    if to.square:
        y, x = (height - to.square) // 2, (width - to.square) // 2
        image = image[max(y, 0) : max(y, 0) + to.square, max(x, 0) : max(x, 0) + to.square]
    return image


def resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Returns `[h, w, c]` resized to `size = (h, w)`: bicubic with antialiasing, in its own type.

    uint8 is rounded to uint8 as Pillow (hence torchvision) does; every channel by itself, so that
    transparency does not bleed into colour. uint16 and float32 go through float32 and are rounded
    and clipped to their range, floats to [-1, 1].
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
    """Returns `[h, w, c]` at `size = (h, w)` with the value of the nearest pixel everywhere, so that no value is new.

    This is how maps of classes are resized: a mean of two classes would be a third one, or none.
    """
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(int) for new, old in zip(size, image.shape, strict=False)
    )
    return image[rows[:, None], columns]


def random_crop(
    planes: tuple[np.ndarray, ...], size: int, flip: bool, rng: np.random.Generator
) -> tuple[np.ndarray, ...]:
    """Returns the same square of `size` from planes `[h, w, c]`, mirrored together if `flip`.

    Offsets are uniform over every position at which the square fits, ends included; the mirror
    image comes with probability one half.
    """
    height, width = planes[0].shape[:2]
    # Three draws whatever the settings, so that turning the flip off leaves the crops alone.
    y = int(rng.integers(height - size + 1))
    x = int(rng.integers(width - size + 1))
    mirror = rng.integers(2) == 1 and flip
    columns = slice(x, x + size)
    cut = [plane[y : y + size, columns] for plane in planes]
    return tuple(np.ascontiguousarray(plane[:, ::-1] if mirror else plane) for plane in cut)
