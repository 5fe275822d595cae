"""Convolutions of constant planes: what a vector adds to a convolution when it is joined to the image's channels.

In the literature a code or a label is tiled over all pixels and joined to the channels of an image. Away from the
borders such a plane adds the same vector to every pixel; near them some taps of the kernel meet the zero padding
instead. Computing that sum directly saves a pass over all pixels, and the image keeps its own number of channels, for
which the convolution is fast.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np


def conv(
    values: jax.Array, kernel: jax.Array, height: int, width: int, stride: int = 1, padding: int = 0
) -> jax.Array:
    """The convolution [n, h', w', features] of planes of height x width pixels with zero padding on every side.

    Args:
        values: [n, m], what the planes hold.
        kernel: [kernel, kernel, m, features].
        height: of the planes.
        width: of the planes.
        stride: in pixels, along both axes.
        padding: in pixels, on every side.
    """
    by_tap = jnp.einsum("nm,yxmo->nyxo", values, kernel)
    for axis, size in ((1, height), (2, width)):
        by_tap = _over_taps(by_tap, axis, _runs(size, kernel.shape[0], stride, padding))
    return by_tap


def _over_taps(x: jax.Array, axis: int, runs: list[tuple[tuple[bool, ...], int]]) -> jax.Array:
    """Sums over an axis of taps, one for each pixel: [..., taps, ...] -> [..., pixels, ...]."""
    parts = []
    for taps, count in runs:
        first, last = taps.index(True), len(taps) - taps[::-1].index(True)
        total = jnp.sum(jax.lax.slice_in_dim(x, first, last, axis=axis), axis, keepdims=True)
        shape = [*x.shape[:axis], count, *x.shape[axis + 1 :]]
        parts.append(jnp.broadcast_to(total, shape))
    return jnp.concatenate(parts, axis)


def _runs(size: int, kernel: int, stride: int, padding: int) -> list[tuple[tuple[bool, ...], int]]:
    """The runs along a side: [(which taps meet the plane, for how many successive pixels of the output)]."""
    starts = np.arange((size + 2 * padding - kernel) // stride + 1) * stride - padding
    inside = [tuple(bool(0 <= start + tap < size) for tap in range(kernel)) for start in starts]
    return [(taps, len(list(pixels))) for taps, pixels in itertools.groupby(inside)]
