"""Convolution and transposed convolution, as matrix products on CPU and as lax.conv elsewhere.

Both operations and every derivative of theirs are one trilinear form in a big image, a small
image and a kernel,

    T(big, small, kernel) = sum big[n, s*i + d - p, b] * small[n, i, c] * kernel[d, b, c],

seen from one of its three sides: a convolution is the derivative of T by the small image, a
transposed convolution (and the gradient of a convolution to its input) by the big one, the
gradient to the weights by the kernel. So one bilinear JAX primitive with three outputs is closed
under differentiation, forwards and backwards and to any order, and each of the three passes
has its own lowering: XLA's convolution on accelerators, matrix products on CPU, where XLA's
convolutions reach a fraction of the speed of its matrix products.
"""

import functools
import os
from typing import NamedTuple

import jax
from jax import lax
import jax.extend
from jax.interpreters import ad
from jax.interpreters import batching
from jax.interpreters import mlir
import jax.numpy as jnp

from jgan import UserError

FORMS = ("auto", "lax", "gemm")
DEFAULT_FORM = os.environ.get("JGAN_CONV", "auto")


def conv(x, w, stride=1, padding=((0, 0), (0, 0)), *, form=None):
    """Convolution [n, h', w', co] of images [n, h, w, ci] with a kernel [kh, kw, ci, co].

    `stride` is a number or a pair; `padding` holds the zeros added ((top, bottom), (left, right)).
    As in every deep-learning library the kernel is not flipped. `form` is "gemm" (matrix products),
    "lax" (jax.lax.conv_general_dilated) or "auto" (gemm on CPU, lax elsewhere, chosen
    when the program is lowered); by default what the environment variable JGAN_CONV said
    when this module was imported, or "auto".
    """
    x, w = _operands(x, w, 2)
    (top, bottom), (left, right) = padding
    stride = _pair(stride)
    big, kernel = x.shape[1:3], w.shape[:2]
    small = tuple(
        (size + before + after - k) // s + 1
        for size, (before, after), k, s in zip(big, padding, kernel, stride)
    )
    if min(small) < 1:
        raise UserError(
            f"images of {big[0]}x{big[1]} pixels are smaller than the {kernel[0]}x{kernel[1]} "
            f"kernel with padding {padding}; larger images or more padding would work"
        )
    shape = Shape(big, small, kernel, stride, (top, left), True)
    return _trilinear.bind(x, w, out="small", shape=shape, form=_form(form))


def conv_transpose(x, w, stride=2, padding=0, output_padding=0, *, form=None):
    """Transposed convolution [n, h', w', co] of [n, h, w, ci] with a kernel [kh, kw, ci, co].

    y[s*i + d - padding] += x[i] @ w[d], so h' = (h - 1)*s - 2*padding + kh + output_padding: the
    convention of PyTorch's ConvTranspose2d. `padding` and `output_padding` are numbers or pairs;
    `form` as in `conv`.
    """
    x, w = _operands(x, w, 2)
    stride, padding, extra = _pair(stride), _pair(padding), _pair(output_padding)
    small, kernel = x.shape[1:3], w.shape[:2]
    big = tuple(
        (size - 1) * s - 2 * p + k + e
        for size, s, p, k, e in zip(small, stride, padding, kernel, extra)
    )
    if min(big) < 1:
        raise UserError(
            f"a transposed convolution of {small[0]}x{small[1]} pixels with padding {padding} "
            f"leaves no pixel; less padding would work"
        )
    shape = Shape(big, small, kernel, stride, padding, False)
    return _trilinear.bind(x, w, out="big", shape=shape, form=_form(form))


class Shape(NamedTuple):
    """Geometry of the trilinear form; each field but the last is a pair, for rows and columns."""

    big: tuple
    small: tuple
    kernel: tuple
    stride: tuple
    pad: tuple  # zeros before the big image; those after it follow from the sizes
    big_first: bool  # kernel is [kh, kw, big, small] channels rather than [kh, kw, small, big]

    def after(self):
        """Zeros behind the big image (or, negative, its unread rows), so that all taps fit."""
        return tuple(
            (m - 1) * s + k - b - p
            for b, m, k, s, p in zip(self.big, self.small, self.kernel, self.stride, self.pad)
        )


def _pair(value):
    return tuple(value) if isinstance(value, (tuple, list)) else (value, value)


def _form(form):
    form = DEFAULT_FORM if form is None else form
    if form not in FORMS:
        raise UserError(f"convolution form {form!r} is unknown; {', '.join(FORMS)} would work")
    return form


def _operands(x, w, axis):
    x, w = jnp.asarray(x), jnp.asarray(w)
    if x.ndim != 4 or w.ndim != 4 or x.shape[3] != w.shape[axis]:
        raise UserError(
            f"a convolution takes images [n, h, w, ci] and a kernel [kh, kw, ci, co], "
            f"not {x.shape} and {w.shape}"
        )
    dtype = jnp.promote_types(x.dtype, w.dtype)
    return x.astype(dtype), w.astype(dtype)




# The primitive. Operands by output: small <- (big, kernel), big <- (small, kernel),
# kernel <- (big, small).

_trilinear = jax.extend.core.Primitive("trilinear_conv")


@functools.cache
def _compiled(**params):
    return jax.jit(functools.partial(_trilinear.bind, **params))


@_trilinear.def_impl
def _impl(first, second, **params):
    return _compiled(**params)(first, second)


@_trilinear.def_abstract_eval
def _abstract(first, second, *, out, shape, form):
    if out == "kernel":
        channels = (first.shape[3], second.shape[3])
        result = shape.kernel + (channels if shape.big_first else channels[::-1])
    else:
        size = shape.small if out == "small" else shape.big
        last = (out == "small") == shape.big_first  # which channels of the kernel come out
        result = (first.shape[0], *size, second.shape[3 if last else 2])
    return jax.core.ShapedArray(result, first.dtype)


def _transpose_first(cotangent, first, second, *, out, shape, form):
    back = {"small": "big", "big": "small", "kernel": "big"}[out]
    # T by kernel, its big image unknown: the cotangent takes the kernel's place.
    operands = (second, cotangent) if out == "kernel" else (cotangent, second)
    return _trilinear.bind(*operands, out=back, shape=shape, form=form)


def _transpose_second(cotangent, first, second, *, out, shape, form):
    if out == "kernel":
        return _trilinear.bind(first, cotangent, out="small", shape=shape, form=form)
    operands = (first, cotangent) if out == "small" else (cotangent, first)
    return _trilinear.bind(*operands, out="kernel", shape=shape, form=form)


ad.defbilinear(_trilinear, _transpose_first, _transpose_second)


def _batch(args, dims, *, out, shape, form):
    """vmap folds into the images or the channels where one operand is batched."""
    (first, second), (at, by) = args, dims
    bind = functools.partial(_trilinear.bind, out=out, shape=shape, form=form)
    if at is not None and by is not None:
        # A kernel per image: nothing to fold into, so products batched by XLA.
        single = functools.partial(_lower, out=out, shape=shape, form=form)
        return jax.vmap(single, (at, by))(first, second), 0
    if out == "kernel":
        count = first.shape[at] if by is None else second.shape[by]
        if by is None:
            result = bind(_fold(first, at, 3), second)
        else:
            result = bind(first, _fold(second, by, 3))
        # big's channels are the kernel's third axis where it is big_first
        axis = 2 if (by is None) == shape.big_first else 3
        return _unfold(result, axis, count), axis
    if by is None:
        return _unfold(bind(_fold(first, at, 0), second), 0, first.shape[at]), 0
    axis = 3 if (out == "small") == shape.big_first else 2
    return _unfold(bind(first, _fold(second, by, axis)), 3, second.shape[by]), 3


def _fold(x, batch, axis):
    """The batch dimension as the outer part of another axis of the single example."""
    x = jnp.moveaxis(x, batch, axis)
    return x.reshape(x.shape[:axis] + (-1,) + x.shape[axis + 2 :])


def _unfold(x, axis, count):
    return x.reshape(x.shape[:axis] + (count, x.shape[axis] // count) + x.shape[axis + 1 :])


batching.primitive_batchers[_trilinear] = _batch


def _lower(first, second, *, out, shape, form):
    matmul = functools.partial(_gemm, out=out, shape=shape)
    xla = functools.partial(_LAX[out], shape=shape)
    if form == "auto":
        return lax.platform_dependent(first, second, cpu=matmul, default=xla)
    return (matmul if form == "gemm" else xla)(first, second)


mlir.register_lowering(_trilinear, mlir.lower_fun(_lower, multiple_results=False))


# XLA's convolution.


def _lax_small(big, kernel, *, shape):
    pads = tuple(zip(shape.pad, shape.after()))
    numbers = ("NHWC", "HWIO" if shape.big_first else "HWOI", "NHWC")
    return lax.conv_general_dilated(big, kernel, shape.stride, pads, dimension_numbers=numbers)


def _lax_big(small, kernel, *, shape):
    pads = tuple(
        (k - 1 - p, k - 1 - after)
        for k, p, after in zip(shape.kernel, shape.pad, shape.after())
    )
    numbers = ("NHWC", "HWOI" if shape.big_first else "HWIO", "NHWC")
    return lax.conv_general_dilated(
        small, kernel[::-1, ::-1], (1, 1), pads, lhs_dilation=shape.stride, dimension_numbers=numbers
    )


def _lax_kernel(big, small, *, shape):
    # The channels of the big image are its batch, the examples of both are contracted.
    numbers = ("CHWN", "IHWO", "HWNC" if shape.big_first else "HWCN")
    pads = tuple(zip(shape.pad, shape.after()))
    return lax.conv_general_dilated(
        big, small, (1, 1), pads, rhs_dilation=shape.stride, dimension_numbers=numbers
    )


_LAX = {"small": _lax_small, "big": _lax_big, "kernel": _lax_kernel}


# Matrix products. All are products of two matrices, or batches of them over the taps, whose operands
# XLA takes as they lie in memory: a kernel of 16 MiB is not transposed on the way.

_FEW_PIXELS = 64  # up to here a kernel is the larger operand, and reading it in place decides


def _gemm(first, second, *, out, shape):
    channels = (first.shape[3], second.shape[3])
    if out == "small":
        channels = (first.shape[3], second.shape[3 if shape.big_first else 2])
    elif out == "big":
        channels = (second.shape[2 if shape.big_first else 3], first.shape[3])
    if shape.stride == (1, 1) and 4 * channels[1] <= channels[0]:
        return _swapped(first, second, out=out, shape=shape)
    return _PRODUCTS[out](first, second, shape)


def _swapped(first, second, *, out, shape):
    """The same with the two images in each other's place, for a small one of few channels.

    At stride 1 the form is symmetric but for the direction of the taps. A narrow image is the
    one to gather patches from: its columns are few.
    """
    pad = tuple(k - 1 - p for k, p in zip(shape.kernel, shape.pad))
    shape = Shape(shape.small, shape.big, shape.kernel, (1, 1), pad, not shape.big_first)
    if out == "kernel":
        return _product_kernel(second, first, shape)[::-1, ::-1]
    product = _product_big if out == "small" else _product_small
    return product(first, second[::-1, ::-1], shape)


def _product_small(big, kernel, shape):
    n, taps = big.shape[0], _taps(shape)
    pixels = n * shape.small[0] * shape.small[1]
    if shape.big_first:
        small = _patches(big, shape, 3).reshape(pixels, -1) @ kernel.reshape(-1, kernel.shape[3])
    elif pixels <= _FEW_PIXELS:
        patches = _patches(big, shape, 0).reshape(taps, pixels, -1)
        kernel = kernel.reshape(taps, *kernel.shape[2:])
        small = lax.dot_general(patches, kernel, (((2,), (2,)), ((0,), (0,)))).sum(0)
    else:
        patches = _patches(big, shape, 3).reshape(pixels, -1)
        small = patches @ kernel.transpose(0, 1, 3, 2).reshape(-1, kernel.shape[2])
    return small.reshape(n, *shape.small, -1)


def _product_big(small, kernel, shape):
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


def _product_kernel(big, small, shape):
    taps, rows = _taps(shape), small.reshape(-1, small.shape[3])
    contract = (((0,), (0,)), ((), ()))
    if shape.big_first:
        patches = _patches(big, shape, 3).reshape(len(rows), -1)
        kernel = lax.dot_general(patches, rows, contract)
    elif len(rows) <= 4 * _FEW_PIXELS:
        patches = _patches(big, shape, 0).reshape(taps, len(rows), -1)
        rows = jnp.broadcast_to(rows, (taps, *rows.shape))
        kernel = lax.dot_general(rows, patches, (((1,), (1,)), ((0,), (0,))))
    else:
        patches = _patches(big, shape, 3).reshape(len(rows), -1)
        kernel = lax.dot_general(rows, patches, contract)
        kernel = kernel.reshape(rows.shape[1], taps, -1).transpose(1, 0, 2)
    channels = (big.shape[3], small.shape[3])
    return kernel.reshape(*shape.kernel, *(channels if shape.big_first else channels[::-1]))


_PRODUCTS = {"small": _product_small, "big": _product_big, "kernel": _product_kernel}


def _taps(shape):
    return shape.kernel[0] * shape.kernel[1]


def _patches(big, shape, axis):
    """Pixels under every tap over the pixels of the small image, [n, h, w, c] with taps at `axis`."""
    pads = ((0, 0, 0), *((p, a, 0) for p, a in zip(shape.pad, shape.after())), (0, 0, 0))
    big = lax.pad(big, jnp.zeros((), big.dtype), pads)
    (h, w), (sh, sw), (kh, kw) = shape.small, shape.stride, shape.kernel
    taps = [
        big[:, i : i + (h - 1) * sh + 1 : sh, j : j + (w - 1) * sw + 1 : sw]
        for i in range(kh)
        for j in range(kw)
    ]
    return jnp.stack(taps, axis=axis)


def _spread(columns, axis, shape):
    """Transpose of `_patches`: every tap added to the pixel it came from.

    Pixels of the big image that are equal modulo the stride get the same taps. These phases are
    summed one by one and then interleaved, so that no zero is inserted.
    """
    (height, width), (sh, sw), (kh, kw) = shape.big, shape.stride, shape.kernel
    zero = jnp.zeros((), columns.dtype)

    def shift(tap, size, phase, count, stride, pad):
        """Zeros before and after the small image, or pixels cut off, for a tap in a phase."""
        low = (tap - phase - pad) // stride
        return low, count - size - low, 0

    def phase(a, b):
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
