"""Closed forms of the losses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgan import losses

X = jnp.array([-2.0, -0.5, 0.0, 0.25, 3.0])


def sigmoid(x):
    return 1 / (1 + np.exp(-np.asarray(x, np.float64)))


@pytest.mark.parametrize(
    "name, real, fake, generator",
    [
        ("vanilla", -np.log(sigmoid(X)), -np.log(1 - sigmoid(X)), -np.log(sigmoid(X))),
        ("lsgan", (X - 1) ** 2, X**2, (X - 1) ** 2),
        ("hinge", np.maximum(0, 1 - X), np.maximum(0, 1 + X), -X),
        ("wgan_gp", -X, X, -X),
    ],
)
def test_closed_forms(name, real, fake, generator):
    loss = losses.ADVERSARIAL[name]
    np.testing.assert_allclose(loss.real(X), real, atol=1e-6)
    np.testing.assert_allclose(loss.fake(X), fake, atol=1e-6)
    np.testing.assert_allclose(loss.generator(X), generator, atol=1e-6)


@pytest.mark.parametrize("name", losses.ADVERSARIAL)
def test_large_logits_stay_finite(name):
    x = jnp.array([-1e4, 1e4])
    for term in losses.ADVERSARIAL[name][:3]:
        value, grads = jax.value_and_grad(lambda x, term=term: jnp.sum(term(x)))(x)
        assert jnp.isfinite(value) and jnp.all(jnp.isfinite(grads))


def test_penalty_of_a_linear_critic_is_its_slope():
    """f(x) = <w, x> has gradient w everywhere: the penalty is (|w| - 1)^2, its derivative 2 (|w| - 1) w / |w|."""
    w = jax.random.normal(jax.random.key(0), (4, 4, 3))
    real, fake = jax.random.normal(jax.random.key(1), (2, 5, 4, 4, 3))

    def penalty(w):
        return losses.gradient_penalty(
            lambda x: jnp.einsum("nhwc,hwc->n", x, w), real, fake, jax.random.key(2)
        )

    norm = jnp.linalg.norm(w.ravel())
    np.testing.assert_allclose(penalty(w), jnp.full(5, (norm - 1) ** 2), rtol=1e-5)
    slope = jax.grad(lambda w: jnp.mean(penalty(w)))(w)
    np.testing.assert_allclose(slope, 2 * (norm - 1) * w / norm, rtol=1e-4)


def test_penalty_of_a_constant_critic_has_a_finite_gradient():
    def penalty(a):
        x = jnp.ones((2, 4, 4, 1))
        return jnp.sum(losses.gradient_penalty(lambda x: a * jnp.zeros(2), x, x, jax.random.key(0)))

    assert penalty(1.0) == 2 and jnp.isfinite(jax.grad(penalty)(1.0))


def test_l1():
    np.testing.assert_allclose(losses.l1(jnp.array([1.0, -1.0]), jnp.array([0.5, 1.0])), [0.5, 2.0])
