"""The perceptual path length of a generator from styles (Karras et al. 2019, section 4.1), at the ends of paths in W.

As the code of Karras et al. (2020, ADA) measures `ppl2_wend`: two codes become two styles, the first moves by
`EPSILON` of the way to the second along a straight line, and the score is the mean of LPIPS / EPSILON^2 between both
pictures, without the lowest and the highest hundredth. Noise is the same in both pictures and drawn anew for each pair;
pictures of more than 256 pixels a side are reduced to 256 by means of pixels; what the paper crops is not cropped.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jgan import frozen
from jgan import sharding
from jgan import trained
from jgan.programs import controls

EPSILON = 1e-4
SIDE = 256  # of the largest pictures that LPIPS sees
BATCH = 16
_MARGIN = 1  # per cent of the values at each end that are left out


def applies(run: trained.Run) -> bool:
    """Whether the run draws from codes and has styles W, between which paths are straight lines."""
    return trained.draws(run.system) and "w" in run.system.spaces


def distances(
    run: trained.Run, features: frozen.Features, *, number: int, seed: int, share: tuple[int, int] = (0, 1)
) -> np.ndarray:
    """LPIPS / EPSILON^2 of pairs, float64 [about number / n], those of process k of share = (k, n).

    Args:
        run: one that `applies`.
        features: as `frozen.load_lpips` gives them.
        number: of pairs.
        seed: of codes, noise and classes.
        share: (k, n), as in `evaluate.scores`.
    """
    made = jax.jit(_pairs(run))
    lpips = frozen.lpips(features)
    conditions = controls.drawn(run.way(), number, seed)
    own, found = np.arange(share[0], number, share[1]), []
    for start in range(0, len(own), BATCH):
        part = own[start : start + BATCH]
        places = np.resize(part, BATCH)  # the last batch is filled up
        given = {name: x[places] for name, x in conditions.items()}
        a, b = made(run.weights, jax.random.key(seed), *sharding.over_devices((places, given)))
        found.append(lpips(a, b)[: len(part)].astype(np.float64) / EPSILON**2)
    return np.concatenate(found) if found else np.zeros(0)


def gathered(own: np.ndarray) -> np.ndarray:
    """The distances of all processes together."""
    return np.concatenate([np.frombuffer(part, np.float64) for part in sharding.gathered(own.tobytes())])


def score(values: np.ndarray) -> float:
    """The mean without what is below the lowest or above the highest hundredth."""
    low = np.percentile(values, _MARGIN, method="lower")
    high = np.percentile(values, 100 - _MARGIN, method="higher")
    return float(np.mean(values[(values >= low) & (values <= high)]))


def _pairs(run: trained.Run) -> Callable[..., tuple[jax.Array, jax.Array]]:
    """`(weights, key, numbers [n], {control: [n, ...]}) -> (images, images)`, the two ends of each pair."""
    codes = run.system.spaces["w"]

    def pair(weights: Any, key: jax.Array, given: dict[str, Any]) -> tuple[jax.Array, jax.Array]:
        styles = codes.space(weights, given).styles
        k_style, *k_maps = jax.random.split(key, 1 + len(styles.maps))
        w, towards = styles.draw(k_style, 2)
        maps = tuple(
            jax.random.normal(k, x.shape, x.dtype) * strength
            for k, x, strength in zip(k_maps, styles.maps, styles.strengths, strict=True)
        )
        ends = (w, w + EPSILON * (towards - w))
        return tuple(_reduced(styles.image(styles.latent(end), maps)) for end in ends)

    def pairs(weights: Any, key: jax.Array, numbers: jax.Array, given: dict[str, Any]) -> Any:
        keys = jax.vmap(lambda k: jax.random.fold_in(key, k))(numbers)
        return jax.vmap(lambda key, given: pair(weights, key, given))(keys, given)

    return pairs


def _reduced(image: jax.Array) -> jax.Array:
    """An image [h, w, c] of at most 256 pixels a side where that divides it."""
    h, w, c = image.shape
    times = h // SIDE
    if times < 2:
        return image
    return jnp.mean(image.reshape(h // times, times, w // times, times, c), (1, 3))
