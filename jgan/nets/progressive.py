"""Progressive GAN's generator and discriminator, of which as many blocks work as the training has reached.

Karras et al., "Progressive Growing of GANs for Improved Quality, Stability, and Variation" (2018), table 2, with the
constants of the authors' code. Weights are stored as N(0, 1) and scaled where they are used (section 4.1), G divides
the activations of a pixel by their root mean square after every layer (section 4.2), and D sees how different the
examples of a minibatch are (section 3).

How far both have grown is a `level`, which may be traced: the number of doublings of 4 px. At 2 the nets are those of
16 px; at 2.25 those of 32 px, whose last block counts for a fourth (section 2). The arguments `low` and `top`, numbers
of doublings too, say on the host between which of them the level lies: only these blocks are computed.
"""

import math
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp

import jgan
from jgan.nets import equalised
from jgan.nets import net as nets
from jgan.nets import stylegan2
from jgan.ops import conv
from jgan.ops import resample

_SLOPE = 0.2  # of leaky ReLUs
_GAIN = math.sqrt(2)  # of the weights of layers with one, as He et al. (2015) have it


class Layer(nn.Module):
    """A convolution [n, h, w, c] -> [n, h', w', features] with equalised weights, a bias and a leaky ReLU.

    `up` repeats every pixel as a block of 2x2 before it, `down` takes the mean of such blocks after it; either is one
    strided convolution with a kernel of 4x4, which needs less than half of the products. `normal` divides the pixels by
    their root mean square at the end. Kernels of 4x4 without resampling take images of 4x4 pixels to one pixel.
    """

    features: int
    kernel: int = 3
    resampled: str = ""  # up, down
    normal: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (self.kernel, self.kernel, x.shape[-1], self.features)
        w = self.param("kernel", nn.initializers.normal(1), shape)
        w = w * (_GAIN / math.sqrt(math.prod(shape[:3])))
        if self.resampled == "up":
            # A transposed convolution turns the kernel round.
            x = conv.conv_transpose(x, _widened(w[::-1, ::-1]), 2, 1)
        elif self.resampled == "down":
            x = conv.conv(x, _widened(w) / 4, 2, ((1, 1), (1, 1)))
        else:
            side = ((self.kernel - 1) // 2,) * 2 if self.kernel < 4 else (0, 0)
            x = conv.conv(x, w, 1, (side, side))
        x = x + self.param("bias", nn.initializers.zeros, (self.features,))
        return _finished(x, self.normal)


class Generator(nn.Module):
    """Images [n, 4 * 2^top, 4 * 2^top, features], about in [-1, 1], from codes [n, z_dim] at a level in [low, top]."""

    size: int
    features: int
    channel_base: int
    channel_max: int

    @nn.compact
    def __call__(
        self,
        z: jax.Array,
        level: jax.Array | float,
        low: int = 0,
        top: int | None = None,
        *,
        statistics: str = "batch",
        dropout: bool = False,
    ) -> jax.Array:
        del statistics, dropout  # it has neither
        widths = _widths(self.size, self.channel_base, self.channel_max)
        top, image = len(widths) - 1 if top is None else top, None
        # The fourth of the usual gain is the authors'.
        first = equalised.Conv(16 * widths[0], 1, plain=True, gain=_GAIN / 4, name="dense")
        x = first(equalised.normalise(z)[:, None, None]).reshape(z.shape[0], 4, 4, widths[0])
        x = _finished(x + self.param("bias", nn.initializers.zeros, (widths[0],)), True)
        for k, width in enumerate(widths[: top + 1]):
            if k:
                x = Layer(width, resampled="up", normal=True, name=f"b{4 << k}_conv0")(x)
            x = Layer(width, normal=True, name=f"b{4 << k}_conv{min(k, 1)}")(x)
            if k >= low:
                made = equalised.Conv(self.features, 1, plain=True, name=f"b{4 << k}_torgb")(x)
                made = made + self.param(f"b{4 << k}_torgb_bias", nn.initializers.zeros, (self.features,))
                image = (
                    made if image is None else _between(resample.nearest_upsample(image), made, level - k + 1)
                )
        return image


class Discriminator(nn.Module):
    """{"logits": [[n, 1]], "features": [of every block]} of images [n, 4 * 2^top, ...] at a level in [low, top]."""

    size: int
    channel_base: int
    channel_max: int
    mbstd_group_size: int

    @nn.compact
    def __call__(
        self,
        image: jax.Array,
        level: jax.Array | float,
        low: int = 0,
        top: int | None = None,
        *,
        statistics: str = "batch",
        dropout: bool = False,
    ) -> dict[str, Any]:
        del statistics, dropout  # it has neither
        widths = _widths(self.size, self.channel_base, self.channel_max)
        top, features = len(widths) - 1 if top is None else top, []
        x = Layer(widths[top], 1, name=f"b{4 << top}_fromrgb")(image)
        for k in range(top, 0, -1):
            x = Layer(widths[k], name=f"b{4 << k}_conv0")(x)
            x = Layer(widths[k - 1], resampled="down", name=f"b{4 << k}_conv1")(x)
            if k > low:
                image = resample.halve(image)
                seen = Layer(widths[k - 1], 1, name=f"b{4 << (k - 1)}_fromrgb")(image)
                x = _between(seen, x, level - k + 1)
            features.append(x)
        x = Layer(widths[0], name="b4_conv")(equalised.minibatch_stddev(x, self.mbstd_group_size))
        x = Layer(widths[0], 4, name="b4_dense")(x)
        return {"logits": [equalised.Dense(1, name="out")(x[:, 0, 0])], "features": features}


def shrunk(images: jax.Array, size: int) -> jax.Array:
    """Images [n, h, h, c] as [n, size, size, c]: every pixel is the mean of a block."""
    while images.shape[1] > size:
        images = resample.halve(images)
    return images


def enlarged(images: jax.Array, size: int) -> jax.Array:
    """Images [n, h, h, c] as [n, size, size, c]: every pixel becomes a block."""
    while images.shape[1] < size:
        images = resample.nearest_upsample(images)
    return images


def faded(images: jax.Array, level: jax.Array | float, top: int) -> jax.Array:
    """Images [n, 4 * 2^top, 4 * 2^top, c], as sharp as G's can be at a level in [top - 1, top].

    During a fade they lie between two resolutions, as what G makes does (appendix A.1).
    """
    if not top:
        return images
    return _between(resample.nearest_upsample(resample.halve(images)), images, level - top + 1)


def _between(old: jax.Array, new: jax.Array, share: jax.Array | float) -> jax.Array:
    """The old images at a share of 0, the new ones at 1, exactly; shares beyond are cut."""
    share = jnp.clip(jnp.asarray(share, new.dtype), 0, 1)
    return share * new + (1 - share) * old


def _finished(x: jax.Array, normal: bool) -> jax.Array:
    x = jnp.where(x >= 0, x, _SLOPE * x)
    return equalised.normalise(x) if normal else x


def _widened(w: jax.Array) -> jax.Array:
    """The kernel [k + 1, k + 1, ...] that is a kernel [k, k, ...] at all four of its places."""
    w = jnp.pad(w, ((1, 1), (1, 1), (0, 0), (0, 0)))
    w = w[1:] + w[:-1]
    return w[:, 1:] + w[:, :-1]


def _widths(size: int, channel_base: int, channel_max: int) -> list[int]:
    """The channels of 4, 8, ..., size pixels."""
    return [stylegan2.channels(r, channel_base, channel_max) for r in stylegan2.resolutions(size)]


def generator(*, size: int, features: int, channel_base: int = 16384, channel_max: int = 512) -> nets.Net:
    """A net from codes [n, z_dim], a level and, as numbers of the host, its bounds to images.

    Args:
        size: height and width of the images at the last level, a power of two.
        features: their channels.
        channel_base: resolution r has min(channel_base // r, channel_max) channels.
        channel_max: the most channels of a resolution.

    Raises:
        jgan.UserError: a size that cannot be grown to, or too few channels.
    """
    _check("generator", size, channel_base, channel_max)
    return nets.functions(Generator(size, features, channel_base, channel_max))


def discriminator(
    *, size: int, channel_base: int = 16384, channel_max: int = 512, mbstd_group_size: int = 4
) -> nets.Net:
    """A net from images [n, h, h, c], a level and, as numbers of the host, its bounds to "logits" and "features".

    Args:
        size: height and width of the images at the last level, a power of two.
        channel_base: resolution r has min(channel_base // r, channel_max) channels.
        channel_max: the most channels of a resolution.
        mbstd_group_size: examples that are compared with each other.

    Raises:
        jgan.UserError: a size that cannot be grown to, or too few channels.
    """
    _check("discriminator", size, channel_base, channel_max)
    return nets.functions(Discriminator(size, channel_base, channel_max, mbstd_group_size))


def _check(of: str, size: int, channel_base: int, channel_max: int) -> None:
    stylegan2.resolutions(size)
    for field, value, least in (("channel_base", channel_base, size), ("channel_max", channel_max, 1)):
        if value < least:
            raise jgan.UserError(f"{of}.{field}={value}: it must be {least} or more.")
