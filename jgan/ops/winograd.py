"""Convolution 3x3 or 4x4 of stride 1 by the minimal filtering of Winograd: 4/9 or 25/64 of the multiplications.

Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2016), section 4.1, F(2x2, 3x3), and F(2x2, 4x4) of
the same kind. The small image is cut into tiles of 2x2 pixels, the big one into tiles of p x p, which is 4x4 or 5x5, at
every second pixel. With the matrices below the trilinear form of `jgan.ops.conv` is, summed over tiles,

    T(big, small, kernel) = sum over the p x p positions of (B' big B) * (A small A') * (G kernel G')

with products of channels where * stands. So each of its three sides transforms its two operands, contracts them
position by position in a batch of matrix products, and applies the transposed transform of the third. In float32 its
rounding error is about twice that of the direct products for 3x3 and five times for 4x4.

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


# By the length of the kernel. Toom and Cook's: small and kernel are polynomials, whose product is known by its values
# at 0, 1, -1, (2) and infinity; B' has the coefficients of Lagrange's polynomials.
_MATRICES = {
    3: _Matrices(
        ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, -1, 0, 1)),
        ((1, 0), (1, 1), (1, -1), (0, 1)),
        ((1, 0, 0), (1, 1, 1), (1, -1, 1), (0, 0, 1)),
        (1, 1 / 2, 1 / 2, 1),
    ),
    4: _Matrices(
        ((2, -1, -2, 1, 0), (0, -2, -1, 1, 0), (0, 2, -3, 1, 0), (0, -1, 0, 1, 0), (0, 2, -1, -2, 1)),
        ((1, 0), (1, 1), (1, -1), (1, 2), (0, 1)),
        ((1, 0, 0, 0), (1, 1, 1, 1), (1, -1, 1, -1), (1, 2, 4, 8), (0, 0, 0, 1)),
        (1 / 2, -1 / 2, -1 / 6, 1 / 6, 1),
    ),
}


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
    return _SIDES[out](first, second, shape)


def _small(big, kernel, shape):
    products = _contract(_from_big(big, shape), _from_kernel(kernel), 2, 1 if shape.big_first else 2)
    return _to_small(products, big.shape[0], shape)


def _big(small, kernel, shape):
    kernel = order.later(kernel, small)
    products = _contract(_from_small(small, shape), _from_kernel(kernel), 2, 2 if shape.big_first else 1)
    return _to_big(products, small.shape[0], shape)


def _kernel(big, small, shape):
    big = order.later(big, small)
    big, small = _from_big(big, shape), _from_small(small, shape)
    products = _contract(big, small, 1, 1) if shape.big_first else _contract(small, big, 1, 1)
    return _to_kernel(products, shape)


_SIDES = {"small": _small, "big": _big, "kernel": _kernel}


def _contract(x, y, axis, by):
    return lax.dot_general(x, y, (((axis,), (by,)), ((0,), (0,))))


# To positions: [p * p, tiles, channels] or [p * p, channels, channels].


def _from_big(big, shape):
    (h, w), (top, left) = _tiles(shape), shape.pad
    matrix = _matrices(shape).big
    more = len(matrix) - 2
    pads = ((top, 2 * h + more - top - big.shape[1], 0), (left, 2 * w + more - left - big.shape[2], 0))
    rows = _positions(_parts(_pad(big, *pads), 1, len(matrix), h), matrix)
    return _flat(_positions(_parts(rows, 3, len(matrix), w), matrix))


def _from_small(small, shape):
    h, w = _tiles(shape)
    matrix = _matrices(shape).small
    small = _pad(small, (0, 2 * h - small.shape[1], 0), (0, 2 * w - small.shape[2], 0))
    rows = _positions(_parts(small, 1, 2, h), matrix)
    return _flat(_positions(_parts(rows, 3, 2, w), matrix))


def _from_kernel(kernel):
    matrices = _MATRICES[len(kernel)]
    rows = _positions(kernel, matrices.kernel)
    columns = _positions([rows[:, k] for k in range(len(kernel))], matrices.kernel)
    return _scaled(columns, matrices).reshape(-1, *kernel.shape[2:])


def _scaled(x, matrices):
    """[p, p, ...] each position by its two scales: once, where in G they would stand before every tap."""
    scales = jnp.asarray(matrices.scales, x.dtype)
    return x * (scales[:, None] * scales)[:, :, None, None]


def _flat(x):
    """[p * p, tiles, channels] of [p, p, ..., channels]."""
    return x.reshape(x.shape[0] * x.shape[1], -1, x.shape[-1])


def _unflat(products, n, shape):
    """[p, p, n, rows and columns of tiles, channels] of [p * p, tiles, channels]."""
    count = len(_matrices(shape).big)
    return products.reshape(count, count, n, *_tiles(shape), -1)


def _parts(x, axis, size, count):
    """Of `count` tiles at every second pixel the first pixel, the second and so on: a list of `size` arrays."""
    return [lax.slice_in_dim(x, k, k + 2 * count - 1, 2, axis) for k in range(size)]


# Back from positions, by the transposed transforms.


def _to_small(products, n, shape):
    matrix = _matrices(shape).small

    def along(x, axis):
        x = jnp.stack(_combined(x, matrix), axis + 1)
        return x.reshape(*x.shape[:axis], -1, *x.shape[axis + 2 :])

    # An array of its own: fused into what follows, every sum would be made again for each of its readers.
    rows = lax.optimization_barrier(along(_unflat(products, n, shape), 3))
    return along(rows, 1)[:, : shape.small[0], : shape.small[1]]


def _to_big(products, n, shape):
    """Tiles begin at every second pixel: what is beyond their first two is added to the tiles behind."""
    matrix = _matrices(shape).big
    behind = (len(matrix) - 1) // 2

    def along(x, axis):
        def shifted(part, before, after):
            return _pad(
                part, *((before, after, 0) if k == axis else (0, 0, 0) for k in range(1, part.ndim - 1))
            )

        def pixels(first):
            return sum(shifted(part, k, behind - k) for k, part in enumerate(_combined(x, matrix)[first::2]))

        x = jnp.stack([pixels(0), pixels(1)], axis + 1)
        return x.reshape(*x.shape[:axis], -1, *x.shape[axis + 2 :])

    big = along(lax.optimization_barrier(along(_unflat(products, n, shape), 3)), 1)
    cuts = [
        (-p, size + p - extent, 0)
        for p, size, extent in zip(shape.pad, shape.big, big.shape[1:3], strict=True)
    ]
    return _pad(big, *cuts)


def _to_kernel(products, shape):
    matrices = _matrices(shape)
    count = len(matrices.kernel)
    products = _scaled(products.reshape(count, count, *products.shape[1:]), matrices)
    return jnp.stack(_combined(jnp.stack(_combined(products, matrices.kernel), 1), matrices.kernel))


def _matrices(shape):
    return _MATRICES[shape.kernel[0]]


def _tiles(shape):
    return [-(-size // 2) for size in shape.small]


def _positions(parts, matrix):
    """[p, ...]: the matrix times a list of arrays."""
    return jnp.stack([_combine(parts, line) for line in matrix])


def _combined(positions, matrix):
    """A list of arrays: the transposed matrix times [p, ...]."""
    return [_combine(positions, column) for column in zip(*matrix, strict=True)]


def _combine(arrays, weights):
    """The sum of arrays with whole numbers as weights, positive ones first: no sign is changed where one is there."""
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
