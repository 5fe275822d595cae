"""Encoders from images to distributions of codes: a residual net and plain convolutions, each with two linear heads.

Zhu et al., "Toward Multimodal Image-to-Image Translation" (2017), section 4; layers as the authors' PyTorch code has
them: a normal distribution with mean `mu` and logarithm of the variance `logvar` for each number of the code.
"""

from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp

import jgan
from jgan.nets import layers
from jgan.nets import net as nets
from jgan.ops import resample


class Residual(nn.Module):
    """{"mu": [n, nz], "logvar": [n, nz]} of images whose sides are multiples of 2 ** (blocks + 1)."""

    nz: int
    blocks: int = 4
    nef: int = 64
    norm: str = "instance"
    dtype: Any = None

    @nn.compact
    def __call__(self, x: jax.Array, *, statistics: str, dropout: bool) -> dict[str, jax.Array]:
        del dropout  # it has none
        x = layers.Conv(self.nef, 4, 2, 1, dtype=self.dtype, name="first")(x)
        for k in range(1, self.blocks + 1):
            width = self.nef * min(k + 1, 4)
            x = _Block(width, self.norm, self.dtype, name=f"block_{k}")(x, statistics)
        return _heads(nn.leaky_relu(x, 0.2), self.nz, self.dtype)


class _Block(nn.Module):
    """Half of the height and width by a residual block with the norms and activations before the convolutions."""

    features: int
    norm: str
    dtype: Any

    @nn.compact
    def __call__(self, x: jax.Array, statistics: str) -> jax.Array:
        y = nn.leaky_relu(layers.Norm(self.norm, name="norm_a")(x, statistics), 0.2)
        y = layers.Conv(x.shape[-1], 3, 1, 1, dtype=self.dtype, name="conv_a")(y)
        y = nn.leaky_relu(layers.Norm(self.norm, name="norm_b")(y, statistics), 0.2)
        y = layers.ConvMean(self.features, dtype=self.dtype, name="conv_b")(y)
        shortcut = layers.Conv(self.features, 1, dtype=self.dtype, name="shortcut")
        return y + shortcut(resample.halve(x))


class Convolutional(nn.Module):
    """{"mu": [n, nz], "logvar": [n, nz]} of images whose sides are multiples of 2 ** (blocks + 1)."""

    nz: int
    blocks: int = 4
    nef: int = 64
    norm: str = "instance"
    dtype: Any = None

    @nn.compact
    def __call__(self, x: jax.Array, *, statistics: str, dropout: bool) -> dict[str, jax.Array]:
        del dropout  # it has none
        for k in range(self.blocks + 1):
            width = self.nef * min(2**k, 4)
            x = layers.Conv(width, 4, 2, 1, dtype=self.dtype, name=f"conv_{k + 1}")(x)
            x = layers.Norm(self.norm if k else "none", name=f"norm_{k + 1}")(x, statistics)
            x = nn.leaky_relu(x, 0.2)
        return _heads(x, self.nz, self.dtype)


def _heads(x: jax.Array, nz: int, dtype: Any) -> dict[str, jax.Array]:
    """Linear in the means over all pixels, so that an image of any size has a code."""
    x = jnp.mean(x, (1, 2))
    heads = {name: layers.Dense(nz, dtype=dtype, name=name)(x) for name in ("mu", "logvar")}
    return {name: y.astype(jnp.promote_types(y.dtype, jnp.float32)) for name, y in heads.items()}


ENCODERS = {"resnet": Residual, "conv": Convolutional}


def of(config: Any, nz: int, size: int, dtype: Any) -> nets.Net:
    """The encoder that the `encoder` part of a config describes: images [n, h, w, c] to {"mu", "logvar"}, each [n, nz].

    Args:
        config: `name` (`resnet` or `conv`), `blocks` that halve the image after the first layer has, `nef` channels
            after that layer, and `norm`.
        nz: numbers of a code.
        size: pixels a side of the images it is trained on.
        dtype: type of the arithmetic; None follows the input.

    Raises:
        jgan.UserError: a name that does not exist, or a size that it cannot take.
    """
    if config.name not in ENCODERS:
        raise jgan.UserError(f"encoder {config.name!r} is unknown: use one of {', '.join(ENCODERS)}.")
    layers.check(config.norm)
    multiple = 2 ** (config.blocks + 1)
    if config.blocks < 1 or size % multiple:
        raise jgan.UserError(
            f"encoder.blocks={config.blocks}: it must be at least 1, and data.size={size} a multiple of 2 to the power "
            "of one more."
        )
    module = ENCODERS[config.name](nz, config.blocks, config.nef, config.norm, dtype)
    return nets.functions(module, multiple)
