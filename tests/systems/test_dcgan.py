"""DCGAN as a system: what each update touches, its phases, its statistics, its space."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import dcgan as presets
import jgan
from jgan.ops import conv
from jgan.systems import dcgan
from tests.initial_weights import quick_init

KEY = jax.random.key(0)
SMALL = {
    "steps": 20,
    "statistics_steps": 3,
    "batch_size": 4,
    "ema": 0.9,
    "data.size": 16,
    "latent.nz": 6,
    "generator.ngf": 4,
    "discriminator.ndf": 4,
    "predictor.ndf": 4,
    "predictor.warm_steps": 2,
    "predictor.steps": 4,
    "predictor.statistics_steps": 3,
}


def small(**changes):
    config = presets.get_config()
    config.update_from_flattened_dict({**SMALL, **changes})
    return config


def batch(n=4, size=16, seed=0):
    return {"images": np.random.default_rng(seed).integers(0, 256, (n, size, size, 3), np.uint8)}


@functools.cache
def compiled(changes=()):
    """(system, jitted step, state before any step), compiled once for each config."""
    config = small(**dict(changes))
    system = dcgan.build(config)
    images = batch(config.batch_size, config.data.size)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conv, "DEFAULT_FORM", "lax")  # compiles in half the time
        state = quick_init(system.init)(KEY, images)
    return system, jax.jit(system.step, static_argnames="updates"), state


def step(state, updates, seed=0, **changes):
    system, run, _ = compiled(tuple(sorted(changes.items())))
    images = batch(seed=seed, size=changes.get("data.size", 16))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conv, "DEFAULT_FORM", "lax")
        return run(state, images, jax.random.fold_in(KEY, seed), updates=updates)


def initial(**changes):
    return compiled(tuple(sorted(changes.items())))[2]


def equal(a, b):
    return jax.tree.all(jax.tree.map(np.array_equal, a, b))


@pytest.mark.parametrize(
    "updates, changed",
    [
        (("gen",), {"generator"}),
        (("dis",), {"discriminator"}),
        pytest.param(("dis", "gen"), {"generator", "discriminator"}, marks=pytest.mark.slow),
        (("warm",), {"predictor"}),
        (("predictor",), {"predictor"}),
        (("statistics",), set()),
        (("predictor_statistics",), set()),
    ],
)
def test_an_update_leaves_the_other_nets_bit_equal(updates, changed):
    before = initial()
    after, metrics = step(before, updates)
    for net in before.params:
        assert equal(before.params[net], after.params[net]) == (net not in changed), net
    groups = {"generator": "gen", "discriminator": "dis", "predictor": "pre"}
    for net, group in groups.items():
        assert equal(before.opt[group], after.opt[group]) == (net not in changed), group
    assert equal(before.ema, after.ema) == ("generator" not in changed)
    assert after.step == 1 and all(jnp.shape(x) == () for x in metrics.values())
    # What the step does to the statistics: only of nets that saw something in training.
    moved = {net for net in before.stats if not equal(before.stats[net], after.stats[net])}
    expected = {
        ("gen",): {"generator", "discriminator"},
        ("dis",): {"discriminator"},
        ("statistics",): {"generator", "discriminator"},
        ("predictor_statistics",): {"predictor"},
    }.get(updates, changed)
    assert moved == expected


def test_phases_are_planned_from_the_end_of_the_run():
    system, _, _ = compiled()
    plan = [system.plan(k) for k in range(20)]
    assert (
        plan
        == [("dis", "gen")] * 8
        + [("statistics",)] * 3
        + [("warm",)] * 2
        + [("predictor",)] * 4
        + [("predictor_statistics",)] * 3
    )
    assert system.phases == {"gan": range(8), "statistics": range(8, 11), "predictor": range(11, 20)}
    turns = dcgan.build(small(alternate=True))
    assert [turns.plan(k) for k in range(4)] == [("gen",), ("dis",), ("gen",), ("dis",)]
    alone = dcgan.build(small(**{"predictor.steps": 0, "predictor.warm_steps": 0}))
    assert (
        alone.spaces["z"].predict is None
        and alone.plan(19) == ("statistics",)
        and alone.plan(16) == ("dis", "gen")
    )
    only = dcgan.build(small(**{"steps": 9, "statistics_steps": 0}))
    assert [only.plan(k)[0] for k in (0, 1, 2, 5, 6, 8)] == ["warm"] * 2 + ["predictor"] * 2 + [
        "predictor_statistics"
    ] * 2


def test_merged_moments_are_those_of_all_samples():
    """The closed form: of numbers with a mean far larger than their spread."""
    numbers = np.random.default_rng(0).normal(50, 1, (7, 30, 5)) + np.arange(7)[:, None, None]
    total = {"x": {"mean": jnp.full(5, 1e6), "variance": jnp.full(5, 3e7)}}
    for k, part in enumerate(numbers):
        found = {"x": {"mean": jnp.asarray(part.mean(0)), "variance": jnp.asarray(part.var(0))}}
        total = dcgan.merge(total, found, jnp.int32(k))
    np.testing.assert_allclose(total["x"]["mean"], numbers.reshape(-1, 5).mean(0), rtol=1e-6)
    np.testing.assert_allclose(total["x"]["variance"], numbers.reshape(-1, 5).var(0), rtol=1e-5)


def test_statistics_are_those_of_all_codes_under_the_averaged_weights():
    """Of the first layer in closed form: z is linear there, so its moments follow from the codes."""
    state, _ = step(initial(), ("gen",))
    assert not equal(state.ema["generator"], state.params["generator"])
    codes, inputs = [], []
    system, _, _ = compiled()
    for k in range(3):
        key = jax.random.fold_in(KEY, k)
        codes.append(dcgan.priors.PRIORS["uniform"].draw(key, (4, 6)))
        inputs.append(batch(seed=k)["images"])
        state, _ = step(state, ("statistics",), seed=k)
    assert int(state.aux["batches"]["generator"]) == int(state.aux["batches"]["discriminator"]) == 3
    z = np.concatenate(codes)
    units = (z @ np.asarray(state.ema["generator"]["dense"]["kernel"])).reshape(-1, 8)  # per channel
    found = state.stats["generator"]["dense_norm"]
    np.testing.assert_allclose(found["mean"], units.mean(0), atol=1e-7)
    np.testing.assert_allclose(found["variance"], units.var(0), rtol=1e-5)
    # D's are of generated images only: real ones of another step would not change them.
    weights = state.weights()
    fakes = [system.ways["sample"].run(weights, {"z": x}, statistics="batch")["output"] for x in codes]
    kernels = state.params["discriminator"]
    x = jax.nn.leaky_relu(_conv(jnp.concatenate(fakes), kernels["conv_1"]["kernel"]), 0.2)
    x = np.asarray(_conv(x, kernels["conv_2"]["kernel"])).reshape(-1, 8)
    np.testing.assert_allclose(state.stats["discriminator"]["norm_2"]["mean"], x.mean(0), atol=1e-6)
    np.testing.assert_allclose(state.stats["discriminator"]["norm_2"]["variance"], x.var(0), rtol=1e-4)
    # A step of training after them makes them begin anew.
    state, _ = step(state, ("gen",))
    assert int(state.aux["batches"]["generator"]) == 0


def _conv(x, w):
    return jax.lax.conv_general_dilated(
        x, w, (2, 2), ((1, 1), (1, 1)), dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def test_the_predictors_statistics_are_of_real_images():
    state = initial()
    for k in range(2):
        state, _ = step(state, ("predictor_statistics",), seed=k)
    real = np.concatenate([batch(seed=k)["images"] for k in range(2)]) / 127.5 - 1
    kernels = state.params["predictor"]
    x = jax.nn.leaky_relu(_conv(jnp.asarray(real, jnp.float32), kernels["conv_1"]["kernel"]), 0.2)
    x = np.asarray(_conv(x, kernels["conv_2"]["kernel"])).reshape(-1, 8)
    np.testing.assert_allclose(state.stats["predictor"]["norm_2"]["mean"], x.mean(0), atol=1e-6)
    np.testing.assert_allclose(state.stats["predictor"]["norm_2"]["variance"], x.var(0), rtol=1e-4)


@pytest.fixture(scope="module")
def settled():
    state = initial()
    for k in range(2):
        state, _ = step(state, ("statistics",), seed=k)
    state, _ = step(state, ("predictor_statistics",))
    return state.weights()


def test_a_space_makes_one_image_of_one_code_alone_or_mapped(settled):
    system, _, _ = compiled()
    space = system.spaces["z"].space(settled, {})
    codes = jax.vmap(space.sample)(jax.random.split(KEY, 5))
    assert space.name == "z" and codes.shape == (5, 6) and float(jnp.max(jnp.abs(codes))) <= 1
    mapped = jax.jit(jax.vmap(space.generate))(codes)
    assert mapped.shape == (5, 16, 16, 3) and float(jnp.max(jnp.abs(mapped))) <= 1
    one = jax.jit(space.generate)
    for z, image in zip(codes, mapped, strict=True):
        np.testing.assert_allclose(one(z), image, atol=1e-6)
    # No code has a say in what another one gives.
    other = jax.jit(jax.vmap(space.generate))(codes.at[1:].set(0.3))
    np.testing.assert_allclose(other[0], mapped[0], atol=1e-6)
    np.testing.assert_allclose(system.ways["sample"].run(settled, {"z": codes})["output"], mapped, atol=1e-6)
    assert float(space.distance(codes[0], codes[0])) == 0 < float(space.distance(codes[0], codes[1]))


def test_mapping_and_differentiating_a_space_repeats_no_weights():
    """The largest array of a gradient step for 500 codes is activations, not 500 copies of a kernel."""
    system = dcgan.build(small(**{"generator.ngf": 32}))
    weights = jax.eval_shape(system.init, KEY, batch()).weights()
    count = 500

    def gradients(weights, u):
        space = system.spaces["z"].space(weights, {})
        cost = lambda u: jnp.mean(jnp.square(space.generate(space.bound(u)) - 0.1))  # noqa: E731
        return jax.vmap(jax.grad(cost))(u)

    jaxpr = jax.make_jaxpr(gradients)(weights, jax.ShapeDtypeStruct((count, 6), jnp.float32))
    sizes = []

    def visit(jaxpr):
        for equation in jaxpr.eqns:
            sizes.extend(x.aval.size for x in equation.outvars)
            for value in equation.params.values():
                if hasattr(value, "jaxpr"):
                    visit(value.jaxpr)

    visit(jaxpr.jaxpr)
    assert (
        max(sizes) == count * 8 * 8 * 32
    )  # the widest layer; its kernel has 16 times as many numbers as one image


@pytest.mark.parametrize("name", ["uniform", "normal"])
def test_free_and_bound_are_inverse(name, settled):
    space = dcgan.build(small(**{"latent.prior": name})).spaces["z"].space(settled, {})
    z = space.sample(jax.random.key(1))
    inside = jnp.clip(z, -0.98, 0.98)
    np.testing.assert_allclose(space.bound(space.free(inside)), inside, atol=1e-5)
    edge = space.free(jnp.array([-1.0, 1.0]))
    assert jnp.all(jnp.isfinite(edge))
    far = space.bound(jnp.array([-50.0, 50.0]))
    assert (float(jnp.max(jnp.abs(far))) <= 1) == (name == "uniform")


def test_judge_and_predict_take_each_image_by_itself(settled):
    system, _, _ = compiled()
    z = system.spaces["z"]
    both = jax.jit(lambda weights, images: (z.judge(weights, images, {}), z.predict(weights, images, {})))
    images = batch(4)["images"]
    others = np.concatenate([images[:1], 255 - images[1:]])
    one, two = both(settled, images), both(settled, others)
    for x, y in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True):
        np.testing.assert_allclose(x[0], y[0], rtol=1e-4, atol=1e-5)
        assert not np.allclose(x[1], y[1], rtol=1e-2)
    assert one[0]["logits"][0].shape == (4, 1) and one[1].shape == (4, 6)


@pytest.mark.slow
def test_augmentation_reaches_g_and_adapts():
    """D judges augmented images, G learns through them, and p follows the signs of D's logits of real ones."""
    plain = {"data.size": 8, "predictor.steps": 0, "predictor.warm_steps": 0}
    changes = {**plain, "augment.policy": "colour", "augment.target": 0.6, "augment.ramp": 100.0}
    state = initial(**changes)
    assert float(state.aux["augment"]["p"]) == 1.0
    signs = 0.0
    for k in range(4):
        state, metrics = step(state, ("dis", "gen"), seed=k, **changes)
        signs += 2 * float(metrics["d_accuracy_real"]) - 1
    moved = np.sign(signs / 4 - 0.6) * 16 / 100
    np.testing.assert_allclose(metrics["augment_p"], np.clip(1 + moved, 0, 1), atol=1e-6)


@pytest.mark.slow
def test_noise_is_on_real_images_and_on_those_of_g():
    plain = {"data.size": 8, "predictor.steps": 0, "predictor.warm_steps": 0}
    state = initial(**plain)
    _, clear = step(state, ("dis", "gen"), **plain)
    _, noisy = step(state, ("dis", "gen"), **plain, **{"augment.noise": 2.0})
    assert all(abs(clear[name] - noisy[name]) > 1e-3 for name in ("d_real", "d_fake", "g_loss"))


def test_bfloat16_computes_in_it_and_keeps_float32():
    system = dcgan.build(small(precision="bfloat16"))
    state = jax.eval_shape(system.init, KEY, batch())
    for updates in (("dis", "gen"), ("statistics",), ("warm",), ("predictor",)):
        after, metrics = jax.eval_shape(functools.partial(system.step, updates=updates), state, batch(), KEY)
        assert jax.tree.map(lambda x: x.dtype, after) == jax.tree.map(lambda x: x.dtype, state)
        assert {x.dtype for x in metrics.values()} == {jnp.dtype("float32")}
    features = jax.eval_shape(system.spaces["z"].judge, state.weights(), batch()["images"], {})["features"]
    assert {x.dtype for x in features} == {jnp.dtype("bfloat16")}


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"loss.adversarial": "wgan"}, "'wgan' is unknown"),
        ({"latent.prior": "cauchy"}, "'cauchy' is unknown: use one of uniform, normal"),
        ({"latent.nz": 0}, "latent.nz=0"),
        ({"data.size": 24}, "data.size=24"),
        ({"generator.kernel": 7}, "kernel=7"),
        ({"precision": "float16"}, "'float16' is unknown"),
        ({"steps": 11}, "steps=11 is less than statistics_steps=3 and the predictor's 9 steps"),
        ({"statistics_steps": -1}, "statistics_steps=-1"),
        ({"augment.policy": "colour,flip"}, "'flip' is unknown"),
        ({"augment.p": 2.0}, "augment.p=2.0"),
        ({"augment.noise": -0.1}, "augment.noise=-0.1"),
        ({"augment.target": 1.0}, "augment.target=1.0"),
        ({"predictor.feature_layer": 2}, "D has 2 layers at 16 px"),
        ({"optimiser.schedule": "cosine"}, "'cosine' is unknown"),
    ],
)
def test_mistakes_are_told_in_one_sentence(changes, words):
    with pytest.raises(jgan.UserError, match=words):
        dcgan.build(small(**changes))
