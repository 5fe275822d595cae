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
takes 20 ms and more to compile each: slices, sums and products for every position took it seconds for every layer.
"""

import itertools

from jax import lax
import jax.numpy as jnp

from jgan.ops import order

_PIXELS = 64  # a side of the small image: with fewer, sums of the kernel's taps eat up the gain


def pays(shape, channels, dtype):
    """Whether `evaluate` takes these operands and what it saves outweighs its additions."""
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


def evaluate(first, second, *, out, shape):
    """One side of the trilinear form as `conv_products.evaluate` has it, for what `pays` describes."""
    return _SIDES[out](first, second, shape)


def _small(big, kernel, shape):
    products = [
        _product(y, k, 2, 1 if shape.big_first else 2)
        for y, k in zip(_from_big(big), _from_kernel(kernel, shape), strict=True)
    ]
    return _to_small(products, big.shape[0], shape)


def _big(small, kernel, shape):
    kernel = order.later(kernel, small)
    products = [
        _product(x, k, 2, 2 if shape.big_first else 1)
        for x, k in zip(_from_small(small), _from_kernel(kernel, shape), strict=True)
    ]
    return _to_big(products, small.shape[0], shape)


def _kernel(big, small, shape):
    big = order.later(big, small)
    pairs = zip(_from_big(big), _from_small(small), strict=True)
    products = [_product(y, x, 1, 1) if shape.big_first else _product(x, y, 1, 1) for y, x in pairs]
    return _to_kernel(products, shape)


_SIDES = {"small": _small, "big": _big, "kernel": _kernel}


def _product(x, y, axis, by):
    return lax.dot_general(x, y, (((axis,), (by,)), ((0,), (0,))))


# Kinds along rows and columns; both are the number of pairs of a tap and a big pixel that a position of it meets.
_PAIRS, _SUMS = 2, 1
_KINDS = tuple(itertools.product((_PAIRS, _SUMS), repeat=2))


# To positions: by kind four matrices, [4, tiles, channels] of an image; two dimensions of an axis say which.


def _from_small(small):
    """[4, tiles, channels]."""

    def along(x, axis, kind):
        """[2, ...]: the two positions, of tiles in the place of pixels. Pairs have one tile more."""
        both = _split(x, axis, (-1, 2))
        if kind == _SUMS:
            return jnp.moveaxis(both, axis + 1, 0)
        even, odd = (lax.index_in_dim(both, k, axis + 1, False) for k in (0, 1))
        return jnp.stack([_pad(odd, 1, 0, axis), _pad(odd, 0, 1, axis)]) - _pad(even, 0, 1, axis)

    rows = {kind: along(small, 1, kind) for kind in (_PAIRS, _SUMS)}
    values = [along(rows[kind], 3, by) for kind, by in _KINDS]  # [columns, rows, n, h, w, channels]
    return [x.reshape(4, -1, small.shape[3]) for x in values]


def _from_big(big):
    """[4, tiles, pairs x channels]."""

    def along(y, axis, kind):
        """Tiles, the two positions and their pairs, three dimensions in the place of pixels."""
        if kind == _PAIRS:
            return _split(_pad(y, 1, 3, axis), axis, (-1, 2, 2))
        first, second = (lax.index_in_dim(_split(y, axis, (-1, 2, 2)), k, axis + 1, False) for k in (0, 1))
        return jnp.expand_dims(first + second, axis + 2)

    rows = {kind: along(big, 1, kind) for kind in (_PAIRS, _SUMS)}
    values = [along(rows[kind], 4, by).transpose(5, 2, 0, 1, 4, 3, 6, 7) for kind, by in _KINDS]
    return [y.reshape(4, -1, m * k * big.shape[3]) for y, (m, k) in zip(values, _KINDS, strict=True)]


def _from_kernel(kernel, shape):
    """[4, pairs x big channels, small channels], or the last two exchanged where the small channels are first."""

    def along(k, axis, kind):
        """Positions and pairs, two dimensions in the place of taps."""
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


def _to_small(products, n, shape):
    tiles = [size // 2 for size in shape.small]

    def along(pairs, sums, axis):
        """Pixels in the place of the two positions, which come first, and tiles."""
        (e, d), (even, odd), count = pairs, sums, sums.shape[axis + 1]
        e0, e1 = (lax.slice_in_dim(e, k, count + k, 1, axis) for k in (0, 1))
        d = lax.slice_in_dim(d, 0, count, 1, axis)
        x = jnp.stack([even - d - e0, odd + d + e1], axis + 1)
        return x.reshape(*x.shape[:axis], 2 * count, *x.shape[axis + 2 :])

    values = [
        x.reshape(2, 2, n, tiles[0] + kind - 1, tiles[1] + by - 1, -1)
        for x, (kind, by) in zip(products, _KINDS, strict=True)
    ]
    # As arrays of their own: fused into what follows, every sum would be made again for each of its readers.
    rows = [lax.optimization_barrier(along(values[k], values[k + 1], 3)) for k in (0, 2)]
    return along(*rows, 1)


def _to_big(products, n, shape):
    tiles = [size // 2 for size in shape.small]

    def along(y, axis, kind):
        """Pixels in the place of tiles, positions and pairs."""
        if kind == _SUMS:  # both pixels of a sum get what it got
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


def _to_kernel(products, shape):
    def along(pairs, sums, axis):
        """Taps in the place of positions and pairs."""
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


def _split(x, axis, sizes):
    return x.reshape(*x.shape[:axis], *sizes, *x.shape[axis + 1 :])


def _pad(x, before, after, axis):
    sides = [(before, after, 0) if k == axis else (0, 0, 0) for k in range(x.ndim)]
    return lax.pad(x, jnp.zeros((), x.dtype), sides)
