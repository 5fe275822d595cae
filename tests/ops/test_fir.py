"""Resampling by [1, 3, 3, 1] equals its closed formulas and an inserted-zeros form, as do its derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jgan
from jgan.ops import fir

TAPS = np.array([1, 3, 3, 1]) / 8


def images(*shape):
    return np.random.default_rng(0).normal(size=shape or (2, 6, 4, 3))


def along(x, function):
    """A function of vectors, applied to both axes of images."""
    return np.apply_along_axis(function, 2, np.apply_along_axis(function, 1, x))


def filtered(x, before, after):
    """A vector with zeros around it, correlated with the taps."""
    return np.convolve(np.pad(x, (before, after)), TAPS, "valid")


def zeros_between(x):
    y = np.zeros(2 * len(x))
    y[::2] = x
    return y


def ours(function, x):
    with jax.enable_x64(True):
        return np.asarray(jax.jit(function)(jnp.asarray(x)))


CASES = {
    "up": (fir.upsample, lambda x: 2 * filtered(zeros_between(x), 2, 1)),
    "down": (fir.downsample, lambda x: filtered(x, 1, 1)[::2]),
    "after": (lambda x: fir.smooth(x, 1, 4), lambda x: 2 * filtered(x, 1, 1)),
    "before": (lambda x: fir.smooth(x, 2), lambda x: filtered(x, 2, 2)),
    "askew": (lambda x: fir.smooth(x, (0, 3), 0.5), lambda x: np.sqrt(0.5) * filtered(x, 0, 3)),
}


@pytest.mark.parametrize("case", CASES)
def test_values_and_derivatives(case):
    """The form with zeros inserted, as a matrix: the gradient is its transpose, to whatever order."""
    function, vector = CASES[case]
    x = images()
    expected = along(x, vector)
    np.testing.assert_allclose(ours(function, x), expected, atol=1e-13)
    y = np.random.default_rng(1).normal(size=expected.shape)
    unit = np.moveaxis(np.eye(24).reshape(24, 6, 4), 0, -1)[None]  # every pixel of an image by itself
    matrix = along(unit, vector)[0].reshape(-1, 24)

    def gradient(x):
        return jax.grad(lambda x: jnp.sum(jnp.square(function(x)) * y) / 2)(x)

    def flat(x):
        return x.transpose(0, 3, 1, 2).reshape(6, -1)

    slope = (flat(y) * (flat(x) @ matrix.T)) @ matrix
    np.testing.assert_allclose(flat(ours(gradient, x)), slope, atol=1e-12)
    again = ours(lambda x: jax.grad(lambda x: jnp.sum(jnp.square(gradient(x))) / 2)(x), x)
    slope = (flat(y) * (slope @ matrix.T)) @ matrix
    np.testing.assert_allclose(flat(again), slope, atol=1e-12)
    forward = ours(lambda x: jax.jvp(gradient, (x,), (x,))[1], x)
    np.testing.assert_allclose(flat(forward), flat(ours(gradient, x)), atol=1e-12)


def test_closed_formulas():
    """Of an image that is not 0 in one column alone, the taps of the width are known."""
    x = np.zeros((1, 4, 4, 1))
    x[0, :, 1, 0] = v = np.array([2.0, -1.0, 5.0, 3.0])
    before, after = np.array([0, *v[:-1]]), np.array([*v[1:], 0])
    up = ours(fir.upsample, x)[0, :, :, 0]
    np.testing.assert_allclose(up[::2, 2], 0.75 * (0.25 * before + 0.75 * v), atol=1e-14)
    np.testing.assert_allclose(up[1::2, 4], 0.25 * (0.75 * v + 0.25 * after), atol=1e-14)
    down = (np.array([0, v[1]]) + 3 * v[::2] + 3 * v[1::2] + np.array([v[2], 0])) / 8
    np.testing.assert_allclose(ours(fir.downsample, x)[0, :, 0, 0], 3 / 8 * down, atol=1e-14)
    np.testing.assert_allclose(ours(fir.downsample, x)[0, :, 1, 0], 1 / 8 * down, atol=1e-14)


def test_constant_images():
    """Inside, all of them keep a constant, times their gain; zeros outside show at the borders alone."""
    x = np.ones((1, 8, 8, 2))
    for function, gain in ((fir.upsample, 1), (fir.downsample, 1), (lambda x: fir.smooth(x, 2, 4), 4)):
        y = ours(function, x)
        np.testing.assert_allclose(y[:, 2:-2, 2:-2], gain, atol=1e-14)
        assert y[0, 0, 0, 0] < gain


def test_vmap_and_bfloat16():
    x = images(2, 3, 6, 4, 3)
    for case in ("up", "down", "askew"):
        function, _ = CASES[case]
        expected = np.stack([ours(function, y) for y in x.swapaxes(0, 1)], 1)
        np.testing.assert_allclose(ours(jax.vmap(function, 1, 1), x), expected, atol=1e-14)
        half = function(jnp.asarray(x[0], jnp.bfloat16))
        assert half.dtype == jnp.bfloat16
        np.testing.assert_allclose(half.astype(jnp.float32), ours(function, x[0]), atol=0.1)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: fir.downsample(images(1, 5, 4, 3)), "images of 5x4 pixels cannot be halved"),
        (lambda: fir.smooth(images(), 4), "a filter of 4 taps takes 0 to 3 zeros"),
        (lambda: fir.smooth(images(1, 1, 4, 3), 1), "are smaller than a filter of 4 taps"),
        (lambda: fir.upsample(images(4, 4, 3)), r"images are \[n, h, w, c\]"),
    ],
)
def test_mistakes(make, message):
    with pytest.raises(jgan.UserError, match=message):
        make()
