"""The nets of the first GAN: dense layers only, from codes to images and from images to one logit.

Goodfellow et al., "Generative Adversarial Nets" (2014), section 5, with plain units in place of maxout and no
dropout, as later code has them. Kernels start as Flax's LeCun normal: without norms the 0.02 of DCGAN would let
signals vanish.
"""

from collections.abc import Sequence
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp

import jgan
from jgan.nets import layers
from jgan.nets import net as nets


class Generator(nn.Module):
    """Images [n, size, size, features] in [-1, 1] from codes [n, nz]."""

    size: int
    features: int
    widths: Sequence[int]
    norm: str = "none"
    dtype: Any = None

    @nn.compact
    def __call__(self, z: jax.Array, *, statistics: str, dropout: bool) -> jax.Array:
        del dropout  # it has none
        x = z
        for k, width in enumerate(self.widths, start=1):
            x = nn.Dense(width, dtype=self.dtype, name=f"dense_{k}")(x)
            x = layers.Norm(self.norm, name=f"norm_{k}")(x[:, None, None], statistics)[:, 0, 0]
            x = nn.relu(x)
        x = nn.Dense(self.size**2 * self.features, dtype=self.dtype, name="image")(x)
        x = x.reshape(-1, self.size, self.size, self.features)
        return jnp.tanh(x.astype(jnp.promote_types(x.dtype, jnp.float32)))


class Discriminator(nn.Module):
    """{"logits": [[n, 1]], "features": [activations, ...]} of images [n, h, w, c]."""

    widths: Sequence[int]
    dtype: Any = None

    @nn.compact
    def __call__(self, x: jax.Array, *, statistics: str, dropout: bool) -> dict[str, Any]:
        del statistics, dropout
        x, features = x.reshape(x.shape[0], -1), []
        for k, width in enumerate(self.widths, start=1):
            x = nn.leaky_relu(nn.Dense(width, dtype=self.dtype, name=f"dense_{k}")(x), 0.2)
            features.append(x)
        logits = nn.Dense(1, dtype=self.dtype, name="logits")(x)
        return {"logits": [logits.astype(jnp.promote_types(logits.dtype, jnp.float32))], "features": features}


def generator(
    *, size: int, features: int, widths: Sequence[int] = (256, 512), norm: str = "none", dtype: Any = None
) -> nets.Net:
    """A net from codes [n, nz] to images [n, size, size, features] in [-1, 1].

    Args:
        size: height and width of the images.
        features: their channels.
        widths: units of the hidden layers.
        norm: `batch` or `none`.
        dtype: type of the arithmetic; None follows the input.

    Raises:
        jgan.UserError: no layers, empty ones, or a norm that does not fit.
    """
    if norm not in ("batch", "none"):
        raise jgan.UserError(f"generator.norm={norm!r}: dense layers take 'batch' or 'none'.")
    _check("generator.widths", widths)
    return nets.functions(Generator(size, features, tuple(widths), norm, dtype))


def discriminator(*, widths: Sequence[int] = (512, 256), dtype: Any = None) -> nets.Net:
    """A net from images [n, h, w, c] to {"logits": [[n, 1]], "features": [hidden layers]}; arguments as above."""
    _check("discriminator.widths", widths)
    return nets.functions(Discriminator(tuple(widths), dtype))


def _check(field: str, widths: Sequence[int]) -> None:
    if not widths or min(widths) < 1:
        raise jgan.UserError(f"{field}={tuple(widths)}: name the units of one layer or more, each 1 or more.")
