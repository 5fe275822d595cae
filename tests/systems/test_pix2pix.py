"""pix2pix as a system: what a step touches, what its options change, what it refuses.

Steps take XLA's convolutions, which compile in half the time; tests/ops holds them equal to the platform's own.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jgan
from jgan.ops import conv
from jgan.systems import pix2pix
from tests.initial_weights import quick_init

KEY = jax.random.key(0)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(conv, "DEFAULT_FORM", "lax")


def batch(n=2, size=16, seed=0):
    rng = np.random.default_rng(seed)
    return {name: rng.integers(0, 256, (n, size, size, 3), np.uint8) for name in "ab"}


@functools.cache
def steps(config_key, updates):
    """(state before, state after, metrics) of one step, compiled once for each config."""
    config = CONFIGS[config_key]
    system = pix2pix.build(config)
    state = quick_init(system.init)(KEY, batch(config.batch_size))
    updates = updates or system.plan(0)
    after, metrics = jax.jit(system.step, static_argnames="updates")(
        state, batch(config.batch_size), KEY, updates=updates
    )
    return state, after, metrics


CONFIGS = {}


@pytest.fixture
def step(small_config):
    def run(updates=(), **changes):
        key = tuple(sorted(changes.items()))
        CONFIGS.setdefault(key, small_config(**changes))
        return steps(key, updates)

    return run


def equal(a, b):
    return jax.tree.all(jax.tree.map(np.array_equal, a, b))


def distance(a, b):
    return max(jax.tree.leaves(jax.tree.map(lambda x, y: float(jnp.max(jnp.abs(x - y))), a, b)))


def test_an_update_of_d_leaves_g_bit_equal(step):
    before, after, metrics = step(updates=("dis",))
    assert equal(before.params["generator"], after.params["generator"])
    assert equal(before.opt["gen"], after.opt["gen"])
    assert not equal(before.params["discriminator"], after.params["discriminator"])
    assert after.step == 1 and "g_l1" not in metrics


def test_a_step_updates_both_and_tells(step):
    before, after, metrics = step()
    for net in ("generator", "discriminator"):
        # Adam's first step moves every weight with a gradient by the learning rate.
        assert 1e-4 < distance(before.params[net], after.params[net]) < 2.1e-4
    assert 0 <= metrics["d_accuracy_real"] <= 1 and 0 <= metrics["d_accuracy_fake"] <= 1
    np.testing.assert_allclose(metrics["g_loss"], metrics["g_adversarial"] + 100 * metrics["g_l1"], rtol=1e-6)
    np.testing.assert_allclose(metrics["d_loss"], (metrics["d_real"] + metrics["d_fake"]) / 2, rtol=1e-6)
    assert all(x.shape == () for x in metrics.values())


def test_l1_alone_has_no_discriminator(step):
    before, after, metrics = step(**{"loss.adversarial_weight": 0.0})
    assert set(after.params) == {"generator"} and set(after.opt) == {"gen"}
    assert set(metrics) == {"g_l1", "g_loss", "learning_rate"} and after.step == 1
    assert not equal(before.params, after.params)


@pytest.mark.slow
def test_an_unconditional_d_does_not_see_the_input(step):
    before, _, _ = step(**{"discriminator.conditional": False})
    assert before.params["discriminator"]["conv_1"]["kernel"].shape[2] == 3


def test_accumulated_parts_are_the_whole_batch(small_config):
    """Without norms over the batch and without noise, two halves give the gradient of the whole.

    Adam's first step shows a gradient's sign, so its moments are compared; in float64, because the gradients of
    D on real and on fake nearly cancel.
    """
    plain = {
        "batch_size": 4,
        "generator.levels": 2,
        "generator.norm": "none",
        "generator.dropout": 0.0,
        "discriminator.norm": "none",
    }
    states, told = [], []
    with jax.enable_x64(True):
        data = {name: x / 127.5 - 1 for name, x in batch(4).items()}
        for count in (1, 2):
            system = pix2pix.build(small_config(**plain, **{"optimiser.accumulate": count}))
            state = quick_init(system.init)(KEY, data)
            state = jax.tree.map(lambda x: x.astype(float) if jnp.issubdtype(x.dtype, float) else x, state)
            step = jax.jit(system.step, static_argnames="updates")
            state, metrics = step(state, data, KEY, updates=("dis", "gen"))
            states.append(state)
            told.append(metrics)
    for group in ("gen", "dis"):
        one, two = (state.opt[group][0].mu for state in states)
        for x, y in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True):
            np.testing.assert_allclose(x, y, atol=1e-9 * float(jnp.max(jnp.abs(x))))
    for name in told[0]:
        np.testing.assert_allclose(told[0][name], told[1][name], rtol=1e-9)


@pytest.mark.slow
def test_bfloat16_computes_in_it_and_keeps_float32(step):
    _, exact, told = step()
    _, rough, told_rough = step(precision="bfloat16")
    for tree in (rough.params, rough.stats, rough.opt):
        assert all(x.dtype in (jnp.float32, jnp.int32) for x in jax.tree.leaves(tree))
    assert told_rough["g_loss"].dtype == jnp.float32
    assert 0 < abs(told["g_l1"] - told_rough["g_l1"]) < 0.02 * told["g_l1"]


def test_average_moves_towards_the_parameters(step):
    before, after, _ = step(ema=0.9)
    assert equal(before.ema["generator"], before.params["generator"])
    ema, params = after.ema["generator"], after.params["generator"]
    assert 0 < distance(ema, params) < distance(before.params["generator"], params)
    assert after.weights()["params"]["generator"] is ema


def test_dropout_draws_anew_with_every_key_and_norms_learn(step, small_config):
    before, after, _ = step()
    assert not equal(before.stats, after.stats)
    system = pix2pix.build(small_config(**{"generator.levels": 6, "data.size": 64}))
    image = jnp.asarray(batch(1, 64)["a"])
    weights = quick_init(system.init)(KEY, batch(1, 64)).weights()
    draw = jax.jit(lambda key: system.ways["AtoB"].run(weights, {"a": image}, key, dropout=True)["output"])
    one, two = draw(jax.random.key(1)), draw(jax.random.key(2))
    assert distance(one, two) > 1e-4 and equal(one, draw(jax.random.key(1)))


@pytest.mark.parametrize("height, width", [(16, 16), (23, 40), (5, 9)])
def test_apply_takes_images_of_any_size(small_config, height, width):
    system = pix2pix.build(small_config())
    weights = jax.eval_shape(system.init, KEY, batch()).weights()
    images = jax.ShapeDtypeStruct((2, height, width, 3), jnp.uint8)
    output = jax.eval_shape(lambda w, a: system.ways["AtoB"].run(w, {"a": a})["output"], weights, images)
    assert output.shape == (2, height, width, 3)


def test_apply_is_pure_and_maps_over_images(small_config):
    system = pix2pix.build(small_config(**{"generator.levels": 3}))
    weights = quick_init(system.init)(KEY, batch()).weights()
    images = jnp.asarray(batch(3)["a"])
    apply = jax.jit(lambda a: system.ways["AtoB"].run(weights, {"a": a})["output"])
    mapped = jax.jit(jax.vmap(lambda a: system.ways["AtoB"].run(weights, {"a": a[None]})["output"][0]))
    assert distance(apply(images), mapped(images)) < 1e-5


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"loss.adversarial": "wgan"}, "'wgan' is unknown"),
        ({"generator.name": "unet_300"}, "'unet_300' is unknown"),
        ({"discriminator.name": "patchgan"}, "'patchgan' is unknown"),
        ({"data.size": 24}, "multiples of 16; data.size=24"),
        ({"discriminator.n_layers": 3}, "empty map at 16x16"),
        ({"precision": "float16"}, "'float16' is unknown"),
        ({"init": "he"}, "init='he' is unknown"),
        ({"optimiser.schedule": "cosine"}, "'cosine' is unknown"),
        ({"optimiser.accumulate": 2}, "does not divide batch_size=1"),
        ({"loss.lambda_l1": 0.0, "loss.adversarial_weight": 0.0}, "nothing would be learnt"),
    ],
)
def test_mistakes_are_told_in_one_sentence(small_config, changes, words):
    with pytest.raises(jgan.UserError, match=words):
        pix2pix.build(small_config(**changes))


def test_wgan_gp_takes_instance_norm_in_d_unless_told(small_config):
    def has_statistics(norm):
        config = small_config(**{"loss.adversarial": "wgan_gp", "discriminator.norm": norm})
        state = jax.eval_shape(pix2pix.build(config).init, KEY, batch())
        return bool(jax.tree.leaves(state.stats["discriminator"]))

    assert not has_statistics("auto") and has_statistics("batch")
