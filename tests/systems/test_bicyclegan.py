"""BiCycleGAN as a system: what moves which net, what a code does, what it refuses."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import bicyclegan as presets
import jgan
from jgan.nets import layers
from jgan.ops import conv
from jgan.systems import bicyclegan
from tests.initial_weights import quick_init

KEY = jax.random.key(0)
SMALL = {
    "steps": 4,
    "batch_size": 4,
    "init": "normal",  # kernels of a size at which codes and inputs show
    "latent.nz": 3,
    "data.size": 16,
    "data.channels": (3, 3),
    "generator.name": "unet",
    "generator.levels": 3,
    "generator.ngf": 4,
    "encoder.blocks": 1,
    "encoder.nef": 4,
    "discriminator.ndf": 4,
    "discriminator.n_layers": 1,
}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(conv, "DEFAULT_FORM", "lax")


def small(**changes):
    config = presets.get_config()
    config.update_from_flattened_dict({**SMALL, **changes})
    return config


def batch(n=4, size=16):
    rng = np.random.default_rng(0)
    return {name: rng.integers(0, 256, (n, size, size, 3), np.uint8) for name in "ab"}


@functools.cache
def started(**changes):
    """(system, its step compiled, the state before the first)."""
    system = bicyclegan.build(small(**changes))
    state = quick_init(system.init)(KEY, batch())
    return system, jax.jit(system.step, static_argnames="updates"), state


def equal(a, b):
    return jax.tree.all(jax.tree.map(np.array_equal, a, b))


@pytest.mark.slow
@pytest.mark.parametrize(
    "group, nets",
    [("gen", {"generator", "encoder"}), ("dis", {"discriminator", "discriminator_random"})],
)
def test_an_update_of_one_group_leaves_the_other_nets_bit_equal(group, nets):
    _, step, before = started()
    after, _ = step(before, batch(), KEY, updates=(group,))
    assert {net for net in before.params if not equal(before.params[net], after.params[net])} == nets
    assert [name for name in before.opt if not equal(before.opt[name], after.opt[name])] == [group]


def test_the_regression_of_the_code_moves_the_generator_alone():
    """E meets no gradient at all where there is no other term; a system without judges has no discriminator."""
    weights = ("adversarial_weight", "adversarial_weight_random", "lambda_l1", "lambda_kl")
    system, step, before = started(**{f"loss.{name}": 0.0 for name in weights})
    after, metrics = step(before, batch(), KEY, updates=system.plan(0))
    assert set(after.params) == {"generator", "encoder"} and system.plan(0) == ("gen",)
    assert metrics["g_z"] > 0 and metrics["g_loss"] == 0.5 * metrics["g_z"]
    moments = after.opt["gen"][0].mu
    assert not any(jnp.any(x) for x in jax.tree.leaves(moments["encoder"]))
    assert all(jnp.any(x) for name, x in moments["generator"]["up_1"]["conv"].items())


def test_the_divergence_is_a_sum_over_codes_and_their_numbers():
    """Kingma and Welling (2014), appendix B, where every picture has one code."""
    _, step, state = started()
    mu, logvar = np.array([0.5, -1, 2], np.float32), np.array([0, 1, -2], np.float32)
    encoder = dict(state.params["encoder"])
    for name, bias in (("mu", mu), ("logvar", logvar)):
        encoder[name] = {"kernel": 0 * encoder[name]["kernel"], "bias": jnp.asarray(bias)}
    state = state.__class__(**{**vars(state), "params": {**state.params, "encoder": encoder}})
    _, metrics = step(state, batch(), KEY, updates=("gen",))
    one = 0.5 * np.sum(mu**2 + np.exp(logvar) - 1 - logvar)
    np.testing.assert_allclose(metrics["g_kl"], 2 * one, rtol=1e-5)  # two of the four are encoded


def test_losses_add_up_and_adversarial_terms_are_summed_over_scales():
    _, step, state = started()
    m = {}
    for group in ("gen", "dis"):
        m |= step(state, batch(), KEY, updates=(group,))[1]
    adversarial = 2 * (m["g_adversarial_encoded"] + m["g_adversarial_random"])
    total = adversarial + 10 * m["g_l1"] + 0.01 * m["g_kl"] + 0.5 * m["g_z"]
    np.testing.assert_allclose(m["g_loss"], total, rtol=1e-6)
    parts = sum(m[f"d_{kind}_{branch}"] for kind in ("fake", "real") for branch in bicyclegan.BRANCHES)
    np.testing.assert_allclose(m["d_loss"], 2 * parts, rtol=1e-6)
    assert all(x.shape == () for x in m.values()) and 0 <= m["d_accuracy_real"] <= 1


@pytest.mark.parametrize("where", ["all", "input"])
def test_a_code_chooses_the_picture_and_a_key_draws_it(where):
    """One code is one picture; without a code, each image has its own of the key, and without a key 0."""
    system, _, state = started(**{"generator.where_add": where})
    run = jax.jit(functools.partial(system.ways["AtoB"].run, state.weights()))
    a = jnp.asarray(batch()["a"][:1].repeat(2, 0))
    one, two = run({"a": a, "z": jnp.eye(3)[:2]}, KEY)["output"]
    assert one.shape == (16, 16, 3) and jnp.abs(one - two).max() > 1e-3
    same = run({"a": a, "z": jnp.eye(3)[:1]})["output"]
    np.testing.assert_allclose(same, jnp.stack([one, one]), atol=1e-6)
    drawn = run({"a": a}, KEY)["output"]
    assert jnp.abs(drawn[0] - drawn[1]).max() > 1e-3
    np.testing.assert_array_equal(drawn, run({"a": a}, KEY)["output"])
    middle = run({"a": a})["output"]
    np.testing.assert_allclose(middle, run({"a": a, "z": jnp.zeros((2, 3))})["output"], atol=1e-6)


def test_a_space_belongs_to_one_input_of_any_size():
    """One code and many agree, E and D take what it draws."""
    height, width = 23, 40
    system, _, state = started(**{"discriminator.conditional": True})
    codes, weights = system.spaces["z"], state.weights()
    given = {"a": jnp.asarray(np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8))}
    space = codes.space(weights, given)
    z = jax.vmap(space.sample)(jax.random.split(KEY, 3))
    mapped = jax.jit(jax.vmap(space.generate))(z)
    one = jax.jit(space.generate)
    looped = [one(x) for x in z]
    np.testing.assert_allclose(mapped, looped, atol=1e-5)
    way = jax.jit(system.ways["AtoB"].run)
    tiled = {"a": given["a"][None].repeat(3, 0), "z": z}
    np.testing.assert_allclose(mapped, way(weights, tiled)["output"], atol=1e-5)
    assert jax.eval_shape(codes.predict, weights, mapped, given).shape == z.shape
    logits = jax.eval_shape(codes.judge, weights, mapped, given)["logits"]
    assert len(logits) == 2 and all(x.shape[0] == 3 for x in logits)


def test_one_discriminator_may_serve_both_branches():
    system, _, state = started(**{"discriminator.same": True})
    assert set(state.params) == {"generator", "encoder", "discriminator"}
    shapes = jax.eval_shape(functools.partial(system.step, updates=system.plan(0)), state, batch(), KEY)
    assert {"d_real_encoded", "d_real_random"} <= set(shapes[1])


def test_the_authors_nets_have_as_many_parameters():
    config = presets.get_config()
    config.data.channels = (3, 3)
    system = bicyclegan.build(config)
    n, size = config.batch_size, config.data.size
    shapes = {
        name: jax.ShapeDtypeStruct((n, size, size, c), jnp.uint8)
        for name, c in zip("ab", config.data.channels, strict=True)
    }
    state = jax.eval_shape(system.init, KEY, shapes)
    count = {net: sum(x.size for x in jax.tree.leaves(tree)) for net, tree in state.params.items()}
    judges = dict.fromkeys(("discriminator", "discriminator_random"), 3_458_978)
    assert count == {"generator": 54_794_627, "encoder": 2_590_032} | judges


@pytest.mark.parametrize("init", ["xavier", "kaiming"])
def test_xavier_scales_what_a_layer_takes_and_gives_and_kaiming_what_it_takes(init):
    """Of the first layer of G, code and image count as one input; of a dense layer, its rows and columns."""
    _, _, state = started()
    params = layers.initialisation(init, 0.02)(state.params)
    layer = lambda tree: tree["generator"]["down_1"]  # noqa: E731
    for find, name, fan_in, fan_out in (
        (layer, "kernel", 16 * (3 + 3), 16 * 4),
        (layer, "constant_kernel", 16 * (3 + 3), 16 * 4),
        (lambda tree: tree["encoder"]["mu"], "kernel", 8, 3),
        (lambda tree: tree["generator"]["up_2"]["conv"], "kernel", 16 * 16, 16 * 4),
    ):
        deviation = 0.02 * np.sqrt(2 / (fan_in + fan_out)) if init == "xavier" else np.sqrt(2 / fan_in)
        scaled = find(state.params)[name] * (deviation / 0.02)
        np.testing.assert_allclose(find(params)[name], scaled, rtol=1e-5)
    assert equal(layer(params)["bias"], layer(state.params)["bias"])


def test_a_mean_of_a_convolution_is_one_convolution():
    x, kernel = (jax.random.normal(KEY, shape) for shape in ((2, 6, 8, 3), (3, 3, 3, 5)))
    y = conv.conv(x, kernel, 1, ((1, 1), (1, 1)))
    expected = y.reshape(2, 3, 2, 4, 2, 5).mean((2, 4))
    layer = layers.ConvMean(5, bias=False)
    np.testing.assert_allclose(layer.apply({"params": {"kernel": kernel}}, x), expected, atol=1e-5)


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"batch_size": 3}, "batch_size=3 holds no pairs"),
        ({"loss.adversarial": "wgan_gp"}, "a penalty that this system has not"),
        ({"loss.adversarial": "wgan"}, "'wgan' is unknown"),
        ({"generator.name": "resnet_9blocks"}, "takes no code"),
        ({"generator.where_add": "output"}, "'output' is unknown"),
        ({"generator.norm": "batch"}, "generator.norm='batch' would mix"),
        ({"encoder.norm": "batch"}, "encoder.norm='batch' would mix"),
        ({"encoder.name": "vit"}, "'vit' is unknown"),
        ({"encoder.blocks": 4}, "encoder.blocks=4"),
        ({"latent.nz": 0}, "latent.nz=0"),
        ({"discriminator.scales": 0}, "scales=0"),
        ({"discriminator.n_layers": 3}, "and 2 scales: it needs 48 px"),
        ({"init": "zeros"}, "'zeros' is unknown"),
    ],
)
def test_mistakes_are_told_in_one_sentence(changes, words):
    with pytest.raises(jgan.UserError, match=words):
        bicyclegan.build(small(**changes))
