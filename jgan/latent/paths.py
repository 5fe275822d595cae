"""Paths through a latent space: straight, along a sphere, along the steps of an edit; and means of many latents.

A path of n frames is a latent with a leading axis [n, ...]; `jax.vmap(space.generate)` makes it a film. iGAN shows 16
frames.
"""

from typing import Any

import jax
import jax.numpy as jnp

from jgan import space as spaces

FRAMES = 16
_FAR = 1e3  # of an optimiser's variable; tanh is 1 there


def linear(a: Any, b: Any, n: int = FRAMES) -> Any:
    """Latents [n, ...] in equal steps on the line from `a` to `b`, both included."""

    def leaf(a: jax.Array, b: jax.Array) -> jax.Array:
        t = _shares(n, a)
        return (1 - t) * a + t * b

    return jax.tree.map(leaf, a, b)


def spherical(a: Any, b: Any, n: int = FRAMES) -> Any:
    """Latents [n, ...] in equal angles on the arc from `a` to `b`, both included."""
    return arc(a, b, jnp.linspace(0, 1, n))


def arc(a: Any, b: Any, shares: jax.Array) -> Any:
    """Latents [n, ...] on the arc from `a` to `b`, at shares [n] of its angle, 0 to 1.

    Shoemake, "Animating Rotation with Quaternion Curves" (1985): the weights are sin((1 - t) w) / sin w and sin(t w) /
    sin w, with w the angle between the two. Every array of a latent is taken as one vector; if the lengths of two
    vectors differ, the length changes steadily. Where sin w = 0 (parallel, opposite or zero) the path is straight.
    """

    def leaf(a: jax.Array, b: jax.Array) -> jax.Array:
        t = shares.astype(a.dtype).reshape(-1, *[1] * a.ndim)
        length = jnp.linalg.norm(a.ravel()), jnp.linalg.norm(b.ravel())
        x, y = a / _positive(length[0]), b / _positive(length[1])
        # By the half angle's tangent: the cosine's inverse loses small angles.
        angle = 2 * jnp.arctan2(jnp.linalg.norm((x - y).ravel()), jnp.linalg.norm((x + y).ravel()))
        sine = jnp.sin(angle)
        bent = (sine > 1e-6) & (length[0] > 0) & (length[1] > 0)
        arc = (jnp.sin((1 - t) * angle) * a + jnp.sin(t * angle) * b) / jnp.where(bent, sine, 1)
        return jnp.where(bent, arc, (1 - t) * a + t * b)

    return jax.tree.map(leaf, a, b)


def resample(latents: Any, n: int = FRAMES) -> Any:
    """Latents [n, ...] at equal distances along the broken line through latents [m, ...], m at least 2, ends included.

    The steps of an optimiser are long at first and short at the end; a film of them, one frame for each, would jump at
    first and then stand still.
    """
    squares = [
        jnp.sum(jnp.square(jnp.diff(leaf, axis=0)).reshape(leaf.shape[0] - 1, -1), 1)
        for leaf in jax.tree.leaves(latents)
    ]
    # A latent that never moved still has a position at every step.
    steps = jnp.sqrt(sum(squares))
    steps = jnp.where(jnp.sum(steps) > 0, steps, 1)
    position = jnp.concatenate([jnp.zeros(1, steps.dtype), jnp.cumsum(steps)])
    wanted = jnp.linspace(0, 1, n, dtype=steps.dtype) * position[-1]
    after = jnp.clip(jnp.searchsorted(position, wanted), 1, position.size - 1)
    length = position[after] - position[after - 1]
    share = jnp.clip((wanted - position[after - 1]) / _positive(length), 0, 1)

    def leaf(x: jax.Array) -> jax.Array:
        t = share.reshape(n, *[1] * (x.ndim - 1)).astype(x.dtype)
        return (1 - t) * x[after - 1] + t * x[after]

    return jax.tree.map(leaf, latents)


def average(latents: Any, weights: jax.Array) -> Any:
    """The mean of latents [k, ...] by weights [k], which need not add up to 1."""
    shares = weights / jnp.sum(weights)
    return jax.tree.map(lambda x: jnp.tensordot(shares.astype(x.dtype), x, 1), latents)


def inside(space: spaces.Space, latent: Any, share: float = 0.99) -> Any:
    """The latent clipped to the middle `share` of the range that the space can reach, where `free` is finite.

    The range is computed by `bound` itself: for a uniform z it is -1 to 1 and the result is within +-0.99, iGAN's
    limit; for unbounded latents it is so wide that nothing changes.
    """

    def clip(x: jax.Array, low: jax.Array, high: jax.Array) -> jax.Array:
        middle, half = (low + high) / 2, share * (high - low) / 2
        return jnp.clip(x, middle - half, middle + half)

    return jax.tree.map(clip, latent, _reach(space, latent, -1), _reach(space, latent, 1))


def inward(space: spaces.Space, latent: Any, share: float) -> Any:
    """The latent moved towards the middle of the range that the space can reach, to `share` of its distance from it.

    Unbounded latents do not change.
    """

    def move(x: jax.Array, low: jax.Array, high: jax.Array) -> jax.Array:
        middle = (low + high) / 2
        return jnp.where(high - low < _FAR, middle + share * (x - middle), x)

    return jax.tree.map(move, latent, _reach(space, latent, -1), _reach(space, latent, 1))


def _reach(space: spaces.Space, latent: Any, sign: int) -> Any:
    """The latent of an optimiser's variable that is far out on one side."""
    return space.bound(jax.tree.map(lambda x: jnp.full_like(x, sign * _FAR), latent))


def _shares(n: int, like: jax.Array) -> jax.Array:
    """n numbers from 0 to 1, with as many further axes as `like` has."""
    return jnp.linspace(0, 1, n, dtype=like.dtype).reshape(n, *[1] * like.ndim)


def _positive(x: jax.Array) -> jax.Array:
    """x where it is above 0, otherwise 1: a divisor."""
    return jnp.where(x > 0, x, 1)
