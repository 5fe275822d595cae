"""Norms keep the statistics of one picture for its parts, and training knows nothing of it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jgan
from jgan.nets import layers

EPSILON = 1e-5


def images(n=1, seed=0):
    x = jax.random.normal(jax.random.key(seed), (n, 6, 5, 3))
    return x * jnp.array([1.0, 3.0, 0.1]) + jnp.array([0.0, 10.0, -1.0])


def norm(kind, x):
    """(apply, variables) of a norm."""
    module = layers.Norm(kind)
    variables = module.init(jax.random.key(0), x, "batch")

    def apply(x, statistics, stats=None):
        given = {
            "params": variables.get("params", {}),
            "stats": variables.get("stats", {}) if stats is None else stats,
        }
        y, updated = module.apply(given, x, statistics, mutable=["stats"])
        return y, updated.get("stats", {})

    return apply, variables


@pytest.mark.parametrize("kind", ["batch", "instance"])
@pytest.mark.parametrize("n", [1, 2])
def test_gathered_statistics_are_those_of_the_whole_picture(kind, n):
    x = images(n)  # two parts of one picture, or all of it
    apply, variables = norm(kind, x)
    y, stats = apply(x, "gather")
    pixels = np.asarray(x, np.float64).reshape(-1, 3)
    np.testing.assert_allclose(stats["mean"], pixels.mean(0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(stats["variance"], pixels.var(0), rtol=1e-5)
    assert stats["mean"].shape == stats["variance"].shape == (3,)
    affine = variables.get("params", {"scale": 1, "bias": 0})
    expected = (pixels - pixels.mean(0)) / np.sqrt(pixels.var(0) + EPSILON)
    expected = expected * affine["scale"] + affine["bias"]
    np.testing.assert_allclose(y.reshape(-1, 3), expected, atol=1e-5)
    if n == 1:
        np.testing.assert_allclose(y, apply(x, "image")[0], atol=1e-6)
    # A part meets the whole picture's statistics, and they stay as they are.
    part, after = apply(x[:1, 1:4], "running", stats)
    np.testing.assert_allclose(part, y[:1, 1:4], atol=1e-5)
    assert jax.tree.all(jax.tree.map(np.array_equal, after, stats))
    # They are nobody's who does not ask for them.
    for statistics in ("image", "batch"):
        assert np.array_equal(apply(x, statistics, stats)[0], apply(x, statistics)[0])


def test_groups_of_a_batch_norm_are_batches_of_their_own():
    x = images(4)
    apply, _ = norm("batch:2", x)
    whole, _ = norm("batch", x)
    y, stats = apply(x, "batch")
    parts = [whole(part, "batch") for part in (x[:2], x[2:])]
    np.testing.assert_allclose(y, jnp.concatenate([part for part, _ in parts]), atol=1e-6)
    for name in ("mean", "variance"):
        np.testing.assert_allclose(stats[name], sum(kept[name] for _, kept in parts) / 2, rtol=1e-5)
    assert not np.allclose(y, whole(x, "batch")[0], atol=1e-3)
    np.testing.assert_allclose(norm("batch:8", x)[0](x, "batch")[0], whole(x, "batch")[0])  # one group
    with pytest.raises(jgan.UserError, match="a batch of 3 cannot be cut into groups of 2"):
        apply(x[:3], "batch")
    for kind in ("batch:0", "batch:x", "instance:2"):
        with pytest.raises(jgan.UserError, match="batch:N"):
            layers.check(kind)


def test_instance_norm_has_statistics_only_where_they_were_gathered():
    x = images(2)
    apply, variables = norm("instance", x)
    assert variables == {}
    usual = apply(x, "image")[0]
    for statistics in ("batch", "image", "running"):
        y, stats = apply(x, statistics)
        assert stats == {} and np.array_equal(y, usual)


def test_no_norm_gathers_nothing():
    x = images()
    apply, variables = norm("none", x)
    y, stats = apply(x, "gather")
    assert variables == {} and stats == {} and np.array_equal(x, y)


def test_a_mistake_is_named():
    with pytest.raises(jgan.UserError, match="statistics='whole'.*gather"):
        norm("batch", images())[0](images(), "whole")
