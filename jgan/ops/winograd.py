"""Convolution 3x3 of stride 1 by the minimal filtering of Winograd: four ninths of the multiplications.

Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2016), section 4.1, F(2x2, 3x3). The small image
is cut into tiles of 2x2 pixels, the big one into tiles of 4x4 that overlap by two. With the matrices below the
trilinear form of `jgan.ops.conv` is, summed over tiles,

    T(big, small, kernel) = sum over the 4x4 positions of (B' big B) * (A small A') * (G kernel G')

with products of channels where * stands. So each of its three sides transforms its two operands, contracts them
position by position in a batch of 16 matrix products, and applies the transposed transform of the third. Additions
dominate its rounding error, which is about twice that of the direct products in float32.

A transform goes along one axis after the other and leaves the positions of both in front, by one operation each.
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
    products = _contract(_from_big(big, shape), _from_kernel(kernel), 2, 1 if shape.big_first else 2)
    return _to_small(products, big.shape[0], shape)


def _big(small, kernel, shape):
    kernel = order.later(kernel, small)
    products = _contract(_from_small(small, shape), _from_kernel(kernel), 2, 2 if shape.big_first else 1)
    return _to_big(products, small.shape[0], shape)


def _kernel(big, small, shape):
    big = order.later(big, small)
    big, small = _from_big(big, shape), _from_small(small, shape)
    return _to_kernel(_contract(big, small, 1, 1) if shape.big_first else _contract(small, big, 1, 1))


_SIDES = {"small": _small, "big": _big, "kernel": _kernel}


def _contract(x, y, axis, by):
    return lax.dot_general(x, y, (((axis,), (by,)), ((0,), (0,))))


# To positions: [16, tiles, channels] or [16, channels, channels].


def _from_big(big, shape):
    (h, w), (top, left) = _tiles(shape), shape.pad
    pads = ((top, 2 * h + 2 - top - big.shape[1], 0), (left, 2 * w + 2 - left - big.shape[2], 0))
    rows = _positions(_parts(_pad(big, *pads), 1, 4, h), _B)
    return _positions(_parts(rows, 3, 4, w), _B).reshape(16, -1, big.shape[3])


def _from_small(small, shape):
    h, w = _tiles(shape)
    small = _pad(small, (0, 2 * h - small.shape[1], 0), (0, 2 * w - small.shape[2], 0))
    rows = _positions(_parts(small, 1, 2, h), _A)
    return _positions(_parts(rows, 3, 2, w), _A).reshape(16, -1, small.shape[3])


def _from_kernel(kernel):
    rows = _positions(kernel, _G)
    columns = _positions([rows[:, k] for k in range(3)], _G)
    return _scaled(columns).reshape(16, *kernel.shape[2:])


def _scaled(x):
    """[4, 4, ...] each position by its two scales: once, where in G they would stand before every tap."""
    scales = jnp.asarray(_SCALES, x.dtype)
    return x * (scales[:, None] * scales)[:, :, None, None]


def _parts(x, axis, size, count):
    """Of `count` tiles at every second pixel the first pixel, the second and so on: a list of `size` arrays."""
    return [lax.slice_in_dim(x, k, k + 2 * count - 1, 2, axis) for k in range(size)]


# Back from positions, by the transposed transforms.


def _to_small(products, n, shape):
    h, w = _tiles(shape)

    def along(x, axis):
        x = jnp.stack(_combined(x, _A), axis + 1)
        return x.reshape(*x.shape[:axis], -1, *x.shape[axis + 2 :])

    # An array of its own: fused into what follows, every sum would be made again for each of its readers.
    rows = lax.optimization_barrier(along(products.reshape(4, 4, n, h, w, -1), 3))
    return along(rows, 1)[:, : shape.small[0], : shape.small[1]]


def _to_big(products, n, shape):
    """Tiles overlap by two pixels: each adds its last two rows and columns to the first two of the next."""
    h, w = _tiles(shape)

    def along(x, axis):
        def shifted(part, before, after):
            return _pad(
                part, *((before, after, 0) if k == axis else (0, 0, 0) for k in range(1, part.ndim - 1))
            )

        pixels = _combined(x, _B)
        x = jnp.stack([shifted(pixels[k], 0, 1) + shifted(pixels[k + 2], 1, 0) for k in (0, 1)], axis + 1)
        return x.reshape(*x.shape[:axis], -1, *x.shape[axis + 2 :])

    big = along(lax.optimization_barrier(along(products.reshape(4, 4, n, h, w, -1), 3)), 1)
    cuts = [
        (-p, size + p - extent, 0)
        for p, size, extent in zip(shape.pad, shape.big, big.shape[1:3], strict=True)
    ]
    return _pad(big, *cuts)


def _to_kernel(products):
    products = _scaled(products.reshape(4, 4, *products.shape[1:]))
    return jnp.stack(_combined(jnp.stack(_combined(products, _G), 1), _G))


def _tiles(shape):
    return [-(-size // 2) for size in shape.small]


def _positions(parts, matrix):
    """[4, ...]: the matrix times a list of arrays."""
    return jnp.stack([_combine(parts, line) for line in matrix])


def _combined(positions, matrix):
    """A list of arrays: the transposed matrix times [4, ...]."""
    return [_combine(positions, column) for column in zip(*matrix, strict=True)]


def _combine(arrays, weights):
    """The sum of arrays with weights 1, 0 and -1, of which some 1 stands first."""
    first = weights.index(1)
    total = arrays[first]
    for k, weight in enumerate(weights):
        if weight and k != first:
            total = total + arrays[k] if weight > 0 else total - arrays[k]
    return total


def _pad(x, *sides):
    """Zeros before, behind (or pixels cut off) and between, of all axes but the first and the last."""
    return lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), *sides, (0, 0, 0)))
