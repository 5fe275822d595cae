"""Draws from a latent space: codes by seed, their images in batches of one size, walks from code to code.

Everything here is the same on all processes; who calls writes it.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jgan import space as spaces
from jgan.latent import paths

BATCH = 64  # images that are generated together
_PAIRS, _STEPS = 6, 8  # rows and columns of a picture of interpolations
STATIONS, BETWEEN = 8, 16  # codes of a walk, and images from one to the next


def codes(space: spaces.Space, seed: int, number: int) -> Any:
    """Codes [number, ...] drawn from the prior; the first ones are the same for every number."""

    @jax.jit  # one program instead of several, which compile one after another
    def drawn(base: jax.Array) -> Any:
        keys = jax.vmap(lambda k: jax.random.fold_in(base, k))(jnp.arange(number))
        return jax.vmap(space.sample)(keys)

    return drawn(jax.random.key(seed))


def draw(generate: Callable[[Any], jax.Array], codes: Any) -> np.ndarray:
    """The images [n, h, w, c] of codes [n, ...], `BATCH` at a time, so that one program serves all numbers."""
    number = jax.tree.leaves(codes)[0].shape[0]
    parts = []
    for start in range(0, number, BATCH):
        places = np.minimum(np.arange(start, start + BATCH), number - 1)  # the last one fills up
        part = jax.tree.map(lambda x, places=places: x[places], codes)
        parts.append(np.asarray(generate(part))[: number - start])
    return np.concatenate(parts)


def arcs(space: spaces.Space, a: Any, b: Any, n: int) -> Any:
    """Codes [m * n, ...], in n equal steps from each of `a` [m, ...] to its partner in `b`, both included.

    They lie on the sphere, within the space's bounds. White (2016), "Sampling Generative Networks": codes of many
    numbers all have about the same length, and those on the straight line are shorter than any that was trained on.
    """

    def one(a: Any, b: Any) -> Any:
        return jax.vmap(lambda z: space.bound(space.free(z)))(paths.spherical(a, b, n))

    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), jax.vmap(one)(a, b))


def interpolations(space: spaces.Space, generate: Callable[[Any], jax.Array], seed: int) -> list[list[Any]]:
    """Rows of images, each from one code to another."""
    ends = codes(space, seed, 2 * _PAIRS)
    a, b = (jax.tree.map(lambda x, k=k: x[k::2], ends) for k in (0, 1))
    images = draw(generate, arcs(space, a, b, _STEPS))
    return [list(images[k : k + _STEPS]) for k in range(0, len(images), _STEPS)]


def walk(
    space: spaces.Space,
    generate: Callable[[Any], jax.Array],
    seed: int,
    stations: int = STATIONS,
    between: int = BETWEEN,
) -> np.ndarray:
    """The images [n, h, w, c] of a closed walk from code to code, which can be shown again and again."""
    here = codes(space, seed, stations)
    there = jax.tree.map(lambda x: jnp.roll(x, -1, 0), here)
    steps = arcs(space, here, there, between + 1)
    # The last step of each way is the first of the next.
    kept = jax.tree.map(
        lambda x: x.reshape(stations, between + 1, *x.shape[1:])[:, :-1].reshape(-1, *x.shape[1:]), steps
    )
    return draw(generate, kept)
