"""The augmentation pipeline of ADA: pixel copies, geometry, colours, bands of frequencies, noise and cutout.

Karras et al., "Training Generative Adversarial Networks with Limited Data" (2020), appendix B, with the constants of
the authors' code. Every transformation happens to an image with probability p, and all images of a batch are
transformed together: what is drawn (`draw`) is a few numbers for each image, and `transform` is a pure function of
images and numbers, differentiable to any order with respect to the images.

The geometry of an image is one matrix, from a pixel of the result to a place in the image, and is executed once,
without aliasing: the image is mirrored at its borders, enlarged twice by the wavelet filter sym6, looked up between
pixels and shrunk by the same filter. Filters are separable, and one product with a constant matrix along each axis
mirrors and filters: XLA on CPU is much slower at the transpose of sums of shifted images. The authors mirror as
far as the corners of a batch's images reach and 6 pixels further; here it is always as far as can be, so that shapes do
not depend on what is drawn, and no image on its neighbours. The results differ at the borders of shrunk images, whose
filters read past that margin: by a few millionths, and by a thousandth at half the size.
"""

from collections.abc import Sequence
import functools
import math
from typing import Any

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np

import jgan

GROUPS = ("blit", "geom", "color", "filter", "noise", "cutout")
# Several groups by their first letters, as the authors have them.
PRESETS = {
    "bg": GROUPS[:2],
    "bgc": GROUPS[:3],
    "bgcf": GROUPS[:4],
    "bgcfn": GROUPS[:5],
    "bgcfnc": GROUPS,
}

# Daubechies' filter of four taps, which is sym2, and sym6, both in the order of a true convolution.
_SYM2 = tuple((a + b * math.sqrt(3)) / math.sqrt(32) for a, b in ((1, -1), (3, -1), (3, 1), (1, 1)))
_SYM6 = (
    0.015404109327027373,
    0.0034907120842174702,
    -0.11799011114819057,
    -0.048311742585633,
    0.4910559419267466,
    0.787641141030194,
    0.3379294217276218,
    -0.07263752278646252,
    -0.021060292512300564,
    0.04472490177066578,
    0.0017677118642428036,
    -0.007800708325034148,
)
_TAPS = tuple(x / sum(_SYM6) for x in _SYM6)
_REACH = 3  # pixels of the result beyond its border that its filter reads
_BANDS = 4
_POWER = np.array([10, 1, 1, 1]) / 13  # of the bands of natural images
_GREY = np.array([1, 1, 1, 0]) / math.sqrt(3)  # the axis of grey colours


def draw(
    key: jax.Array,
    shape: Sequence[int],
    p: jax.Array | float,
    groups: Sequence[str],
    dtype: Any = jnp.float32,
) -> dict[str, jax.Array]:
    """{name: numbers [n, ...]} of the transformations of groups, those of no change where one does not happen.

    Args:
        key: of all draws; a group's do not depend on which others there are.
        shape: of the images, [n, h, w, c].
        p: the probability of each; above 1 all happen.
        groups: names of `GROUPS`.
        dtype: of the numbers.

    Returns:
        Of blit "flip" (0 or 1), "turns" (quarter turns) and "shift" [n, 2] (x and y, shares of the sides, of which
        whole pixels are made); of geom "scale", "before" and "after" (rotations around the next), "stretch" and "move"
        [n, 2]; of color "brightness", "contrast", "invert" (0 or 1), "hue" and "saturation"; of filter "gains" [n, 4];
        of noise "noise" [n, h, w, c]; of cutout "hole" [n, 3] (its centre, x and y, and its side).
    """
    n, made = shape[0], {}
    keys: Any = iter(())

    def uniform(*size: int) -> jax.Array:
        return jax.random.uniform(next(keys), (n, *size), dtype)

    def normal(*size: int) -> jax.Array:
        return jax.random.normal(next(keys), (n, *size), dtype)

    def maybe(value: jax.Array, otherwise: float, q: jax.Array | float = p) -> jax.Array:
        happens = uniform().reshape(-1, *[1] * (value.ndim - 1)) < q
        return jnp.where(happens, value, jnp.asarray(otherwise, dtype))

    for k, group in enumerate(GROUPS):
        if group not in groups:
            continue
        keys = iter(jax.random.split(jax.random.fold_in(key, k), 12))
        if group == "blit":
            made["flip"] = maybe(jnp.floor(2 * uniform()), 0)
            made["turns"] = maybe(jnp.floor(4 * uniform()), 0)
            made["shift"] = maybe((2 * uniform(2) - 1) / 8, 0)
        elif group == "geom":
            # So that one of the two rotations at least happens with probability p.
            once = 1 - jnp.sqrt(jnp.clip(1 - jnp.asarray(p, dtype), 0, 1))
            made["scale"] = maybe(jnp.exp2(0.2 * normal()), 1)
            made["before"] = maybe((2 * uniform() - 1) * math.pi, 0, once)
            made["stretch"] = maybe(jnp.exp2(0.2 * normal()), 1)
            made["after"] = maybe((2 * uniform() - 1) * math.pi, 0, once)
            made["move"] = maybe(normal(2) / 8, 0)
        elif group == "color":
            made["brightness"] = maybe(0.2 * normal(), 0)
            made["contrast"] = maybe(jnp.exp2(0.5 * normal()), 1)
            made["invert"] = maybe(jnp.floor(2 * uniform()), 0)
            made["hue"] = maybe((2 * uniform() - 1) * math.pi, 0)
            made["saturation"] = maybe(jnp.exp2(normal()), 1)
        elif group == "filter":
            made["gains"] = jnp.stack([maybe(jnp.exp2(normal()), 1) for _ in range(_BANDS)], 1)
        elif group == "noise":
            sigma = maybe(0.1 * jnp.abs(normal()), 0)
            made["noise"] = sigma[:, None, None, None] * normal(*shape[1:])
        else:
            made["hole"] = jnp.concatenate([uniform(2), maybe(jnp.full((n, 1), 0.5, dtype), 0)], 1)
    return made


def transform(images: jax.Array, drawn: dict[str, jax.Array]) -> jax.Array:
    """Images [n, h, w, c] transformed as `draw` says, in the order of `GROUPS`.

    Raises:
        jgan.UserError: colours are to be transformed, and there are neither one nor three channels.
    """
    height, width = images.shape[1:3]
    # A GPU's short products would be off by a tenth of a pixel.
    with jax.default_matmul_precision("highest"):
        if "flip" in drawn or "scale" in drawn:
            images = resampled(images, _matrix(drawn, width, height))
        if "brightness" in drawn:
            images = _coloured(images, drawn)
        if "gains" in drawn:
            images = _amplified(images, drawn["gains"])
    if "noise" in drawn:
        images = images + drawn["noise"]
    if "hole" in drawn:
        x, y, side = (drawn["hole"][:, k, None] for k in range(3))
        apart_x = jnp.abs((jnp.arange(width) + 0.5) / width - x) >= side / 2
        apart_y = jnp.abs((jnp.arange(height) + 0.5) / height - y) >= side / 2
        images = images * (apart_y[:, :, None, None] | apart_x[:, None, :, None])
    return images


def _matrix(drawn: dict[str, jax.Array], width: int, height: int) -> jax.Array:
    """[n, 3, 3], from a pixel (x, y, 1) of the result to its place; both are counted from the centre."""
    some = next(iter(drawn.values()))
    found = jnp.broadcast_to(jnp.eye(3, dtype=some.dtype), (some.shape[0], 3, 3))
    if "flip" in drawn:
        shift = jnp.round(drawn["shift"] * jnp.asarray([width, height], some.dtype))
        found = found @ _scaling(1 - 2 * drawn["flip"], jnp.ones_like(drawn["flip"]))
        found = found @ _rotation(drawn["turns"] * (math.pi / 2)) @ _moving(-shift)
    if "scale" in drawn:
        found = found @ _scaling(1 / drawn["scale"], 1 / drawn["scale"]) @ _rotation(drawn["before"])
        found = found @ _scaling(1 / drawn["stretch"], drawn["stretch"]) @ _rotation(drawn["after"])
        found = found @ _moving(-drawn["move"] * jnp.asarray([width, height], some.dtype))
    return found


def _scaling(x: jax.Array, y: jax.Array) -> jax.Array:
    zero, one = jnp.zeros_like(x), jnp.ones_like(x)
    return _rows([x, zero, zero], [zero, y, zero], [zero, zero, one])


def _rotation(angle: jax.Array) -> jax.Array:
    c, s, zero, one = jnp.cos(angle), jnp.sin(angle), jnp.zeros_like(angle), jnp.ones_like(angle)
    return _rows([c, -s, zero], [s, c, zero], [zero, zero, one])


def _moving(by: jax.Array) -> jax.Array:
    zero, one = jnp.zeros_like(by[:, 0]), jnp.ones_like(by[:, 0])
    return _rows([one, zero, by[:, 0]], [zero, one, by[:, 1]], [zero, zero, one])


def _rows(*rows: list[jax.Array]) -> jax.Array:
    return jnp.stack([jnp.stack(row, -1) for row in rows], -2)


def resampled(images: jax.Array, matrix: jax.Array) -> jax.Array:
    """Images [n, h, w, c] whose every pixel is that at the place [n, 3, 3] of it, without aliasing."""
    h, w = images.shape[1:3]
    large = _filtered(images, _enlarging(h), _enlarging(w))
    # On the two enlarged grids: pixels of the result, with those that its filter reads beyond it, and their places. A
    # pixel of 0 lies half a pixel beside that of the grid before.
    y, x = (jnp.arange(2 * (side + 2 * _REACH)) + (0.5 - side - 2 * _REACH) for side in (h, w))
    x, y = (x + 0.5) / 2, (y[:, None] + 0.5) / 2
    rows = (matrix[:, k, :, None, None].astype(images.dtype) for k in (0, 1))
    at_x, at_y = (2 * (m[:, 0] * x + m[:, 1] * y + m[:, 2]) - 0.5 for m in rows)
    seen = _looked_up(large, at_y + (large.shape[1] - 1) / 2, at_x + (large.shape[2] - 1) / 2)
    return _filtered(seen, _shrinking(h), _shrinking(w))


def _looked_up(images: jax.Array, y: jax.Array, x: jax.Array) -> jax.Array:
    """Images [n, h, w, c] at the places y, x [n, p, q], in pixels: linear between four, 0 outside: [n, p, q, c]."""
    n, h, w, c = images.shape
    top, left = jnp.floor(y), jnp.floor(x)
    inside = (top >= -1) & (top < h) & (left >= -1) & (left < w)
    below, right = y - top, x - left
    flat = jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0))).reshape(n, -1, c)
    first = ((jnp.clip(top, -1, h - 1) + 1) * (w + 2) + jnp.clip(left, -1, w - 1) + 1).astype(jnp.int32)
    take = jax.vmap(lambda pixels, at: pixels.at[at].get(mode="promise_in_bounds"))
    return sum(
        jnp.where(inside, share_y * share_x, 0)[..., None] * take(flat, first + down * (w + 2) + across)
        for down, share_y in enumerate((1 - below, below))
        for across, share_x in enumerate((1 - right, right))
    )


def _filtered(images: jax.Array, vertical: Any, horizontal: Any) -> jax.Array:
    """Images [n, h, w, c] times a matrix for each axis, [h', h] and [w', w], or one [n, ...] for each image."""
    for matrix, axis in ((vertical, "h"), (horizontal, "w")):
        matrix = jnp.asarray(matrix, images.dtype)
        by = "nxh" if matrix.ndim == 3 else "xh"
        by, to = by.replace("h", axis), "nhwc".replace(axis, "x")
        images = jnp.einsum(f"{by},nhwc->{to}", matrix, images)
    return images


@functools.cache
def _enlarging(side: int) -> np.ndarray:
    """[6 side - 4, side]: mirrors at both ends, then y[m] = 2 sum_k f[k] z[m + 5 - k] of z[2i] = x[i], 0 outside."""
    mirrored = np.pad(np.eye(side), ((side - 1, side - 1), (0, 0)), mode="reflect")
    apart = np.zeros((2 * len(mirrored) + 11, side))
    apart[6:-5:2] = mirrored
    return sum(2 * tap * apart[11 - k :][: 2 * len(mirrored)] for k, tap in enumerate(_TAPS))


@functools.cache
def _shrinking(side: int) -> np.ndarray:
    """[side, 2 side + 12]: y[i] = sum_k f[k] x[1 + 2i + k], the filter of `_enlarging` turned round."""
    made = np.zeros((side, 2 * (side + 2 * _REACH)))
    for k, tap in enumerate(_TAPS):
        made[np.arange(side), 1 + k + 2 * np.arange(side)] = tap
    return made


@functools.cache
def _bands(side: int) -> np.ndarray:
    """[4, side, side]: mirrors at both ends, then keeps the lowest frequencies or one of three octaves of them."""
    low = np.array(_SYM2)
    high = low * (1, -1, 1, -1)
    low, high = (np.convolve(x, x[::-1]) / 2 for x in (low, high))
    bank = np.eye(_BANDS, 1)
    for k in range(1, _BANDS):
        apart = np.zeros((_BANDS, 2 * bank.shape[1] - 1))
        apart[:, ::2] = bank
        bank = np.stack([np.convolve(x, low) for x in apart])
        middle = bank.shape[1] // 2
        bank[k, middle - 3 : middle + 4] += high
    reach = bank.shape[1] // 2
    mirrored = np.pad(np.eye(side), ((reach, reach), (0, 0)), mode="reflect")
    return np.stack([sum(tap * mirrored[k:][:side] for k, tap in enumerate(x)) for x in bank])


def _amplified(images: jax.Array, gains: jax.Array) -> jax.Array:
    """Images with each of their bands of frequencies amplified, so that the power that is expected of them stays."""
    kept = jnp.ones_like(gains)
    for k in range(_BANDS):
        one = jnp.ones_like(gains).at[:, k].set(gains[:, k])
        power = jnp.sum(jnp.asarray(_POWER, gains.dtype) * jnp.square(one), 1, keepdims=True)
        kept = kept * one * lax.rsqrt(power)
    sides = (jnp.asarray(_bands(side), images.dtype) for side in images.shape[1:3])
    return _filtered(images, *(jnp.einsum("nb,bxy->nxy", kept, bands) for bands in sides))


def _coloured(images: jax.Array, drawn: dict[str, jax.Array]) -> jax.Array:
    """Images with other colours: brightness, contrast, inverted luma, turned hue and saturation, as one matrix."""
    dtype, channels = images.dtype, images.shape[3]
    if channels not in (1, 3):
        raise jgan.UserError(
            f"augment.policy: color is for images with 1 or 3 channels, not {channels}: bg would work."
        )
    one, grey = jnp.eye(4, dtype=dtype), jnp.asarray(np.outer(_GREY, _GREY), dtype)
    # v x u = turn @ u for the axis v.
    v = _GREY[0]
    turn = jnp.asarray([[0, -v, v, 0], [v, 0, -v, 0], [-v, v, 0, 0], [0, 0, 0, 0]], dtype)
    colours = jnp.asarray(np.diag([1, 1, 1, 0]), dtype) - grey  # across the axis
    last = one - jnp.asarray(np.diag([1, 1, 1, 0]), dtype)
    b, c, i, hue, s = (
        drawn[name][:, None, None] for name in ("brightness", "contrast", "invert", "hue", "saturation")
    )
    shift = jnp.asarray(np.outer([1, 1, 1, 0], [0, 0, 0, 1]), dtype)
    m = (c * (one - last) + last) @ (one + b * shift)
    m = (one - 2 * i * grey) @ m
    m = (grey + jnp.cos(hue) * colours + jnp.sin(hue) * turn + last) @ m
    m = (grey + s * colours + last) @ m
    if channels == 1:
        m = jnp.mean(m[:, :3], 1, keepdims=True)
        return images * jnp.sum(m[:, :, :3], 2)[:, None, None] + m[:, None, None, :, 3]
    return jnp.einsum("nhwc,ndc->nhwd", images, m[:, :3, :3]) + m[:, None, None, :3, 3]
