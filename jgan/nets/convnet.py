"""A small convnet of strided 3x3 convolutions: what is trained here on pictures, to be asked about made ones.

Its parameters are [(kernel, bias), ...]: convolutions, and a last product.
"""

from collections.abc import Callable
from collections.abc import Sequence
import itertools
from typing import Any

import jax
import numpy as np
import optax
import tqdm

Params = list[tuple[Any, Any]]


def init(
    rng: np.random.Generator, widths: Sequence[int], outputs: int, places: int = 1, channels: int = 3
) -> Params:
    """Its parameters: convolutions to so many channels each, and a last product.

    That takes the mean of the channels over all places, which knows no position, or all of them at so many `places`.
    """
    shapes = [(3, 3, into, out) for into, out in itertools.pairwise((channels, *widths))]
    return [*(kernel(rng, shape) for shape in shapes), kernel(rng, (places * widths[-1], outputs))]


def kernel(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """(a random kernel of a layer with a rectifier before it, a bias of 0): all axes but the last are summed over."""
    deviation = np.float32(np.sqrt(2 / np.prod(shape[:-1])))
    return rng.standard_normal(shape, np.float32) * deviation, np.zeros(shape[-1], np.float32)


def apply(params: Params, images: jax.Array) -> jax.Array:
    """What it says, [n, outputs], of images [n, h, w, channels] in [-1, 1]."""
    kernel, bias = params[-1]
    return features(params, images) @ kernel + bias


def features(params: Params, images: jax.Array) -> jax.Array:
    """What the last product takes, [n, places * channels], of images [n, h, w, channels] in [-1, 1]."""
    for kernel, bias in params[:-1]:
        images = jax.lax.conv_general_dilated(
            images, kernel, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        images = jax.nn.relu(images + bias)
    if len(params[-1][0]) == images.shape[-1]:
        return images.mean((1, 2))
    return images.reshape(len(images), -1)


def fit(
    params: Any,
    loss: Callable[..., jax.Array],
    draw: Callable[[], tuple[Any, ...]],
    *,
    steps: int,
    learning_rate: float = 2e-3,
) -> Any:
    """The parameters after `steps` of Adam on `loss(params, *draw())`, at a rate that falls to 0."""
    optimiser = optax.adam(optax.cosine_decay_schedule(learning_rate, steps))
    moments = optimiser.init(params)

    @jax.jit
    def step(params: Any, moments: Any, *batch: Any) -> tuple[Any, Any]:
        change, moments = optimiser.update(jax.grad(loss)(params, *batch), moments, params)
        return optax.apply_updates(params, change), moments

    for _ in tqdm.trange(steps, desc="training", leave=False, disable=None):
        params, moments = step(params, moments, *draw())
    return params


def predict(
    params: Params, pictures: np.ndarray, batch: int = 250, function: Callable[..., jax.Array] = apply
) -> np.ndarray:
    """What it says, [n, outputs], of pictures uint8 [n, h, w, channels], or its `features`."""
    run = jax.jit(function)
    parts = [np.asarray(run(params, scaled(pictures[i : i + batch]))) for i in range(0, len(pictures), batch)]
    return np.concatenate(parts)


def scaled(pictures: np.ndarray) -> np.ndarray:
    """Pictures of uint8 as float32 in [-1, 1]."""
    return pictures.astype(np.float32) / np.float32(127.5) - 1


def disturbed(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Images in [-1, 1] paler and noisier than drawings are, as samples may be."""
    n = len(images)
    gain = rng.uniform(0.85, 1.0, (n, 1, 1, 1)).astype(np.float32)
    sigma = rng.uniform(0.0, 0.15, (n, 1, 1, 1)).astype(np.float32)
    return 1 - gain * (1 - images) + sigma * rng.standard_normal(images.shape, np.float32)
