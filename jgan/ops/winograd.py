"""Convolution 3x3 or 4x4 of stride 1 by the minimal filtering of Winograd: down to a quarter of the multiplications.

Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2016), section 4.1: F(2x2, 3x3) and others of its
kind. The small image is cut into tiles of m x m pixels, the big one into tiles of p x p that begin at every m-th pixel,
p being m and the length of the kernel less 1. With matrices A, B and G the trilinear form of `jgan.ops.conv` is, summed
over tiles,

    T(big, small, kernel) = sum over the p x p positions of (B' big B) * (A small A') * (G kernel G')

with products of channels where * stands. So each of its three sides transforms its two operands, contracts them
position by position in a batch of matrix products, and applies the transposed transform of the third. In float32 its
rounding error is two to five times that of the direct products.

A transform goes along one axis after the other and leaves the positions of both in front, by one operation each.
"""

from typing import NamedTuple

from jax import lax
import jax.numpy as jnp

from jgan.ops import order


class _Matrices(NamedTuple):
    """Rows are positions; columns pixels of a big tile, pixels of a small tile, taps."""

    big: tuple
    small: tuple
    kernel: tuple
    scales: tuple  # of the rows of `kernel`, which would else stand before every tap

    @property
    def tile(self):
        """The side m of a tile of the small image."""
        return len(self.small[0])


# Pixels of all small images from which 3x3 goes by tiles of 4x4: with fewer, transforms of the kernel eat up the gain.
_MANY_PIXELS = 2048

# Toom and Cook's: small and kernel are polynomials, whose product is known by its values at so many points; B' has the
# coefficients of Lagrange's polynomials. Points are 0, 1, -1, then 2, or 1/2 and -2 (Barabasz, Anderson, Soodhalter and
# Gregg, "Error Analysis and Improving the Accuracy of Winograd Convolution", 2020), and infinity.
_F23 = _Matrices(
    ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, -1, 0, 1)),
    ((1, 0), (1, 1), (1, -1), (0, 1)),
    ((1, 0, 0), (1, 1, 1), (1, -1, 1), (0, 0, 1)),
    (1, 1 / 2, 1 / 2, 1),
)
_F43 = _Matrices(
    (
        (1, -3 / 2, -2, 3 / 2, 1, 0),
        (0, -1, 1 / 2, 5 / 2, 1, 0),
        (0, 1, -5 / 2, 1 / 2, 1, 0),
        (0, -2, -1, 2, 1, 0),
        (0, 1 / 2, -1, -1 / 2, 1, 0),
        (0, 1, -3 / 2, -2, 3 / 2, 1),
    ),
    ((1, 0, 0, 0), (1, 1, 1, 1), (1, -1, 1, -1), (1, 1 / 2, 1 / 4, 1 / 8), (1, -2, 4, -8), (0, 0, 0, 1)),
    ((1, 0, 0), (1, 1, 1), (1, -1, 1), (1, 1 / 2, 1 / 4), (1, -2, 4), (0, 0, 1)),
    (1, 1 / 3, -1 / 3, -16 / 15, 1 / 15, 1),
)
_F24 = _Matrices(
    ((2, -1, -2, 1, 0), (0, -2, -1, 1, 0), (0, 2, -3, 1, 0), (0, -1, 0, 1, 0), (0, 2, -1, -2, 1)),
    ((1, 0), (1, 1), (1, -1), (1, 2), (0, 1)),
    ((1, 0, 0, 0), (1, 1, 1, 1), (1, -1, 1, -1), (1, 2, 4, 8), (0, 0, 0, 1)),
    (1 / 2, -1 / 2, -1 / 6, 1 / 6, 1),
)


def pays(shape, channels, dtype):
    """Whether `evaluate` takes these operands and the products that it saves outweigh its transforms."""
    if dtype.itemsize < 4 or shape.stride != (1, 1):  # bfloat16 has no bits to lose
        return False
    # With fewer pixels or channels, transforms eat up the gain.
    if shape.kernel == (3, 3):
        return min(shape.small) >= 24 and min(channels) >= 32
    return shape.kernel == (4, 4) and min(shape.small) >= 24 and min(channels) >= 128


def evaluate(first, second, *, out, shape):
    """One side of the trilinear form as `conv_products.evaluate` has it, for what `pays` describes."""
    return _SIDES[out](first, second, shape, _matrices(shape, first.shape[0]))


def _matrices(shape, n):
    """Those for n images."""
    if shape.kernel == (4, 4):
        return _F24
    return _F43 if n * shape.small[0] * shape.small[1] >= _MANY_PIXELS else _F23


def _small(big, kernel, shape, by):
    positions = _from_big(big, shape, by), _from_kernel(kernel, by)
    return _to_small(_contract(*positions, 2, 1 if shape.big_first else 2), big.shape[0], shape, by)


def _big(small, kernel, shape, by):
    kernel = order.later(kernel, small)
    positions = _from_small(small, shape, by), _from_kernel(kernel, by)
    return _to_big(_contract(*positions, 2, 2 if shape.big_first else 1), small.shape[0], shape, by)


def _kernel(big, small, shape, by):
    big = order.later(big, small)
    big, small = _from_big(big, shape, by), _from_small(small, shape, by)
    return _to_kernel(_contract(big, small, 1, 1) if shape.big_first else _contract(small, big, 1, 1), by)


_SIDES = {"small": _small, "big": _big, "kernel": _kernel}


def _contract(x, y, axis, other):
    return lax.dot_general(x, y, (((axis,), (other,)), ((0,), (0,))))


# To positions: [p * p, tiles, channels] or [p * p, channels, channels].


def _from_big(big, shape, by):
    (h, w), (top, left) = _tiles(shape, by), shape.pad
    m, p = by.tile, len(by.big)
    ends = m * (h - 1) + p, m * (w - 1) + p
    pads = ((top, ends[0] - top - big.shape[1], 0), (left, ends[1] - left - big.shape[2], 0))
    rows = _positions(_parts(_pad(big, *pads), 1, p, h, m), by.big)
    return _flat(_positions(_parts(rows, 3, p, w, m), by.big))


def _from_small(small, shape, by):
    (h, w), m = _tiles(shape, by), by.tile
    small = _pad(small, (0, m * h - small.shape[1], 0), (0, m * w - small.shape[2], 0))
    rows = _positions(_parts(small, 1, m, h, m), by.small)
    return _flat(_positions(_parts(rows, 3, m, w, m), by.small))


def _from_kernel(kernel, by):
    rows = _positions(kernel, by.kernel)
    columns = _positions([rows[:, k] for k in range(len(kernel))], by.kernel)
    return _scaled(columns, by).reshape(-1, *kernel.shape[2:])


def _scaled(x, by):
    """[p, p, ...] each position by its two scales: once, where in G they would stand before every tap."""
    scales = jnp.asarray(by.scales, x.dtype)
    return x * (scales[:, None] * scales)[:, :, None, None]


def _flat(x):
    """[p * p, tiles, channels] of [p, p, ..., channels]."""
    return x.reshape(x.shape[0] * x.shape[1], -1, x.shape[-1])


def _unflat(products, n, shape, by):
    """[p, p, n, rows and columns of tiles, channels] of [p * p, tiles, channels]."""
    return products.reshape(len(by.big), len(by.big), n, *_tiles(shape, by), -1)


def _parts(x, axis, size, count, step):
    """Of `count` tiles at every step-th pixel the first pixel, the second and so on: a list of `size` arrays."""
    return [lax.slice_in_dim(x, k, k + step * (count - 1) + 1, step, axis) for k in range(size)]


# Back from positions, by the transposed transforms.


def _to_small(products, n, shape, by):
    def along(x, axis):
        x = jnp.stack(_combined(x, by.small), axis + 1)
        return x.reshape(*x.shape[:axis], -1, *x.shape[axis + 2 :])

    # An array of its own: fused into what follows, every sum would be made again for each of its readers.
    rows = lax.optimization_barrier(along(_unflat(products, n, shape, by), 3))
    return along(rows, 1)[:, : shape.small[0], : shape.small[1]]


def _to_big(products, n, shape, by):
    """Tiles begin at every m-th pixel: what is beyond their first m is added to the tiles behind."""
    m = by.tile
    behind = (len(by.big) - 1) // m

    def along(x, axis):
        def shifted(part, before, after):
            return _pad(
                part, *((before, after, 0) if k == axis else (0, 0, 0) for k in range(1, part.ndim - 1))
            )

        parts = _combined(x, by.big)
        pixels = [
            sum(shifted(part, k, behind - k) for k, part in enumerate(parts[first::m])) for first in range(m)
        ]
        x = jnp.stack(pixels, axis + 1)
        return x.reshape(*x.shape[:axis], -1, *x.shape[axis + 2 :])

    big = along(lax.optimization_barrier(along(_unflat(products, n, shape, by), 3)), 1)
    cuts = [
        (-p, size + p - extent, 0)
        for p, size, extent in zip(shape.pad, shape.big, big.shape[1:3], strict=True)
    ]
    return _pad(big, *cuts)


def _to_kernel(products, by):
    products = _scaled(products.reshape(len(by.kernel), -1, *products.shape[1:]), by)
    return jnp.stack(_combined(jnp.stack(_combined(products, by.kernel), 1), by.kernel))


def _tiles(shape, by):
    """Rows and columns of tiles."""
    return [-(-size // by.tile) for size in shape.small]


def _positions(parts, matrix):
    """[p, ...]: the matrix times a list of arrays."""
    return jnp.stack([_combine(parts, line) for line in matrix])


def _combined(positions, matrix):
    """A list of arrays: the transposed matrix times [p, ...]."""
    return [_combine(positions, column) for column in zip(*matrix, strict=True)]


def _combine(arrays, weights):
    """The sum of weighted arrays, positive weights first: no sign is changed where one is there."""
    total = None
    for k in sorted((k for k, weight in enumerate(weights) if weight), key=lambda k: weights[k] < 0):
        size = abs(weights[k])
        term = arrays[k] if size == 1 else size * arrays[k]
        if total is None:
            total = term if weights[k] > 0 else -term
        else:
            total = total + term if weights[k] > 0 else total - term
    return total


def _pad(x, *sides):
    """Zeros before, behind (or pixels cut off) and between, of all axes but the first and the last."""
    return lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), *sides, (0, 0, 0)))
