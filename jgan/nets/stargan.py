"""StarGAN: one translation net for all domains, and a discriminator that also names the domain.

Choi et al., "StarGAN: Unified Generative Adversarial Networks for Multi-Domain Image-to-Image Translation" (2018),
tables 4 and 5, with the details of the authors' code: affine instance norms, no biases beside them, and zero padding.
An instance norm takes constant planes away; what zero padding makes of them at the borders is what is left of a label.
"""

from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp

import jgan
from jgan.nets import layers
from jgan.nets import net as nets
from jgan.ops import conv

_FIRST = 7  # pixels along a side of the first and of the last kernel
_SLOPE = 0.01  # of D's leaky ReLUs


class Generator(nn.Module):
    """Images [n, h, w, features] in [-1, 1] from images, whose sides can be halved `down` times, and labels [n, k]."""

    features: int
    blocks: int = 6
    ngf: int = 64
    down: int = 2
    dtype: Any = None

    @nn.compact
    def __call__(self, x: jax.Array, label: jax.Array, *, statistics: str, dropout: bool) -> jax.Array:
        del dropout  # it has none

        def normed(x: jax.Array, name: str) -> jax.Array:
            return nn.relu(layers.Norm("instance", affine=True, name=name)(x, statistics))

        plain = {"bias": False, "dtype": self.dtype, "start": layers.FAN_IN}
        x = normed(_Labelled(self.ngf, self.dtype, name="first")(x, label), "first_norm")
        for k in range(1, self.down + 1):
            x = layers.Conv(self.ngf * 2**k, 4, 2, 1, **plain, name=f"down_{k}")(x)
            x = normed(x, f"down_{k}_norm")
        # One program for all blocks, [blocks, ...] their parameters. Their backward pass keeps what came in and what
        # the convolutions gave; norms are computed again.
        blocks = nn.scan(
            nn.remat(_Residual, policy=conv.is_convolution, prevent_cse=False),
            variable_axes={"params": 0, "stats": 0},
            split_rngs={"params": True},
            length=self.blocks,
        )
        x, _ = blocks(self.ngf * 2**self.down, statistics, self.dtype, name="blocks")(x, None)
        for k in range(1, self.down + 1):
            x = layers.ConvTranspose(self.ngf * 2 ** (self.down - k), 4, 1, **plain, name=f"up_{k}")(x)
            x = normed(x, f"up_{k}_norm")
        x = layers.Conv(self.features, _FIRST, 1, _FIRST // 2, **plain, name="last")(x)
        return jnp.tanh(x.astype(jnp.promote_types(x.dtype, jnp.float32)))


class _Labelled(nn.Module):
    """A 7x7 convolution, padded with zeros, of images with a constant plane for each number of a label behind them.

    The planes are never made: of a constant plane a pixel sees a sum of the kernel, over those of its places that lie
    in the picture. The 49 places of the kernel are weighed by the label first, and summed by rows and columns.
    """

    features: int
    dtype: Any = None

    @nn.compact
    def __call__(self, x: jax.Array, label: jax.Array) -> jax.Array:
        channels = x.shape[-1]
        shape = (_FIRST, _FIRST, channels + label.shape[-1], self.features)
        w = self.param("kernel", layers.FAN_IN, shape)
        dtype = self.dtype or jnp.result_type(x, w)
        x, w, label = x.astype(dtype), w.astype(dtype), label.astype(dtype)
        side = (_FIRST // 2, _FIRST // 2)
        y = conv.conv(x, w[:, :, :channels], 1, (side, side))
        places = jnp.einsum("nk,deko->ndeo", label, w[:, :, channels:])
        rows, columns = (_inside(size).astype(dtype) for size in x.shape[1:3])
        return y + jnp.einsum("yd,ndxo->nyxo", rows, jnp.einsum("xe,ndeo->ndxo", columns, places))


def _inside(size: int) -> jax.Array:
    """[size, 7] bool: of each pixel of a line, which places of the kernel around it lie on the line."""
    at = jnp.arange(size)[:, None] + jnp.arange(_FIRST) - _FIRST // 2
    return (at >= 0) & (at < size)


class _Residual(nn.Module):
    """A residual block, as the body of a scan over blocks."""

    features: int
    statistics: str
    dtype: Any

    @nn.compact
    def __call__(self, x: jax.Array, _: None) -> tuple[jax.Array, None]:
        y = x
        for name in "ab":
            y = layers.Conv(self.features, 3, 1, 1, False, self.dtype, layers.FAN_IN, name=f"conv_{name}")(y)
            y = layers.Norm("instance", affine=True, name=f"norm_{name}")(y, self.statistics)
            y = nn.relu(y) if name == "a" else y
        return x + y, None


class Discriminator(nn.Module):
    """{"logits": [[n, h', w', 1]], "classes": [n, k], "features": [activations, ...]} of images [n, h, w, c].

    Without norms: a gradient penalty is of one image. "classes" are the logits of a label's k numbers, from all that
    the last layer has left of the picture.
    """

    classes: int
    n_layers: int = 6
    ndf: int = 64
    dtype: Any = None

    @nn.compact
    def __call__(self, x: jax.Array, *, statistics: str, dropout: bool) -> dict[str, Any]:
        del statistics, dropout
        features = []
        for k in range(self.n_layers):
            width, name = self.ndf * 2**k, f"conv_{k + 1}"
            x = layers.Conv(width, 4, 2, 1, True, self.dtype, layers.FAN_IN, name=name)(x)
            x = nn.leaky_relu(x, _SLOPE)
            features.append(x)
        plain = {"bias": False, "dtype": self.dtype, "start": layers.FAN_IN}
        logits = layers.Conv(1, 3, 1, 1, **plain, name="logits")(x)
        named = layers.Dense(self.classes, **plain, name="classes")(x.reshape(x.shape[0], -1))
        precise = jnp.promote_types(logits.dtype, jnp.float32)
        return {"logits": [logits.astype(precise)], "classes": named.astype(precise), "features": features}


def generator(*, features: int, blocks: int = 6, ngf: int = 64, down: int = 2, dtype: Any = None) -> nets.Net:
    """A net from images [n, h, w, any] and labels [n, any] to images [n, h, w, features] in [-1, 1].

    Args:
        features: channels of the output.
        blocks: residual blocks.
        ngf: channels after the first layer.
        down: strided layers before the blocks, and transposed ones after them; each halves the picture and doubles the
            channels.
        dtype: type of the arithmetic; None follows the input.

    Raises:
        jgan.UserError: a number below 1.
    """
    for field, value in (("generator.blocks", blocks), ("generator.ngf", ngf), ("generator.down", down)):
        _positive(field, value)
    return nets.functions(Generator(features, blocks, ngf, down, dtype), 2**down, apart=True)


def discriminator(
    *, size: int, classes: int, n_layers: int = 6, ndf: int = 64, dtype: Any = None
) -> nets.Net:
    """A net from images [n, size, size, c] to a dict with "logits", "classes" and "features".

    Args:
        size: height and width of the images.
        classes: numbers of a label.
        n_layers: strided layers; each halves the picture and doubles the channels.
        ndf: channels after the first layer.
        dtype: type of the arithmetic; None follows the input.

    Raises:
        jgan.UserError: a number below 1, or a size that cannot be halved so often.
    """
    for field, value in (("discriminator.n_layers", n_layers), ("discriminator.ndf", ndf)):
        _positive(field, value)
    if size % 2**n_layers:
        raise jgan.UserError(
            f"discriminator.n_layers={n_layers} halves a picture {n_layers} times, and data.size={size} is no multiple "
            f"of {2**n_layers}: another size or fewer layers would work."
        )
    return nets.functions(Discriminator(classes, n_layers, ndf, dtype))


def _positive(field: str, value: int) -> None:
    if value < 1:
        raise jgan.UserError(f"{field}={value}: it must be 1 or more.")
