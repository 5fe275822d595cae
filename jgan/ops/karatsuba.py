"""Convolution 4x4 of stride 2 by Karatsuba's trick: nine sixteenths of the multiplications.

Along one axis a 4-tap kernel at stride 2 is two 2-tap kernels, one for the even and one for the odd pixels of the big
image. Two neighbouring outputs of a 2-tap kernel need three products instead of four (Karatsuba and Ofman 1962; as a
minimal filter F(2, 2) of Winograd 1980). With x a small image of even size, y the big one of twice its size, padded by
one, and k the taps, the trilinear form of `jgan.ops.conv` is, summed over pairs t of small pixels,

    e[t] (k3 y[4t] - k0 y[4t-1]) + x[2t] (k3 + k1) (y[4t] + y[4t+2])
        + d[t] (k1 y[4t+2] - k2 y[4t+1]) + x[2t+1] (k2 + k0) (y[4t+1] + y[4t+3])

where e[t] = x[2t-1] - x[2t] and d[t] = x[2t+1] - x[2t].

So an axis has two kinds of positions: e and d, "pairs" of a tap and a big pixel, and x even and x odd, "sums". Both
axes together have four kinds of two times two positions: four batches of four matrix products for each of the three
sides of the form. What one kind needs of an image or kernel is one array, made by few operations, because XLA on CPU
takes 20 ms and more to compile each of them: with slices, sums and products for every position it took seconds for
every layer.
"""

from collections.abc import Sequence
import itertools

import jax
from jax import lax
import jax.numpy as jnp

from jgan.ops import order
from jgan.ops.geometry import Shape

_PIXELS = 64  # a side of the small image: with fewer, sums of the kernel's taps cost more than is gained


def pays(shape: Shape, channels: Sequence[int], dtype: jnp.dtype) -> bool:
    """Whether `evaluate` takes these operands and saves more by fewer products than its additions cost."""
    return (
        shape.kernel == (4, 4)
        and shape.stride == (2, 2)
        and shape.pad == (1, 1)
        and all(
            big == 2 * small and small % 2 == 0 for big, small in zip(shape.big, shape.small, strict=True)
        )
        and min(shape.small) >= _PIXELS
        and min(channels) >= 32
        and dtype.itemsize >= 4  # bfloat16 has no bits to lose
    )


def evaluate(first: jax.Array, second: jax.Array, *, out: str, shape: Shape) -> jax.Array:
    """One side of the trilinear form as `conv_products.evaluate` has it, for what `pays` describes."""
    return _SIDES[out](first, second, shape)


def _small(big: jax.Array, kernel: jax.Array, shape: Shape) -> jax.Array:
    products = [
        _product(y, k, 2, 1 if shape.big_first else 2)
        for y, k in zip(_from_big(big), _from_kernel(kernel, shape), strict=True)
    ]
    return _to_small(products, big.shape[0], shape)


def _big(small: jax.Array, kernel: jax.Array, shape: Shape) -> jax.Array:
    kernel = order.later(kernel, small, examples=False)
    products = [
        _product(x, k, 2, 2 if shape.big_first else 1)
        for x, k in zip(_from_small(small), _from_kernel(kernel, shape), strict=True)
    ]
    return _to_big(products, small.shape[0], shape)


def _kernel(big: jax.Array, small: jax.Array, shape: Shape) -> jax.Array:
    big = order.later(big, small)
    pairs = zip(_from_big(big), _from_small(small), strict=True)
    products = [_product(y, x, 1, 1) if shape.big_first else _product(x, y, 1, 1) for y, x in pairs]
    return _to_kernel(products, shape)


_SIDES = {"small": _small, "big": _big, "kernel": _kernel}


def _product(x: jax.Array, y: jax.Array, axis: int, by: int) -> jax.Array:
    """A batch of matrix products, over the first axis, that contracts axis `axis` of x with axis `by` of y."""
    return lax.dot_general(x, y, (((axis,), (by,)), ((0,), (0,))))


# Kinds along rows and along columns. Their values are the number of pairs of a tap and a big pixel that a position of
# that kind meets.
_PAIRS, _SUMS = 2, 1
_KINDS = tuple(itertools.product((_PAIRS, _SUMS), repeat=2))


# To positions: four matrices for each kind, [4, tiles, channels] of an image; two dimensions of an axis say which.


def _from_small(small: jax.Array) -> list[jax.Array]:
    """The positions of the small image, [4, tiles, channels] for each kind."""

    def along(x: jax.Array, axis: int, kind: int) -> jax.Array:
        """[2, ...]: the two positions along an axis, with tiles in the place of pixels; pairs have one tile more."""
        both = _split(x, axis, (-1, 2))
        if kind == _SUMS:
            return jnp.moveaxis(both, axis + 1, 0)
        even, odd = (lax.index_in_dim(both, k, axis + 1, False) for k in (0, 1))
        return jnp.stack([_pad(odd, 1, 0, axis), _pad(odd, 0, 1, axis)]) - _pad(even, 0, 1, axis)

    rows = {kind: along(small, 1, kind) for kind in (_PAIRS, _SUMS)}
    values = [along(rows[kind], 3, by) for kind, by in _KINDS]  # [columns, rows, n, h, w, channels]
    return [x.reshape(4, -1, small.shape[3]) for x in values]


def _from_big(big: jax.Array) -> list[jax.Array]:
    """The positions of the big image, [4, tiles, pairs x channels] for each kind."""

    def along(y: jax.Array, axis: int, kind: int) -> jax.Array:
        """Tiles, the two positions and their pairs: three dimensions in the place of the pixels of an axis."""
        if kind == _PAIRS:
            return _split(_pad(y, 1, 3, axis), axis, (-1, 2, 2))
        first, second = (lax.index_in_dim(_split(y, axis, (-1, 2, 2)), k, axis + 1, False) for k in (0, 1))
        return jnp.expand_dims(first + second, axis + 2)

    rows = {kind: along(big, 1, kind) for kind in (_PAIRS, _SUMS)}
    values = [along(rows[kind], 4, by).transpose(5, 2, 0, 1, 4, 3, 6, 7) for kind, by in _KINDS]
    return [y.reshape(4, -1, m * k * big.shape[3]) for y, (m, k) in zip(values, _KINDS, strict=True)]


def _from_kernel(kernel: jax.Array, shape: Shape) -> list[jax.Array]:
    """The positions of the kernel, [4, pairs x big channels, small channels] for each kind.

    Where the kernel has the small channels first, the last two dimensions are exchanged.
    """

    def along(k: jax.Array, axis: int, kind: int) -> jax.Array:
        """Positions and pairs: two dimensions in the place of the taps of an axis."""
        halves = _split(k, axis, (2, 2))
        first, second = (lax.index_in_dim(halves, j, axis + 1, False) for j in (0, 1))  # taps 0, 2 and 1, 3
        if kind == _PAIRS:
            return jnp.stack([-first, lax.rev(second, (axis,))], axis + 1)
        even, odd = (sum(lax.index_in_dim(x, j, axis) for j in (0, 1)) for x in (second, first))
        return jnp.expand_dims(lax.concatenate([even, odd], axis), axis + 1)

    big, small = (4, 5) if shape.big_first else (5, 4)
    rows = {kind: along(kernel, 0, kind) for kind in (_PAIRS, _SUMS)}
    values = [along(rows[kind], 2, by) for kind, by in _KINDS]
    if shape.big_first:
        values = [k.transpose(2, 0, 1, 3, big, small) for k in values]
        return [k.reshape(4, -1, k.shape[5]) for k in values]
    values = [k.transpose(2, 0, small, 1, 3, big) for k in values]
    return [k.reshape(4, k.shape[2], -1) for k in values]


# Back from positions, by the transposed sums.


def _to_small(products: Sequence[jax.Array], n: int, shape: Shape) -> jax.Array:
    """The small image [n, h, w, channels] of the products of its positions."""
    tiles = [size // 2 for size in shape.small]

    def along(pairs: jax.Array, sums: jax.Array, axis: int) -> jax.Array:
        """Pixels in the place of the two positions, which are the first dimension, and of the tiles of an axis."""
        (e, d), (even, odd), count = pairs, sums, sums.shape[axis + 1]
        e0, e1 = (lax.slice_in_dim(e, k, count + k, 1, axis) for k in (0, 1))
        d = lax.slice_in_dim(d, 0, count, 1, axis)
        x = jnp.stack([even - d - e0, odd + d + e1], axis + 1)
        return x.reshape(*x.shape[:axis], 2 * count, *x.shape[axis + 2 :])

    values = [
        x.reshape(2, 2, n, tiles[0] + kind - 1, tiles[1] + by - 1, -1)
        for x, (kind, by) in zip(products, _KINDS, strict=True)
    ]
    # The rows are arrays of their own: fused into what follows, every sum would be computed again for each of its
    # readers.
    rows = [lax.optimization_barrier(along(values[k], values[k + 1], 3)) for k in (0, 2)]
    return along(*rows, 1)


def _to_big(products: Sequence[jax.Array], n: int, shape: Shape) -> jax.Array:
    """The big image [n, h, w, channels] of the products of its positions."""
    tiles = [size // 2 for size in shape.small]

    def along(y: jax.Array, axis: int, kind: int) -> jax.Array:
        """Pixels in the place of the tiles, positions and pairs of an axis."""
        if kind == _SUMS:  # both pixels of a sum get its value
            size = [*y.shape[: axis + 1], 2, *y.shape[axis + 1 : axis + 2], *y.shape[axis + 3 :]]
            y = lax.broadcast_in_dim(
                lax.squeeze(y, (axis + 2,)), size, [k for k in range(len(size)) if k != axis + 1]
            )
        y = y.reshape(*y.shape[:axis], -1, *y.shape[axis + 3 :])
        return y if kind == _SUMS else lax.slice_in_dim(y, 1, y.shape[axis] - 3, 1, axis)

    total = 0
    for y, (kind, by) in zip(products, _KINDS, strict=True):
        y = y.reshape(2, 2, n, tiles[0] + kind - 1, tiles[1] + by - 1, kind, by, -1)
        y = y.transpose(2, 3, 1, 5, 4, 0, 6, 7)
        total += along(along(y, 4, by), 1, kind)
    return total


def _to_kernel(products: Sequence[jax.Array], shape: Shape) -> jax.Array:
    """The kernel [4, 4, channels, channels] of the products of its positions."""

    def along(pairs: jax.Array, sums: jax.Array, axis: int) -> jax.Array:
        """Taps in the place of the positions and pairs of an axis."""
        (first, second), (even, odd) = (
            [lax.index_in_dim(pairs, j, axis + 1, False) for j in (0, 1)],
            [lax.slice_in_dim(lax.squeeze(sums, (axis + 1,)), j, j + 1, 1, axis) for j in (0, 1)],
        )
        k = jnp.stack([odd - first, lax.rev(second, (axis,)) + even], axis + 1)
        return k.reshape(*k.shape[:axis], 4, *k.shape[axis + 2 :])

    values = []
    for k, (kind, by) in zip(products, _KINDS, strict=True):
        if shape.big_first:
            k = k.reshape(2, 2, kind, by, -1, k.shape[2]).transpose(1, 2, 0, 3, 4, 5)
        else:
            k = k.reshape(2, 2, k.shape[1], kind, by, -1).transpose(1, 3, 0, 4, 2, 5)
        values.append(k)
    columns = [along(values[k], values[k + 1], 2) for k in (0, 2)]
    return along(*columns, 0)


def _split(x: jax.Array, axis: int, sizes: tuple[int, ...]) -> jax.Array:
    """An axis as several, of these sizes."""
    return x.reshape(*x.shape[:axis], *sizes, *x.shape[axis + 1 :])


def _pad(x: jax.Array, before: int, after: int, axis: int) -> jax.Array:
    """Zeros before and after the entries of an axis."""
    sides = [(before, after, 0) if k == axis else (0, 0, 0) for k in range(x.ndim)]
    return lax.pad(x, jnp.zeros((), x.dtype), sides)
