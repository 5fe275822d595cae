"""The training algebra: updates touch what they name and nothing else."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jgan import state as state_lib

GROUPS = {
    "gen": state_lib.Group(("g",), optax.sgd(0.5)),
    "dis": state_lib.Group(("d", "e"), optax.adam(0.1)),
}


def make():
    params = {"g": {"w": jnp.arange(3.0)}, "d": {"w": jnp.ones(2)}, "e": {"w": jnp.full(2, 2.0)}}
    return state_lib.create(GROUPS, params, {"g": {"m": jnp.zeros(())}}, ema=("g",))


def test_update_is_gradient_then_optimiser():
    def loss(params):
        assert set(params) == {"g"}
        return jnp.sum(params["g"]["w"] ** 2), ({"g": {"m": jnp.ones(())}}, "told")

    state, aux = state_lib.update(make(), GROUPS, "gen", loss)
    np.testing.assert_allclose(state.params["g"]["w"], jnp.zeros(3))  # w - 0.5 * 2 w
    assert aux == "told" and state.stats["g"]["m"] == 1 and state.step == 0


def test_other_groups_stay_bit_equal():
    before = make()
    after, _ = state_lib.update(
        before, GROUPS, "dis", lambda p: (jnp.sum(p["d"]["w"] * p["e"]["w"]), ({}, None))
    )
    assert np.array_equal(before.params["g"]["w"], after.params["g"]["w"])
    assert before.opt["gen"] is after.opt["gen"]
    assert not np.array_equal(before.params["e"]["w"], after.params["e"]["w"])


def test_average_follows_the_parameters():
    state = make()
    moved = state_lib.State(**{**vars(state), "params": {**state.params, "g": {"w": jnp.full(3, 5.0)}}})
    early = state_lib.average(moved, 0.999)  # (1 + 0) / (10 + 0) of the old
    np.testing.assert_allclose(early.ema["g"]["w"], 0.1 * jnp.arange(3.0) + 0.9 * 5)
    late = state_lib.average(state_lib.State(**{**vars(moved), "step": jnp.asarray(10**6)}), 0.999)
    # 1 - 0.999 has five good digits in float32.
    np.testing.assert_allclose(late.ema["g"]["w"], 0.999 * jnp.arange(3.0) + 0.001 * 5, rtol=1e-4)
    assert state_lib.create(GROUPS, state.params, {}).ema == {}


def test_weights_are_averages_where_there_are_any():
    state = make()
    weights = state_lib.State(**{**vars(state), "ema": {"g": "average"}}).weights()
    assert weights["params"]["g"] == "average" and weights["params"]["d"] is state.params["d"]


def test_accumulated_chunks_are_the_whole_batch():
    x = jax.random.normal(jax.random.key(0), (6, 3))

    def loss(params, stats, chunk):
        value = jnp.sum(jnp.sin(chunk @ params["g"]["w"]))
        return value, ({"g": {"m": stats["g"]["m"] + 1}}, {"value": value})

    state = make()
    total = state_lib.accumulate(loss, state.stats, x.reshape(3, 2, 3))
    one, aux = state_lib.update(state, GROUPS, "gen", lambda p: loss(p, state.stats, x))
    many, aux_many = jax.jit(lambda s: state_lib.update(s, GROUPS, "gen", total))(state)
    np.testing.assert_allclose(one.params["g"]["w"], many.params["g"]["w"], rtol=1e-6)
    assert aux_many["value"].shape == (3,)
    np.testing.assert_allclose(aux["value"], jnp.sum(aux_many["value"]), rtol=1e-6)
    assert many.stats["g"]["m"] == 3  # one after the other
