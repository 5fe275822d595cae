"""Other variables under which styles are searched for: P-norm coordinates, and styles together with maps of noise.

Both take a space of styles (`space.Styles`) and give one, which `projection` searches like any other.
"""

from typing import Any

import jax
import jax.numpy as jnp

from jgan import space as space_lib

_DRAWS = 10_000  # styles by which the coordinates are made; a million in the paper, which took 512 numbers
_SLOPE = 5.0  # the inverse of the rectifier of the mapping's last layer, whose slope is 0.2
_NARROWEST = (
    1e-3  # of the widest coordinate: where a mapping uses fewer directions, the others are not divided by 0
)


def p_norm(space: space_lib.Space, weight: float) -> space_lib.Space:
    """The space under coordinates in which styles are about N(0, 1), with `weight` times their mean square as a cost.

    Zhu et al., "Improved StyleGAN Embedding: Where are the Good Latents?" (2020, II2S), section 3.1: the last
    rectifier of the mapping undone, then principal components, each divided by its deviation. Latents that the mapping
    makes lie near 0, and those that lie there can be edited.
    """
    styles = space.styles
    x = jax.nn.leaky_relu(styles.draw(jax.random.key(0), _DRAWS), _SLOPE)
    mean = jnp.mean(x, 0)
    squares, directions = jnp.linalg.eigh((x - mean).T @ (x - mean) / _DRAWS)
    deviations = jnp.sqrt(jnp.maximum(squares, 0.0))
    deviations = jnp.maximum(deviations, _NARROWEST * deviations[-1])

    def free(latent: jax.Array) -> jax.Array:
        return (jax.nn.leaky_relu(space.free(latent), _SLOPE) - mean) @ directions / deviations

    def bound(u: jax.Array) -> jax.Array:
        return space.bound(jax.nn.leaky_relu((u * deviations) @ directions.T + mean, 1 / _SLOPE))

    return space._replace(
        free=free,
        bound=bound,
        penalty=lambda u: weight * jnp.mean(jnp.square(u)),
        styles=styles._replace(
            # The mean of styles is not that of the coordinates, from which it may be far along narrow directions.
            middle=lambda: bound(jnp.zeros_like(styles.latent(mean))),
            # The root of the mean squared length of N(0, 1) in so many dimensions.
            deviation=lambda: jnp.sqrt(jnp.asarray(len(mean), mean.dtype)),
        ),
    )


def with_maps(space: space_lib.Space, weight: float) -> space_lib.Space:
    """The space of pairs (latent, maps N(0, 1) of noise before their strengths), to be searched together.

    Karras et al. (2020), appendix D: `weight` times the autocorrelation of the maps is a cost, so that they carry no
    picture, and after each step every map has mean 0 and mean square 1. A layer of strength 0 shows none of its map.
    """
    styles, penalty, settle = space.styles, space.penalty, space.settle

    def generate(pair: Any) -> jax.Array:
        latent, maps = pair
        return styles.image(latent, added(space, maps))

    def cost(pair: Any) -> jax.Array:
        u, maps = pair
        return weight * autocorrelation(maps) + (penalty(u) if penalty else 0.0)

    def settled(pair: Any) -> Any:
        u, maps = pair
        return (settle(u) if settle else u), jax.tree.map(_normalised, maps)

    def sample(key: jax.Array) -> Any:
        k_latent, k_maps = jax.random.split(key)
        return space.sample(k_latent), draw_maps(space, k_maps)

    def deviation() -> Any:
        return styles.deviation(), tuple(jnp.zeros(()) for _ in styles.maps)

    return space_lib.Space(
        f"{space.name} and maps",
        sample,
        free=lambda pair: (space.free(pair[0]), pair[1]),
        bound=lambda pair: (space.bound(pair[0]), pair[1]),
        generate=generate,
        distance=lambda a, b: space.distance(a[0], b[0]),
        styles=styles._replace(deviation=deviation, shared=lambda pair: (styles.shared(pair[0]), pair[1])),
        penalty=cost,
        settle=settled,
    )


def maps_alone(space: space_lib.Space, latent: Any) -> space_lib.Space:
    """The space of the maps of noise, as they are added to activations, under the styles of a latent.

    Abdal et al., "Image2StyleGAN++" (2020), section 3: maps are searched for after the styles, never both at once,
    because maps alone can draw nearly anything.

    Args:
        space: of styles.
        latent: one of them.
    """
    return space_lib.Space(
        "noise",
        lambda key: added(space, draw_maps(space, key)),
        free=lambda maps: maps,
        bound=lambda maps: maps,
        generate=lambda maps: space.styles.image(latent, maps),
        distance=lambda a, b: sum(jnp.mean(jnp.square(x - y)) for x, y in zip(a, b, strict=True)),
    )


def draw_maps(space: space_lib.Space, key: jax.Array) -> tuple[jax.Array, ...]:
    """Maps N(0, 1) of noise."""
    maps = space.styles.maps
    keys = jax.random.split(key, len(maps))
    return tuple(jax.random.normal(k, x.shape, x.dtype) for k, x in zip(keys, maps, strict=True))


def added(space: space_lib.Space, maps: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
    """Maps as they are added to activations, from maps before their strengths."""
    return tuple(x * strength for x, strength in zip(maps, space.styles.strengths, strict=True))


def autocorrelation(maps: tuple[jax.Array, ...]) -> jax.Array:
    """How much neighbours in maps [r, r, 1] of noise are alike, at all scales from the map's own down to 8 px.

    Karras et al. (2020), appendix D: of every scale, the squared means of the products with the neighbour in each
    direction, around the border; the next scale is the means of 2x2 pixels.
    """
    total = jnp.zeros(())
    for x in maps:
        while True:
            for axis in (0, 1):
                total += jnp.square(jnp.mean(x * jnp.roll(x, 1, axis)))
            r = x.shape[0]
            if r <= 8:
                break
            x = jnp.mean(x.reshape(r // 2, 2, r // 2, 2, -1), (1, 3))
    return total


def _normalised(x: jax.Array) -> jax.Array:
    x = x - jnp.mean(x)
    return x * jax.lax.rsqrt(jnp.mean(jnp.square(x)) + 1e-12)
