"""What decoders return: a picture's colours, its opacity, and remarks for the person who uses it."""

from typing import Any
from typing import NamedTuple

import numpy as np

# A file of a few kilobytes can claim terabytes; this is also where Pillow itself refuses.
MAX_PIXELS = 2 * 89_478_485

_STRIP = 1 << 20  # pixels that are laid on white at once


class TooLarge(Exception):
    """A picture has more than `MAX_PIXELS`."""


class Picture(NamedTuple):
    """A picture in the type of its file.

    Attributes:
        pixels: [h, w, c] uint8, uint16 or float32 in [-1, 1], without opacity.
        alpha: opacity [h, w, 1] in the same type, from black (nothing is seen) to white; None where the file has none.
        remarks: what became of the file on the way, such as "with several pages, of which the first is read".
        name: of the file, which error messages name.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    remarks: tuple[str, ...] = ()
    name: str = "the picture"

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the colours: (h, w, c)."""
        return self.pixels.shape

    @property
    def opaque(self) -> bool:
        """Whether no pixel is transparent, not even in part."""
        return self.alpha is None or bool((self.alpha == white(self.alpha.dtype)).all())

    def joined(self) -> np.ndarray:
        """The colours and, behind them, the opacity where there is one: [h, w, c] or [h, w, c + 1]."""
        return self.pixels if self.alpha is None else np.concatenate([self.pixels, self.alpha], -1)

    def on_white(self) -> np.ndarray:
        """The colours [h, w, c] as they look on a white page."""
        if self.opaque:
            return self.pixels
        made, rows = np.empty_like(self.pixels), max(1, _STRIP // self.pixels.shape[1])
        for y in range(0, len(made), rows):
            made[y : y + rows] = _over_white(self.pixels[y : y + rows], self.alpha[y : y + rows])
        return made


def white(dtype: Any) -> np.generic:
    """The value of white in a type: 255, 65535 or 1.0."""
    dtype = np.dtype(dtype)
    return dtype.type(1.0 if dtype.kind == "f" else np.iinfo(dtype).max)


def check_size(height: int, width: int) -> None:
    """Raises an error for which `images.load` has a sentence, if a picture is empty or too large."""
    if height < 1 or width < 1:
        raise ValueError(f"it claims {width} x {height} pixels")
    if height * width > MAX_PIXELS:
        raise TooLarge


def usual_type(array: np.ndarray) -> np.ndarray:
    """The array in one of the three types that pictures have.

    Raises:
        ValueError: floats that are not finite or far outside [-1, 1], or a type that no picture has.
    """
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype.kind == "f":
        array = array.astype(np.float32, copy=False)
        low, high = float(array.min()), float(array.max())
        if not (np.isfinite(low) and np.isfinite(high)):
            raise ValueError("it holds values that are not finite")
        # Colour differences divided by 110 exceed 1 a little; 0..255 stored as floats exceeds it by far.
        if max(-low, high) > 1.5:
            raise ValueError(f"its values run from {low:.4g} to {high:.4g} instead of [-1, 1]")
        return array
    if array.dtype.kind == "u" and array.dtype.itemsize <= 2:
        return array.astype(array.dtype.newbyteorder("="), copy=False)
    raise ValueError(f"its type is {array.dtype} instead of uint8, uint16 or float32")


def scaled(array: np.ndarray, full: int) -> np.ndarray:
    """Integers from 0 to `full` over the whole range of the narrowest type that holds them, 8 or 16 bits."""
    return rescaled(array, full, 255 if full <= 255 else 65535)


def rescaled(array: np.ndarray, full: int, most: int) -> np.ndarray:
    """Integers from 0 to `full` as integers from 0 to `most`, rounded, in the narrowest type for these."""
    dtype = np.uint8 if most <= 255 else np.uint16
    if full == most:
        return array.astype(dtype, copy=False)
    values = np.arange(full + 1, dtype=np.uint64)
    return ((2 * values * most + full) // (2 * full)).astype(dtype)[array]


def turn(array: np.ndarray, orientation: int) -> np.ndarray:
    """The picture upright, by one of the eight EXIF orientations; any other number turns nothing."""
    # Mirrors, half turns, and the four that swap height and width.
    if orientation in (5, 6, 7, 8):
        array = np.swapaxes(array, 0, 1)
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    return array


def _over_white(pixels: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Colours [h, w, c] of this opacity [h, w, 1] on white."""
    if pixels.dtype == np.float32:
        share = np.clip((alpha + 1) / 2, 0, 1)
        return pixels * share + (1 - share)
    full = np.uint32(np.iinfo(pixels.dtype).max)
    share = alpha.astype(np.uint32)
    # At 16 bits the sum reaches 65535 squared and its half, which 32 bits just hold.
    return ((pixels * share + full * (full - share) + full // 2) // full).astype(pixels.dtype)
