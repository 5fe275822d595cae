"""The first GAN as a system: what a step touches, its losses, what it refuses."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import gan as presets
import jgan
from jgan.systems import gan
from tests.initial_weights import quick_init

KEY = jax.random.key(0)
SMALL = {
    "steps": 4,
    "batch_size": 4,
    "data.size": 8,
    "latent.nz": 5,
    "generator.widths": (7, 6),
    "discriminator.widths": (6, 5),
    "generator.ngf": 2,
    "discriminator.ndf": 2,
}


def small(**changes):
    config = presets.get_config()
    config.update_from_flattened_dict({**SMALL, **changes})
    return config


def batch(n=4, size=8, seed=0):
    return {"images": np.random.default_rng(seed).integers(0, 256, (n, size, size, 3), np.uint8)}


@functools.cache
def one_step(updates=("dis", "gen"), **changes):
    """(system, state before, state after, metrics)."""
    system = gan.build(small(**changes))
    state = quick_init(system.init)(KEY, batch())
    after, metrics = jax.jit(system.step, static_argnames="updates")(state, batch(), KEY, updates=updates)
    return system, state, after, metrics


def equal(a, b):
    return jax.tree.all(jax.tree.map(np.array_equal, a, b))


@pytest.mark.parametrize(
    "group, net, other",
    [
        ("gen", "generator", "discriminator"),
        pytest.param("dis", "discriminator", "generator", marks=pytest.mark.slow),
    ],
)
def test_an_update_leaves_the_other_net_bit_equal(group, net, other):
    _, before, after, _ = one_step((group,))
    assert not equal(before.params[net], after.params[net])
    assert equal(before.params[other], after.params[other])
    assert [name for name in before.opt if not equal(before.opt[name], after.opt[name])] == [group]


def dense(params, x):
    return x @ np.asarray(params["kernel"], np.float64) + np.asarray(params["bias"], np.float64)


@pytest.mark.parametrize("loss", ["vanilla", "minimax"])
def test_the_losses_are_the_papers(loss):
    """Goodfellow et al. (2014), eq. 1, from nets written out in numpy: G's loss is that of D after its step."""
    _, before, after, metrics = one_step(**({"loss.adversarial": "minimax"} if loss == "minimax" else {}))

    def generated(state, key):
        x = np.asarray(jax.random.uniform(key, (4, 5), minval=-1, maxval=1), np.float64)
        for name in ("dense_1", "dense_2"):
            x = np.maximum(dense(state.params["generator"][name], x), 0)
        return np.tanh(dense(state.params["generator"]["image"], x))

    def judged(state, x):
        for name in ("dense_1", "dense_2"):
            x = dense(state.params["discriminator"][name], x)
            x = np.where(x > 0, x, 0.2 * x)
        return 1 / (1 + np.exp(-dense(state.params["discriminator"]["logits"], x)))

    k_dis, k_gen, _ = jax.random.split(KEY, 3)
    real = judged(before, batch()["images"].reshape(4, -1) / 127.5 - 1)
    fake = judged(before, generated(before, k_dis))
    np.testing.assert_allclose(metrics["d_loss"], -np.mean(np.log(real) + np.log(1 - fake)), rtol=1e-4)
    np.testing.assert_allclose(metrics["d_says_real"], real.mean(), rtol=1e-4)
    np.testing.assert_allclose(metrics["d_says_fake"], fake.mean(), rtol=1e-4)
    again = judged(after, generated(before, k_gen))
    value = np.mean(np.log(1 - again)) if loss == "minimax" else -np.mean(np.log(again))
    np.testing.assert_allclose(metrics["g_loss"], value, rtol=1e-4)


def test_a_space_is_a_function_of_one_code():
    system, before, _, _ = one_step()
    space = system.spaces["z"].space(before.weights(), {})
    codes = jax.vmap(space.sample)(jax.random.split(KEY, 3))
    mapped = jax.jit(jax.vmap(space.generate))(codes)
    one = jax.jit(space.generate)
    looped = [one(z) for z in codes]
    np.testing.assert_allclose(mapped, looped, atol=1e-6)
    np.testing.assert_allclose(
        system.ways["sample"].run(before.weights(), {"z": codes})["output"], mapped, atol=1e-6
    )
    assert jax.eval_shape(system.spaces["z"].judge, before.weights(), mapped, {})["logits"][0].shape == (3, 1)
    assert system.spaces["z"].predict is None and not system.ways["sample"].inputs


@pytest.mark.parametrize("preset", ["", "conv"])
@pytest.mark.parametrize("loss", ["minimax", "lsgan", "wgan_gp"])
def test_every_net_takes_a_step_under_every_loss(preset, loss):
    config = presets.get_config(preset)
    config.loss.adversarial = loss
    system = gan.build(config)
    n, size = config.batch_size, config.data.size
    shapes = {"images": jax.ShapeDtypeStruct((n, size, size, 3), jnp.uint8)}
    state = jax.eval_shape(system.init, KEY, shapes)
    after, _ = jax.eval_shape(functools.partial(system.step, updates=system.plan(0)), state, shapes, KEY)
    assert jax.tree.map(jnp.shape, state) == jax.tree.map(jnp.shape, after)


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"loss.adversarial": "wgan"}, "'wgan' is unknown"),
        ({"generator.name": "unet"}, "generator.name='unet' is unknown: use one of mlp, conv"),
        ({"discriminator.name": "patch"}, "discriminator.name='patch' is unknown"),
        ({"latent.prior": "cauchy"}, "'cauchy' is unknown"),
        ({"generator.widths": (0,)}, "generator.widths"),
        ({"generator.name": "conv", "data.size": 28}, "data.size=28"),
    ],
)
def test_mistakes_are_told_in_one_sentence(changes, words):
    with pytest.raises(jgan.UserError, match=words):
        gan.build(small(**changes))
