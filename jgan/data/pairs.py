"""Pairs made from single photos: edges, grey, Lab colour, low resolution, a hole to fill.

Each is a task of the pix2pix paper (Isola et al. 2017, figure 1 and section 4) or of its Torch
code: edges to photo (Canny 1986 stands for HED), grey or L to colour, inpainting; `downscale` is
super-resolution. Under `direction=AtoB` the made picture is the input, the photo the target.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

import jgan
from jgan.data import images
from jgan.data import transforms

_FACTOR = 4  # of downscale


class Pair(NamedTuple):
    """One way to make a pair from a photo.

    Attributes:
        make: photo `[h, w, c]` -> `(a, b)`.
        channels: the number of channels of the photo -> those of `(a, b)`.
        takes: the number of channels that a photo must have; 0: any.
        show: `(a, b)` -> what a person should see of them; None: b.
        whole: whether it is made from the whole photo, before the crop, because a line continues beyond the border of a
            crop. The others are made after the crop: a hole lies in the middle of what the network sees.
    """

    make: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
    channels: Callable[[int], tuple[int, int]]
    takes: int = 0
    show: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None
    whole: bool = False


def make(name: str, photo: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The pair `(a, b)` of a photo `[h, w, c]` in uint8, uint16 or float32 in [-1, 1].

    - `edges`: dark lines on white, one channel; b is the photo.
    - `gray`: luma (Rec. 601), one channel; b is the photo.
    - `lab`: a = L/50 - 1 [h, w, 1], b = (a*, b*)/110 [h, w, 2], both float32 (D65).
    - `downscale`: the photo reduced to a quarter of its size and enlarged again; b is the photo.
    - `hole`: the photo with its centre square, half as high and wide, set to white; b is the photo.

    Raises:
        jgan.UserError: `gray` and `lab` of a photo without three channels, or an unknown name.
    """
    channels_of(name, photo.shape[-1])
    return PAIRS[name].make(photo)


def channels_of(name: str, channels: int) -> tuple[int, int]:
    """The numbers of channels of a and b for photos of `channels`; a `jgan.UserError` if there is no such pair."""
    if name not in PAIRS:
        raise jgan.UserError(f"there is no pair {name!r}: one of {', '.join(PAIRS)}")
    takes = PAIRS[name].takes
    if takes and channels != takes:
        raise jgan.UserError(f"pair {name!r} is made from photos of {takes} channels, not of {channels}")
    return PAIRS[name].channels(channels)


def show(name: str, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The picture of a pair that a person should see: `[..., h, w, c]`, for `lab` float32 RGB in [-1, 1].

    `lab` puts lightness (a) and colour (b) together again; for the other pairs b is the picture.
    """
    seen = PAIRS[name].show
    return seen(a, b) if seen else b


def _edges(photo: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The pair `edges` of a photo."""
    return edges(photo), photo


def _gray(photo: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The pair `gray` of a photo."""
    return _luma(photo), photo


def _lab(photo: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The pair `lab` of a photo."""
    lab = rgb_to_lab(images.convert(photo, np.float32))
    return lab[..., :1] / 50 - 1, lab[..., 1:] / 110


def _show_lab(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Lightness a and colour b of the pair `lab` as sRGB, float32 in [-1, 1]."""
    lightness = (np.asarray(a, np.float32) + 1) * 50
    return lab_to_rgb(np.concatenate([lightness, np.asarray(b, np.float32) * 110], axis=-1))


def _downscale(photo: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The pair `downscale` of a photo."""
    height, width = photo.shape[:2]
    small = max(1, round(height / _FACTOR)), max(1, round(width / _FACTOR))
    return transforms.resize(transforms.resize(photo, small), (height, width)), photo


def _hole(photo: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The pair `hole` of a photo."""
    height, width = photo.shape[:2]
    holed = photo.copy()
    holed[height // 4 : height // 4 + height // 2, width // 4 : width // 4 + width // 2] = images.white(
        photo.dtype
    )
    return holed, photo


PAIRS: dict[str, Pair] = {
    "edges": Pair(_edges, lambda channels: (1, channels), whole=True),
    "gray": Pair(_gray, lambda channels: (1, channels), takes=3),
    "lab": Pair(_lab, lambda channels: (1, 2), takes=3, show=_show_lab),
    "downscale": Pair(_downscale, lambda channels: (channels, channels)),
    "hole": Pair(_hole, lambda channels: (channels, channels)),
}


# sRGB (IEC 61966-2-1) to CIE 1931 XYZ, and its white point D65, which is the sums of the rows.
_RGB_TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
_WHITE = _RGB_TO_XYZ.sum(axis=1)
_TO_CONES = (_RGB_TO_XYZ / _WHITE[:, None]).astype(np.float32)
_FROM_CONES = np.linalg.inv(_RGB_TO_XYZ / _WHITE[:, None]).astype(np.float32)
_DELTA = 6 / 29


def rgb_to_lab(rgb: np.ndarray) -> np.ndarray:
    """CIE L*a*b* under D65 `[..., 3]` float32 of sRGB in [-1, 1]; L in [0, 100]."""
    rgb = (np.asarray(rgb, np.float32) + 1) / 2
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** np.float32(2.4))
    xyz = linear.astype(np.float32) @ _TO_CONES.T
    f = np.where(xyz > _DELTA**3, np.cbrt(xyz), xyz / np.float32(3 * _DELTA**2) + np.float32(4 / 29))
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1).astype(np.float32)


def lab_to_rgb(lab: np.ndarray) -> np.ndarray:
    """sRGB in [-1, 1] float32 of L*a*b* `[..., 3]`; colours outside sRGB are clipped."""
    lab = np.asarray(lab, np.float32)
    y = (lab[..., 0] + 16) / 116
    f = np.stack([y + lab[..., 1] / 500, y, y - lab[..., 2] / 200], axis=-1)
    xyz = np.where(f > _DELTA, f**3, np.float32(3 * _DELTA**2) * (f - np.float32(4 / 29)))
    linear = np.clip(xyz.astype(np.float32) @ _FROM_CONES.T, 0, 1)
    rgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** np.float32(1 / 2.4) - 0.055)
    return (np.clip(rgb, 0, 1) * 2 - 1).astype(np.float32)


def edges(photo: np.ndarray, sigma: float = 1.4) -> np.ndarray:
    """Canny's edges as dark lines on white, `[h, w, 1]` uint8 (0 or 255).

    The gradient is the strongest over the channels; thresholds follow the picture's own contrast,
    so that dim photos have lines too and flat ones stay white.
    """
    values = images.convert(photo, np.float32)[..., : 4 if photo.shape[-1] != 4 else 3]
    smooth = _blur(_blur(values, sigma, 0), sigma, 1)
    padded = np.pad(smooth, ((1, 1), (1, 1), (0, 0)), mode="edge")
    dx = padded[1:-1, 2:] - padded[1:-1, :-2]
    dy = padded[2:, 1:-1] - padded[:-2, 1:-1]
    strongest = np.argmax(dx**2 + dy**2, axis=-1)[..., None]
    dx = np.take_along_axis(dx, strongest, axis=-1)[..., 0]
    dy = np.take_along_axis(dy, strongest, axis=-1)[..., 0]
    strength = np.hypot(dx, dy)
    ridge = np.where(_on_ridge(strength, dx, dy), strength, 0)
    # There are two levels: lines start above `high` and continue while they are above 0.4 of it. A twelfth of the range
    # between black and white per pixel is a clear contour after this blur; noise lies below 0.02.
    high = np.clip(np.quantile(strength, 0.9), 0.04, 0.25)
    lines = _follow(ridge > high, ridge > 0.4 * high)
    return np.where(lines, 0, 255).astype(np.uint8)[..., None]


def _blur(values: np.ndarray, sigma: float, axis: int) -> np.ndarray:
    """Values blurred by a Gaussian along an axis, borders repeated."""
    radius = int(np.ceil(3 * sigma))
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    weights = (weights / weights.sum()).astype(np.float32)
    pad = [(0, 0)] * values.ndim
    pad[axis] = (radius, radius)
    padded = np.pad(values, pad, mode="edge")
    length = values.shape[axis]
    cut = [slice(None)] * values.ndim
    total = np.zeros_like(values)
    for offset, weight in enumerate(weights):
        cut[axis] = slice(offset, offset + length)
        total += weight * padded[tuple(cut)]
    return total


def _on_ridge(strength: np.ndarray, dx: np.ndarray, dy: np.ndarray) -> np.ndarray:
    """The pixels whose gradient is the strongest of three along its direction, rounded to one of four: [h, w] bool."""
    # One of the two comparisons is strict, so that a plateau of two equal pixels gives one line, not two or none.
    padded = np.pad(strength, 1)
    height, width = strength.shape

    def shifted(y: int, x: int) -> np.ndarray:
        """The strength at the pixel y below and x to the right of each."""
        return padded[1 + y : 1 + y + height, 1 + x : 1 + x + width]

    sector = np.rint(np.arctan2(dy, dx) / (np.pi / 4)).astype(int) % 4
    ridge = np.zeros(strength.shape, bool)
    for index, (y, x) in enumerate(((0, 1), (1, 1), (1, 0), (1, -1))):
        peak = (strength > shifted(y, x)) & (strength >= shifted(-y, -x))
        ridge |= (sector == index) & peak
    return ridge


def _follow(strong: np.ndarray, weak: np.ndarray) -> np.ndarray:
    """The strong pixels and the weak ones that are connected to them: [h, w] bool."""
    lines, ring = strong.copy(), np.argwhere(strong)
    height, width = strong.shape
    steps = np.array([(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if y or x])
    while len(ring):
        near = (ring[:, None] + steps).reshape(-1, 2)
        inside = (near >= 0).all(axis=1) & (near[:, 0] < height) & (near[:, 1] < width)
        near = near[inside]
        fresh = near[weak[near[:, 0], near[:, 1]] & ~lines[near[:, 0], near[:, 1]]]
        lines[fresh[:, 0], fresh[:, 1]] = True
        ring = np.unique(fresh, axis=0)
    return lines


def _luma(photo: np.ndarray) -> np.ndarray:
    """The luma (Rec. 601) of a photo, [h, w, 1] in its type."""
    weighted = photo.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    if photo.dtype.kind == "u":
        weighted = np.rint(weighted)
    return weighted.astype(photo.dtype)[..., None]
