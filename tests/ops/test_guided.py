"""The guided filter against loops over windows, and what enlargement keeps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgan.ops import flow as flows
from jgan.ops import guided

guided_filter = jax.jit(guided.guided_filter, static_argnums=(2, 3))
upsample = jax.jit(guided.upsample, static_argnums=(2, 3))
between = jax.jit(guided.between, static_argnums=(1, 2, 4))
R = np.random.default_rng(0)


def transcription(guide, values, radius, epsilon):
    """Equations 14-16 window by window, in float64."""
    h, w, g = guide.shape
    total, count = np.zeros(values.shape), np.zeros((h, w, 1))
    slopes, added = np.zeros((h, w, g, values.shape[-1])), np.zeros(values.shape)

    def window(y, x):
        return np.s_[max(y - radius, 0) : y + radius + 1, max(x - radius, 0) : x + radius + 1]

    for y, x in np.ndindex(h, w):
        i, p = guide[window(y, x)].reshape(-1, g), values[window(y, x)].reshape(-1, values.shape[-1])
        spread = np.cov(i.T, bias=True).reshape(g, g) + epsilon * np.eye(g)
        slopes[y, x] = np.linalg.solve(spread, i.T @ p / len(i) - np.outer(i.mean(0), p.mean(0)))
        added[y, x] = p.mean(0) - slopes[y, x].T @ i.mean(0)
    for y, x in np.ndindex(h, w):
        for j, k in np.ndindex(h, w):
            if abs(y - j) <= radius and abs(x - k) <= radius:
                total[y, x] += slopes[j, k].T @ guide[y, x] + added[j, k]
                count[y, x] += 1
    return total / count


@pytest.mark.parametrize("channels, radius, epsilon", [(3, 2, 1e-2), (1, 3, 0.3)])
def test_equals_the_transcription(channels, radius, epsilon):
    guide, values = R.uniform(-1, 1, (9, 11, channels)), R.normal(size=(9, 11, 2))
    ours = guided_filter(jnp.float32(guide), jnp.float32(values), radius, epsilon)
    np.testing.assert_allclose(ours, transcription(guide, values, radius, epsilon), atol=1e-4)


def test_edges_of_the_guide_stay_and_others_go():
    """A step that the guide has too stays a step; one that it has not is smoothed."""
    step = jnp.where(jnp.arange(24) < 12, -1.0, 1.0)[None, :, None] * jnp.ones((16, 1, 3))
    np.testing.assert_allclose(guided_filter(step, 3 * step, 2, 1e-4), 3 * step, atol=1e-2)
    blurred = guided_filter(jnp.zeros((16, 24, 3)), 3 * step, 2, 1e-4)
    assert np.max(np.abs(jnp.diff(blurred, axis=1))) < 1.3


def test_enlarged_steps_are_as_sharp_as_the_guide():
    """A step between the 4th and the 5th of 8 pixels, guided by one of 64: sharp where interpolation is not."""
    small = jnp.where(jnp.arange(8) < 4, 0.0, 1.0)[None, :, None] * jnp.ones((8, 1, 1))
    large = jnp.where(jnp.arange(64) < 32, 0.0, 1.0)[None, :, None] * jnp.ones((64, 1, 1))
    guide = jnp.concatenate([1 - large, 0.2 * large, -large], -1)
    np.testing.assert_allclose(upsample(guide, small, 2, 1e-5), large, atol=0.06)
    assert np.max(np.abs(flows.resize(small, (64, 64)) - large)) > 0.4


def test_constants_stay():
    guide = jnp.float32(R.uniform(-1, 1, (64, 64, 3)))
    np.testing.assert_allclose(upsample(guide, jnp.full((8, 8, 1), -2.0), 2, 1e-5), -2, atol=1e-4)
    assert np.all(np.asarray(upsample(guide, jnp.zeros((8, 8, 1)), 2, 1e-5)) == 0)


def test_enlarging_strip_by_strip_is_enlarging_and_both_are_bilinear():
    field = jnp.float32(R.normal(size=(6, 5, 2)))
    whole = between(field, 0, 16)
    parts = [between(field, 0, 16, begin, 4) for begin in range(0, 16, 4)]
    np.testing.assert_allclose(jnp.concatenate(parts), whole, atol=1e-6)
    np.testing.assert_allclose(between(whole, 1, 13), flows.resize(field, (16, 13)), atol=1e-5)
    row = between(field[:1], 0, 4)  # a side of one pixel
    np.testing.assert_allclose(row, jnp.broadcast_to(field[:1], (4, 5, 2)))
