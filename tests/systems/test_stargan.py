"""StarGAN as a system: its plan, what a step touches, labels in all forms, what it refuses."""

import functools
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import stargan as presets
import jgan
from jgan.nets import stargan as nets
from jgan.ops import conv
from jgan.systems import labels
from jgan.systems import stargan
from tests.initial_weights import quick_init

KEY = jax.random.key(5)
SMALL = {
    "steps": 10,
    "batch_size": 4,
    "data.size": 16,
    "data.names": ("black", "blond", "brown", "male", "young"),
    "data.exclusive": (),
    "generator.ngf": 3,
    "generator.blocks": 2,
    "discriminator.ndf": 4,
    "discriminator.n_layers": 3,
}


def small(**changes):
    config = presets.get_config()
    config.update_from_flattened_dict({**SMALL, **changes})
    return config


def batch(config, dtype=np.float32):
    """Pictures and labels; with two sets the examples belong to the first and the second in turn."""
    rng, n, k = np.random.default_rng(0), config.batch_size, len(config.data.names)
    images = rng.integers(0, 256, (n, config.data.size, config.data.size, 3), np.uint8)
    if config.data.label == "class":
        return {"images": images, "label": rng.integers(0, k, n).astype(np.int32)}
    label = rng.integers(0, 2, (n, k)).astype(dtype)
    if config.sets:
        first = config.sets[0]
        label[:, first:] = np.eye(k - first)[rng.integers(0, k - first, n)]
        label[::2, first:], label[1::2, :first] = np.nan, np.nan
    return {"images": images, "label": label}


def equal(a, b):
    return jax.tree.all(jax.tree.map(np.array_equal, a, b))


def count(tree):
    return sum(x.size for x in jax.tree.leaves(tree))


def test_the_paper_s_nets_have_the_published_size():
    """53.2 M for CelebA's five attributes at 128 px: 8.4 M of G, 44.8 M of D."""
    config = presets.get_config()
    system = stargan.build(config)
    shapes = {
        "images": jax.ShapeDtypeStruct((2, 128, 128, 3), jnp.uint8),
        "label": jax.ShapeDtypeStruct((2, 5), jnp.float32),
    }
    params = jax.eval_shape(system.init, KEY, shapes).params
    assert (count(params["generator"]), count(params["discriminator"])) == (8_430_528, 44_762_048)
    assert config.batch_size == 16 and config.steps == 200_000 and config.data.size == 128


def test_label_planes_are_those_of_a_padded_convolution():
    """The first layer makes no planes, and gives what a convolution over pictures with planes behind them gives."""
    rng = np.random.default_rng(1)
    x, label = rng.normal(size=(2, 9, 5, 3)).astype(np.float32), rng.normal(size=(2, 4)).astype(np.float32)
    layer = nets._Labelled(6)
    params = jax.jit(layer.init)(KEY, x, label)
    planes = np.broadcast_to(label[:, None, None], (2, 9, 5, 4))
    expected = conv.conv(np.concatenate([x, planes], -1), params["params"]["kernel"], 1, ((3, 3), (3, 3)))
    np.testing.assert_allclose(jax.jit(layer.apply)(params, x, label), expected, atol=1e-5)


@functools.cache
def steps():
    """(state before, after D's update, after a step of both) of the same batch and key."""
    config = small(ema=0.5)
    system = stargan.build(config)
    state = quick_init(system.init)(KEY, batch(config))
    step = jax.jit(system.step, static_argnames="updates")
    return (
        state,
        step(state, batch(config), KEY, ("dis",))[0],
        step(state, batch(config), KEY, ("dis", "gen"))[0],
    )


@pytest.mark.slow
def test_g_moves_in_its_turn_alone():
    before, critic, both = steps()
    assert equal(before.params["generator"], critic.params["generator"])
    assert equal(before.opt["gen"], critic.opt["gen"]) and equal(before.ema, critic.ema)
    assert not equal(before.params["generator"], both.params["generator"]) and not equal(before.ema, both.ema)
    assert not equal(before.params["discriminator"], critic.params["discriminator"])


def test_g_has_its_turn_every_fifth_step():
    plan = stargan.build(small()).plan
    assert [plan(k) for k in range(4, 10)] == [("dis", "gen"), *[("dis",)] * 4, ("dis", "gen")]


@pytest.mark.parametrize(
    "n_critic, expected", [(5, [8, 9, 18, 19]), (2, [2, 3, 6, 7, 10, 11, 14, 15, 18, 19])]
)
def test_g_learns_of_every_set(n_critic, expected):
    """Steps take the sets in turn; G has its turn with both, also where their number divides n_critic."""
    plan = stargan.build(small(**SETS, n_critic=n_critic)).plan
    assert [k for k in range(20) if "gen" in plan(k)] == expected


@pytest.mark.slow
def test_d_learns_the_same_whether_or_not_g_learns_behind_it():
    _, critic, both = steps()
    of_critic, of_both = (x.params["discriminator"] for x in (critic, both))
    for a, b in zip(jax.tree.leaves(of_critic), jax.tree.leaves(of_both), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def domains(**changes):
    """The functions of labels, each compiled as a whole."""
    made = labels.domains(small(**changes))
    names = ("shown", "loss", "named", "asked")
    return types.SimpleNamespace(**{name: jax.jit(getattr(made, name)) for name in names})


SETS = {"mask": True, "sets": (2, 3), "loss.classification": "sigmoid,softmax"}
UNKNOWN = np.float32([[1, 0, np.nan, np.nan, np.nan], [np.nan, np.nan, 0, 1, 0]])


@pytest.mark.parametrize(
    "changes, shown",
    [
        ({}, [[1, 0, 0, 0, 0], [0, 0, 0, 1, 0]]),
        ({"mask": True}, [[1, 0, 0, 0, 0, 1, 1, 0, 0, 0], [0, 0, 0, 1, 0, 0, 0, 1, 1, 1]]),
        (SETS, [[1, 0, 0, 0, 0, 1, 0], [0, 0, 0, 1, 0, 0, 1]]),
    ],
)
def test_what_is_unknown_is_zero_and_masked(changes, shown):
    np.testing.assert_array_equal(domains(**changes).shown(UNKNOWN), shown)


@pytest.mark.parametrize("changes", [{"mask": True}, SETS])
def test_what_is_unknown_costs_nothing(changes):
    logits = np.random.default_rng(0).normal(size=(2, 5)).astype(np.float32)
    slope = jax.jit(jax.grad(domains(**changes).loss))(logits, UNKNOWN)
    np.testing.assert_array_equal(np.asarray(slope) == 0, np.isnan(UNKNOWN))


def test_logits_become_labels():
    """Rounded; of what excludes each other the likeliest; what may lie between as it is; one class of a set."""
    logits = np.float32([[2, 1, -1, -3, 0.5], [-2, -1, -3, 4, -0.5]])
    named = domains(**{"data.exclusive": ("black", "blond", "brown"), "continuous": ("young",)}).named(logits)
    share = 1 / (1 + np.exp(-logits[:, 4]))
    np.testing.assert_allclose(named, [[1, 0, 0, 0, share[0]], [0, 0, 0, 1, share[1]]], rtol=1e-5)
    np.testing.assert_array_equal(domains(**SETS).named(logits), [[1, 1, 0, 0, 1], [0, 0, 0, 1, 0]])
    np.testing.assert_array_equal(domains(**{"data.label": "class"}).named(logits), np.eye(5)[[0, 3]])


def test_what_nobody_asks_for_stays():
    own, nan = np.float32([[1, 0, 0, 1, 0]]), np.nan
    back, to = domains().asked(own, np.float32([nan, nan, 1, nan, nan]))
    np.testing.assert_array_equal(back, own)
    np.testing.assert_array_equal(to, [[1, 0, 1, 1, 0]])
    for found in domains().asked(own, None):
        np.testing.assert_array_equal(found, own)
    # Of two data sets the one that nothing is asked of is unknown, as it was in training.
    back, to = domains(**SETS).asked(own, np.float32([[nan, 1, nan, nan, nan]]))
    np.testing.assert_array_equal(back, [[1, 0, nan, nan, nan]])
    np.testing.assert_array_equal(to, [[1, 1, nan, nan, nan]])
    # Who sets one class of a set takes the others away.
    _, to = domains(**SETS).asked(own, np.float32([nan, nan, 1, nan, nan]))
    np.testing.assert_array_equal(to, [[nan, nan, 1, 0, 0]])


@pytest.mark.slow
def test_a_translation_is_of_any_size_and_comes_back():
    """In one program: the pictures of two labels differ, and an open label is that which D names."""
    system = stargan.build(small())
    weights = steps()[0].weights()
    images = np.random.default_rng(2).integers(0, 256, (2, 18, 13, 3), np.uint8)
    run = jax.jit(lambda to: system.ways["translate"].run(weights, {"images": images, "to": to}, KEY))
    made = run(np.full((2, 5), np.nan, np.float32))
    assert made["output"].shape == made["back"].shape == images.shape
    seen = jax.image.resize(images.astype(np.float32) / 127.5 - 1, (2, 16, 16, 3), "linear")
    discriminator = nets.discriminator(size=16, classes=5, n_layers=3, ndf=4)
    output, _ = discriminator.apply(weights["params"]["discriminator"], {}, seen)
    own = (output["classes"] > 0).astype(np.float32)
    np.testing.assert_array_equal(run(own)["output"], made["output"])
    assert not np.array_equal(run(1 - own)["output"], made["output"])


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"loss.adversarial": "wgan"}, "'wgan' is unknown"),
        ({"data.names": ()}, "needs 1 attribute or more"),
        ({"data.names": ("one",), "data.label": "class"}, "needs 2 classes or more"),
        ({"n_critic": 0}, "n_critic=0"),
        ({"mask": True, "data.label": "class"}, "mask=True is for attributes"),
        ({"sets": (2, 3)}, "with mask=True"),
        ({"mask": True, "sets": (2, 2)}, "5 together"),
        ({"mask": True, "sets": (2.0, 3.0)}, "such as 5,8, and 5 together"),
        ({"mask": True, "sets": ("2", "3")}, "such as 5,8, and 5 together"),
        ({"loss.classification": "sigmoid,softmax"}, "for each of 1 data sets"),
        ({"loss.classification": "hinge"}, "auto, sigmoid or softmax would work"),
        ({"continuous": ("age",)}, "'age' is none of the names"),
        ({"data.size": 18}, "data.size=18"),
        ({"data.size": 20}, "no multiple of 8"),
        ({"generator.blocks": 0}, "generator.blocks=0"),
    ],
)
def test_mistakes_are_told_in_one_sentence(changes, words):
    with pytest.raises(jgan.UserError, match=words):
        stargan.build(small(**changes))
