"""Adversarial and reconstruction losses: arrays in, unreduced arrays out.

Logits have any shape. Every function returns an array of its first argument's
shape, and the system that uses it reduces.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp


class Adversarial(NamedTuple):
    """The losses of D for a real and for a fake logit, and the loss of G for a fake logit.

    A logit above `boundary` means "real" when D's accuracy is counted.
    """

    real: Callable[[jax.Array], jax.Array]
    fake: Callable[[jax.Array], jax.Array]
    generator: Callable[[jax.Array], jax.Array]
    boundary: float = 0.0


# Goodfellow et al. (2014): eq. 1 for D; for G the non-saturating form of section 3, -log D(fake).
VANILLA = Adversarial(lambda x: jax.nn.softplus(-x), jax.nn.softplus, lambda x: jax.nn.softplus(-x))
# Goodfellow et al. (2014), eq. 1 for both: G lowers log(1 - D(fake)), whose slope vanishes if D is certain.
MINIMAX = Adversarial(VANILLA.real, VANILLA.fake, lambda x: -jax.nn.softplus(x))
# Mao et al. (2017), eq. 9: labels 1 for real and 0 for fake, without the paper's factor 1/2; pix2pix and CycleGAN take
# the mean of the two halves of D's loss instead.
LSGAN = Adversarial(lambda x: jnp.square(x - 1), jnp.square, lambda x: jnp.square(x - 1), 0.5)
# Lim and Ye (2017); Miyato et al. (2018), eq. 16 and 17.
HINGE = Adversarial(lambda x: jax.nn.relu(1 - x), lambda x: jax.nn.relu(1 + x), jnp.negative)
# Gulrajani et al. (2017), eq. 3 without its penalty, which is `gradient_penalty` below.
WGAN = Adversarial(jnp.negative, lambda x: x, jnp.negative)

ADVERSARIAL = {"vanilla": VANILLA, "minimax": MINIMAX, "lsgan": LSGAN, "hinge": HINGE, "wgan_gp": WGAN}


def gradient_penalty(
    critic: Callable[[jax.Array], jax.Array], real: jax.Array, fake: jax.Array, key: jax.Array
) -> jax.Array:
    """(|gradient of the critic| - 1)^2 per example: [n]. Gulrajani et al. (2017), eq. 3.

    The gradient is taken at one random point on the line from each real to its fake image.

    Args:
        critic: from images [n, h, w, c] to logits [n, ...]; an example's value is the mean of its logits.
        real: images [n, h, w, c].
        fake: images of the same shape.
        key: draws the points.
    """
    alpha = jax.random.uniform(key, (real.shape[0], 1, 1, 1), real.dtype)
    points = alpha * real + (1 - alpha) * fake

    def value(images: jax.Array) -> jax.Array:
        logits = critic(images)
        return jnp.sum(jnp.mean(logits.reshape(logits.shape[0], -1), 1))

    gradient = jax.grad(value)(points)
    # The small constant keeps the derivative of the root finite where the gradient is exactly zero.
    norm = jnp.sqrt(jnp.sum(jnp.square(gradient), (1, 2, 3)) + 1e-16)
    return jnp.square(norm - 1)


def l1(prediction: jax.Array, target: jax.Array) -> jax.Array:
    """|prediction - target|, element by element. Isola et al. (2017), eq. 3."""
    return jnp.abs(prediction - target)
