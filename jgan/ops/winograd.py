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

from collections.abc import Callable
from collections.abc import Sequence
from typing import NamedTuple

import jax
from jax import lax
import jax.numpy as jnp

from jgan.ops import order
from jgan.ops.geometry import Shape


class _Matrices(NamedTuple):
    """The matrices of one algorithm: rows are positions, columns are pixels of a big tile, of a small tile, or taps."""

    big: tuple[tuple[float, ...], ...]
    small: tuple[tuple[float, ...], ...]
    kernel: tuple[tuple[float, ...], ...]
    scales: tuple[float, ...]  # of the rows of `kernel`, which would otherwise stand before every tap

    @property
    def tile(self) -> int:
        """The side m of a tile of the small image."""
        return len(self.small[0])


# Pixels of all small images from which on 3x3 kernels use tiles of 4x4 pixels: with fewer, transforms of the kernel
# cost more than is gained.
_MANY_PIXELS = 2048
# Bytes of the positions of images that are transformed and multiplied together. All of many large images would pass
# through memory; in parts that one core's cache holds, the work of one is too little for two cores.
_CACHED = 2**23
# Up to so many parts are written out in the program instead of a loop, which copies its operands and results and whose
# turns cannot overlap.
_WRITTEN_OUT = 4

# The algorithm of Toom and Cook: small image and kernel are polynomials, whose product is known by its values at as
# many points as there are positions; B' has the coefficients of Lagrange's polynomials. Points are 0, 1, -1, then 2, or
# 1/2 and -2 (Barabasz, Anderson, Soodhalter and Gregg, "Error Analysis and Improving the Accuracy of Winograd
# Convolution", 2020), and infinity.
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


def pays(shape: Shape, n: int, channels: Sequence[int], dtype: jnp.dtype) -> bool:
    """Whether `evaluate` takes these operands of n images and the products that it saves outweigh its transforms."""
    if dtype.itemsize < 4 or shape.stride != (1, 1):  # bfloat16 has no bits to lose
        return False
    # With fewer pixels or channels, the transforms cost more than is gained.
    least, pixels = min(shape.small), n * shape.small[0] * shape.small[1]
    if shape.kernel == (3, 3):
        return least >= 24 and min(channels) >= 32 or least >= 8 and min(channels) >= 128 and pixels >= 1024
    return shape.kernel == (4, 4) and least >= 24 and min(channels) >= 128


def evaluate(first: jax.Array, second: jax.Array, *, out: str, shape: Shape) -> jax.Array:
    """One side of the trilinear form as `conv_products.evaluate` has it, for what `pays` describes."""
    return _SIDES[out](first, second, shape, _matrices(shape, first.shape[0]))


def _matrices(shape: Shape, n: int) -> _Matrices:
    """The matrices to use for n images."""
    if shape.kernel == (4, 4):
        return _F24
    return _F43 if n * shape.small[0] * shape.small[1] >= _MANY_PIXELS else _F23


def _small(big: jax.Array, kernel: jax.Array, shape: Shape, by: _Matrices) -> jax.Array:
    kernel = _from_kernel(kernel, by)

    def part(big: jax.Array) -> jax.Array:
        products = _contract(_from_big(big, shape, by), kernel, 2, 1 if shape.big_first else 2)
        return _to_small(products, big.shape[0], shape, by)

    return _by_parts(part, big, _images(big.shape[0], kernel, shape, by))


def _big(small: jax.Array, kernel: jax.Array, shape: Shape, by: _Matrices) -> jax.Array:
    kernel = _from_kernel(order.later(kernel, small, examples=False), by)

    def part(small: jax.Array) -> jax.Array:
        products = _contract(_from_small(small, shape, by), kernel, 2, 2 if shape.big_first else 1)
        return _to_big(products, small.shape[0], shape, by)

    return _by_parts(part, small, _images(small.shape[0], kernel, shape, by))


def _kernel(big: jax.Array, small: jax.Array, shape: Shape, by: _Matrices) -> jax.Array:
    n, channels = big.shape[0], (big.shape[3], small.shape[3])
    count = _images(n, jnp.zeros((0, *channels)), shape, by)

    def part(big: jax.Array, small: jax.Array) -> jax.Array:
        big, small = _from_big(big, shape, by), _from_small(small, shape, by)
        return _contract(big, small, 1, 1) if shape.big_first else _contract(small, big, 1, 1)

    if count == n:
        return _to_kernel(part(order.later(big, small), small), by)
    if n // count <= _WRITTEN_OUT:
        parts = [part(big[k : k + count], small[k : k + count]) for k in range(0, n, count)]
        return _to_kernel(sum(parts[1:], parts[0]), by)
    start = jnp.zeros((len(by.big) ** 2, *(channels if shape.big_first else channels[::-1])), big.dtype)
    parts = [x.reshape(n // count, count, *x.shape[1:]) for x in (big, small)]
    return _to_kernel(lax.scan(lambda total, x: (total + part(*x), None), start, parts)[0], by)


def _images(n: int, kernel: jax.Array, shape: Shape, by: _Matrices) -> int:
    """How many of n images to take at a time, a divisor of n, so that their positions take no more than `_CACHED`."""
    h, w = _tiles(shape, by)
    one = len(by.big) ** 2 * h * w * max(kernel.shape[1:]) * 4
    return max(
        count for count in range(1, n + 1) if n % count == 0 and (count == 1 or count * one <= _CACHED)
    )


def _by_parts(function: Callable[[jax.Array], jax.Array], x: jax.Array, count: int) -> jax.Array:
    """The function of images, applied to so many of them at a time."""
    if count == x.shape[0]:
        return function(x)
    if len(x) // count <= _WRITTEN_OUT:
        return jnp.concatenate([function(x[k : k + count]) for k in range(0, len(x), count)])
    y = lax.map(function, x.reshape(-1, count, *x.shape[1:]))
    return y.reshape(-1, *y.shape[2:])


_SIDES = {"small": _small, "big": _big, "kernel": _kernel}


def _contract(x: jax.Array, y: jax.Array, axis: int, other: int) -> jax.Array:
    """A batch of matrix products, over the positions, that contracts axis `axis` of x with axis `other` of y."""
    return lax.dot_general(x, y, (((axis,), (other,)), ((0,), (0,))))


# To positions: [p * p, tiles, channels] or [p * p, channels, channels].


def _from_big(big: jax.Array, shape: Shape, by: _Matrices) -> jax.Array:
    """The positions of the big image, [p * p, tiles, channels]."""
    (h, w), (top, left) = _tiles(shape, by), shape.pad
    m, p = by.tile, len(by.big)
    ends = m * (h - 1) + p, m * (w - 1) + p
    pads = ((top, ends[0] - top - big.shape[1], 0), (left, ends[1] - left - big.shape[2], 0))
    rows = _positions(_parts(_pad(big, *pads), 1, p, h, m), by.big)
    return _flat(_positions(_parts(rows, 3, p, w, m), by.big))


def _from_small(small: jax.Array, shape: Shape, by: _Matrices) -> jax.Array:
    """The positions of the small image, [p * p, tiles, channels]."""
    (h, w), m = _tiles(shape, by), by.tile
    small = _pad(small, (0, m * h - small.shape[1], 0), (0, m * w - small.shape[2], 0))
    rows = _positions(_parts(small, 1, m, h, m), by.small)
    return _flat(_positions(_parts(rows, 3, m, w, m), by.small))


def _from_kernel(kernel: jax.Array, by: _Matrices) -> jax.Array:
    """The positions of the kernel, [p * p, channels, channels]."""
    rows = _positions(kernel, by.kernel)
    columns = _positions([rows[:, k] for k in range(len(kernel))], by.kernel)
    return _scaled(columns, by).reshape(-1, *kernel.shape[2:])


def _scaled(x: jax.Array, by: _Matrices) -> jax.Array:
    """[p, p, ...], each position times its two scales: applied once, while in G they would stand before every tap."""
    scales = jnp.asarray(by.scales, x.dtype)
    return x * (scales[:, None] * scales)[:, :, None, None]


def _flat(x: jax.Array) -> jax.Array:
    """[p * p, tiles, channels] of [p, p, ..., channels]."""
    return x.reshape(x.shape[0] * x.shape[1], -1, x.shape[-1])


def _unflat(products: jax.Array, n: int, shape: Shape, by: _Matrices) -> jax.Array:
    """[p, p, n, rows and columns of tiles, channels] of [p * p, tiles, channels]."""
    return products.reshape(len(by.big), len(by.big), n, *_tiles(shape, by), -1)


def _parts(x: jax.Array, axis: int, size: int, count: int, step: int) -> list[jax.Array]:
    """`size` arrays: the first pixels of `count` tiles that begin at every step-th pixel, the second, and so on."""
    return [lax.slice_in_dim(x, k, k + step * (count - 1) + 1, step, axis) for k in range(size)]


# From positions, by the transposed transforms.


def _to_small(products: jax.Array, n: int, shape: Shape, by: _Matrices) -> jax.Array:
    """The small image [n, h, w, channels] of the products of its positions."""

    def along(x: jax.Array, axis: int) -> jax.Array:
        x = jnp.stack(_combined(x, by.small), axis + 1)
        return x.reshape(*x.shape[:axis], -1, *x.shape[axis + 2 :])

    # The rows are an array of their own: fused into what follows, every sum would be computed again for each of its
    # readers.
    rows = lax.optimization_barrier(along(_unflat(products, n, shape, by), 3))
    return along(rows, 1)[:, : shape.small[0], : shape.small[1]]


def _to_big(products: jax.Array, n: int, shape: Shape, by: _Matrices) -> jax.Array:
    """The big image [n, h, w, channels] of the products of its positions.

    Tiles begin at every m-th pixel; what is beyond their first m pixels is added to the tiles behind.
    """
    m = by.tile
    behind = (len(by.big) - 1) // m

    def along(x: jax.Array, axis: int) -> jax.Array:
        def shifted(part: jax.Array, before: int, after: int) -> jax.Array:
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


def _to_kernel(products: jax.Array, by: _Matrices) -> jax.Array:
    """The kernel [k, k, channels, channels] of the products of its positions."""
    products = _scaled(products.reshape(len(by.kernel), -1, *products.shape[1:]), by)
    return jnp.stack(_combined(jnp.stack(_combined(products, by.kernel), 1), by.kernel))


def _tiles(shape: Shape, by: _Matrices) -> list[int]:
    """The numbers of rows and columns of tiles."""
    return [-(-size // by.tile) for size in shape.small]


def _positions(parts: Sequence[jax.Array] | jax.Array, matrix: tuple[tuple[float, ...], ...]) -> jax.Array:
    """[p, ...]: the matrix times a list of arrays."""
    return jnp.stack([_combine(parts, line) for line in matrix])


def _combined(
    positions: Sequence[jax.Array] | jax.Array, matrix: tuple[tuple[float, ...], ...]
) -> list[jax.Array]:
    """A list of arrays: the transposed matrix times [p, ...]."""
    return [_combine(positions, column) for column in zip(*matrix, strict=True)]


def _combine(arrays: Sequence[jax.Array] | jax.Array, weights: Sequence[float]) -> jax.Array:
    """The sum of weighted arrays, the positive weights first, so that no array has to be negated where there is one."""
    total = None
    for k in sorted((k for k, weight in enumerate(weights) if weight), key=lambda k: weights[k] < 0):
        size = abs(weights[k])
        term = arrays[k] if size == 1 else size * arrays[k]
        if total is None:
            total = term if weights[k] > 0 else -term
        else:
            total = total + term if weights[k] > 0 else total - term
    return total


def _pad(x: jax.Array, *sides: tuple[int, int, int]) -> jax.Array:
    """Zeros before, behind (negative: pixels cut off) and between, of all axes but the first and the last."""
    return lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), *sides, (0, 0, 0)))
