"""Laws of projection, on generators small enough to know the answer."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jgan
from jgan import space as space_lib
from jgan.latent import projection

_NZ, _SIZE = 6, 8


def _space(generate, bounded=True):
    def distance(a, b):
        return jnp.sum(jnp.square(a - b))

    if not bounded:
        return space_lib.Space(
            "z", lambda k: jax.random.normal(k, (_NZ,)), lambda z: z, lambda u: u, generate, distance
        )
    return space_lib.Space(
        "z",
        lambda k: jax.random.uniform(k, (_NZ,), minval=-1.0, maxval=1.0),
        lambda z: jnp.arctanh(jnp.clip(z, -0.999, 0.999)),
        jnp.tanh,
        generate,
        distance,
    )


def _linear(dtype=jnp.float32):
    w = jax.random.normal(jax.random.key(1), (_NZ, _SIZE * _SIZE * 3), dtype) / 4
    return lambda z: (z @ w.astype(z.dtype)).reshape(_SIZE, _SIZE, 3)


def _rectifiers(dtype=jnp.float32):
    k1, k2 = jax.random.split(jax.random.key(2))
    w1 = jax.random.normal(k1, (_NZ, 48), dtype) / 2
    w2 = jax.random.normal(k2, (48, _SIZE * _SIZE * 3), dtype) / 8
    return lambda z: jnp.tanh(jax.nn.relu(z @ w1) @ w2).reshape(_SIZE, _SIZE, 3)


def test_l_bfgs_solves_a_linear_generator():
    with jax.enable_x64(True):
        generate = _linear(jnp.float64)
        space = _space(generate, bounded=False)
        target = jax.random.normal(jax.random.key(3), (_SIZE, _SIZE, 3))
        settings = projection.Settings(evaluations=60, tolerance=1e-14)
        found = projection.project(space, projection.reconstruction(target), jnp.ones(_NZ), settings)
        columns = jax.jacobian(lambda z: generate(z).ravel())(jnp.zeros(_NZ))
    wanted, residual, *_ = np.linalg.lstsq(np.asarray(columns), np.asarray(target).ravel(), rcond=None)
    np.testing.assert_allclose(found.latent, wanted, atol=1e-6)
    np.testing.assert_allclose(found.cost, residual[0] / target.size, rtol=1e-12)
    assert found.evaluations < 40


@pytest.mark.parametrize("optimiser", projection.OPTIMISERS)
def test_a_projection_in_parts_is_the_same_as_in_one(optimiser):
    space = _space(_rectifiers())
    settings = projection.Settings(optimiser, evaluations=30)
    cost = projection.reconstruction(space.generate(jnp.full(_NZ, 0.3)))
    whole = projection.project(space, cost, jnp.zeros(_NZ), settings, history=True)
    carry = projection.begin(space, cost, jnp.zeros(_NZ), settings, history=True)
    on = jax.jit(lambda carry, until: projection.advance(space, cost, carry, until, settings))
    for until in (1, 7, 8, 30):
        carry = on(carry, until)
        assert carry["count"] <= until
    parts = projection.finish(space, carry)
    assert parts.evaluations == whole.evaluations
    np.testing.assert_allclose(parts.latent, whole.latent, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(parts.history, whole.history, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("optimiser", projection.OPTIMISERS)
def test_latents_of_generated_images_are_recovered(optimiser):
    space = _space(_rectifiers())
    settings = projection.Settings(optimiser, evaluations=150, learning_rate=0.1, tolerance=1e-9)
    latents = jax.vmap(space.sample)(jax.random.split(jax.random.key(4), 8)) * 0.9

    def one(z, key):
        cost = projection.reconstruction(space.generate(z))
        return projection.project_image(space, cost, key, settings, number=4)

    found = jax.jit(jax.vmap(one))(latents, jax.random.split(jax.random.key(5), 8))
    errors = jnp.abs(jax.vmap(space.generate)(found.latent) - jax.vmap(space.generate)(latents))
    assert np.mean(np.median(np.asarray(errors).reshape(8, -1), 1) < 2e-3) >= 0.9


@pytest.mark.parametrize("optimiser, tolerance", [("adam", 1e-5), ("lbfgs", 1e-6)])
def test_vmapped_equals_looped(optimiser, tolerance):
    """Adam in float32; L-BFGS, whose branches depend on comparisons, in float64."""
    with jax.enable_x64(optimiser == "lbfgs"):
        dtype = jnp.float64 if optimiser == "lbfgs" else jnp.float32
        space = _space(_rectifiers(dtype))
        targets = jnp.tanh(jax.random.normal(jax.random.key(6), (3, _SIZE, _SIZE, 3), dtype))
        starts = jax.random.uniform(jax.random.key(7), (3, _NZ), dtype, -0.9, 0.9)
        settings = projection.Settings(optimiser, evaluations=20 if optimiser == "adam" else 60)

        def one(target, z):
            return projection.project(space, projection.reconstruction(target), z, settings, history=True)

        together = jax.jit(jax.vmap(one))(targets, starts)
        alone = [jax.jit(one)(t, z) for t, z in zip(targets, starts, strict=True)]
        for k, single in enumerate(alone):
            np.testing.assert_allclose(together.latent[k], single.latent, atol=tolerance)
            np.testing.assert_allclose(together.cost[k], single.cost, rtol=1e-5)
            assert together.evaluations[k] == single.evaluations


def test_adam_takes_optax_steps():
    space = _space(_linear(), bounded=False)
    target = jnp.zeros((_SIZE, _SIZE, 3))
    cost = projection.reconstruction(target)
    settings = projection.Settings("adam", evaluations=8, learning_rate=0.05)
    found = projection.project(space, cost, jnp.ones(_NZ), settings, history=True)
    adam, z = optax.adam(0.05), jnp.ones(_NZ)
    state, costs = adam.init(z), []
    for _ in range(8):
        value, gradient = jax.value_and_grad(lambda z: cost(space.generate(z)))(z)
        costs.append(value)
        change, state = adam.update(gradient, state)
        z = z + change
    np.testing.assert_allclose(found.history, np.minimum.accumulate(costs), rtol=1e-5)
    np.testing.assert_allclose(found.cost, min(costs), rtol=1e-5)


def test_history_falls_and_counts_every_evaluation():
    """The cost is evaluated as often as `evaluations` says, by counting calls on the host."""
    calls = []

    def generate(z):
        jax.debug.callback(lambda: calls.append(1))
        return _rectifiers()(z)

    space = _space(generate)
    target = _rectifiers()(jnp.full(_NZ, -0.5))
    settings = projection.Settings(evaluations=12, tolerance=0.0)
    found = projection.project(
        space, projection.reconstruction(target), jnp.full(_NZ, 0.3), settings, history=True
    )
    jax.effects_barrier()
    assert len(calls) == found.evaluations == 12
    history = np.asarray(found.history)
    assert np.all(np.diff(history) <= 0) and history[-1] == found.cost < 0.5 * history[0]


def test_a_start_that_is_done_stays_while_others_go_on():
    space = _space(_linear(), bounded=False)
    z = jax.random.normal(jax.random.key(9), (_NZ,))
    cost = projection.reconstruction(space.generate(z))
    settings = projection.Settings(evaluations=40, tolerance=1e-3)  # the second starts at the answer
    found = jax.vmap(lambda s: projection.project(space, cost, s, settings))(jnp.stack([-z, z]))
    assert found.evaluations[1] < 3 < found.evaluations[0]
    np.testing.assert_array_equal(found.latent[1], z)


def test_what_is_masked_does_not_count():
    space = _space(_linear(), bounded=False)
    z = jax.random.normal(jax.random.key(10), (_NZ,))
    mask = jnp.zeros((_SIZE, _SIZE)).at[:, : _SIZE // 2].set(1)
    wrong = jnp.where(mask[..., None] > 0, space.generate(z), 5.0)
    features = lambda image: [image[::2, ::2] ** 2]  # noqa: E731
    cost = projection.reconstruction(wrong, mask, features, 1.0)
    assert cost(space.generate(z)) == 0
    assert cost(space.generate(z).at[0, 0, 0].add(1.0)) > 0
    found = projection.project(space, cost, jnp.zeros(_NZ), projection.Settings(tolerance=0.0))
    np.testing.assert_allclose(found.latent, z, atol=1e-3)


def test_features_count_by_their_relative_difference():
    target = jnp.ones((4, 4, 3))
    cost = projection.reconstruction(target, None, lambda image: [2 * image, 300 * image], 0.5)
    # Each layer's mean square difference is a quarter of the target's own mean square.
    np.testing.assert_allclose(cost(target * 0.5), 0.25 + 0.5 * 0.25, rtol=1e-5)


def test_methods_and_starts():
    space = _space(_rectifiers())
    key, predicted = jax.random.key(11), jnp.full(_NZ, 0.4)
    cost = projection.reconstruction(space.generate(jnp.full(_NZ, 0.5)))
    settings = projection.Settings(evaluations=20)
    network = projection.project_image(space, cost, key, settings, method="network", predicted=predicted)
    np.testing.assert_array_equal(network.latent, predicted)
    hybrid = projection.project_image(
        space, cost, key, settings, method="hybrid", number=3, predicted=predicted
    )
    assert hybrid.cost < network.cost == cost(space.generate(predicted))
    drawn = projection.starts(space, key, 3, "hybrid", predicted)
    np.testing.assert_allclose(drawn[0], 0.6 * predicted, rtol=1e-6)  # away from the border
    assert jnp.all(jnp.abs(drawn) < 1) and jnp.all(jnp.any(drawn[1:] != drawn[0], 1))
    unbounded = projection.starts(_space(_rectifiers(), bounded=False), key, 1, "hybrid", predicted)
    np.testing.assert_array_equal(unbounded[0], predicted)
    assert projection.starts(space, key, 5, "optimise").shape == (5, _NZ)


def test_the_best_start_wins_and_nan_never_does():
    costs = jnp.array([jnp.nan, 3.0, 1.0, 2.0])
    stack = projection.Projection(jnp.arange(4.0), costs, jnp.arange(4), jnp.zeros((4, 0)))
    assert projection.best(stack).latent == 2


@pytest.mark.parametrize(
    "change, method, number",
    [
        ({"optimiser": "sgd"}, "optimise", 1),
        ({}, "guess", 1),
        ({}, "hybrid", 0),
        ({"evaluations": 0}, "hybrid", 1),
    ],
)
def test_impossible_settings_are_refused(change, method, number):
    with pytest.raises(jgan.UserError):
        projection.check(projection.Settings(**change), method, number)
