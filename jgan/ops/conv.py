"""Convolution and transposed convolution, by the form that is best on CPU and as lax.conv elsewhere.

Both operations and all of their derivatives are one trilinear form in a big image, a small image and a kernel,

    T(big, small, kernel) = sum big[n, s*i + d - p, b] * small[n, i, c] * kernel[d, b, c],

seen from one of its three sides: a convolution is the derivative of T by the small image, a transposed convolution (and
the gradient of a convolution to its input) by the big one, the gradient to the weights by the kernel. So one bilinear
JAX primitive with three outputs is closed under differentiation, in forward and in reverse mode and to any order, and
each of the three passes has its own lowering: XLA's convolution on accelerators, and on CPU whichever of XLA's
convolution, matrix products and the algorithms of Winograd and Karatsuba takes least for the shape.
"""

import collections
from collections.abc import Callable
from collections.abc import Sequence
from contextlib import AbstractContextManager
import functools
import math
import os
from typing import Any

import jax
from jax import lax
import jax.extend
from jax.interpreters import ad
from jax.interpreters import batching
from jax.interpreters import mlir
import jax.numpy as jnp

import jgan
from jgan.ops import conv_products
from jgan.ops import karatsuba
from jgan.ops import winograd
from jgan.ops.geometry import Shape

FORMS = ("auto", "lax", "gemm", "plain", "accelerator")
DEFAULT_FORM = os.environ.get("JGAN_CONV", "auto")
# Pixels that have to pass a net before its fast program pays, whatever their size. The U-Net of 64 px with 256 px
# pictures, two cores: XLA's convolutions compile in 1.0 s of CPU time and the fast forms in 3.8 s, a picture then takes
# 0.22 s and 0.18 s: 70 pictures, or 50 by the clock (`benchmarks.first_picture` with JGAN_CONV=lax and auto shows it).
_PAYING = 64 * 256**2
# Numbers in a kernel up to which XLA's convolution is fast on CPU: for small images, where its time is that of putting
# the kernel in order, and for all; and for the gradient to the kernel, of so many pixels at most.
_SMALL_KERNEL, _LARGE_KERNEL = 2**20, 2**21
_NARROW_KERNEL, _NARROW_PIXELS = 2**17, 2048
_context = jax.make_user_context(("auto", False))


def prefer(form: str, always: bool = False) -> AbstractContextManager[None]:
    """A context in which programs are traced with this form of convolution unless something else sets one.

    Programs that were jitted under another preference are traced anew, not reused. Forms differ by rounding alone.

    Args:
        form: as in `conv`.
        always: whether it takes precedence over the environment variable JGAN_CONV, which comes first otherwise.
    """
    return _context((_form(form), always))


def form_for(pixels: int) -> str:
    """The form that takes less time, compiling included, for a program that will process so many pixels.

    It is "lax" where they are few, because that compiles in a third of the time, and "auto" otherwise.
    """
    return "auto" if pixels >= _PAYING else "lax"


class Frugal:
    """A function of (weights, images, ...) under `jax.jit`, whose programs begin cheap and become fast.

    The first calls with images [n, h, w, c] of a shape run a program that compiles quickly; those after `form_for`'s
    number of pixels run a faster one. Only the count decides: the same calls in the same order give the same bits.
    """

    def __init__(self, function: Callable[..., Any], **options: Any) -> None:
        self._jitted = jax.jit(function, **options)
        self._passed, self._fast = collections.Counter(), False

    def hurry(self) -> None:
        """Takes the fast programs from now on, so that the bits of a call do not depend on those before it."""
        self._fast = True

    def __call__(self, weights: Any, images: jax.Array, *rest: Any, **static: Any) -> Any:
        n, h, w, _ = images.shape
        self._passed[images.shape] += n * h * w
        with prefer("auto" if self._fast else form_for(self._passed[images.shape])):
            return self._jitted(weights, images, *rest, **static)


def conv(
    x: jax.Array,
    w: jax.Array,
    stride: int | Sequence[int] = 1,
    padding: Sequence[Sequence[int]] = ((0, 0), (0, 0)),
    *,
    form: str | None = None,
) -> jax.Array:
    """Convolution [n, h', w', co] of images [n, h, w, ci] with a kernel [kh, kw, ci, co].

    As in every deep-learning library the kernel is not flipped.

    Args:
        x: images.
        w: kernel.
        stride: a number or a pair.
        padding: the numbers of zeros added, ((top, bottom), (left, right)).
        form: "gemm" (matrix products), "lax" (jax.lax.conv_general_dilated) or "auto" (on CPU gemm or, where they are
            faster, lax or the algorithms of Winograd and Karatsuba, which round differently; elsewhere lax; chosen when
            the program is lowered). "accelerator" is lax as other platforms have it, on CPU too: for programs that are
            only read. By default it is the value that the environment variable JGAN_CONV had when this
            module was imported, or else the form of the context (`prefer`), or else "auto".

    Raises:
        jgan.UserError: the shapes do not fit, or the form is unknown.
    """
    x, w = _operands(x, w)
    (top, bottom), (left, right) = padding
    stride = _pair(stride)
    big, kernel = x.shape[1:3], w.shape[:2]
    small = tuple(
        (size + before + after - k) // s + 1
        for size, (before, after), k, s in zip(big, padding, kernel, stride, strict=True)
    )
    if min(small) < 1:
        raise jgan.UserError(
            f"images of {big[0]}x{big[1]} pixels are smaller than the {kernel[0]}x{kernel[1]} kernel with padding "
            f"{padding}; larger images or more padding would work"
        )
    shape = Shape(big, small, kernel, stride, (top, left), True)
    return _evaluate(x, w, out="small", shape=shape, form=_form(form))


def conv_transpose(
    x: jax.Array,
    w: jax.Array,
    stride: int | Sequence[int] = 2,
    padding: int | Sequence[int] = 0,
    output_padding: int | Sequence[int] = 0,
    *,
    form: str | None = None,
) -> jax.Array:
    """Transposed convolution [n, h', w', co] of [n, h, w, ci] with a kernel [kh, kw, ci, co].

    y[s*i + d - padding] += x[i] @ w[d], so h' = (h - 1)*s - 2*padding + kh + output_padding: the
    convention of PyTorch's ConvTranspose2d.

    Args:
        x: images.
        w: kernel.
        stride: a number or a pair.
        padding: a number or a pair.
        output_padding: a number or a pair.
        form: as in `conv`.

    Raises:
        jgan.UserError: the shapes do not fit, or the form is unknown.
    """
    x, w = _operands(x, w)
    stride, padding, extra = _pair(stride), _pair(padding), _pair(output_padding)
    small, kernel = x.shape[1:3], w.shape[:2]
    big = tuple(
        (size - 1) * s - 2 * p + k + e
        for size, s, p, k, e in zip(small, stride, padding, kernel, extra, strict=True)
    )
    if min(big) < 1:
        raise jgan.UserError(
            f"a transposed convolution of {small[0]}x{small[1]} pixels with padding {padding} "
            f"leaves no pixel; less padding would work"
        )
    shape = Shape(big, small, kernel, stride, padding, False)
    return _evaluate(x, w, out="big", shape=shape, form=_form(form))


def _pair(value: int | Sequence[int]) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (value, value)


def _evaluate(first: jax.Array, second: jax.Array, **params: Any) -> jax.Array:
    plain = params["form"] == "plain"
    return _lower(first, second, **params, cpu=False) if plain else _trilinear.bind(first, second, **params)


def _form(form: str | None) -> str:
    if form is None:
        form = _context.value[0] if _context.value[1] or DEFAULT_FORM == "auto" else DEFAULT_FORM
    if form not in FORMS:
        raise jgan.UserError(f"convolution form {form!r} is unknown; {', '.join(FORMS)} would work")
    return form


def _operands(x: jax.Array, w: jax.Array) -> tuple[jax.Array, jax.Array]:
    x, w = jnp.asarray(x), jnp.asarray(w)
    if x.ndim != 4 or w.ndim != 4 or x.shape[3] != w.shape[2]:
        raise jgan.UserError(
            f"a convolution takes images [n, h, w, ci] and a kernel [kh, kw, ci, co], not {x.shape} and {w.shape}"
        )
    dtype = jnp.promote_types(x.dtype, w.dtype)
    return x.astype(dtype), w.astype(dtype)


# The primitive. Operands by output: small <- (big, kernel), big <- (small, kernel), kernel <- (big, small).

_trilinear = jax.extend.core.Primitive("trilinear_conv")


@functools.cache
def _compiled(**params: Any) -> Callable[..., jax.Array]:
    return jax.jit(functools.partial(_trilinear.bind, **params))


@_trilinear.def_impl
def _impl(first: jax.Array, second: jax.Array, **params: Any) -> jax.Array:
    return _compiled(**params)(first, second)


@_trilinear.def_abstract_eval
def _abstract(
    first: jax.core.ShapedArray, second: jax.core.ShapedArray, *, out: str, shape: Shape, form: str
) -> jax.core.ShapedArray:
    if out == "kernel":
        channels = (first.shape[3], second.shape[3])
        result = shape.kernel + (channels if shape.big_first else channels[::-1])
    else:
        size = shape.small if out == "small" else shape.big
        last = (out == "small") == shape.big_first  # which channels of the kernel come out
        result = (first.shape[0], *size, second.shape[3 if last else 2])
    return jax.core.ShapedArray(result, first.dtype)


def _transpose_first(
    cotangent: jax.Array, first: Any, second: Any, *, out: str, shape: Shape, form: str
) -> jax.Array:
    back = {"small": "big", "big": "small", "kernel": "big"}[out]
    # The derivative of T by the kernel, with the big image unknown: the cotangent takes the kernel's place.
    operands = (second, cotangent) if out == "kernel" else (cotangent, second)
    return _trilinear.bind(*operands, out=back, shape=shape, form=form)


def _transpose_second(
    cotangent: jax.Array, first: Any, second: Any, *, out: str, shape: Shape, form: str
) -> jax.Array:
    if out == "kernel":
        return _trilinear.bind(first, cotangent, out="small", shape=shape, form=form)
    operands = (first, cotangent) if out == "small" else (cotangent, first)
    return _trilinear.bind(*operands, out="kernel", shape=shape, form=form)


def is_convolution(primitive: Any, *_: Any, **__: Any) -> bool:
    """Whether a primitive is a convolution of this module: a policy for `jax.checkpoint`, to keep their outputs."""
    return primitive is _trilinear


ad.defbilinear(_trilinear, _transpose_first, _transpose_second)


def _batch(
    args: Sequence[jax.Array], dims: Sequence[int | None], *, out: str, shape: Shape, form: str
) -> tuple[jax.Array, int]:
    """The rule of `vmap`: where one operand is batched, its batch is folded into the images or into the channels."""
    (first, second), (at, by) = args, dims
    bind = functools.partial(_trilinear.bind, out=out, shape=shape, form=form)
    if at is not None and by is not None:
        # Each image has a kernel of its own: there is nothing to fold the batch into, so XLA batches the products.
        cpu, default = (
            functools.partial(_lower, out=out, shape=shape, form=form, cpu=cpu) for cpu in (True, False)
        )

        def single(first: jax.Array, second: jax.Array) -> jax.Array:
            return lax.platform_dependent(first, second, cpu=cpu, default=default)

        return jax.vmap(single, (at, by))(first, second), 0
    if out == "kernel":
        count = first.shape[at] if by is None else second.shape[by]
        operands = (_fold(first, at, 3), second) if by is None else (first, _fold(second, by, 3))
        result = bind(*operands)
        # big's channels are the kernel's third axis where it is big_first
        axis = 2 if (by is None) == shape.big_first else 3
        return _unfold(result, axis, count), axis
    if by is None:
        return _unfold(bind(_fold(first, at, 0), second), 0, first.shape[at]), 0
    axis = 3 if (out == "small") == shape.big_first else 2
    return _unfold(bind(first, _fold(second, by, axis)), 3, second.shape[by]), 3


def _fold(x: jax.Array, batch: int, axis: int) -> jax.Array:
    """The batch dimension as the outer part of another axis of the single example."""
    x = jnp.moveaxis(x, batch, axis)
    return x.reshape(x.shape[:axis] + (-1,) + x.shape[axis + 2 :])


def _unfold(x: jax.Array, axis: int, count: int) -> jax.Array:
    """The outer part of an axis, of `count`, as an axis of its own before the rest of it."""
    return x.reshape(x.shape[:axis] + (count, x.shape[axis] // count) + x.shape[axis + 1 :])


batching.primitive_batchers[_trilinear] = _batch


def _lower(first: jax.Array, second: jax.Array, *, out: str, shape: Shape, form: str, cpu: bool) -> jax.Array:
    """The operations that the primitive becomes for a form and a platform."""
    if form == "gemm":
        return conv_products.evaluate(first, second, out=out, shape=shape)
    if not cpu or form == "accelerator":
        return _LAX[out](first, second, shape=shape)
    if form == "auto":
        big, small = conv_products.channels(first, second, out=out, shape=shape)
        if not _xla_pays(out, shape, first.shape[0], big, small, first.dtype):
            algorithm = conv_products
            if winograd.pays(shape, first.shape[0], (big, small), first.dtype):
                algorithm = winograd
            elif karatsuba.pays(shape, (big, small), first.dtype):
                algorithm = karatsuba
            return algorithm.evaluate(first, second, out=out, shape=shape)
    return _LAX[out](first, second, shape=shape, convolution=_padded_convolution)


def _xla_pays(out: str, shape: Shape, n: int, big: int, small: int, dtype: jnp.dtype) -> bool:
    """Whether XLA's convolution is the best one on CPU for n images.

    XLA's convolution gathers patches as it goes, while products need them in memory, where they are larger than both
    images, and it compiles at once. It is slow for wide kernels of small images, for strides in the backward pass and
    for most gradients to kernels. Winograd's algorithm saves more than it costs up to about 64 pixels.
    """
    least, numbers = min(shape.small), math.prod(shape.kernel) * big * small
    if conv_products.is_pointwise(shape):
        return False
    if out == "kernel":
        return small >= 16 and numbers <= _NARROW_KERNEL and n * math.prod(shape.small) <= _NARROW_PIXELS
    if winograd.pays(shape, n, (big, small), dtype):
        return least >= 96
    if out == "small":
        return numbers <= _SMALL_KERNEL or least >= (16 if numbers <= _LARGE_KERNEL else 32)
    return least >= 32 and shape.stride == (1, 1) and small <= 8 and big >= 16


for _platform in ("cpu", None):
    _rule = functools.partial(_lower, cpu=_platform == "cpu")
    mlir.register_lowering(_trilinear, mlir.lower_fun(_rule, multiple_results=False), platform=_platform)


# XLA's convolution.


def _convolution(
    images: jax.Array,
    kernel: jax.Array,
    stride: tuple[int, ...],
    pads: Sequence[tuple[int, int]],
    **dilation: Any,
) -> jax.Array:
    """XLA's convolution in the one order of axes for which XLA on CPU has a fast implementation.

    XLA puts other orders into that one at the top of a program but not in a loop, where they take the slow one.
    """
    numbers = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(images, kernel, stride, pads, dimension_numbers=numbers, **dilation)


def _padded_convolution(
    images: jax.Array, kernel: jax.Array, stride: tuple[int, ...], pads: Sequence[tuple[int, int]]
) -> jax.Array:
    """The same as `_convolution`; where there is no padding, it adds a row above the images and drops its outputs.

    XLA's convolution on CPU takes three to four times as long without any padding as with some.
    """
    if kernel.shape[:2] == (1, 1) or any(side > 0 for both in pads for side in both):
        return _convolution(images, kernel, stride, pads)
    (_, bottom), (left, right) = pads
    return _convolution(images, kernel, stride, ((stride[0] + pads[0][0], bottom), (left, right)))[:, 1:]


def _lax_small(
    big: jax.Array, kernel: jax.Array, *, shape: Shape, convolution: Callable[..., jax.Array] = _convolution
) -> jax.Array:
    pads = tuple(zip(shape.pad, shape.after(), strict=True))
    kernel = kernel if shape.big_first else kernel.swapaxes(2, 3)
    return convolution(big, kernel, shape.stride, pads)


def _lax_big(
    small: jax.Array, kernel: jax.Array, *, shape: Shape, convolution: Callable[..., jax.Array] = _convolution
) -> jax.Array:
    pads = tuple(
        (k - 1 - p, k - 1 - after) for k, p, after in zip(shape.kernel, shape.pad, shape.after(), strict=True)
    )
    kernel = kernel.swapaxes(2, 3) if shape.big_first else kernel
    if shape.stride != (1, 1):
        return _convolution(small, kernel[::-1, ::-1], (1, 1), pads, lhs_dilation=shape.stride)
    return convolution(small, kernel[::-1, ::-1], (1, 1), pads)


def _lax_kernel(
    big: jax.Array, small: jax.Array, *, shape: Shape, convolution: Callable[..., jax.Array] = _convolution
) -> jax.Array:
    # The channels of the big image take the place of its batch, and the examples of both images are contracted. An
    # additional row (`_padded_convolution`) gains nothing here.
    pads = tuple(zip(shape.pad, shape.after(), strict=True))
    big, small = big.transpose(3, 1, 2, 0), small.transpose(1, 2, 0, 3)
    kernel = _convolution(big, small, (1, 1), pads, rhs_dilation=shape.stride)
    return kernel.transpose(1, 2, 0, 3) if shape.big_first else kernel.transpose(1, 2, 3, 0)


_LAX = {"small": _lax_small, "big": _lax_big, "kernel": _lax_kernel}
