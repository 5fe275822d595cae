"""Pixels on the host and on the device are the same."""

import jax.numpy as jnp
import numpy as np
import pytest

from jgan.ops import pixels


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_the_host_rounds_as_the_device_does(dtype):
    halves = (np.arange(65536, dtype=np.float32) + 0.5) / 32767.5 - 1
    images = np.concatenate([halves, np.linspace(-1.1, 1.1, 10_001, dtype=np.float32)])
    host, device = pixels.from_float(images, dtype), pixels.from_float(jnp.asarray(images), dtype)
    assert type(host) is np.ndarray and host.dtype == device.dtype == dtype
    np.testing.assert_array_equal(host, device)
