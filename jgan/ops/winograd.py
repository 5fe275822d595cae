"""Convolution 3x3 of stride 1 by the minimal filtering of Winograd: four ninths of the multiplications.

Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2016), section 4.1, F(2x2, 3x3). The small image
is cut into tiles of 2x2 pixels, the big one into tiles of 4x4 that overlap by two. With the matrices below the
trilinear form of `jgan.ops.conv` is, summed over tiles,

    T(big, small, kernel) = sum over the 4x4 positions of (B' big B) * (A small A') * (G kernel G')

with products of channels where * stands. So each of its three sides transforms its two operands, contracts them
position by position in 16 matrix products, and applies the transposed transform of the third. Additions dominate its
rounding error, which is about twice that of the direct products in float32.
"""

from jax import lax
import jax.numpy as jnp

from jgan.ops import order

# Rows are positions; columns pixels of a big tile, pixels of a small tile, taps.
_B = ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, -1, 0, 1))
_A = ((1, 0), (1, 1), (1, -1), (0, 1))
_G = ((1, 0, 0), (1, 1, 1), (1, -1, 1), (0, 0, 1))
_SCALES = (1, 0.5, 0.5, 1)  # of the rows of G: powers of two, exact wherever they are multiplied


def pays(shape, channels, dtype):
    """Whether `evaluate` takes these operands and the products that it saves outweigh its transforms."""
    return (
        shape.kernel == (3, 3)
        and shape.stride == (1, 1)
        and min(shape.small) >= 24  # with fewer, transforms of the kernel eat up the gain
        and min(channels) >= 32
        and dtype.itemsize >= 4  # bfloat16 has no bits to lose
    )


def evaluate(first, second, *, out, shape):
    """One side of the trilinear form as `conv_products.evaluate` has it, for a 3x3 kernel and stride 1."""
    return _SIDES[out](first, second, shape)


def _small(big, kernel, shape):
    products = [
        _contract(x, k, 1, 0 if shape.big_first else 1)
        for x, k in zip(_from_big(big, shape), _from_kernel(kernel), strict=True)
    ]
    return _to_small(products, big.shape[0], shape)


def _big(small, kernel, shape):
    kernel = order.later(kernel, small)
    products = [
        _contract(x, k, 1, 1 if shape.big_first else 0)
        for x, k in zip(_from_small(small, shape), _from_kernel(kernel), strict=True)
    ]
    return _to_big(products, small.shape[0], shape)


def _kernel(big, small, shape):
    big = order.later(big, small)
    pairs = zip(_from_big(big, shape), _from_small(small, shape), strict=True)
    products = [_contract(b, s, 0, 0) if shape.big_first else _contract(s, b, 0, 0) for b, s in pairs]
    return _to_kernel(products)


_SIDES = {"small": _small, "big": _big, "kernel": _kernel}


def _contract(x, y, axis, by):
    return lax.dot_general(x, y, (((axis,), (by,)), ((), ())))


# To positions: 16 matrices [tiles, channels] or [channels, channels].


def _from_big(big, shape):
    (h, w), (top, left) = _tiles(shape), shape.pad
    pads = ((top, 2 * h + 2 - top - big.shape[1], 0), (left, 2 * w + 2 - left - big.shape[2], 0))
    big = _pad(big, *pads)
    pixels = [[big[:, i : i + 2 * h : 2, j : j + 2 * w : 2] for j in range(4)] for i in range(4)]
    return [x.reshape(-1, x.shape[3]) for x in _transform(pixels, _B)]


def _from_small(small, shape):
    h, w = _tiles(shape)
    small = _pad(small, (0, 2 * h - small.shape[1], 0), (0, 2 * w - small.shape[2], 0))
    pixels = [[small[:, i::2, j::2] for j in range(2)] for i in range(2)]
    return [x.reshape(-1, x.shape[3]) for x in _transform(pixels, _A)]


def _from_kernel(kernel):
    return _scaled(_transform(kernel, _G))


def _scaled(positions):
    """Each position by its two scales: once, where in G they would stand before every tap."""
    scales = [a * b for a in _SCALES for b in _SCALES]
    return [x if scale == 1 else x * scale for x, scale in zip(positions, scales, strict=True)]


# Back from positions, by the transposed transforms.


def _to_small(products, n, shape):
    h, w = _tiles(shape)
    grid = _grid([x.reshape(n, h, w, -1) for x in products])
    (a, b), (c, d) = _rows(_transform(grid, _transposed(_A)), 2)
    small = jnp.stack([jnp.stack([a, b], 3), jnp.stack([c, d], 3)], 2)
    return small.reshape(n, 2 * h, 2 * w, -1)[:, : shape.small[0], : shape.small[1]]


def _to_big(products, n, shape):
    """Tiles overlap by two pixels: each adds its last two rows and columns to the first two of the next."""
    h, w = _tiles(shape)
    rows = []
    for line in _grid([x.reshape(n, h, w, -1) for x in products]):
        pixels = [_combine(line, column) for column in _transposed(_B)]
        even, odd = (
            _pad(pixels[k], (0, 0, 0), (0, 1, 0)) + _pad(pixels[k + 2], (0, 0, 0), (1, 0, 0)) for k in (0, 1)
        )
        # As an array of its own: fused into what follows, every sum would be made again for each of its readers.
        rows.append(lax.optimization_barrier(jnp.stack([even, odd], 3)).reshape(n, h, 2 * w + 2, -1))
    pixels = [_combine(rows, column) for column in _transposed(_B)]
    even, odd = (_pad(pixels[k], (0, 1, 0)) + _pad(pixels[k + 2], (1, 0, 0)) for k in (0, 1))
    big = jnp.stack([even, odd], 2).reshape(n, 2 * h + 2, 2 * w + 2, -1)
    cuts = [
        (-p, size + p - extent, 0)
        for p, size, extent in zip(shape.pad, shape.big, big.shape[1:3], strict=True)
    ]
    return _pad(big, *cuts)


def _to_kernel(products):
    kernel = _transform(_grid(_scaled(products)), _transposed(_G))
    return jnp.stack(kernel).reshape(3, 3, *kernel[0].shape)


def _tiles(shape):
    return [-(-size // 2) for size in shape.small]


def _transform(x, matrix):
    """matrix x matrix', of a nested list x of arrays: a list, row by row."""
    rows = [[_combine(column, line) for column in zip(*x, strict=True)] for line in matrix]
    return [_combine(row, line) for row in rows for line in matrix]


def _combine(arrays, weights):
    """The sum of arrays with weights 1, 0 and -1, of which some 1 stands first."""
    first = weights.index(1)
    total = arrays[first]
    for k, (x, weight) in enumerate(zip(arrays, weights, strict=True)):
        if weight and k != first:
            total = total + x if weight > 0 else total - x
    return total


def _transposed(matrix):
    return tuple(zip(*matrix, strict=True))


def _grid(positions):
    return _rows(positions, 4)


def _rows(x, count):
    return [x[k : k + count] for k in range(0, len(x), count)]


def _pad(x, rows, columns=(0, 0, 0)):
    """Zeros before, behind (or pixels cut off) and between rows and columns of [n, h, w, c]."""
    return lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), rows, columns, (0, 0, 0)))
