"""Layers whose weights are stored as N(0, 1) and scaled where they are used, and what goes with them.

Karras et al., "Progressive Growing of GANs" (2018), section 4.1: Adam moves every weight equally fast, whatever the
number of inputs of its layer.
"""

import math

from flax import linen as nn
import jax
import jax.numpy as jnp

import jgan
from jgan.ops import conv
from jgan.ops import fir

_SLOPE = 0.2  # of leaky ReLUs
_GAIN = math.sqrt(2)  # after each, to keep the variance
_EPSILON = 1e-8


class Dense(nn.Module):
    """A dense layer [n, c] -> [n, features] whose weights have the variance 1 / c by a factor at run time.

    `lr_multiplier` slows its learning: what is stored is so many times smaller where it is used. `start` is where its
    biases begin, as stored.
    """

    features: int
    activate: bool = False
    lr_multiplier: float = 1.0
    start: float = 0.0

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (x.shape[-1], self.features)
        w = self.param("kernel", nn.initializers.normal(1 / self.lr_multiplier), shape)
        b = self.param("bias", nn.initializers.constant(self.start), (self.features,))
        x = precise(x) @ w * (self.lr_multiplier / math.sqrt(x.shape[-1])) + b * self.lr_multiplier
        return activation(x) if self.activate else x


class Conv(nn.Module):
    """A convolution [n, h, w, c] -> [n, h', w', features], with bias and leaky ReLU unless it is `plain`.

    `down` smooths and takes every second pixel. `gain` is a factor of the result.
    """

    features: int
    kernel: int
    down: bool = False
    plain: bool = False
    clamp: float | None = None
    gain: float = 1.0

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (self.kernel, self.kernel, x.shape[-1], self.features)
        w = self.param("kernel", nn.initializers.normal(1), shape).astype(x.dtype)
        scale = 1 / math.sqrt(math.prod(shape[:3]))
        if self.kernel == 1:
            x = conv.conv(fir.downsample(x) if self.down else x, w)
        elif self.down:
            x = conv.conv(fir.smooth(x, 2), w, 2)
        else:
            side = (self.kernel // 2, self.kernel // 2)
            x = conv.conv(x, w, 1, (side, side))
        if self.plain:
            return x * (scale * self.gain)
        b = self.param("bias", nn.initializers.zeros, (self.features,)).astype(x.dtype)
        return activation(x * scale + b, self.gain, self.clamp)


def activation(x: jax.Array, gain: float = 1.0, clamp: float | None = None) -> jax.Array:
    """A leaky ReLU times sqrt(2) and `gain`, clipped at `clamp` times `gain`."""
    gain_of = _GAIN * gain
    return clip(
        jnp.where(x >= 0, x * gain_of, x * (_SLOPE * gain_of)), None if clamp is None else clamp * gain
    )


def clip(x: jax.Array, clamp: float | None) -> jax.Array:
    """The numbers within [-clamp, clamp], or all where it is None."""
    return x if clamp is None else jnp.clip(x, -clamp, clamp)


def normalise(x: jax.Array) -> jax.Array:
    """The vectors along the last axis, with a mean square of 1."""
    return x * jax.lax.rsqrt(jnp.mean(jnp.square(x), -1, keepdims=True) + _EPSILON)


def minibatch_stddev(x: jax.Array, group_size: int) -> jax.Array:
    """The activations [n, h, w, c] with a further channel, how much the examples of a group differ: [n, h, w, c + 1].

    Neighbours are a group, so that devices that divide a batch have whole groups. In the authors' code examples are in
    a group with those n / `group_size` away, of those on one device; which ones does not matter to a random batch.

    Args:
        x: activations.
        group_size: examples of a group; all of them are one where there are fewer.

    Raises:
        jgan.UserError: the batch is not a multiple of the group.
    """
    n, h, w, c = x.shape
    group = min(group_size, n)
    if n % group:
        raise jgan.UserError(
            f"a batch of {n} cannot be cut into groups of {group} for the standard deviation of the minibatch: "
            f"a multiple of discriminator.mbstd_group_size={group_size} would work."
        )
    y = x.reshape(n // group, group, h, w, c)
    y = jnp.sqrt(jnp.mean(jnp.square(y - jnp.mean(y, 1, keepdims=True)), 1) + _EPSILON)
    y = jnp.broadcast_to(jnp.mean(y, (1, 2, 3))[:, None, None, None, None], (n // group, group, h, w, 1))
    return jnp.concatenate([x, y.reshape(n, h, w, 1)], -1)


def precise(x: jax.Array) -> jax.Array:
    """The array in float32 at least."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))
