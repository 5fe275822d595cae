"""Warps at whole and fractional displacements, composition, sizes, and the smooth solution against a dense one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgan.ops import flow as flows

warp = jax.jit(flows.warp, static_argnums=2)
solution = jax.jit(flows.smooth_solution)
smooth = jax.jit(flows.smooth)
H, W = 12, 17
Y, X = np.mgrid[:H, :W].astype(np.float32)
IMAGE = jax.random.uniform(jax.random.key(0), (H, W, 3), minval=-1, maxval=1)


def constant(u, v, shape=(H, W)):
    return jnp.broadcast_to(jnp.array([u, v], jnp.float32), (*shape, 2))


def wavy(scale):
    """A smooth flow that stays within `scale` pixels."""
    return scale * jnp.stack([jnp.sin(X / 5 + Y / 7), jnp.cos(X / 6 - Y / 4)], -1)


@pytest.mark.parametrize("cubic", [False, True])
def test_whole_displacements_move_pixels(cubic):
    """Two to the right, three down: what is made shows the pixel that lies there; borders go on."""
    assert np.array_equal(warp(IMAGE, constant(0, 0), cubic), IMAGE)
    made = warp(IMAGE, constant(2, 3), cubic)
    expected = np.asarray(IMAGE)[np.minimum(np.arange(H) + 3, H - 1)][:, np.minimum(np.arange(W) + 2, W - 1)]
    assert np.array_equal(made, expected)


@pytest.mark.parametrize("cubic, degree", [(False, 1), (True, 2)])
def test_polynomials_are_interpolated_exactly(cubic, degree):
    """Bilinear: a slope; Catmull-Rom: a parabola as well, where all four pixels are there."""

    def field(x, y):
        return jnp.stack([0.3 * x - 0.2 * y, (0.1 * x + 0.05 * y) ** degree], -1)

    made = warp(field(X, Y), wavy(0.9), cubic)
    expected = field(X + wavy(0.9)[..., 0], Y + wavy(0.9)[..., 1])
    np.testing.assert_allclose(made[3:-3, 3:-3], expected[3:-3, 3:-3], atol=1e-5)


def test_inside_knows_the_borders():
    assert np.all(flows.inside(constant(0, 0)))
    expected = (X + 2 <= W - 1) & (Y - 1 >= 0)
    assert np.array_equal(flows.inside(constant(2, -1)), expected)


def test_composition_is_warping_twice():
    """Of a linear image, so that interpolating twice costs nothing; away from the border, where pixels are repeated."""
    image = jnp.stack([X, Y], -1)
    early, late = wavy(1.0), 1.2 * jnp.flip(wavy(1.0), -1)
    twice = warp(warp(image, early), late)
    np.testing.assert_allclose(
        warp(image, flows.compose(late, early))[4:-4, 4:-4], twice[4:-4, 4:-4], atol=1e-4
    )
    np.testing.assert_allclose(flows.compose(constant(0, 0), early), early)
    np.testing.assert_allclose(flows.compose(constant(1, 2), constant(3, -1)), constant(4, 1))
    added = warp(image, late + early)[4:-4, 4:-4]
    assert np.max(np.abs(added - twice[4:-4, 4:-4])) > 0.1  # adding flows is another thing


def test_displacements_grow_with_the_field():
    """From 12 x 17 to 24 x 68: twice as far down, four times as far to the right."""
    large = flows.resize_flow(constant(1, 2), (24, 68))
    assert large.shape == (24, 68, 2)
    np.testing.assert_allclose(large, constant(4, 4, (24, 68)), rtol=1e-6)


def test_pyramid_halves_and_stops():
    shapes = [level.shape[:2] for level in flows.pyramid(jnp.ones((33, 50, 2)), 8)]
    assert shapes == [(33, 50), (17, 25), (9, 13)]
    assert len(flows.pyramid(jnp.ones((5, 5, 1)), 8)) == 1


def test_smoothing_damps_waves_by_the_gaussian():
    """A wave of the cosine transform is scaled by exp(-deviation^2 lambda / 2); a mean stays; 0 changes nothing."""
    k = 3
    wave = jnp.cos(jnp.pi * k * (2 * X + 1) / (2 * W))[..., None] + 0.5
    damped = np.exp(-(2.0**2) * (2 - 2 * np.cos(np.pi * k / W)) / 2)
    np.testing.assert_allclose(smooth(wave, 2.0), 0.5 + (wave - 0.5) * damped, atol=1e-5)
    np.testing.assert_allclose(smooth(IMAGE, 0.0), IMAGE, atol=1e-5)


def test_smooth_solution_equals_the_dense_one():
    """The normal equations written out as one matrix in float64, from random systems of rank 1 and uneven weights."""
    h, w, k, m, ridge = 6, 5, 3, 2, 1e-2
    r = np.random.default_rng(1)
    s = r.normal(size=(h, w, k))
    matrices, right = s[..., :, None] * s[..., None, :], r.normal(size=(h, w, k, m))
    down, across = r.uniform(0.1, 2, (h - 1, w)), r.uniform(0.1, 2, (h, w - 1))
    a = np.eye(h * w * k) * ridge
    number = np.arange(h * w * k).reshape(h, w, k)
    for y, x in np.ndindex(h, w):
        a[np.ix_(number[y, x], number[y, x])] += matrices[y, x]
        for there, weight in ((y + 1, x), down), ((y, x + 1), across):
            if there[0] < h and there[1] < w:
                for p, q in zip(number[y, x], number[there], strict=True):
                    a[[p, q], [p, q]] += weight[y, x]
                    a[[p, q], [q, p]] -= weight[y, x]
    expected = np.linalg.solve(a, right.reshape(-1, m)).reshape(h, w, k, m)
    ours = solution(*jax.tree.map(jnp.float32, (matrices, right, (down, across))), ridge, 200)
    np.testing.assert_allclose(ours, expected, atol=2e-3 * np.abs(expected).max())


def test_smooth_solution_needs_few_iterations():
    """With the same matrix everywhere the preconditioner is the inverse: one iteration is all."""
    matrix = jnp.broadcast_to(jnp.array([[2.0, 0.5], [0.5, 1.0]]), (H, W, 2, 2))
    right = jax.random.normal(jax.random.key(1), (H, W, 2, 1))
    weights = flows.even_weights((H, W), 3.0)
    one, many = (solution(matrix, right, weights, 1e-4, n) for n in (1, 50))
    np.testing.assert_allclose(one, many, atol=1e-4)
    assert np.all(np.asarray(solution(matrix, 0 * right, weights, 1e-4, 50)) == 0)
