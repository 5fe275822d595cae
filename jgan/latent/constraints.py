"""The terms of an edit's cost for one image: colour, sketch, realism and nearness to the start, as pure functions.

Zhu et al., "Generative Visual Manipulation on the Natural Image Manifold" (2016), eq. 3, with the normalisation of its
code. A warp has no term of its own: a displaced patch asks for its colours and its edges. One term is not in iGAN:
`preservation` asks for the image of the start where there is no stroke.
"""

from collections.abc import Callable
import dataclasses
from typing import Any
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jgan.ops import hog

# Added to the mean of a mask by which a term is divided: an empty mask gives 0, and a small stroke has its full weight.
_EPSILON = 1e-5


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Constraints:
    """The demands of strokes on an image [h, w, c]; all float32, so that edits of any kind share one program.

    Attributes:
        colour: [h, w, c] in [-1, 1], the colours asked for.
        colour_mask: [h, w] in [0, 1], where they are asked for.
        edge: [h // cell, w // cell, 8], the gradients asked for, as `hog.describe` gives them.
        edge_mask: [h // cell, w // cell] in [0, 1], the cells in which they are asked for.
        kept: [h, w] in [0, 1], where no stroke changes anything; 0 everywhere if nothing is asked at all.
    """

    colour: jax.Array
    colour_mask: jax.Array
    edge: jax.Array
    edge_mask: jax.Array
    kept: jax.Array


class Weights(NamedTuple):
    """The weights of the terms; numbers or traced scalars.

    `realism` needs a discriminator and is off by default. `smoothness` and `preservation` count only if an edit has a
    latent near which it should stay: after a choice was fixed, not from a random start. iGAN has a smoothness of 5 and
    no preservation.
    """

    colour: Any = 1.0
    sketch: Any = 0.2
    realism: Any = 0.0
    smoothness: Any = 2.0
    preservation: Any = 0.3


def empty(size: tuple[int, int, int]) -> Constraints:
    """The constraints on an image of `size` (h, w, c) that ask for nothing."""
    h, w, c = size
    blank, nowhere = jnp.zeros(size), jnp.zeros((h, w))
    return Constraints(blank, nowhere, *_edges(blank, nowhere, hog.cell_of(c)), nowhere)


def build(
    colour: jax.Array,
    colour_mask: jax.Array,
    lines: jax.Array,
    lines_mask: jax.Array,
    patches: jax.Array,
    patches_mask: jax.Array,
    taken_mask: jax.Array,
) -> Constraints:
    """The constraints that drawn images [h, w, c] in [-1, 1] and masks [h, w] in [0, 1] ask for.

    Edges come from lines and from patches. These are described apart and joined cell by cell, by the larger value where
    both touch a cell: described together, the rim of a patch and a line near it would ask for edges that nobody drew.

    Args:
        colour: the colours asked for.
        colour_mask: where they are asked for.
        lines: lines that contrast with their flat ground.
        lines_mask: where lines were drawn or erased.
        patches: the image that is asked for around displaced patches.
        patches_mask: where the patches are; it asks for edges only, since their colours are in `colour`.
        taken_mask: where the patches were before: nothing is asked there, and nothing needs to stay.
    """
    cell = hog.cell_of(colour.shape[-1])
    edge, edge_mask = _edges(lines, lines_mask, cell)
    other, other_mask = _edges(patches, patches_mask, cell)
    edge_mask = jnp.maximum(edge_mask, other_mask)
    h, w = colour_mask.shape
    cells = jnp.repeat(jnp.repeat(edge_mask, cell, 0), cell, 1)
    cells = jnp.pad(cells, ((0, h - cells.shape[0]), (0, w - cells.shape[1])))
    changed = jnp.maximum(jnp.maximum(colour_mask, taken_mask).astype(jnp.float32), cells)
    return Constraints(
        colour.astype(jnp.float32),
        colour_mask.astype(jnp.float32),
        jnp.maximum(edge, other),
        edge_mask,
        jnp.where(jnp.any(changed > 0), 1 - changed, 0),
    )


def cost(
    image: jax.Array,
    constraints: Constraints,
    weights: Weights = Weights(),  # noqa: B008 (a tuple of numbers)
    realism_of: Callable[[jax.Array], jax.Array] | None = None,
) -> jax.Array:
    """The weighted sum of the terms that judge the image itself, by which candidates are ranked.

    Args:
        image: [h, w, c] in [-1, 1].
        constraints: of the same size.
        weights: of the terms; `smoothness` and `preservation` are not used, since they compare with the start.
        realism_of: `image -> logit`, the discriminator; without one its term is not part of the program.
    """
    total = weights.colour * colour(image, constraints) + weights.sketch * sketch(image, constraints)
    if realism_of is not None:
        total += weights.realism * realism(realism_of(image))
    return total


def colour(image: jax.Array, constraints: Constraints) -> jax.Array:
    """The mean squared difference to the colours asked for, over the painted pixels: scalar, [-1, 1] squared."""
    mask = constraints.colour_mask
    error = jnp.mean(jnp.square(image - constraints.colour) * mask[..., None])
    return error / (jnp.mean(mask) + _EPSILON)


def sketch(image: jax.Array, constraints: Constraints) -> jax.Array:
    """The mean squared difference to the gradients asked for, over touched cells and bins: scalar, units of `hog`."""
    mask = constraints.edge_mask
    edge = hog.describe(image, hog.cell_of(image.shape[-1]))
    error = jnp.mean(jnp.square(edge - constraints.edge) * mask[..., None])
    return error / (jnp.mean(mask) + _EPSILON)


def realism(logit: jax.Array) -> jax.Array:
    """-log D(image) of D's logit, as iGAN's code has it (the paper writes log(1 - D)): scalar, 0 or more."""
    return jax.nn.softplus(-logit)


def smoothness(latent: Any, start: Any) -> jax.Array:
    """The mean over all numbers of the squared difference of two latents: scalar.

    Both are results of `bound`; iGAN's code takes the difference between a latent and the unbounded variable of the
    other, and the mean over all candidates instead of one.
    """
    squares = jax.tree.map(lambda a, b: jnp.sum(jnp.square(a - b)), latent, start)
    count = sum(leaf.size for leaf in jax.tree.leaves(latent))
    return sum(jax.tree.leaves(squares)) / count


def preservation(image: jax.Array, start: jax.Array, constraints: Constraints) -> jax.Array:
    """The mean squared difference to the start's image where there is no stroke: scalar, [-1, 1] squared.

    A stroke on a part of an object moves the latent, and with it the rest of the picture; smoothness in the latent
    hinders both equally.
    """
    kept = constraints.kept
    return jnp.mean(jnp.square(image - start) * kept[..., None]) / (jnp.mean(kept) + _EPSILON)


def _edges(image: jax.Array, mask: jax.Array, cell: int) -> tuple[jax.Array, jax.Array]:
    """The description of an image's edges and the cells that a mask touches.

    The description is 0 outside these cells, so that the larger value of two keeps what either of them asks for.
    """
    cells = hog.touched(mask, cell).astype(jnp.float32)
    return hog.describe(image.astype(jnp.float32), cell) * cells[..., None], cells
