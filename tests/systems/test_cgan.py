"""The conditional GAN as a system: what a step touches, labels and codes in all forms, what it refuses."""

import functools

import jax
import numpy as np
import pytest

from configs import cgan as presets
import jgan
from jgan.nets import conditional
from jgan.systems import cgan
from tests.initial_weights import quick_init

KEY = jax.random.key(5)
SMALL = {
    "steps": 4,
    "batch_size": 4,
    "data.size": 8,
    "data.names": ("shoe", "bag", "hat"),
    "latent.nz": 5,
    "generator.ngf": 3,
    "discriminator.ndf": 3,
}


def small(**changes):
    config = presets.get_config()
    config.update_from_flattened_dict({**SMALL, **changes})
    return config


def batch(config):
    rng, n, size = np.random.default_rng(0), config.batch_size, config.data.size
    images = rng.integers(0, 256, (n, size, size, 3), np.uint8)
    return {"images": images, "label": rng.integers(0, 3, n).astype(np.int32)}


@functools.cache
def one_step(updates=("dis", "gen"), **changes):
    """(system, state before, state after)."""
    config = small(**changes)
    system = cgan.build(config)
    state = quick_init(system.init)(KEY, batch(config))
    step = jax.jit(system.step, static_argnames="updates")
    return system, state, step(state, batch(config), KEY, updates=updates)[0]


def equal(a, b):
    return jax.tree.all(jax.tree.map(np.array_equal, a, b))


@pytest.mark.parametrize("condition", conditional.CONDITIONS)
def test_d_meets_the_label(condition):
    """Its logit depends on the label it is told; the auxiliary classifier is not told any."""
    images, label = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype(np.float32), np.eye(3)[[0, 1]]
    net = conditional.discriminator(condition, size=8, ndf=3)
    params, stats = quick_init(net.init)(KEY, images, label)
    one, other = (net.apply(params, stats, images, x)[0] for x in (label, np.eye(3)[[2, 2]]))
    assert one["logits"][0].shape == (2, 1)
    assert np.array_equal(one["logits"][0], other["logits"][0]) == (condition == "auxiliary")
    assert ("classes" in one) == (condition == "auxiliary")


def test_a_sample_is_of_its_code_its_label_and_its_truncation():
    system, _, after = one_step()
    run = jax.jit(system.ways["sample"].run)
    z = np.random.default_rng(1).normal(size=(3, 5)).astype(np.float32)
    label, weights = np.int32([0, 1, 2]), after.weights()
    made = run(weights, {"z": z, "label": label}, KEY)["output"]
    # One for all, each by itself, and shortened beforehand: all of it is the same.
    same = np.float32(np.ones((3, 1)))
    one = run(weights, {"z": same * z[0], "label": np.int32(1)}, KEY)["output"]
    np.testing.assert_allclose(one[0], one[2], atol=1e-6)
    assert not np.allclose(made[0], made[1], atol=1e-6)
    half = run(weights, {"z": z, "label": label, "truncation": np.float32(0.5)}, KEY)["output"]
    np.testing.assert_allclose(half, run(weights, {"z": z / 2, "label": label}, KEY)["output"], atol=1e-6)
    assert not np.allclose(half, made, atol=1e-6)
    assert run(weights, {}, KEY)["output"].shape == (1, 8, 8, 3)
    assert run(weights, {"label": label}, KEY)["output"].shape == (3, 8, 8, 3)


def test_a_space_is_that_of_its_label():
    """Mapped over codes and labels it is the way, one by one; D judges under the label too."""
    system, _, after = one_step()
    weights, codes = after.weights(), system.spaces["z"]
    z = np.random.default_rng(1).normal(size=(3, 5)).astype(np.float32)
    label, truncation = np.int32([2, 1, 0]), np.float32([1, 0.5, 0.2])

    @jax.jit
    @jax.vmap
    def generate(z, label, truncation):
        return codes.space(weights, {"label": label, "truncation": truncation}).generate(z)

    made = generate(z, label, truncation)
    inputs = {"z": z, "label": label, "truncation": truncation}
    expected = jax.jit(system.ways["sample"].run)(weights, inputs, KEY)["output"]
    np.testing.assert_allclose(made, expected, atol=1e-6)
    judged = [codes.judge(weights, made, {"label": k})["logits"][0] for k in range(2)]
    assert judged[0].shape == (3, 1) and not np.allclose(*judged)


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"loss.adversarial": "wgan"}, "'wgan' is unknown"),
        ({"condition": "film"}, "condition='film' is unknown: use one of concat, auxiliary, projection"),
        ({"data.names": ("one",)}, "needs 2 classes or more"),
        ({"data.label": "attributes"}, "'class' would work"),
        ({"latent.prior": "cauchy"}, "'cauchy' is unknown"),
        ({"augment.noise": -0.1}, "augment.noise=-0.1"),
        ({"data.size": 28}, "data.size=28"),
    ],
)
def test_mistakes_are_told_in_one_sentence(changes, words):
    with pytest.raises(jgan.UserError, match=words):
        cgan.build(small(**changes))
