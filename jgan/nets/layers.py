"""The layers that the nets share: convolutions, dense layers, norms and changes of resolution.

Kernels start as N(0, 0.02), biases as 0, scales of batch norm as N(1, 0.02): the initialisation of DCGAN that
pix2pix and CycleGAN kept. `start` names another one for kernels. Parameters are float32; `dtype` is the type of the
arithmetic (None: that of the input), while statistics are always taken in at least float32.
"""

from collections.abc import Callable
from collections.abc import Mapping
import functools
import re
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp

import jgan
from jgan.ops import conv
from jgan.ops import order
from jgan.ops import planes
from jgan.ops import resample

NORMS = ("batch", "instance", "none")
UPSAMPLINGS = ("transposed", "resize_conv")
_EPSILON = 1e-5
_DEVIATION = 0.02
_kernel_init = nn.initializers.normal(_DEVIATION)
# Uniform within 1 / sqrt(number of inputs of an output): PyTorch's default, for nets whose code leaves it at that.
FAN_IN = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")


def _scale_init(key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.Array:
    return 1 + 0.02 * jax.random.normal(key, shape, dtype)


class Conv(nn.Module):
    """A convolution [n, h, w, c] -> [n, h', w', features] with zero padding on every side.

    `constant` [n, m] counts as m more channels of the image, each the same in all of its pixels.
    """

    features: int
    kernel: int
    stride: int = 1
    padding: int = 0
    bias: bool = True
    dtype: Any = None
    start: Any = _kernel_init

    @nn.compact
    def __call__(self, x: jax.Array, constant: jax.Array | None = None) -> jax.Array:
        shape = (self.kernel, self.kernel, x.shape[-1], self.features)
        w = self.param("kernel", self.start, shape)
        dtype = self.dtype or jnp.result_type(x, w)
        side = (self.padding, self.padding)
        y = conv.conv(x.astype(dtype), w.astype(dtype), self.stride, (side, side))
        if constant is not None:
            shape = (self.kernel, self.kernel, constant.shape[-1], self.features)
            w = self.param("constant_kernel", _kernel_init, shape).astype(dtype)
            y += planes.conv(constant.astype(dtype), w, *x.shape[1:3], self.stride, self.padding)
        return _add_bias(self, y) if self.bias else y


class ConvMean(nn.Module):
    """Means of 2x2 pixels of a 3x3 convolution with zero padding: [n, h, w, c] -> [n, h/2, w/2, features].

    Both are one convolution of stride 2, whose 4x4 kernel is the mean of the 3x3 one in four places: less than half of
    the arithmetic.
    """

    features: int
    bias: bool = True
    dtype: Any = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        w = self.param("kernel", _kernel_init, (3, 3, x.shape[-1], self.features))
        dtype = self.dtype or jnp.result_type(x, w)
        places = [((i, 1 - i), (j, 1 - j), (0, 0), (0, 0)) for i in (0, 1) for j in (0, 1)]
        w = sum(jnp.pad(w, place) for place in places) / 4
        y = conv.conv(x.astype(dtype), w.astype(dtype), 2, ((1, 1), (1, 1)))
        return _add_bias(self, y) if self.bias else y


class ConvTranspose(nn.Module):
    """A transposed convolution that doubles height and width."""

    features: int
    kernel: int
    padding: int
    output_padding: int = 0
    bias: bool = True
    dtype: Any = None
    start: Any = _kernel_init

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (self.kernel, self.kernel, x.shape[-1], self.features)
        w = self.param("kernel", self.start, shape)
        dtype = self.dtype or jnp.result_type(x, w)
        y = conv.conv_transpose(x.astype(dtype), w.astype(dtype), 2, self.padding, self.output_padding)
        return _add_bias(self, y) if self.bias else y


class Dense(nn.Module):
    """A product [n, features] of vectors [n, c] with a matrix."""

    features: int
    bias: bool = True
    dtype: Any = None
    start: Any = _kernel_init

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        w = self.param("kernel", self.start, (x.shape[-1], self.features))
        dtype = self.dtype or jnp.result_type(x, w)
        y = x.astype(dtype) @ w.astype(dtype)
        return _add_bias(self, y) if self.bias else y


def _add_bias(module: nn.Module, y: jax.Array) -> jax.Array:
    return y + module.param("bias", nn.initializers.zeros, (y.shape[-1],)).astype(y.dtype)


class Norm(nn.Module):
    """Batch norm, instance norm (no affine part, as the PyTorch line has it) or the identity.

    Running statistics follow PyTorch: momentum 0.1, unbiased variance. The variance is taken in two passes,
    because E[x^2] - E[x]^2 cancels where a channel's mean is large.

    `gather` keeps the very numbers that normalised, so that the same pass over a part of the picture can take them
    as `running` statistics. That is the one way in which an instance norm comes to have any.

    `batch:4` is batch norm whose statistics are those of 4 neighbours each, as of a device that has 4 examples, and not
    those of all examples on all devices; running statistics are means over groups. A smaller batch is one group.

    `epsilon` is what is added to the variance. With `affine` an instance norm has a scale (from 1) and a bias (from 0)
    for every channel too.
    """

    kind: str
    epsilon: float = _EPSILON
    affine: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, statistics: str) -> jax.Array:
        if self.kind == "none":
            return x
        dtype = x.dtype
        x = x.astype(jnp.promote_types(dtype, jnp.float32))
        c = x.shape[-1]
        if self.kind == "instance":
            if statistics == "gather":
                x, mu, var = _standardise(x, (0, 1, 2), self.epsilon)
                self.put_variable("stats", "mean", mu.reshape(c))
                self.put_variable("stats", "variance", var.reshape(c))
            elif statistics == "running" and self.has_variable("stats", "mean"):
                mu, var = self.get_variable("stats", "mean"), self.get_variable("stats", "variance")
                x = (x - mu) * jax.lax.rsqrt(var + self.epsilon)
            else:
                x, _, _ = _normalise(x, (1, 2), self.epsilon)
            if self.affine:
                x = x * self.param("scale", nn.initializers.ones, (c,))
                x = x + self.param("bias", nn.initializers.zeros, (c,))
            return x.astype(dtype)
        scale = self.param("scale", _scale_init, (c,))
        bias = self.param("bias", nn.initializers.zeros, (c,))
        mean = self.variable("stats", "mean", jnp.zeros, (c,))
        variance = self.variable("stats", "variance", jnp.ones, (c,))
        if statistics == "running":
            x = (x - mean.value) * jax.lax.rsqrt(variance.value + self.epsilon)
        elif statistics == "image":
            x, _, _ = _normalise(x, (1, 2), self.epsilon)
        elif statistics == "gather":
            x, mu, var = _standardise(x, (0, 1, 2), self.epsilon)
            mean.value, variance.value = mu.reshape(c), var.reshape(c)
        elif statistics == "batch":
            shape, size = x.shape, group_size(self.kind, len(x))
            n = x.size // c // len(x) * size
            if size == len(x):
                x, mu, var = _normalise(x, (0, 1, 2), self.epsilon)
            else:
                x, mu, var = _normalise(x.reshape(-1, size, *shape[1:]), (1, 2, 3), self.epsilon)
                x = x.reshape(shape)
            if not self.is_initializing():
                mu, var = (jnp.mean(y.reshape(-1, c), 0) for y in (mu, var))
                mean.value = 0.9 * mean.value + 0.1 * mu
                variance.value = 0.9 * variance.value + 0.1 * var * (n / max(n - 1, 1))
        else:
            raise jgan.UserError(
                f"statistics={statistics!r} is unknown: use 'batch', 'image', 'gather' or 'running'."
            )
        return (x * scale + bias).astype(dtype)


def _standardise(
    x: jax.Array, axes: tuple[int, ...], epsilon: float
) -> tuple[jax.Array, jax.Array, jax.Array]:
    mean = jnp.mean(x, axes, keepdims=True)
    # Without the barrier XLA rewrites the root differently in the two places where a system's losses share a
    # forward pass, no longer sees that the passes are equal, and runs both.
    variance = jax.lax.optimization_barrier(jnp.mean(jnp.square(x - mean), axes, keepdims=True))
    return (x - mean) * jax.lax.rsqrt(variance + epsilon), mean, variance


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def _normalise(x: jax.Array, axes: tuple[int, ...], epsilon: float) -> tuple[jax.Array, jax.Array, jax.Array]:
    """`_standardise` that keeps for its backward pass only its input, which a convolution has kept already.

    No gradient goes through the mean and the variance that it returns.
    """
    return _standardise(x, axes, epsilon)


def _normalise_forward(x: jax.Array, axes: tuple[int, ...], epsilon: float) -> tuple[Any, Any]:
    y, mean, variance = _standardise(x, axes, epsilon)
    return (y, mean, variance), (x, mean, variance)


def _normalise_backward(axes: tuple[int, ...], epsilon: float, kept: Any, given: Any) -> tuple[jax.Array]:
    (x, mean, variance), (g, _, _) = kept, given
    scale = jax.lax.rsqrt(variance + epsilon)
    y = (order.later(x, g) - mean) * scale
    along = jnp.mean(g * y, axes, keepdims=True)
    return (scale * (g - jnp.mean(g, axes, keepdims=True) - along * y),)


_normalise.defvjp(_normalise_forward, _normalise_backward)


class Upsample(nn.Module):
    """Twice the height and width, by one of three ways to draw new pixels.

    `transposed` is the papers' transposed convolution; `resize_conv` copies every pixel four times and convolves
    3x3, which leaves no checkerboard (Odena et al. 2016); `antialias` interpolates with the binomial filter
    [1, 3, 3, 1] before the 3x3 convolution, as the CUT line does.
    """

    features: int
    kernel: int
    padding: int
    output_padding: int = 0
    upsample: str = "transposed"
    antialias: bool = False
    bias: bool = True
    dtype: Any = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        if not self.antialias and self.upsample == "transposed":
            return ConvTranspose(
                self.features,
                self.kernel,
                self.padding,
                self.output_padding,
                self.bias,
                self.dtype,
                name="conv",
            )(x)
        x = resample.blur_upsample(x) if self.antialias else resample.nearest_upsample(x)
        return Conv(self.features, 3, 1, 1, self.bias, self.dtype, name="conv")(x)


def initialisation(name: str, gain: float = 1.0) -> Callable[[Any], Any]:
    """The function of a net's parameters that gives its kernels another scale, before they are trained.

    It takes kernels that are numbers of N(0, 0.02), and all else stays. `normal` leaves them so. `xavier` makes them
    N(0, gain^2 * 2 / (fan in + fan out)): Glorot and Bengio (2010), eq. 16, as a normal distribution. `kaiming` makes
    them N(0, 2 / fan in): He et al. (2015), eq. 10. What a convolution has for constant channels counts as part of its
    kernel.

    Raises:
        jgan.UserError: another name.
    """
    deviations = {
        "normal": lambda fan_in, fan_out: _DEVIATION,
        "xavier": lambda fan_in, fan_out: gain * (2 / (fan_in + fan_out)) ** 0.5,
        "kaiming": lambda fan_in, fan_out: (2 / fan_in) ** 0.5,
    }
    if name not in deviations:
        raise jgan.UserError(f"init={name!r} is unknown: use one of {', '.join(deviations)}.")

    def scaled(params: Any) -> Any:
        params = dict(params)
        kernels = [kernel for kernel in ("kernel", "constant_kernel") if kernel in params]
        if kernels and name != "normal":
            first = params["kernel"].shape
            pixels = first[0] * first[1] if len(first) == 4 else 1
            fan_in = pixels * sum(params[kernel].shape[-2] for kernel in kernels)
            factor = deviations[name](fan_in, pixels * first[-1]) / _DEVIATION
            params |= {kernel: params[kernel] * factor for kernel in kernels}
        return {key: scaled(x) if isinstance(x, Mapping) else x for key, x in params.items()}

    return scaled


def is_batch(norm: str) -> bool:
    """Whether a norm is one that ties examples together, with groups or without."""
    return norm.partition(":")[0] == "batch"


def group_size(norm: str, n: int) -> int:
    """How many of the n examples of a batch a batch norm takes together.

    Raises:
        jgan.UserError: the batch cannot be cut into such groups.
    """
    size = min(int(norm.partition(":")[2] or n), n)
    if n % size:
        raise jgan.UserError(f"norm={norm!r}: a batch of {n} cannot be cut into groups of {size}.")
    return size


def check(norm: str, upsample: str = "transposed") -> None:
    """Refuses a norm or an upsampling that does not exist with a `jgan.UserError`."""
    if norm not in NORMS and not re.fullmatch("batch:[1-9][0-9]*", norm):
        raise jgan.UserError(
            f"norm={norm!r} is unknown: use one of {', '.join(NORMS)}, or batch:N for statistics of N examples."
        )
    if upsample not in UPSAMPLINGS:
        raise jgan.UserError(f"upsample={upsample!r} is unknown: use one of {', '.join(UPSAMPLINGS)}.")
