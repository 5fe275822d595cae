"""DCGAN's discriminator with a label: three ways in which it may judge whether image and label belong together."""

from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp

import jgan
from jgan.nets import dcgan
from jgan.nets import layers
from jgan.nets import net as nets

CONDITIONS = ("concat", "auxiliary", "projection")


class Discriminator(nn.Module):
    """{"logits": [[n, 1]], "features": [activations, ...]} of images [n, size, size, c] and labels [n, k] of one 1.

    Under `auxiliary` it does not see the label, and returns its own opinion as "classes": logits [n, k].
    """

    condition: str
    size: int
    ndf: int = 64
    kernel: int = 4
    norm: str = "batch"
    epsilon: float = 1e-5
    dtype: Any = None

    @nn.compact
    def __call__(self, x: jax.Array, label: jax.Array, *, statistics: str, dropout: bool) -> dict[str, Any]:
        del dropout
        label = label.astype(x.dtype)
        if self.condition == "concat":
            planes = jnp.broadcast_to(label[:, None, None], (*x.shape[:3], label.shape[-1]))
            x = jnp.concatenate([x, planes], -1)
        logits, features = dcgan.encode(self, x, statistics, 1)
        last = features[-1]
        output = {"features": features}
        if self.condition == "auxiliary":
            head = layers.Dense(label.shape[-1], dtype=self.dtype, name="classes")
            output["classes"] = _precise(head(last.reshape(last.shape[0], -1)))
        elif self.condition == "projection":
            embedding = layers.Dense(last.shape[-1], bias=False, dtype=self.dtype, name="embedding")
            logits += jnp.sum(jnp.sum(last, (1, 2)) * embedding(label), -1, keepdims=True)
        return output | {"logits": [_precise(logits)]}


def _precise(x: jax.Array) -> jax.Array:
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def discriminator(
    condition: str,
    *,
    size: int,
    ndf: int = 64,
    kernel: int = 4,
    norm: str = "batch",
    epsilon: float = 1e-5,
    dtype: Any = None,
) -> nets.Net:
    """A net from images [n, size, size, c] and labels [n, k], 1 for the class and 0 elsewhere, to a dict of outputs.

    Args:
        condition: `concat`, the label as planes behind the image (Mirza and Osindero 2014); `auxiliary`, a classifier
            beside the logit (Odena et al. 2017); `projection`, the inner product of an embedded label with the summed
            features of the last layer, added to the logit (Miyato and Koyama 2018, eq. 3).
        size: height and width, one of `dcgan.SIZES`.
        ndf: channels after the first layer.
        kernel: 4 or 5.
        norm: `batch`, `instance` or `none`.
        epsilon: of the norms.
        dtype: type of the arithmetic; None follows the input.

    Raises:
        jgan.UserError: a name, a size, a width or a kernel that does not exist.
    """
    if condition not in CONDITIONS:
        raise jgan.UserError(f"condition={condition!r} is unknown: use one of {', '.join(CONDITIONS)}.")
    dcgan.discriminator(size=size, ndf=ndf, kernel=kernel, norm=norm)  # it refuses what does not exist
    return nets.functions(Discriminator(condition, size, ndf, kernel, norm, epsilon, dtype))
