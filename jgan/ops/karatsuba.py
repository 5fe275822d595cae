"""Convolution 4x4 of stride 2 by Karatsuba's trick: nine sixteenths of the multiplications.

Along one axis a 4-tap kernel at stride 2 is two 2-tap kernels, one for the even and one for the odd pixels of the big
image. Two neighbouring outputs of a 2-tap kernel need three products instead of four (Karatsuba and Ofman 1962; as a
minimal filter F(2, 2) of Winograd 1980). With x a small image of even size, y the big one of twice its size, padded by
one, and k the taps, the trilinear form of `jgan.ops.conv` is, summed over pairs t of small pixels,

    e[t] (k3 y[4t] - k0 y[4t-1]) + x[2t] (k3 + k1) (y[4t] + y[4t+2])
        + d[t] (k1 y[4t+2] - k2 y[4t+1]) + x[2t+1] (k2 + k0) (y[4t+1] + y[4t+3])

where e[t] = x[2t-1] - x[2t] and d[t] = x[2t+1] - x[2t]. Along both axes that is 16 values of the small image, of which
each meets 1, 2 or 4 pairs of a tap and a big pixel: 16 matrix products with those side by side, for each of the three
sides of the form.
"""

from jax import lax
import jax.numpy as jnp

from jgan.ops import order

_PIXELS = 1024  # of the small image: with fewer, sums of the kernel's taps eat up the gain


def pays(shape, channels, dtype, count):
    """Whether `evaluate` takes these operands, `count` images, and what it saves outweighs its additions."""
    return (
        shape.kernel == (4, 4)
        and shape.stride == (2, 2)
        and shape.pad == (1, 1)
        and all(
            big == 2 * small and small % 2 == 0 for big, small in zip(shape.big, shape.small, strict=True)
        )
        and count * shape.small[0] * shape.small[1] >= _PIXELS
        and min(channels) >= 32
        and dtype.itemsize >= 4  # bfloat16 has no bits to lose
    )


def evaluate(first, second, *, out, shape):
    """One side of the trilinear form as `conv_products.evaluate` has it, for what `pays` describes."""
    return _SIDES[out](first, second, shape)


def _small(big, kernel, shape):
    products = [
        lax.dot_general(y, k, (((1,), (0 if shape.big_first else 1,)), ((), ())))
        for y, k in zip(_from_big(big), _from_kernel(kernel, shape), strict=True)
    ]
    return _to_small(products, big.shape[0], shape)


def _big(small, kernel, shape):
    kernel = order.later(kernel, small)
    products = [
        lax.dot_general(x, k, (((1,), (1 if shape.big_first else 0,)), ((), ())))
        for x, k in zip(_from_small(small), _from_kernel(kernel, shape), strict=True)
    ]
    return _to_big(products, small.shape[0], shape)


def _kernel(big, small, shape):
    big = order.later(big, small)
    contract = (((0,), (0,)), ((), ()))
    pairs = zip(_from_big(big), _from_small(small), strict=True)
    if shape.big_first:
        products = [lax.dot_general(y, x, contract) for y, x in pairs]
    else:
        products = [lax.dot_general(x, y, contract) for y, x in pairs]
    return _to_kernel(products, big.shape[3], shape)


_SIDES = {"small": _small, "big": _big, "kernel": _kernel}

# A position along an axis: e, x even, d, x odd. By position, how many pairs of a tap and a big pixel it meets.
_MEETS = (2, 1, 2, 1)


def _positions():
    return [(p, q) for p in range(4) for q in range(4)]


# To positions: 16 matrices, in the order of `_positions`.


def _from_small(small):
    """[tiles, channels]; the first position of an axis has one tile more than the others."""

    def along(x, axis):
        even, odd = _strided(x, 0, 2, axis), _strided(x, 1, 2, axis)
        return [_pad(odd, 1, 0, axis) - _pad(even, 0, 1, axis), even, odd - even, odd]

    rows = along(small, 1)
    values = [x for row in rows for x in along(row, 2)]
    return [x.reshape(-1, x.shape[3]) for x in values]


def _from_big(big):
    """[tiles, pairs x channels]."""

    def along(y, axis):
        at = [_strided(y, k, 4, axis) for k in range(4)]
        return [
            [_pad(at[0], 0, 1, axis), _pad(at[3], 1, 0, axis)],
            [at[0] + at[2]],
            [at[2], at[1]],
            [at[1] + at[3]],
        ]

    rows = along(big, 1)
    columns = [[along(y, 2) for y in row] for row in rows]
    values = [[y for column in columns[p] for y in column[q]] for p, q in _positions()]
    return [_beside(parts, 3).reshape(-1, len(parts) * big.shape[3]) for parts in values]


def _from_kernel(kernel, shape):
    """[small channels, pairs x big channels], or transposed where the kernel has its big channels first."""

    def along(taps):
        k0, k1, k2, k3 = taps
        return [[k3, -k0], [k3 + k1], [k1, -k2], [k2 + k0]]

    rows = along(list(kernel))
    columns = [[along(list(k)) for k in row] for row in rows]
    values = [[k for column in columns[p] for k in column[q]] for p, q in _positions()]
    return [_beside(parts, 0 if shape.big_first else 1) for parts in values]


# Back from positions, by the transposed sums.


def _to_small(products, n, shape):
    th, tw = (size // 2 for size in shape.small)
    grid = [
        x.reshape(n, th + (p == 0), tw + (q == 0), -1)
        for x, (p, q) in zip(products, _positions(), strict=True)
    ]

    def along(values, count, axis):
        e, even, d, odd = values
        return [
            even - d - lax.slice_in_dim(e, 0, count, 1, axis),
            odd + d + lax.slice_in_dim(e, 1, count + 1, 1, axis),
        ]

    rows = [jnp.stack(along(grid[4 * p : 4 * p + 4], tw, 2), 3) for p in range(4)]
    # As arrays of their own: fused into what follows, every sum would be made again for each of its readers.
    rows = along([lax.optimization_barrier(row) for row in rows], th, 1)
    return jnp.stack(rows, 2).reshape(n, 2 * th, 2 * tw, -1)


def _to_big(products, n, shape):
    th, tw = (size // 2 for size in shape.small)

    def value(p, i, q, j):
        """What pair i of position p along the rows and pair j of q along the columns got, tile by tile."""
        x = products[4 * p + q]
        x = x.reshape(n, th + (p == 0), tw + (q == 0), _MEETS[p] * _MEETS[q], -1)[:, :, :, i * _MEETS[q] + j]
        x = lax.slice_in_dim(x, i, th + i, 1, 1) if p == 0 else x
        return lax.slice_in_dim(x, j, tw + j, 1, 2) if q == 0 else x

    # By big pixel modulo 4, the positions and pairs that it meets.
    met = ([(0, 0), (1, 0)], [(2, 1), (3, 0)], [(1, 0), (2, 0)], [(3, 0), (0, 1)])
    rows = [
        jnp.stack([sum(value(p, i, q, j) for p, i in met[r] for q, j in met[c]) for c in range(4)], 3)
        for r in range(4)
    ]
    return jnp.stack(rows, 2).reshape(n, 4 * th, 4 * tw, -1)


def _to_kernel(products, channels, shape):
    axis = 0 if shape.big_first else 1

    def along(values):
        (k3, k0), (even,), (k1, k2), (odd,) = values
        return [odd - k0, k1 + even, odd - k2, k3 + even]

    parts = []
    for x, (p, q) in zip(products, _positions(), strict=True):
        cuts = [
            lax.slice_in_dim(x, k * channels, (k + 1) * channels, 1, axis)
            for k in range(_MEETS[p] * _MEETS[q])
        ]
        parts.append([cuts[i * _MEETS[q] : (i + 1) * _MEETS[q]] for i in range(_MEETS[p])])
    columns = [[along([parts[4 * p + q][i] for q in range(4)]) for i in range(_MEETS[p])] for p in range(4)]
    taps = [along([[columns[p][i][b] for i in range(_MEETS[p])] for p in range(4)]) for b in range(4)]
    return jnp.stack([jnp.stack([taps[b][a] for b in range(4)]) for a in range(4)])


def _strided(x, start, step, axis):
    return lax.slice_in_dim(x, start, x.shape[axis], step, axis)


def _pad(x, before, after, axis):
    sides = [(before, after, 0) if k == axis else (0, 0, 0) for k in range(x.ndim)]
    return lax.pad(x, jnp.zeros((), x.dtype), sides)


def _beside(parts, axis):
    return parts[0] if len(parts) == 1 else jnp.concatenate(parts, axis)
