"""The interface of a generator's latent space, for all code that searches, edits or moves in it."""

from collections.abc import Callable
from typing import Any
from typing import NamedTuple

import jax


class Held(NamedTuple):
    """The styles that a latent holds, of a generator whose layers are each modulated by one.

    Attributes:
        mean: [w_dim], the mean of all styles, towards which truncation moves.
        rows: `latent -> [k, w_dim]`, the styles in it: 1 that all layers share, or one for each layer.
        put: `(latent, [k, w_dim]) -> latent`, the latent with other styles, and the rest as it was.
        affine: the weights [w_dim, channels] by which a style scales a layer's channels, layer after layer: number i
            takes row i where each layer has its own.
    """

    mean: jax.Array
    rows: Callable[[Any], jax.Array]
    put: Callable[[Any, jax.Array], Any]
    affine: tuple[jax.Array, ...]


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
        held: the styles that its latents hold; None where they hold none.
    """

    name: str
    sample: Callable[[jax.Array], Any]
    free: Callable[[Any], Any]
    bound: Callable[[Any], Any]
    generate: Callable[[Any], jax.Array]
    distance: Callable[[Any, Any], jax.Array]
    held: Held | None = None
