"""What an image costs: pixels and features under masks of their own, and style."""

import jax
import jax.numpy as jnp
import numpy as np

from jgan.latent import costs


def pictures(seed):
    return jax.random.uniform(jax.random.key(seed), (8, 8, 3), minval=-1, maxval=1)


def halves(image):
    """Features: the means of 2x2 pixels and products of colours."""
    x = image.reshape(4, 2, 4, 2, 3).mean((1, 3))
    return [jnp.concatenate([x, x * x[..., ::-1]], -1)]


def test_masks_of_pixels_and_of_features_are_apart():
    """Pixels count on the left half and features on the right one; nowhere else does a change cost anything."""
    left = jnp.broadcast_to(jnp.arange(8) < 4, (8, 8)).astype(jnp.float32)
    target, other = pictures(0), pictures(1)
    cost = costs.reconstruction(target, left, halves, 0.5, feature_mask=1 - left)
    wanted = halves(target)[0]
    scale = jnp.mean(jnp.square(wanted)) + 1e-6
    features = jnp.sum(jnp.square(halves(other)[0] - wanted)[:, 2:]) / wanted.size / scale
    pixels = jnp.mean(jnp.square(other - target)[:, :4])
    np.testing.assert_allclose(cost(other), pixels + 0.5 * features, rtol=1e-5)
    assert cost(target) == 0


def test_comparable_activations_are_summed_over_channels_and_layers():
    target, other = pictures(0), pictures(1)
    cost = costs.reconstruction(target, None, lambda x: halves(x) * 2, 1.0, comparable=True)
    away = np.square(halves(other)[0] - halves(target)[0]).sum(-1).mean()
    np.testing.assert_allclose(cost(other) - np.mean(np.square(other - target)), 2 * away, rtol=1e-5)


def test_style_is_the_same_wherever_colours_lie():
    """Positions shuffled under the mask cost nothing, other colours do, and what lies beside it does not count."""
    target = pictures(0)
    mask = jnp.broadcast_to(jnp.arange(8) < 4, (8, 8)).astype(jnp.float32)
    cost = costs.style(target, mask, lambda x: [x, x**2], 3.0)
    shuffled = target.at[:, :4].set(target[::-1, jnp.array([2, 0, 3, 1])])
    np.testing.assert_allclose(cost(shuffled.at[:, 4:].set(0.3)), 0, atol=1e-10)
    other = pictures(1)
    parts = []
    for layer in (lambda x: x, lambda x: x**2):
        a, b = (np.asarray(layer(x)[:, :4], np.float64).reshape(-1, 3) for x in (other, target))
        a, b = a.T @ a / 32, b.T @ b / 32
        parts.append(np.mean((a - b) ** 2) / np.mean(b**2))
    np.testing.assert_allclose(cost(other), 3 * np.mean(parts), rtol=1e-5)
