"""A photo as a net takes it, its channels and a square view of it, and the square pasted back: nothing is squashed."""

from typing import NamedTuple

import numpy as np

import jgan
from jgan.data import images as image_files
from jgan.data import transforms

FITS = ("letterbox", "crop")


class Framed(NamedTuple):
    """A square view of a photo.

    Attributes:
        image: [size, size, c] float32 in [-1, 1]; beyond the photo's border its last pixels go on.
        mask: [size, size] float32, 1 where the photo is and 0 beyond it.
        top, left: of the square in the photo's pixels, at most 0 where it begins outside.
        side: of the square, in the photo's pixels.
    """

    image: np.ndarray
    mask: np.ndarray
    top: int
    left: int
    side: int


def with_channels(image: np.ndarray, channels: int) -> np.ndarray:
    """The picture with as many channels as the net takes, where there is one way to do it."""
    have = image.shape[-1]
    if have == channels:
        return image
    if have in (2, 4) and have - 1 in (1, channels):
        return with_channels(image[..., :-1], channels)
    if have == 1:
        return np.repeat(image, channels, -1)
    raise jgan.UserError(f"the picture has {have} channels and the run takes {channels}.")


def fit(photo: np.ndarray, size: int, mode: str = "letterbox") -> Framed:
    """The photo [h, w, c] through a square in its middle, resized to `size`.

    `letterbox` shows all of it, with unknown margins; `crop` fills the square with the middle of it.

    Raises:
        jgan.UserError: an unknown mode.
    """
    top, left, side, _ = place(photo.shape, mode)
    height, width = photo.shape[:2]
    if mode == "crop":
        square = photo[top : top + side, left : left + side]
    elif width > height:
        # The long side first: with its margins the photo may be much larger than without them.
        small = transforms.resize(photo, (height, size))
        square = np.pad(small, ((-top, side - height + top), (0, 0), (0, 0)), mode="edge")
    else:
        small = transforms.resize(photo, (size, width))
        square = np.pad(small, ((0, 0), (-left, side - width + left), (0, 0)), mode="edge")
    image = image_files.convert(transforms.resize(square, (size, size)), np.float32)
    rows, columns = inside(photo.shape, size, mode)
    return Framed(image, np.outer(rows, columns).astype(np.float32), top, left, side)


def place(shape: tuple[int, ...], mode: str) -> tuple[int, int, int, int]:
    """(top, left, height, width) of the square on a photo of this shape, in its pixels.

    Raises:
        jgan.UserError: an unknown mode.
    """
    if mode not in FITS:
        raise jgan.UserError(f"fit={mode!r} is unknown: use one of {', '.join(FITS)}.")
    height, width = shape[:2]
    side = (max if mode == "letterbox" else min)(height, width)
    return -((side - height) // 2), -((side - width) // 2), side, side


def inside(shape: tuple[int, ...], size: int, mode: str) -> tuple[np.ndarray, np.ndarray]:
    """Of the square's `size` rows and columns, those whose middle lies on the photo: [size] bool each."""
    top, left, side, _ = place(shape, mode)
    return _inside(size, side, top, shape[0]), _inside(size, side, left, shape[1])


def paste(photo: np.ndarray, framed: Framed, picture: np.ndarray) -> np.ndarray:
    """The photo with a picture [any, any, c] float32 in [-1, 1] in the place of the square: same shape and type."""
    height, width = photo.shape[:2]
    made = transforms.resize(picture.astype(np.float32), (framed.side, framed.side))
    if photo.dtype != np.float32:
        made = np.rint((made + 1) / 2 * np.iinfo(photo.dtype).max).astype(photo.dtype)
    top, left = max(framed.top, 0), max(framed.left, 0)
    bottom, right = min(framed.top + framed.side, height), min(framed.left + framed.side, width)
    result = photo.copy()
    result[top:bottom, left:right] = made[
        top - framed.top : bottom - framed.top, left - framed.left : right - framed.left
    ]
    return result


def _inside(size: int, side: int, begin: int, extent: int) -> np.ndarray:
    """Of `size` pixels along a square's side, those whose middle lies on the photo."""
    middle = (np.arange(size) + 0.5) * side / size + begin
    return (middle >= 0) & (middle < extent)
