"""The trilinear form of convolution by matrix products: the lowering for CPUs.

A kernel of the inner layers of a U-Net takes 16 to 32 MiB and its images a few KiB, a kernel of the outer
layers the reverse; copies of the larger one cost more than the products. So every product takes the larger
operand as it lies in memory: plain products of two matrices where these need no transposed copy of a
large kernel, and a batch of products over the taps where pixels are few. Patches under the taps are gathered
(im2col) or spread (its transpose) phase by phase; no zero is inserted between pixels.
"""

import jax
from jax import lax
import jax.numpy as jnp

from jgan.ops import order
from jgan.ops.geometry import Shape

_FEW_PIXELS = 64  # up to here a kernel is the larger operand, and reading it in place decides
_MANY_CHANNELS = 32  # from here on a pixel under one tap is enough for a product of its own
_FEW_CHANNELS = 4  # up to here whole images times numbers take less time than a product of matrices


def evaluate(first: jax.Array, second: jax.Array, *, out: str, shape: Shape) -> jax.Array:
    """One side of the trilinear form, `out` of "small", "big" and "kernel", from the other two.

    The operands are (big, kernel), (small, kernel) or (big, small); `shape` is their geometry.
    """
    big, small = channels(first, second, out=out, shape=shape)
    if is_pointwise(shape) and (out != "kernel" or min(big, small) >= _MANY_CHANNELS):
        return _pointwise(first, second, out=out, shape=shape)
    if shape.stride == (1, 1) and 4 * small <= big:
        return _swapped(first, second, out=out, shape=shape)
    return _PRODUCTS[out](first, second, shape)


def channels(first: jax.Array, second: jax.Array, *, out: str, shape: Shape) -> tuple[int, ...]:
    """The numbers of channels of the big image and of the small one."""
    if out == "kernel":
        return first.shape[3], second.shape[3]
    # The kernel holds both, in its own order; the image among the operands says which is which.
    return second.shape[2:] if shape.big_first else second.shape[:1:-1]


def is_pointwise(shape: Shape) -> bool:
    """Whether every pixel is multiplied by itself: one tap, and neither stride nor padding."""
    return shape.kernel == (1, 1) and shape.stride == (1, 1) and shape.big == shape.small


def _pointwise(first: jax.Array, second: jax.Array, *, out: str, shape: Shape) -> jax.Array:
    """The same as `evaluate` where `is_pointwise`: nothing is gathered, and no operand is copied."""
    if out == "kernel":
        big, small = (x.reshape(-1, x.shape[3]) for x in (first, second))
        operands = (big, small) if shape.big_first else (small, big)
        return lax.dot_general(*operands, (((0,), (0,)), ((), ())))[None, None]
    kernel = second[0, 0] if (out == "small") == shape.big_first else second[0, 0].T
    if len(kernel) <= _FEW_CHANNELS:
        return sum(first[..., k : k + 1] * row for k, row in enumerate(kernel))
    return lax.dot_general(first, kernel, (((3,), (0,)), ((), ())))


def _swapped(first: jax.Array, second: jax.Array, *, out: str, shape: Shape) -> jax.Array:
    """The same as `evaluate` with the two images in each other's place, for a small image of few channels.

    At stride 1 the form is symmetric but for the direction of the taps. A narrow image is the
    one to gather patches from: its columns are few.
    """
    pad = tuple(k - 1 - p for k, p in zip(shape.kernel, shape.pad, strict=True))
    shape = shape._replace(big=shape.small, small=shape.big, pad=pad, big_first=not shape.big_first)
    if out == "kernel":
        return _product_kernel(second, first, shape)[::-1, ::-1]
    product = _product_big if out == "small" else _product_small
    return product(first, second[::-1, ::-1], shape)


def _product_small(big: jax.Array, kernel: jax.Array, shape: Shape) -> jax.Array:
    n, taps = big.shape[0], _taps(shape)
    pixels = n * shape.small[0] * shape.small[1]
    if shape.big_first:
        small = _patches(big, shape, 3).reshape(pixels, -1) @ kernel.reshape(-1, kernel.shape[3])
    elif pixels <= _FEW_PIXELS:
        # The kernel is the left side as it lies in memory, because products contract the last dimension of their left
        # side fast. The patches are transposed behind a barrier, or the compiler would transpose the kernel instead.
        patches = lax.optimization_barrier(_patches(big, shape, 0).reshape(taps, pixels, -1).swapaxes(1, 2))
        kernel = kernel.reshape(taps, *kernel.shape[2:])
        small = lax.dot_general(kernel, patches, (((2,), (1,)), ((0,), (0,)))).sum(0).T
    else:
        patches = _patches(big, shape, 3).reshape(pixels, -1)
        small = patches @ kernel.transpose(0, 1, 3, 2).reshape(-1, kernel.shape[2])
    return small.reshape(n, *shape.small, -1)


def _product_big(small: jax.Array, kernel: jax.Array, shape: Shape) -> jax.Array:
    n, taps = small.shape[0], _taps(shape)
    rows = small.reshape(-1, small.shape[3])
    if shape.big_first:
        kernel = kernel.reshape(-1, kernel.shape[3])
        columns = lax.dot_general(rows, kernel, (((1,), (1,)), ((), ())))
        columns, axis = columns.reshape(n, *shape.small, taps, -1), 3
    elif len(rows) <= _FEW_PIXELS:
        kernel = kernel.reshape(taps, *kernel.shape[2:])
        rows = jnp.broadcast_to(rows, (taps, *rows.shape))
        columns = lax.dot_general(rows, kernel, (((2,), (1,)), ((0,), (0,))))
        columns, axis = columns.reshape(taps, n, *shape.small, -1), 0
    else:
        kernel = kernel.reshape(taps, *kernel.shape[2:]).transpose(1, 0, 2)
        columns = rows @ kernel.reshape(kernel.shape[0], -1)
        columns, axis = columns.reshape(n, *shape.small, taps, -1), 3
    return _spread(columns, axis, shape)


def _product_kernel(big: jax.Array, small: jax.Array, shape: Shape) -> jax.Array:
    taps, rows = _taps(shape), small.reshape(-1, small.shape[3])
    contract = (((0,), (0,)), ((), ()))
    if len(rows) > 4 * _FEW_PIXELS and big.shape[3] >= _MANY_CHANNELS:
        # Tap by tap. Products contract the last dimension of their left side fast, so the small image is transposed
        # once for all of them, behind a barrier, or the compiler would fold the copy back into each product.
        across = lax.optimization_barrier(rows.T)
        big = order.later(big, small)
        kernel = jnp.stack([across @ x.reshape(len(rows), -1) for x in _taps_of(big, shape)])
        kernel = kernel.swapaxes(1, 2) if shape.big_first else kernel
    elif len(rows) > 4 * _FEW_PIXELS:
        # Few channels: the pixels under a row of taps are put side by side, which is less to gather than whole patches.
        across = [jnp.stack(x, 3).reshape(len(rows), -1) for x in _rows_of_taps(big, shape)]
        kernel = jnp.stack([lax.dot_general(x, rows, contract) for x in across])
        kernel = kernel.reshape(taps, big.shape[3], -1)
        kernel = kernel if shape.big_first else kernel.swapaxes(1, 2)
    elif shape.big_first:
        patches = _patches(big, shape, 3).reshape(len(rows), -1)
        kernel = lax.dot_general(patches, rows, contract)
    else:
        patches = _patches(big, shape, 0).reshape(taps, len(rows), -1)
        rows = jnp.broadcast_to(rows, (taps, *rows.shape))
        kernel = lax.dot_general(rows, patches, (((1,), (1,)), ((0,), (0,))))
    channels = (big.shape[3], small.shape[3])
    return kernel.reshape(*shape.kernel, *(channels if shape.big_first else channels[::-1]))


_PRODUCTS = {"small": _product_small, "big": _product_big, "kernel": _product_kernel}


def _taps(shape: Shape) -> int:
    """The number of taps of the kernel."""
    return shape.kernel[0] * shape.kernel[1]


def _patches(big: jax.Array, shape: Shape, axis: int) -> jax.Array:
    """The pixels under every tap, [n, h, w, c] over the pixels of the small image with an axis of taps at `axis`."""
    return jnp.stack(_taps_of(big, shape), axis=axis)


def _taps_of(big: jax.Array, shape: Shape) -> list[jax.Array]:
    """The pixels of the big image, [n, h, w, c] over the small one, under one tap after the other."""
    return [x for row in _rows_of_taps(big, shape) for x in row]


def _rows_of_taps(big: jax.Array, shape: Shape) -> list[list[jax.Array]]:
    """The same as `_taps_of`, in one list for every row of taps."""
    pads = ((0, 0, 0), *((p, a, 0) for p, a in zip(shape.pad, shape.after(), strict=True)), (0, 0, 0))
    big = lax.pad(big, jnp.zeros((), big.dtype), pads)
    (h, w), (sh, sw), (kh, kw) = shape.small, shape.stride, shape.kernel
    return [
        [big[:, i : i + (h - 1) * sh + 1 : sh, j : j + (w - 1) * sw + 1 : sw] for j in range(kw)]
        for i in range(kh)
    ]


def _spread(columns: jax.Array, axis: int, shape: Shape) -> jax.Array:
    """The transpose of `_patches`: every tap is added to the pixel that it came from.

    Pixels of the big image that are equal modulo the stride get the same taps. These phases are
    summed one by one and then interleaved, so that no zero is inserted.
    """
    (height, width), (sh, sw), (kh, kw) = shape.big, shape.stride, shape.kernel
    zero = jnp.zeros((), columns.dtype)

    def shift(tap: int, size: int, phase: int, count: int, stride: int, pad: int) -> tuple[int, int, int]:
        """Zeros before and after the small image, or pixels cut off, and none between them: for a tap in a phase."""
        low = (tap - phase - pad) // stride
        return low, count - size - low, 0

    def phase(a: int, b: int) -> jax.Array:
        """The pixels of the big image whose row and column are a and b modulo the stride."""
        total = None
        rows, cols = -(-height // sh), -(-width // sw)
        for i in range((a + shape.pad[0]) % sh, kh, sh):
            for j in range((b + shape.pad[1]) % sw, kw, sw):
                pads = (
                    (0, 0, 0),
                    shift(i, shape.small[0], a, rows, sh, shape.pad[0]),
                    shift(j, shape.small[1], b, cols, sw, shape.pad[1]),
                    (0, 0, 0),
                )
                tap = lax.pad(lax.index_in_dim(columns, i * kw + j, axis, False), zero, pads)
                total = tap if total is None else total + tap
        if total is None:
            n, channels = columns.shape[1 if axis == 0 else 0], columns.shape[-1]
            return jnp.zeros((n, rows, cols, channels), columns.dtype)
        return total

    if (sh, sw) == (1, 1):
        return phase(0, 0)
    rows = [jnp.stack([phase(a, b) for b in range(sw)], axis=3) for a in range(sh)]
    full = jnp.stack(rows, axis=2)
    n, h, _, w, _, channels = full.shape
    return full.reshape(n, h * sh, w * sw, channels)[:, :height, :width]
