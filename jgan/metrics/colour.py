"""Colours of pictures in CIE Lab, their histograms over a set, and how much of two histograms is the same.

Isola et al. (2017), figure 7 and its table: the distributions of L, a and b over all pixels of all outputs are compared
with those of the targets. The paper does not say how wide its bins are; here they are of one unit.
"""

import numpy as np

import jgan

CHANNELS = ("L", "a", "b")
SHAPE = (
    3,
    256,
)  # bins of L from 0 to 100 (the others stay empty), and of a and b from -128 to 128, of one unit each
_LOW = np.array([0.0, -128.0, -128.0])
_TOP = np.array([99, 255, 255])

# IEC 61966-2-1: linear sRGB to XYZ under D65, and what white is there for the observer of 2 degrees.
_TO_XYZ = np.array(
    [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]]
)
_WHITE = np.array([0.95047, 1.0, 1.08883])


def lab(image: np.ndarray) -> np.ndarray:
    """An sRGB image in CIE Lab under D65: float64 [..., 3], L from 0 to 100, a and b about 0.

    Args:
        image: [..., 3], uint8, or floats in [-1, 1].

    Raises:
        jgan.UserError: it has not three channels.
    """
    image = np.asarray(image)
    if image.shape[-1] != 3:
        raise jgan.UserError(f"Lab is of colour images [h, w, 3], not of {list(image.shape)}.")
    x = image / 255 if image.dtype == np.uint8 else (image.astype(np.float64) + 1) / 2
    x = np.where(x > 0.04045, np.maximum((x + 0.055) / 1.055, 0) ** 2.4, x / 12.92)
    x = x @ _TO_XYZ.T / _WHITE
    x = np.where(x > 0.008856, np.cbrt(x), 7.787 * x + 16 / 116)
    return np.stack([116 * x[..., 1] - 16, 500 * (x[..., 0] - x[..., 1]), 200 * (x[..., 1] - x[..., 2])], -1)


def histogram(image: np.ndarray) -> np.ndarray:
    """How many pixels fall into each bin: int64 [3, 256] of an image as `lab` takes it."""
    places = np.clip(np.floor(lab(image).reshape(-1, 3) - _LOW).astype(np.int64), 0, _TOP)
    return np.stack([np.bincount(channel, minlength=SHAPE[1]) for channel in places.T])


def intersection(a: np.ndarray, b: np.ndarray) -> dict[str, float]:
    """{channel: the sum over bins of the smaller share}, 1 for equal distributions and 0 for disjoint ones.

    Args:
        a: counts [3, bins], each channel with one or more.
        b: the same.
    """
    a, b = (x / x.sum(1, keepdims=True) for x in (a, b))
    return dict(zip(CHANNELS, map(float, np.minimum(a, b).sum(1)), strict=True))
