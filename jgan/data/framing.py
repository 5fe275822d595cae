"""A photo as a net takes it: its channels, a square view of it that keeps its aspect, and the square pasted back."""

from typing import Any
from typing import NamedTuple

import numpy as np

import jgan
from jgan.data import decoded
from jgan.data import images as image_files
from jgan.data import transforms

FITS = ("letterbox", "crop")

# Remarks on changed pictures, which are reported with their number.
LAID = "transparent, laid on white"
REPEATED = "grey, repeated to three channels"
TAKEN = "grey stored as colour, taken as grey"

_GREY = 2  # of 255: by what channels of a grey picture differ, which profiles and JPEG may leave


class Framed(NamedTuple):
    """A square view of a photo.

    Attributes:
        image: [size, size, c] float32 in [-1, 1]; beyond the photo's border its last pixels are repeated.
        mask: [size, size] float32, 1 where the photo is and 0 beyond it.
        top: of the square, in the photo's pixels; below 0 where it begins outside.
        left: the same of its columns.
        side: of the square, in the photo's pixels.
    """

    image: np.ndarray
    mask: np.ndarray
    top: int
    left: int
    side: int


def adapt(picture: decoded.Picture | np.ndarray, channels: int | None, bits: int = 0) -> decoded.Picture:
    """The picture as a net takes it, and with it the opacity that an output has to get back.

    Training and use share this rule. Where the net takes one channel more than the picture has colours, the opacity is
    that channel. Otherwise a transparent picture is laid on white and its opacity is kept in the result; grey becomes
    RGB for a net that takes colours; and RGB whose channels are all the same becomes grey for a net that takes grey.
    Everything else is refused, because bands are never dropped.

    Args:
        picture: as `images.load` returns it, or an array [h, w, c]; the second of 2 channels and the fourth of 4 is the
            opacity of an array, where the net takes one channel less.
        channels: of the net; None: those of the picture, without opacity.
        bits: the number of bits that its integers fill, as `stretch` takes it.

    Raises:
        jgan.UserError: there is no one way to give it these channels, or a value needs more bits.
    """
    if not isinstance(picture, decoded.Picture):
        apart = picture.shape[-1] in (2, 4) and channels in (1, 3)
        picture = decoded.Picture(*np.split(picture, [-1], -1)) if apart else decoded.Picture(picture)
    picture = picture._replace(pixels=stretch(picture.pixels, bits, picture.name))
    if picture.alpha is not None and picture.shape[-1] + 1 == channels:
        return picture._replace(pixels=picture.joined(), alpha=None)
    if picture.opaque:
        picture = picture._replace(alpha=None)
    else:
        picture = picture._replace(pixels=picture.on_white(), remarks=(*picture.remarks, LAID))
    have = picture.shape[-1]
    if channels in (None, have):
        return picture
    if (have, channels) == (1, 3):
        pixels = np.repeat(picture.pixels, 3, -1)
        return picture._replace(pixels=pixels, remarks=(*picture.remarks, REPEATED))
    if (have, channels) == (3, 1):
        if not _is_grey(picture.pixels):
            raise jgan.UserError(
                f"{picture.name} is in colour and the run takes grey (1 channel): make it grey first"
            )
        pixels = np.ascontiguousarray(picture.pixels[..., 1:2])
        return picture._replace(pixels=pixels, remarks=(*picture.remarks, TAKEN))
    raise jgan.UserError(
        f"{picture.name} has {have} channel{'s' * (have != 1)} and the run takes {channels}"
        f"{', and none of them is marked as opacity' * ((have, channels) in ((2, 1), (4, 3)))}"
    )


def with_channels(picture: decoded.Picture | np.ndarray, channels: int) -> np.ndarray:
    """The pixels of `adapt`."""
    return adapt(picture, channels).pixels


def bits(data: Any, side: str = "a") -> int:
    """The number of bits that the integers of a side fill, "a" (input) or "b" (target); 0: all bits of their type.

    Args:
        data: the `data` part of a config; its `bits` are one number for both sides or one for each.
        side: a field of the batch; all but "b" are the first side.
    """
    given = tuple(data.get("bits", ()))
    return given[(side == "b") % len(given)] if given else 0


def stretch(pixels: np.ndarray, bits: int, name: str = "the picture") -> np.ndarray:
    """Integers of so many bits spread over the whole range of their type; unchanged if `bits` is 0 or all of its bits.

    Raises:
        jgan.UserError: a value needs more bits.
    """
    most, full = _ranges(pixels.dtype, bits)
    if full == most:
        return pixels
    peak = int(pixels.max())
    if peak > full:
        raise jgan.UserError(f"{name} holds values up to {peak}, above the {full} of data.bits={bits}")
    return decoded.rescaled(pixels, full, most).astype(pixels.dtype, copy=False)


def shrink(pixels: np.ndarray, bits: int) -> np.ndarray:
    """The inverse of `stretch`, rounded."""
    most, full = _ranges(pixels.dtype, bits)
    return pixels if full == most else decoded.rescaled(pixels, most, full).astype(pixels.dtype, copy=False)


def fit(photo: np.ndarray, size: int, mode: str = "letterbox") -> Framed:
    """The photo [h, w, c] through a square in its middle, resized to `size`.

    `letterbox` shows the whole photo, with unknown margins; `crop` fills the square with the middle of the photo.

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
    """The rows and columns of the square, `size` each, whose middle lies on the photo: [size] bool each."""
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
    """The pixels along a square's side, `size` of them, whose middle lies on the photo: [size] bool."""
    middle = (np.arange(size) + 0.5) * side / size + begin
    return (middle >= 0) & (middle < extent)


def _is_grey(pixels: np.ndarray) -> bool:
    """Whether the three channels are the same, but for the differences that profiles and JPEG may leave."""
    most = 2.0 if pixels.dtype.kind == "f" else float(np.iinfo(pixels.dtype).max)
    middle = pixels[..., 1].astype(np.float32)
    return all(np.abs(pixels[..., i] - middle).max() <= most * _GREY / 255 for i in (0, 2))


def _ranges(dtype: np.dtype, bits: int) -> tuple[int, int]:
    """The largest values of a type and of so many bits; the same where there is nothing to stretch."""
    if dtype.kind != "u":
        return 0, 0
    most = int(np.iinfo(dtype).max)
    return most, min(most, 2**bits - 1) if bits else most
