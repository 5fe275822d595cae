"""The layers and the blocks of StyleGAN2's nets, which `stylegan2` puts together."""

import math
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp

from jgan.nets import equalised
from jgan.ops import conv
from jgan.ops import fir

_HALF = math.sqrt(0.5)  # of each of two branches that are added, to keep the variance
_EPSILON = 1e-8


class Modulated(nn.Module):
    """A 3x3 convolution [n, h, w, c] -> [n, h', w', features] whose kernel is scaled by a style for each example.

    The input is scaled in place of the kernel, so that one convolution serves the batch, and the output by what
    gives every kernel of an example the norm 1. `up` doubles height and width. Noise is a map [n or 1, h', w', 1]
    that all channels share, times a strength that is learned, or None. `prescaled` kernels are divided by the root of
    their number of inputs before that, so that the term by which no norm is 0 weighs more.
    """

    features: int
    up: bool = False
    clamp: float | None = None
    gain: float = 1.0
    prescaled: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, w: jax.Array, noise: jax.Array | None) -> jax.Array:
        dtype, channels = x.dtype, x.shape[-1]
        style = equalised.Dense(channels, start=1.0, name="affine")(w)
        kernel = self.param("kernel", nn.initializers.normal(1), (3, 3, channels, self.features))
        # One tap after the other: XLA on CPU hands a sum over leading axes to a library that takes far longer.
        squares = sum(jnp.square(kernel).reshape(-1, channels, self.features))
        epsilon = _EPSILON * (9 * channels if self.prescaled else 1)
        norm = jax.lax.rsqrt(jnp.square(style) @ squares + epsilon)
        x, kernel = x * style[:, None, None].astype(dtype), kernel.astype(dtype)
        if self.up:
            x = fir.smooth(conv.conv_transpose(x, kernel, 2), 1, 4)
        else:
            x = conv.conv(x, kernel, 1, ((1, 1), (1, 1)))
        x = x * norm[:, None, None].astype(dtype)
        strength = self.param("noise_strength", nn.initializers.zeros, ())
        if noise is not None:
            x = x + (noise * strength).astype(dtype)
        b = self.param("bias", nn.initializers.zeros, (self.features,)).astype(dtype)
        return equalised.activation(x + b, self.gain, self.clamp)


class ToRGB(nn.Module):
    """Images [n, h, w, features] of activations [n, h, w, c]: a modulated 1x1 convolution without normalisation."""

    features: int
    clamp: float | None = None

    @nn.compact
    def __call__(self, x: jax.Array, w: jax.Array) -> jax.Array:
        channels = x.shape[-1]
        style = equalised.Dense(channels, start=1.0, name="affine")(w) / math.sqrt(channels)
        kernel = self.param("kernel", nn.initializers.normal(1), (1, 1, channels, self.features))
        b = self.param("bias", nn.initializers.zeros, (self.features,))
        x = conv.conv(x * style[:, None, None].astype(x.dtype), kernel.astype(x.dtype))
        return equalised.precise(equalised.clip(x + b.astype(x.dtype), self.clamp))


class SynthesisBlock(nn.Module):
    """Activations and image of one resolution from those of the last one; the styles [n, 2 or 3, w_dim] are its own."""

    resolution: int
    width: int
    features: int
    architecture: str
    last: bool
    clamp: float | None
    dtype: Any
    prescaled: bool = False

    @nn.compact
    def __call__(
        self, x: jax.Array | None, image: jax.Array | None, ws: jax.Array, noise: tuple[jax.Array | None, ...]
    ) -> tuple[jax.Array, jax.Array | None]:
        residual = self.architecture == "resnet" and self.resolution > 4
        gain = _HALF if residual else 1.0
        if self.resolution == 4:
            x = self.param("const", nn.initializers.normal(1), (4, 4, self.width)).astype(self.dtype)
            x = jnp.broadcast_to(x, (ws.shape[0], *x.shape))
        else:
            x = x.astype(self.dtype)
            if residual:
                skip = fir.upsample(equalised.Conv(self.width, 1, plain=True, gain=_HALF, name="skip")(x))
            x = Modulated(self.width, True, self.clamp, prescaled=self.prescaled, name="conv0")(
                x, ws[:, 0], noise[0]
            )
        x = Modulated(self.width, False, self.clamp, gain, self.prescaled, name="conv1")(
            x, ws[:, -2], noise[-1]
        )
        x = skip + x if residual else x
        if self.last or self.architecture == "skip":
            made = ToRGB(self.features, self.clamp, name="torgb")(x, ws[:, -1])
            image = made if image is None else fir.upsample(image) + made
        return x, image


class DiscriminatorBlock(nn.Module):
    """Activations [n, h/2, w/2, after] from [n, h, w, width], or from the image."""

    width: int
    after: int
    sees: bool
    residual: bool
    clamp: float | None

    @nn.compact
    def __call__(self, x: jax.Array | None, image: jax.Array) -> jax.Array:
        if self.sees:
            seen = equalised.Conv(self.width, 1, clamp=self.clamp, name="fromrgb")(image)
            x = seen if x is None else x + seen
        gain = _HALF if self.residual else 1.0
        y = equalised.Conv(self.width, 3, clamp=self.clamp, name="conv0")(x)
        y = equalised.Conv(self.after, 3, True, clamp=self.clamp, gain=gain, name="conv1")(y)
        return (
            y + equalised.Conv(self.after, 1, True, True, gain=_HALF, name="skip")(x) if self.residual else y
        )


class Epilogue(nn.Module):
    """[n, features] from activations [n, 4, 4, width], after a channel that tells how different the examples are."""

    width: int
    features: int
    group: int
    clamp: float | None

    @nn.compact
    def __call__(self, x: jax.Array, image: jax.Array | None) -> jax.Array:
        if image is not None:
            x = x + equalised.Conv(self.width, 1, name="fromrgb")(image)
        x = equalised.Conv(self.width, 3, clamp=self.clamp, name="conv")(
            equalised.minibatch_stddev(x, self.group)
        )
        x = equalised.Dense(self.width, True, name="fc")(x.reshape(x.shape[0], -1))
        return equalised.Dense(self.features, name="out")(x)
