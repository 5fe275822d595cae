"""What a constant plane adds to a convolution equals what it adds as channels of the image."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgan.ops import conv
from jgan.ops import planes
from jgan.ops import resample


@pytest.mark.parametrize("kernel, stride, padding", [(4, 2, 1), (7, 1, 3), (3, 1, 0), (4, 1, 1)])
@pytest.mark.parametrize("height, width", [(8, 8), (7, 12)])
def test_planes_are_channels(kernel, stride, padding, height, width):
    values, w = (
        jax.random.normal(jax.random.key(seed), shape)
        for seed, shape in enumerate([(2, 3), (kernel, kernel, 3, 5)])
    )
    tiled = jnp.broadcast_to(values[:, None, None], (2, height, width, 3))
    expected = conv.conv(tiled, w, stride, ((padding, padding),) * 2, form="lax")
    found = jax.jit(planes.conv, static_argnums=(2, 3, 4, 5))(values, w, height, width, stride, padding)
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("height, width", [(2, 2), (6, 7)])
def test_planes_smaller_than_the_kernel(height, width):
    """A plane of which no pixel of the output sees all."""
    values, w = jnp.ones((1, 1)), jnp.ones((4, 4, 1, 1))
    found = planes.conv(values, w, height, width, 2, 1)
    rows, columns = (
        [min(size, 2 * k + 3) - max(0, 2 * k - 1) for k in range(size // 2)] for size in (height, width)
    )
    np.testing.assert_allclose(found[0, :, :, 0], np.outer(rows, columns))


@pytest.mark.parametrize("height, width", [(1, 4), (5, 6)])
def test_a_mean_counts_only_pixels_that_there_are(height, width):
    x = np.random.default_rng(0).normal(size=(2, height, width, 3)).astype(np.float32)
    expected = [
        [x[:, max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2].mean((1, 2)) for j in range(0, width, 2)]
        for i in range(0, height, 2)
    ]
    np.testing.assert_allclose(
        resample.mean_downsample(jnp.asarray(x)), np.moveaxis(expected, 2, 0), atol=1e-6
    )
