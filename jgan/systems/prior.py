"""The priors of a code z: what is drawn, what bounds it, and the space of a generator under it."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

import jgan
from jgan import space

# tanh has a hundredth of its slope left here; beyond it an optimiser would hardly come back.
_EDGE = 0.99


class Prior(NamedTuple):
    """A distribution of codes.

    Attributes:
        draw: `(key, shape, dtype) -> codes`.
        bounded: whether codes lie in [-1, 1].
        free: code -> the unconstrained variable u of an optimiser.
        bound: u -> code.
    """

    draw: Callable[..., jax.Array]
    bounded: bool
    free: Callable[[jax.Array], jax.Array]
    bound: Callable[[jax.Array], jax.Array]


def _uniform(key: jax.Array, shape: tuple[int, ...], dtype: jnp.dtype = jnp.float32) -> jax.Array:
    return jax.random.uniform(key, shape, dtype, -1, 1)


PRIORS = {
    # iGAN: each number uniform in (-1, 1), u = arctanh z. The edges themselves would be at infinity.
    "uniform": Prior(_uniform, True, lambda z: jnp.arctanh(jnp.clip(z, -_EDGE, _EDGE)), jnp.tanh),
    "normal": Prior(jax.random.normal, False, lambda z: z, lambda u: u),
}


def prior(name: str, nz: int) -> Prior:
    """The prior `name`, for codes of nz numbers; a `jgan.UserError` where there is none."""
    if name not in PRIORS:
        raise jgan.UserError(f"latent.prior={name!r} is unknown: use one of {', '.join(PRIORS)}.")
    if nz < 1:
        raise jgan.UserError(f"latent.nz={nz}: a code needs 1 number or more.")
    return PRIORS[name]


def make_space(prior: Prior, nz: int, generate: Callable[[jax.Array], jax.Array]) -> space.Space:
    """The space `z` of a generator `codes [n, nz] -> images [n, h, w, c]` that treats every code by itself.

    The distance of two codes is the mean square of their difference.
    """
    return space.Space(
        name="z",
        sample=lambda key: prior.draw(key, (nz,)),
        free=prior.free,
        bound=prior.bound,
        generate=lambda z: generate(z[None])[0],
        distance=lambda a, b: jnp.mean(jnp.square(a - b)),
    )
