"""DCGAN: a generator from codes to images, a discriminator, a predictor of codes, and their smallest relatives.

Radford et al., "Unsupervised Representation Learning with Deep Convolutional GANs" (2016), with 5x5 kernels in
the form that Zhu et al., "Generative Visual Manipulation on the Natural Image Manifold" (2016, iGAN) trained, and
with 4x4 kernels in the form that is usual now. The two differ in one more detail: iGAN normalises every unit of
the first layer by itself, the usual form every channel.

A transposed convolution is the input gradient of a convolution padded alike on both sides (2 for 5x5, 1 for 4x4).
Flax's own `SAME` pads a 5x5 one the other way round, which shifts the image by a pixel.
"""

import math
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp

import jgan
from jgan.nets import layers
from jgan.nets import net as nets

KERNELS = {5: (2, 1), 4: (1, 0)}  # kernel: padding, output padding
SIZES = (8, 16, 32, 64, 128, 256)


class Generator(nn.Module):
    """Images [n, size, size, features] in [-1, 1] from codes [n, nz]."""

    size: int
    features: int
    ngf: int = 128
    kernel: int = 5
    norm: str = "batch"
    epsilon: float = 1e-5
    dtype: Any = None

    @nn.compact
    def __call__(self, z: jax.Array, *, statistics: str, dropout: bool) -> jax.Array:
        del dropout  # it has none
        stages = _stages(self.size)
        padding, output_padding = KERNELS[self.kernel]
        top = self.ngf * 2 ** (stages - 1)
        x = layers.Dense(16 * top, bias=False, dtype=self.dtype, name="dense")(z)
        # A batch norm over examples alone is one over images of one pixel.
        x = x.reshape(-1, 1, 1, 16 * top) if self.kernel == 5 else x.reshape(-1, 4, 4, top)
        x = layers.Norm(self.norm, self.epsilon, name="dense_norm")(x, statistics)
        x = nn.relu(x.reshape(-1, 4, 4, top))
        for k in range(1, stages + 1):
            last = k == stages
            width = self.features if last else top // 2**k
            x = layers.ConvTranspose(
                width, self.kernel, padding, output_padding, False, self.dtype, name=f"up_{k}"
            )(x)
            if not last:
                x = nn.relu(layers.Norm(self.norm, self.epsilon, name=f"up_norm_{k}")(x, statistics))
        return jnp.tanh(_precise(x))


class Discriminator(nn.Module):
    """{"logits": [[n, 1]], "features": [activations, ...]} of images [n, size, size, c]."""

    size: int
    ndf: int = 128
    kernel: int = 5
    norm: str = "batch"
    epsilon: float = 1e-5
    dtype: Any = None

    @nn.compact
    def __call__(self, x: jax.Array, *, statistics: str, dropout: bool) -> dict[str, Any]:
        del dropout
        logits, features = encode(self, x, statistics, 1)
        return {"logits": [_precise(logits)], "features": features}


class Predictor(nn.Module):
    """Codes [n, nz] of images [n, size, size, c], in [-1, 1] where `bounded`: D's layers under another head."""

    size: int
    nz: int = 100
    bounded: bool = True
    ndf: int = 128
    kernel: int = 5
    norm: str = "batch"
    epsilon: float = 1e-5
    dtype: Any = None

    @nn.compact
    def __call__(self, x: jax.Array, *, statistics: str, dropout: bool) -> jax.Array:
        del dropout
        z = _precise(encode(self, x, statistics, self.nz)[0])
        return jnp.tanh(z) if self.bounded else z


def encode(net: Any, x: jax.Array, statistics: str, features: int) -> tuple[jax.Array, list[jax.Array]]:
    """[n, features] and the activations of every strided layer, which become layers of the net that calls."""
    activations = []
    for k in range(_stages(net.size)):
        padding, _ = KERNELS[net.kernel]
        x = layers.Conv(net.ndf * 2**k, net.kernel, 2, padding, False, net.dtype, name=f"conv_{k + 1}")(x)
        if k:  # none where the image comes in
            x = layers.Norm(net.norm, net.epsilon, name=f"norm_{k + 1}")(x, statistics)
        x = nn.leaky_relu(x, 0.2)
        activations.append(x)
    x = x.reshape(x.shape[0], -1)
    return layers.Dense(features, bias=False, dtype=net.dtype, name="dense")(x), activations


def _precise(x: jax.Array) -> jax.Array:
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def _stages(size: int) -> int:
    """How often an image of this side is halved until 4 pixels are left."""
    return int(math.log2(size)) - 2


def generator(
    *,
    size: int,
    features: int,
    ngf: int = 128,
    kernel: int = 5,
    norm: str = "batch",
    epsilon: float = 1e-5,
    dtype: Any = None,
) -> nets.Net:
    """A net from codes [n, nz] to images [n, size, size, features] in [-1, 1].

    Args:
        size: height and width, one of `SIZES`.
        features: channels of the images.
        ngf: channels before the last layer; every layer before it has twice as many as its successor.
        kernel: 5 (iGAN's form) or 4 (the usual one).
        norm: `batch`, or `batch:N` for statistics of N examples.
        epsilon: of the norms; iGAN has 1e-8.
        dtype: type of the arithmetic; None follows the input.

    Raises:
        jgan.UserError: a size, a width or a kernel that does not exist.
    """
    _check(size, "generator.ngf", ngf, kernel)
    layers.check(norm)
    if not layers.is_batch(norm):
        raise jgan.UserError(f"generator.norm={norm!r}: a DCGAN has batch norm, 'batch' or 'batch:N'.")
    return nets.functions(Generator(size, features, ngf, kernel, norm, epsilon, dtype))


def discriminator(
    *,
    size: int,
    ndf: int = 128,
    kernel: int = 5,
    norm: str = "batch",
    epsilon: float = 1e-5,
    dtype: Any = None,
) -> nets.Net:
    """A net from images [n, size, size, c] to a dict with "logits" [[n, 1]] and "features" (one per layer).

    Arguments and errors as in `generator`; `ndf` are the channels after the first layer, `norm` is `batch`,
    `instance` or `none`.
    """
    _check(size, "discriminator.ndf", ndf, kernel)
    layers.check(norm)
    return nets.functions(Discriminator(size, ndf, kernel, norm, epsilon, dtype))


def predictor(
    *,
    size: int,
    nz: int = 100,
    bounded: bool = True,
    ndf: int = 128,
    kernel: int = 5,
    norm: str = "batch",
    epsilon: float = 1e-5,
    dtype: Any = None,
) -> nets.Net:
    """A net from images [n, size, size, c] to codes [n, nz]; under a tanh where `bounded`, as a uniform z needs.

    Other arguments and errors as in `discriminator`.
    """
    _check(size, "predictor.ndf", ndf, kernel)
    layers.check(norm)
    return nets.functions(Predictor(size, nz, bounded, ndf, kernel, norm, epsilon, dtype))


def _check(size: int, field: str, width: int, kernel: int) -> None:
    if size not in SIZES:
        known = ", ".join(map(str, SIZES))
        raise jgan.UserError(f"data.size={size}: a DCGAN makes squares of {known} px.")
    if kernel not in KERNELS:
        raise jgan.UserError(f"kernel={kernel}: a DCGAN has kernels of 4 (the usual form) or 5 (iGAN's).")
    if width < 1:
        raise jgan.UserError(f"{field}={width}: a net needs 1 channel or more.")
