"""A small convnet of strided 3x3 convolutions: what is trained here on drawn pictures, to be asked about made ones."""

import itertools

import jax
import numpy as np
import optax
import tqdm


def init(rng, widths, outputs, places=1):
    """Returns its parameters [(kernel, bias), ...]: convolutions to so many channels, and a last product.

    That takes the mean of the channels over all places, which knows no position, or all of them at so many `places`.
    """
    shapes = [(3, 3, into, out) for into, out in itertools.pairwise((3, *widths))]
    shapes.append((places * widths[-1], outputs))
    return [(_normal(rng, shape, np.prod(shape[:-1])), np.zeros(shape[-1], np.float32)) for shape in shapes]


def apply(params, images):
    """Returns what it says, [n, outputs], of images [n, h, w, 3] in [-1, 1]."""
    kernel, bias = params[-1]
    return features(params, images) @ kernel + bias


def features(params, images):
    """Returns what the last product takes, [n, places * channels], of images [n, h, w, 3] in [-1, 1]."""
    for kernel, bias in params[:-1]:
        images = jax.lax.conv_general_dilated(
            images, kernel, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        images = jax.nn.relu(images + bias)
    if len(params[-1][0]) == images.shape[-1]:
        return images.mean((1, 2))
    return images.reshape(len(images), -1)


def fit(params, loss, draw, *, steps, learning_rate=2e-3):
    """Returns the parameters after `steps` of Adam on `loss(params, *draw())`, at a rate that falls to 0."""
    optimiser = optax.adam(optax.cosine_decay_schedule(learning_rate, steps))
    moments = optimiser.init(params)

    @jax.jit
    def step(params, moments, *batch):
        change, moments = optimiser.update(jax.grad(loss)(params, *batch), moments, params)
        return optax.apply_updates(params, change), moments

    for _ in tqdm.trange(steps, desc="training", leave=False, disable=None):
        params, moments = step(params, moments, *draw())
    return params


def predict(params, pictures, batch=250, function=apply):
    """Returns what it says, [n, outputs], of pictures uint8 [n, h, w, 3], or its `features`."""
    run = jax.jit(function)
    parts = [np.asarray(run(params, scaled(pictures[i : i + batch]))) for i in range(0, len(pictures), batch)]
    return np.concatenate(parts)


def scaled(pictures):
    """Returns uint8 pictures as float32 in [-1, 1]."""
    return pictures.astype(np.float32) / np.float32(127.5) - 1


def disturbed(images, rng):
    """Returns images in [-1, 1] paler and noisier than drawings are, as samples may be."""
    n = len(images)
    gain = rng.uniform(0.85, 1.0, (n, 1, 1, 1)).astype(np.float32)
    sigma = rng.uniform(0.0, 0.15, (n, 1, 1, 1)).astype(np.float32)
    return 1 - gain * (1 - images) + sigma * rng.standard_normal(images.shape, np.float32)


def _normal(rng, shape, reach):
    return rng.standard_normal(shape, np.float32) * np.float32(np.sqrt(2 / reach))
