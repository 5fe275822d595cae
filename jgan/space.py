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


class Styles(NamedTuple):
    """What a search asks of a space whose latents are styles: of the prior's mean and spread, and of noise.

    Karras et al. (2020), section 5: their projector starts at the mean and adds noise in proportion to the spread.

    Attributes:
        draw: `(key, n) -> styles [n, w_dim]` of the prior.
        latent: `style [w_dim] -> latent`, the same style in all rows.
        middle: `() -> latent`, that of the mean of 10,000 styles.
        deviation: `() -> scalar`, the root of the mean squared distance of these styles from their mean.
        maps: the generator's own maps [r, r, 1] of noise times their strengths, as they are added to activations.
        strengths: of each map, a scalar.
        shared: `latent -> latent`, the mean of its rows in every row, or the latent itself where layers share a style.
        image: `(latent, maps) -> image`, with maps as they are added to activations in place of the generator's own.
        changed: `(latents [n, ...], maps [n, ...], change) -> images [n, h, w, c]`, with a function `(resolution,
            array [n, ...]) -> array` that changes the activations of each resolution, and the images so far.
    """

    draw: Callable[[jax.Array, int], jax.Array]
    latent: Callable[[jax.Array], Any]
    middle: Callable[[], Any]
    deviation: Callable[[], jax.Array]
    maps: tuple[jax.Array, ...]
    strengths: tuple[jax.Array, ...]
    shared: Callable[[Any], Any]
    image: Callable[[Any, tuple[jax.Array, ...]], jax.Array]
    changed: Callable[..., jax.Array]


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
        styles: of a space whose latent is an array of styles, what a search asks of them.
        rows: of a space whose latents are {"w_plus": styles, "noise": maps as they are added to activations}, that of
            the styles under the generator's own noise. A projection searches for one after the other.
        penalty: `u -> scalar`, the cost of a variable besides that of its image; None: nothing.
        settle: `u -> u`, what is done to a variable after each step of a search; None: nothing.
    """

    name: str
    sample: Callable[[jax.Array], Any]
    free: Callable[[Any], Any]
    bound: Callable[[Any], Any]
    generate: Callable[[Any], jax.Array]
    distance: Callable[[Any, Any], jax.Array]
    held: Held | None = None
    styles: Styles | None = None
    rows: "Space | None" = None
    penalty: Callable[[Any], jax.Array] | None = None
    settle: Callable[[Any], Any] | None = None
