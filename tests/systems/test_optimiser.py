"""The schedule in closed form, and Adam as optax has it, without copies."""

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
import pytest

import jgan
from jgan.systems import optimiser
from jgan.systems import system as system_lib


def config(**changes):
    return ml_collections.ConfigDict(
        {
            "learning_rate": 0.25,
            "b1": 0.5,
            "b2": 0.999,
            "eps": 1e-8,
            "schedule": "linear",
            "decay_from": 0.5,
            **changes,
        }
    )


def test_linear_is_constant_then_a_line_that_ends_at_zero():
    rate = optimiser.schedule(config(), 8)
    values = [float(rate(step)) for step in range(9)]
    np.testing.assert_allclose(values, 0.25 * np.array([1, 1, 1, 1, 1, 0.75, 0.5, 0.25, 0]), rtol=1e-6)
    constant = optimiser.schedule(config(schedule="constant"), 8)
    assert constant(0) == constant(7) == 0.25


@pytest.mark.parametrize(
    "name, value",
    [
        ("learning_rate", -0.1),
        ("b1", 1.0),
        ("b2", -0.5),
        ("eps", 0.0),
        ("decay_from", 1.5),
        ("weight_decay", -1.0),
    ],
)
def test_numbers_that_make_no_sense_are_refused_by_name(name, value):
    with pytest.raises(jgan.UserError, match=f"optimiser.{name}={value}"):
        optimiser.adam(config(**{name: value}), 8)


def test_an_unknown_schedule_is_named():
    with pytest.raises(jgan.UserError, match="'step' is unknown"):
        optimiser.schedule(config(schedule="step"), 8)


@pytest.mark.parametrize("b1", [0.5, 0.9])
def test_updates_are_those_of_optax(b1):
    setting = config(schedule="constant", b1=b1)
    ours, theirs = optimiser.adam(setting, 8), optax.adam(0.25, b1, 0.999, 1e-8)
    params = {"w": jax.random.normal(jax.random.key(0), (5, 3))}
    states = [ours.init(params), theirs.init(params)]
    for k in range(3):
        grads = {"w": jax.random.normal(jax.random.key(k + 1), (5, 3))}
        changes = []
        for i, adam in enumerate((ours, theirs)):
            change, states[i] = jax.jit(adam.update)(grads, states[i], params)
            changes.append(change["w"])
        # Against the rate, which the terms of a change have the size of: what they leave of each other may be little.
        np.testing.assert_allclose(*changes, rtol=0, atol=2e-6 * 0.25)


def test_parameters_and_moments_are_updated_in_place(optimised):
    """No array as large as a parameter is copied, though all are donated and overwritten."""
    if jax.default_backend() != "cpu":
        pytest.skip("what is looked at is XLA's program for CPUs")
    adam = optimiser.adam(config(), 8)
    params = {"w": jnp.ones((64, 48))}

    def step(params, state, x):
        # The gradient needs the old parameters, once on each side of a product.
        grads = jax.grad(lambda p: jnp.sum(jnp.tanh(x @ p["w"]) ** 2))(params)
        changes, state = adam.update(grads, state, params)
        return optax.apply_updates(params, changes), state

    options = system_lib.supported(system_lib.COMPILER_OPTIONS)
    jitted = jax.jit(step, donate_argnums=(0, 1), compiler_options=options)
    x = jax.random.normal(jax.random.key(0), (8, 64))
    text = jitted.lower(params, adam.init(params), x).compile().as_text()
    assert "f32[64,48]" in text
    assert not [line for line in text.splitlines() if "f32[64,48]" in line and " copy(" in line]
    # And the order that saves the copies changes no bit.
    plain = jax.jit(step)(params, adam.init(params), x)
    for one, two in zip(
        jax.tree.leaves(plain), jax.tree.leaves(jitted(params, adam.init(params), x)), strict=True
    ):
        np.testing.assert_array_equal(one, two)


def test_options_are_asked_of_a_compiler_that_knows_them_and_on_their_platform_alone(caplog, monkeypatch):
    real = {"xla_cpu_enable_fast_math": False}
    asked = {**real, "xla_cpu_of_another_version": True, "xla_gpu_autotune_level": 0}
    system_lib._known.cache_clear()
    for _ in range(2):
        assert system_lib.supported(asked) == real
    assert [record.getMessage() for record in caplog.records] == [
        "this version of XLA has no xla_cpu_of_another_version and compiles without it"
    ]
    assert jax.jit(lambda x: x + 1, compiler_options=system_lib.supported(asked))(1) == 2
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    assert system_lib.supported({**real, "xla_backend_optimization_level": 1}) == {}
