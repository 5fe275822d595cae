"""Boundaries of latents whose scores follow a known direction."""

import jax.numpy as jnp
import numpy as np
import pytest

import jgan
from jgan.latent import boundary

RNG = np.random.default_rng(0)
DEVIATIONS = np.float32([1.0, 2.0, 0.5, 1.5, 1.0, 0.7])
X = jnp.asarray(RNG.normal(size=(600, 6)) * DEVIATIONS + 3, jnp.float32)
TRUE = np.float32([0.6, 0.0, -0.8, 0.0, 0.0, 0.0])


def cosine(a, b):
    return float(np.dot(a, b) / np.linalg.norm(a) / np.linalg.norm(b))


def test_scores_that_grow_in_a_direction_give_it_back_in_standard_deviations():
    found = boundary.normal(X, X @ TRUE * 7 + 100, ridge=1e-6)
    assert cosine(found, TRUE) > 0.9999
    np.testing.assert_allclose(np.linalg.norm(found), np.std(X @ TRUE), rtol=1e-3)


def test_two_sets_are_separated_across_their_boundary():
    """The line between the means is no normal where numbers differ in their spread."""
    above = (X @ TRUE > 0.0).astype(jnp.float32)
    found = boundary.normal(X, above, ridge=1e-6)
    between = X[above > 0].mean(0) - X[above == 0].mean(0)
    assert cosine(found, TRUE) > 0.98 > cosine(between, TRUE)


def test_fewer_latents_than_numbers_have_the_same_solution():
    """(X^T X + c)^-1 X^T y, computed in float64 in the other one of the two orders."""
    x = jnp.asarray(RNG.normal(size=(20, 50)), jnp.float32)
    y = x[:, 0] + 0.1 * x[:, 1]
    centred, z = np.asarray(x - x.mean(0), np.float64), np.asarray(y - y.mean(), np.float64)
    added = boundary.RIDGE * np.square(centred).sum() / 50
    expected = np.linalg.solve(centred.T @ centred + added * np.eye(50), centred.T @ z)
    found = np.asarray(boundary.normal(x, y), np.float64)
    np.testing.assert_allclose(found / np.linalg.norm(found), expected / np.linalg.norm(expected), atol=1e-4)


def test_a_conditional_direction_leaves_the_others_scores_as_they_are():
    others = jnp.asarray(RNG.normal(size=(2, 6)), jnp.float32)
    found = boundary.conditional(jnp.asarray(TRUE), others)
    np.testing.assert_allclose(others @ found, 0, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found), np.linalg.norm(TRUE), rtol=1e-5)
    # Two names of one direction take nothing besides.
    twice = boundary.conditional(jnp.asarray(TRUE), jnp.stack([others[0], others[0]]))
    np.testing.assert_allclose(twice, boundary.conditional(jnp.asarray(TRUE), others[:1]), atol=1e-5)
    assert not np.any(boundary.conditional(others[0] * 3, others))


def test_one_latent_has_no_boundary():
    with pytest.raises(jgan.UserError, match="1 latents with scores"):
        boundary.normal(X[:1], jnp.ones(1))
