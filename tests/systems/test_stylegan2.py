"""StyleGAN2 as a system: its plan and rates, mixing, averages, latent spaces that contain each other, refusals."""

import functools
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import stylegan2 as presets
import jgan
from jgan.nets import stylegan2 as nets
from jgan.systems import stylegan2
from tests.initial_weights import quick_init

pytestmark = pytest.mark.usefixtures("quick_convolutions")

KEY = jax.random.key(4)


def small(**changes):
    config = presets.get_config("tiny")
    config.update_from_flattened_dict(changes)
    return config


def batch(config, n=4):
    size = config.data.size
    images = np.random.default_rng(0).integers(0, 256, (n, size, size, 3), np.uint8)
    label = np.arange(n, dtype=np.int32) % max(len(config.data.names), 1)
    return {"images": images} | ({"label": label} if config.data.kind == "labelled" else {})


CLASSES = {"data.kind": "labelled", "data.names": ("one", "two", "three")}


@functools.cache
def begun(**changes):
    """(config, system, weights before the first step)."""
    config = small(**changes)
    system = stylegan2.build(config)
    return config, system, quick_init(system.init)(KEY, batch(config)).weights()


def test_regularisers_are_lazy():
    """At step 0 and every 4 and every 16 steps after it; an interval of 0 is never."""
    plan = stylegan2.build(small()).plan
    both = ("gen", "gen_reg", "dis", "dis_reg", "average")
    path, plain = ("gen", "gen_reg", "dis", "average"), ("gen", "dis", "average")
    assert [plan(k) for k in (0, 16, 32)] == [both] * 3
    assert [plan(k) for k in (4, 8, 12, 20)] == [path] * 4
    assert all(plan(k) == plain for k in range(33) if k % 4)
    never = stylegan2.build(small(**{"loss.gen_interval": 0, "loss.dis_interval": 0})).plan
    assert never(0) == plain


def test_every_update_is_compiled_once():
    """One program for each of the five, and not one for each of the three sets of them that steps have."""
    system = stylegan2.build(small())
    programs = {part for k in range(17) for part in system.programs(system.plan(k))}
    assert programs == {("gen",), ("gen_reg",), ("dis",), ("dis_reg",), ("average",)}


def test_pairs_are_judged_by_the_difference_of_their_logits(monkeypatch):
    """Huang et al. (2024), eq. 2: softplus of D(G(z)) - D(x) for D, and of D(x) - D(G(z)) for G."""
    made = stylegan2.build(small(**{"loss.adversarial": "relativistic"})).step.__self__
    fake, real = jnp.full((2, 16, 16, 3), 0.5), jnp.stack([jnp.full((16, 16, 3), x) for x in (0.25, -0.5)])
    judge = lambda _, params, images, named: params * jnp.mean(images, (1, 2, 3))[:, None]  # noqa: E731
    monkeypatch.setattr(stylegan2._StyleGAN2, "fakes", lambda *_: (fake, {}))
    monkeypatch.setattr(stylegan2._StyleGAN2, "logits", judge)
    state = types.SimpleNamespace(params={"discriminator": 3.0}, stats={}, aux={})
    d_loss, _ = made.dis_loss(state, real, (), KEY, {"discriminator": 3.0})
    g_loss, _ = made.gen_loss(state, real, (), KEY, {})
    differences = 3 * (0.5 - np.array([0.25, -0.5]))  # of the logits, generated less real
    np.testing.assert_allclose(d_loss, np.mean(np.log1p(np.exp(differences))), rtol=1e-5)
    np.testing.assert_allclose(g_loss, np.mean(np.log1p(np.exp(-differences))), rtol=1e-5)


@pytest.mark.parametrize("interval, rate, beta", [(4, 0.0016, 0.99199), (16, 0.0018824, 0.990592)])
def test_rates_are_corrected_for_the_regularisers(interval, rate, beta):
    """Karras et al. (2020), appendix B: c = k / (k + 1) of the rate, and the decays to the power of c."""
    config = small(**{"optimiser.learning_rate": 0.002})
    params, gradients = {"x": jnp.zeros(())}, {"x": jnp.ones(())}
    adam = stylegan2._lazy_adam(config, interval)
    change, state = adam.update(gradients, adam.init(params), params)
    np.testing.assert_allclose(change["x"], -rate, rtol=1e-4)
    (moments,) = (x for x in jax.tree.leaves(state, is_leaf=lambda x: hasattr(x, "nu")) if hasattr(x, "nu"))
    np.testing.assert_allclose(1 - moments.nu["x"], beta, rtol=1e-5)
    np.testing.assert_allclose(moments.mu["x"], 1)  # b1 is 0


def test_the_average_forgets_half_in_so_many_images():
    config = small(**{"ema_kimg": 10.0, "ema_rampup": 0.05, "batch_size": 32})
    system = stylegan2.build(config)
    decay = system.init.__self__.ema_decay
    assert decay(jnp.int32(0), 32) == 0
    np.testing.assert_allclose(decay(jnp.int32(10**6), 32), 0.5 ** (32 / 10_000), rtol=1e-6)
    np.testing.assert_allclose(decay(jnp.int32(100), 32), 0.5 ** (32 / (0.05 * 3_200)), rtol=1e-6)


def test_rows_are_mixed_from_one_place_on():
    """With probability 1 the rows of the whole batch change once, somewhere from 1 to the last row; with 0 nowhere."""
    weights = begun()[2]
    for probability in (0.0, 1.0):
        made, places = stylegan2.build(small(style_mixing=probability)).init.__self__, set()
        like = jnp.zeros((4, 16, 16, 3))
        draw = jax.jit(
            lambda key, made=made, w=weights, x=like: made.styles(w["params"], w["stats"], x, (), key)
        )
        for seed in range(12):
            ws, stats = draw(jax.random.key(seed))
            same = np.all(np.isclose(ws, ws[:, :1]), 2)
            assert np.array_equal(same, np.broadcast_to(same[:1], same.shape))
            places.add(int(same[0].sum()))
            # 0.005 of the mean of the first styles, whatever is mixed.
            np.testing.assert_allclose(stats["mapping"]["w_avg"], 0.005 * ws[:, 0].mean(0), atol=1e-6)
        rows = nets.rows(16)
        assert places == {rows} if probability == 0 else places <= set(range(1, rows)) and len(places) > 2


@pytest.mark.parametrize("changes", [{}, CLASSES])
def test_each_space_contains_the_one_before(changes):
    config, system, weights = begun(**changes)
    given = {"label": jnp.int32(2), "truncation": jnp.float32(0.7)} if changes else {}
    spaces = {name: codes.space(weights, given) for name, codes in system.spaces.items()}
    assert list(spaces) == ["z", "w", "w_plus", "w_plus_noise"]
    drawn = {name: space.sample(KEY) for name, space in spaces.items()}
    images = {name: jax.jit(space.generate)(drawn[name]) for name, space in spaces.items()}
    np.testing.assert_allclose(images["w"], images["z"], atol=1e-5)
    np.testing.assert_allclose(images["w_plus"], images["z"], atol=1e-5)
    # Noise is of no strength before the first step.
    maps = [x.shape for x in drawn["w_plus_noise"]["noise"]]
    assert maps == list(nets.noise_shapes(16)) and drawn["w_plus"].shape == (nets.rows(16), 6)
    for name, space in spaces.items():
        assert space.name == name and space.distance(drawn[name], drawn[name]) == 0
        assert space.distance(drawn[name], space.sample(jax.random.key(9))) > 0


def test_truncation_moves_styles_to_their_mean():
    config, system, weights = begun()
    weights = {**weights, "stats": {**weights["stats"], "mapping": {"w_avg": jnp.arange(6.0)}}}
    run, z = jax.jit(system.ways["sample"].run), jax.random.normal(KEY, (3, 5))
    none = run(weights, {"z": z, "truncation": jnp.zeros(3)}, KEY)["output"]
    mean = jax.jit(system.spaces["w"].space(weights, {}).generate)(jnp.arange(6.0))
    np.testing.assert_allclose(none, np.broadcast_to(mean, none.shape), atol=1e-5)
    whole = run(weights, {"z": z}, KEY)["output"]
    assert np.abs(whole - none).max() > 1e-3


def test_a_class_chooses_the_picture():
    config, system, weights = begun(**CLASSES)
    run, z = jax.jit(system.ways["sample"].run), jnp.ones((2, 5))
    one, two = run(weights, {"z": z, "label": jnp.int32([0, 1])}, KEY)["output"]
    assert np.abs(one - two).max() > 1e-3
    judge = jax.jit(system.spaces["z"].judge)
    images = jnp.stack([one, two])
    alone = judge(weights, images[:1], {"label": jnp.int32(1)})["logits"][0]
    together = judge(weights, images, {"label": jnp.int32(1)})["logits"][0]
    np.testing.assert_allclose(together[:1], alone, atol=1e-5)
    assert together.shape == (2, 1)


@pytest.mark.parametrize(
    "changes",
    [
        {**CLASSES, "augment.policy": "bgcfnc"},
        {"loss.adversarial": "relativistic", "loss.r2_gamma": 1.0, "augment.policy": "colour,cutout"},
    ],
)
def test_every_kind_of_step_with_classes_and_with_pairs(changes):
    """With everything that the preset leaves out: an adaptive augmentation, R2, noise on what D sees."""
    more = {"augment.target": 0.6, "augment.p": 0.5, "augment.noise": 0.1}
    config = small(**changes, **more)
    system = stylegan2.build(config)
    state = jax.eval_shape(system.init, KEY, batch(config))
    after, metrics = jax.eval_shape(
        functools.partial(system.step, updates=system.plan(0)), state, batch(config), KEY
    )
    assert jax.tree.map(lambda x: (x.shape, x.dtype), after) == jax.tree.map(
        lambda x: (x.shape, x.dtype), state
    )
    wanted = {
        "g_adversarial",
        "g_path_length",
        "g_path_penalty",
        "d_loss",
        "d_r1",
        "augment_p",
        "augment_sign",
    }
    assert wanted <= set(metrics) and ("d_r2" in metrics) == ("loss.r2_gamma" in changes)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"data.size": 24}, "24.*32|16, 32"),
        ({"loss.adversarial": "hinge"}, "vanilla, relativistic"),
        ({"batch_size": 6}, "batch_size=8 would work"),
        ({"style_mixing": 1.5}, "style_mixing=1.5"),
        ({"loss.r1_gamma": -1.0}, "loss.r1_gamma=-1.0"),
        ({"latent.nz": 0}, "latent.nz=0"),
        ({"loss.pl_batch_shrink": 0}, "loss.pl_batch_shrink=0"),
        ({"generator.architecture": "unet"}, "skip, resnet, orig"),
        ({"augment.policy": "blur"}, "blur"),
        ({"augment.p": 2.0}, "augment.p=2.0"),
        ({"augment.target": -1.0}, "augment.target=-1.0"),
        ({"augment.ramp": 0.0}, "augment.ramp=0.0"),
        ({"loss.pl_decay": 2.0}, "loss.pl_decay=2.0"),
        ({"generator.clamp": -1.0}, "0 for none"),
        ({"data.kind": "labelled", "data.names": ("one",)}, "2 classes"),
        ({"data.kind": "labelled", "data.label": "attributes"}, "'class' would work"),
    ],
)
def test_what_cannot_be_built_is_refused_in_one_sentence(changes, message):
    with pytest.raises(jgan.UserError, match=message):
        stylegan2.build(small(**changes))
