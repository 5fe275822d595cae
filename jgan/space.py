"""The interface of a generator's latent space, for all code that searches, edits or moves in it."""

from collections.abc import Callable
from typing import Any
from typing import NamedTuple

import jax


class Space(NamedTuple):
    """A latent space as functions of one latent; `jax.vmap` makes them functions of many.

    A latent is any pytree: z, w, w+, noise maps, changes of weights.

    Attributes:
        name: the name of the latent in files, `z` or `w_plus`; latents of one space do not fit another.
        sample: `key -> latent`, a draw from the prior.
        free: `latent -> u`, the unconstrained variable that an optimiser changes.
        bound: `u -> latent`, its inverse: tanh for a uniform z, the identity for others.
        generate: `latent -> image [h, w, c]` in [-1, 1].
        distance: `(latent, latent) -> scalar`, 0 for equal latents.
    """

    name: str
    sample: Callable[[jax.Array], Any]
    free: Callable[[Any], Any]
    bound: Callable[[Any], Any]
    generate: Callable[[Any], jax.Array]
    distance: Callable[[Any, Any], jax.Array]
