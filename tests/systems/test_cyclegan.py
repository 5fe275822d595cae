"""CycleGAN as a system: what a step touches, which passes it makes, what it refuses.

Steps take XLA's convolutions, which compile in half the time; tests/ops holds them equal to the platform's own.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import flops
import jgan
from jgan import losses
from jgan.nets import discriminators
from jgan.ops import conv
from jgan.systems import cyclegan
from tests.initial_weights import quick_init

KEY = jax.random.key(0)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(conv, "DEFAULT_FORM", "lax")


def both_ways(system, weights, inputs, key=None, **options):
    """{"fake_b", "back_a", "fake_a", "back_b"}: what the ways make of the domains that are given."""
    made = {}
    for (x, y), way in zip(("ab", "ba"), system.ways.values(), strict=True):
        if x in inputs:
            found = way.run(weights, {x: inputs[x]}, key, **options)
            made |= {f"fake_{y}": found["output"], f"back_{x}": found["back"]}
    return made


def equal(a, b):
    return jax.tree.all(jax.tree.map(np.array_equal, a, b))


def distance(a, b):
    return max(jax.tree.leaves(jax.tree.map(lambda x, y: float(jnp.max(jnp.abs(x - y))), a, b)))


def assert_same_gradients(one, two):
    """Adam's first moments of float64 agree to 1e-9 of the largest of a layer.

    That is the size of the terms: those of a bias before a norm cancel, and its own gradient is rounding.
    """
    layers = {}
    for (path, x), y in zip(jax.tree_util.tree_leaves_with_path(one), jax.tree.leaves(two), strict=True):
        layers.setdefault(path[:-1], []).append((np.asarray(x), np.asarray(y)))
    for path, leaves in layers.items():
        largest = max(np.abs(x).max() for x, _ in leaves)
        assert all(np.abs(x - y).max() <= 1e-9 * largest for x, y in leaves), jax.tree_util.keystr(path)


# --- the step


def batch(n=1, size=16, seed=0, channels=(3, 3)):
    rng = np.random.default_rng(seed)
    return {
        name: rng.integers(0, 256, (n, size, size, c), np.uint8)
        for name, c in zip("ab", channels, strict=True)
    }


GENERATORS = ("generator_ab", "generator_ba")
DISCRIMINATORS = ("discriminator_a", "discriminator_b")


@pytest.fixture(scope="module")
def whole_step(small_cyclegan):
    """(state before, state after, metrics) of one step of everything."""
    system = cyclegan.build(small_cyclegan(ema=0.9))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conv, "DEFAULT_FORM", "lax")
        state = quick_init(system.init)(KEY, batch())
        step = jax.jit(system.step, static_argnames="updates")
        return state, *step(state, batch(), KEY, updates=("gen", "dis"))


@pytest.fixture(scope="module")
def exact(small_cyclegan):
    """`(*updates, **changes) -> (state before, state after, metrics)` in float64: other programs differ by little."""

    @functools.cache
    def make(*updates, **changes):
        system = cyclegan.build(small_cyclegan(ema=0.9, **changes))
        with jax.enable_x64(True):
            data = {name: jnp.asarray(x / 127.5 - 1) for name, x in batch().items()}
            state = start(system, data, jnp.float64)
            return state, *jax.jit(system.step, static_argnames="updates")(state, data, KEY, updates=updates)

    return make


def start(system, data, dtype=jnp.float32):
    """A state before the first step, drawn without compiling `init`."""
    rng = np.random.default_rng(0)

    def draw(path, leaf):
        kept = path[0].name in ("params", "ema") and jnp.issubdtype(leaf.dtype, jnp.floating)
        dtypes = dtype if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf.dtype
        return jnp.asarray(rng.normal(0, 0.02, leaf.shape) if kept else np.zeros(leaf.shape), dtypes)

    return jax.tree_util.tree_map_with_path(draw, jax.eval_shape(system.init, KEY, data))


def told(system, state, data, key):
    """The metrics of a step; their program holds no backward pass but what they need, and compiles soon."""
    updates = system.plan(0)
    return jax.jit(lambda *arguments: system.step(*arguments, updates=updates)[1])(state, data, key)


def test_a_step_updates_all_four_nets_and_tells(whole_step):
    before, after, metrics = whole_step
    assert set(after.params) == {*GENERATORS, *DISCRIMINATORS} and after.step == 1
    for net in after.params:
        # Adam's first step moves every weight with a gradient by the learning rate.
        assert 1e-4 < distance(before.params[net], after.params[net]) < 2.1e-4
    assert all(x.shape == () for x in metrics.values())
    assert 0 <= metrics["d_accuracy_real"] <= 1 and 0 <= metrics["d_accuracy_fake"] <= 1
    expected = sum(
        metrics[f"g_adversarial_{x}"] + 10 * metrics[f"g_cycle_{x}"] + 5 * metrics[f"g_identity_{x}"]
        for x in "ab"
    )
    np.testing.assert_allclose(metrics["g_loss"], expected, rtol=1e-6)
    np.testing.assert_allclose(metrics["d_loss"], metrics["d_loss_a"] + metrics["d_loss_b"], rtol=1e-6)


def test_an_update_of_one_group_leaves_the_other_bit_equal(exact):
    before, gen_only, metrics = exact("gen")
    _, both, _ = exact("gen", "dis")
    for net in DISCRIMINATORS:
        assert equal(before.params[net], gen_only.params[net])
    assert equal(before.opt["dis"], gen_only.opt["dis"]) and equal(before.aux, gen_only.aux)
    assert "d_loss" not in metrics and gen_only.step == 1
    # What D's update adds changes nothing of G but its rounding: it is another program.
    assert all(not equal(before.params[net], both.params[net]) for net in GENERATORS)
    assert_same_gradients(both.opt["gen"][0].mu, gen_only.opt["gen"][0].mu)


def test_the_pools_start_with_the_fakes_of_before_the_step(whole_step, small_cyclegan):
    before, after, _ = whole_step
    assert after.aux["pool_a"]["images"].shape == (50, 16, 16, 3)
    images = {name: jnp.asarray(x) for name, x in batch().items()}
    apply = jax.jit(functools.partial(both_ways, cyclegan.build(small_cyclegan())))
    old, new = apply(before.weights(), images), apply(after.weights(), images)
    for domain in "ab":
        pool = after.aux[f"pool_{domain}"]
        assert pool["count"] == 1 and not np.any(pool["images"][1:])
        there = pool["images"][:1]
        assert distance(there, old[f"fake_{domain}"]) < 1e-6 < distance(there, new[f"fake_{domain}"])


@pytest.mark.parametrize("norm, pool_size", [("instance", 50), ("batch", 0)])
def test_losses_are_those_of_separate_passes(small_cyclegan, norm, pool_size):
    """Every loss in float64 from single passes with the weights of before the step, so of D on fakes of before.

    With instance norm the step may put images of both domains into one pass, with batch norm it must not. Without
    a pool, and while it fills, D judges the current fakes.
    """
    norms = {"generator.norm": norm, "discriminator.norm": norm}
    system = cyclegan.build(small_cyclegan(**norms, **{"loss.pool_size": pool_size}))
    d = discriminators.discriminator("patch", size=(16, 16), n_layers=1, ndf=4, norm=norm)

    def by_hand(state, a, b):
        apply = functools.partial(both_ways, system, state.weights(), statistics="batch")
        of_a, of_b = apply({"a": a, "b": a}), apply({"a": b, "b": b})
        values = {
            "g_cycle_a": jnp.mean(losses.l1(of_a["back_a"], a)),
            "g_cycle_b": jnp.mean(losses.l1(of_b["back_b"], b)),
            "g_identity_a": jnp.mean(losses.l1(of_a["fake_a"], a)),
            "g_identity_b": jnp.mean(losses.l1(of_b["fake_b"], b)),
        }
        for x, real, fake in (("a", a, of_b["fake_a"]), ("b", b, of_a["fake_b"])):
            judge = f"discriminator_{x}"
            on_real, on_fake = (
                d.apply(state.params[judge], state.stats[judge], image)[0]["logits"][0]
                for image in (real, fake)
            )
            values[f"g_adversarial_{x}"] = jnp.mean((on_fake - 1) ** 2)
            values[f"d_loss_{x}"] = (jnp.mean(on_fake**2) + jnp.mean((on_real - 1) ** 2)) / 2
        return values

    with jax.enable_x64(True):
        data = {name: jnp.asarray(x / 127.5 - 1) for name, x in batch().items()}
        state = start(system, data, jnp.float64)
        metrics = told(system, state, data, KEY)
        for name, value in jax.jit(by_hand)(state, data["a"], data["b"]).items():
            np.testing.assert_allclose(metrics[name], value, rtol=1e-10)
    assert set(state.aux) == ({"pool_a", "pool_b"} if pool_size else set())


def test_d_judges_what_full_pools_give_and_g_is_judged_by_the_current_fakes(small_cyclegan):
    """Two pools of one image each, white or black: D's loss tells them apart where the image comes back."""
    system = cyclegan.build(small_cyclegan(**{"loss.pool_size": 1}))
    state = start(system, batch())
    states = [
        dataclasses.replace(
            state,
            aux={
                name: {"images": jnp.full_like(pool["images"], shade), "count": jnp.int32(1)}
                for name, pool in state.aux.items()
            },
        )
        for shade in (-1, 1)
    ]
    step = jax.jit(lambda state, key: system.step(state, batch(), key, updates=("gen", "dis"))[1])
    exchanged = []
    for key in jax.random.split(KEY, 12):
        black, white = (step(state, key) for state in states)
        assert all(black[name] == white[name] for name in black if name.startswith("g_"))
        exchanged.append([bool(black[f"d_loss_{x}"] != white[f"d_loss_{x}"]) for x in "ab"])
    a, b = zip(*exchanged, strict=True)
    assert set(a) == set(b) == {True, False} and a != b  # each domain has draws of its own


# --- which passes a step makes


def traced(config, channels=(3, 3)):
    """(convolutions of a step, state, metrics), all abstract: nothing is compiled.

    A convolution is (which of the three sides it computes, the number of images, the kernel's shape, its useful
    FLOPs), read from the program as it is traced, and as often as its loops run.
    """
    system = cyclegan.build(config)
    shapes = {
        name: jax.ShapeDtypeStruct(x.shape, x.dtype)
        for name, x in batch(config.batch_size, config.data.size, channels=channels).items()
    }
    state = jax.eval_shape(system.init, KEY, shapes)
    step = jax.make_jaxpr(functools.partial(system.step, updates=system.plan(0)), return_shape=True)
    program, (after, metrics) = step(state, shapes, KEY)
    assert jax.tree.map(jnp.shape, state) == jax.tree.map(jnp.shape, after)
    convolutions = []
    for equation, times in equations(program.jaxpr):
        if equation.primitive.name == "trilinear_conv":
            first, second = (x.aval.shape for x in equation.invars)
            side, shape = equation.params["out"], equation.params["shape"]
            kernel = equation.outvars[0].aval.shape if side == "kernel" else second
            work = 2 * first[0] * np.prod(shape.small) * np.prod(kernel)
            convolutions += times * [(side, first[0], kernel, work)]
    assert convolutions
    return convolutions, state, metrics


def equations(jaxpr, times=1):
    """(equation, how often it runs) of a program and of the programs in it."""
    for equation in jaxpr.eqns:
        yield equation, times
        assert equation.primitive.name != "while"
        turns = times * equation.params.get("length", 1)  # of a scan
        for inner in jax.tree.leaves(list(equation.params.values()), is_leaf=lambda x: hasattr(x, "eqns")):
            inner = getattr(inner, "jaxpr", inner)
            if hasattr(inner, "eqns"):
                yield from equations(inner, turns)


ABLATION = ("cycle", "gan", "gan_forward", "gan_backward")
TERMS = {f"g_{term}_{x}" for term in ("adversarial", "cycle", "identity") for x in "ab"}


@pytest.mark.parametrize(
    "preset, changes, passes, missing",
    [
        ("", {}, 6, ()),
        ("", {"batch_size": 3, "generator.norm": "batch"}, 6, ()),
        ("", {"loss.lambda_identity": 0.0}, 4, ("identity_a", "identity_b")),
        ("", {"loss.lambda_a": 0.0}, 4, ("cycle_a", "identity_a")),
        ("", {"loss.lambda_b": 0.0}, 4, ("cycle_b", "identity_b")),
        ("cycle", {}, 4, ("identity_a", "identity_b", "adversarial_a", "adversarial_b")),
        ("gan", {}, 2, ("cycle_a", "cycle_b", "identity_a", "identity_b")),
        ("gan_forward", {}, 3, ("cycle_b", "identity_a", "identity_b")),
        ("gan_backward", {}, 3, ("cycle_a", "identity_a", "identity_b")),
    ],
)
def test_a_term_of_no_weight_costs_no_pass(small_cyclegan, preset, changes, passes, missing):
    """6 passes with identity terms, 4 without, fewer where a cycle is left out; and none is made twice."""
    config = small_cyclegan(preset, **{"generator.ngf": 5, **changes})
    convolutions, state, metrics = traced(config)
    entered = [n for side, n, kernel, _ in convolutions if side == "small" and kernel == (4, 4, 3, 5)]
    assert sum(entered) == passes * config.batch_size
    assert {name for name in metrics if name in TERMS} == TERMS - {f"g_{name}" for name in missing}
    alone = preset == "cycle"
    nets = set(GENERATORS) if alone else {*GENERATORS, *DISCRIMINATORS}
    assert set(state.params) == nets and ("dis" in state.opt) == (not alone) == bool(state.aux)
    assert ("d_loss" in metrics) == (not alone)


@pytest.mark.slow
def test_remat_makes_every_pass_twice_and_changes_nothing(exact, small_cyclegan):
    convolutions, _, _ = traced(small_cyclegan(remat=True, **{"generator.ngf": 5}))
    assert sum(n for side, n, kernel, _ in convolutions if side == "small" and kernel == (4, 4, 3, 5)) == 12
    _, after, _ = exact("gen", "dis")
    _, again, _ = exact("gen", "dis", remat=True)
    assert_same_gradients(after.opt["gen"][0].mu, again.opt["gen"][0].mu)


@pytest.mark.parametrize(
    "identity, net", [(True, "unet"), (False, "unet"), (True, "resnet_6blocks"), (False, "resnet_6blocks")]
)
def test_a_step_computes_what_it_must_and_no_more(small_cyclegan, identity, net):
    """All its convolutions are those of the closed form: no pass twice, no gradient that nobody takes."""
    changes = {"loss.lambda_identity": 0.5 if identity else 0.0, "batch_size": 2, "generator.name": net}
    convolutions, _, _ = traced(small_cyclegan(**changes))
    generator = flops.unet(16, 2, width=4) if net == "unet" else flops.resnet(16, 6, width=4)
    discriminator = flops.patch(16, 1, width=4, channels=3)
    assert sum(work for *_, work in convolutions) == flops.cyclegan(generator, discriminator, 2, identity)


def test_domains_may_differ_in_channels(small_cyclegan):
    config = small_cyclegan(**{"data.channels": (1, 3), "loss.lambda_identity": 0.0})
    system = cyclegan.build(config)
    _, state, metrics = traced(config, (1, 3))
    assert state.params["discriminator_a"]["conv_1"]["kernel"].shape[2] == 1
    assert state.aux["pool_a"]["images"].shape[-1] == 1 and "g_cycle_a" in metrics
    images = {"a": jnp.zeros((1, 9, 9, 1)), "b": jnp.zeros((1, 9, 9, 3))}
    made = jax.eval_shape(functools.partial(both_ways, system), state.weights(), images)
    assert {name: x.shape[-1] for name, x in made.items()} == {
        "fake_b": 3,
        "back_a": 1,
        "fake_a": 1,
        "back_b": 3,
    }


# --- options


def test_a_gradient_penalty(small_cyclegan):
    config = small_cyclegan(**{"loss.adversarial": "wgan_gp", "loss.gradient_penalty": 2.0})
    system = cyclegan.build(config)
    metrics = told(system, start(system, batch()), batch(), KEY)
    # With small weights the critic is nearly flat: its gradient is far below the 1 it should have.
    for x in "ab":
        assert 0.5 < metrics[f"d_penalty_{x}"] < 1
        adversarial = metrics[f"d_loss_{x}"] - metrics[f"d_penalty_{x}"]
        assert 0 < abs(adversarial) < 0.1
    assert metrics["d_penalty_a"] != metrics["d_penalty_b"]


def test_bfloat16_computes_in_it_and_keeps_float32(whole_step, small_cyclegan):
    before, _, exact = whole_step
    system = cyclegan.build(small_cyclegan(precision="bfloat16", ema=0.9))
    rough = told(system, before, batch(), KEY)
    assert all(x.dtype == jnp.float32 for x in rough.values())
    assert 0 < abs(exact["g_cycle_a"] - rough["g_cycle_a"]) < 0.02 * exact["g_cycle_a"]
    after, _ = jax.eval_shape(functools.partial(system.step, updates=system.plan(0)), before, batch(), KEY)
    assert jax.tree.map(lambda x: x.dtype, after) == jax.tree.map(lambda x: x.dtype, before)


def test_average_moves_towards_the_parameters(whole_step):
    before, after, _ = whole_step
    assert set(after.ema) == set(GENERATORS)
    for net in GENERATORS:
        ema, params = after.ema[net], after.params[net]
        assert equal(before.ema[net], before.params[net])
        assert 0 < distance(ema, params) < distance(before.params[net], params)
        assert after.weights()["params"][net] is ema


@pytest.mark.slow
def test_dropout_draws_anew_with_every_key_and_only_when_asked(small_cyclegan):
    """In a step and in use. Six levels are the fewest that have dropout."""
    config = small_cyclegan(
        "cycle",
        **{"generator.levels": 6, "data.size": 64, "generator.dropout": 0.5, "loss.lambda_b": 0.0},
    )
    system, data = cyclegan.build(config), batch(1, 64)
    state, keys = start(system, data), [jax.random.key(k) for k in (1, 2, 1)]
    step = jax.jit(lambda key: system.step(state, data, key, updates=("gen",))[1]["g_loss"])
    one, two, again = map(step, keys)
    assert abs(one - two) > 1e-4 and one == again

    def apply(key, dropout):
        return both_ways(system, state.weights(), {"a": data["a"]}, key, dropout=dropout)

    one, two, again = map(jax.jit(functools.partial(apply, dropout=True)), keys)
    for name in ("fake_b", "back_a"):
        assert distance(one[name], two[name]) > 1e-4
    assert equal(one, again)
    assert "random" not in str(jax.make_jaxpr(functools.partial(apply, dropout=False))(KEY))


# --- apply


@pytest.mark.parametrize("height, width", [(16, 16), (23, 40), (5, 9)])
def test_apply_takes_images_of_any_size_and_one_domain_alone(small_cyclegan, height, width):
    system = cyclegan.build(small_cyclegan(**{"generator.levels": 4}))
    weights = jax.eval_shape(system.init, KEY, batch()).weights()
    images = {
        "a": jax.ShapeDtypeStruct((2, height, width, 3), jnp.uint8),
        "b": jax.ShapeDtypeStruct((1, width, height, 3), jnp.uint8),
    }
    shape_a, shape_b = (x.shape for x in images.values())
    expected = {"fake_b": shape_a, "back_a": shape_a, "fake_a": shape_b, "back_b": shape_b}
    made = jax.eval_shape(functools.partial(both_ways, system), weights, images)
    assert {name: x.shape for name, x in made.items()} == expected
    for domain, names in (("a", {"fake_b", "back_a"}), ("b", {"fake_a", "back_b"})):
        made = jax.eval_shape(functools.partial(both_ways, system), weights, {domain: images[domain]})
        assert set(made) == names


def test_apply_goes_there_and_back_by_both_generators(whole_step, small_cyclegan):
    """The way back is the other direction's way there, of the translation."""
    _, after, _ = whole_step
    apply = jax.jit(functools.partial(both_ways, cyclegan.build(small_cyclegan()), after.weights()))
    images = {name: jnp.asarray(x) for name, x in batch(2, seed=1).items()}
    made = apply(images)
    again = apply({"a": made["fake_a"], "b": made["fake_b"]})
    assert distance(made["back_a"], again["fake_a"]) < 1e-5
    assert distance(made["back_b"], again["fake_b"]) < 1e-5
    assert distance(made["fake_a"], made["fake_b"]) > 1e-4
    one = apply({name: x[1:] for name, x in images.items()})
    assert distance(one, {name: x[1:] for name, x in made.items()}) < 1e-5


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"loss.adversarial": "wgan"}, "'wgan' is unknown"),
        ({"generator.name": "resnet_7blocks"}, "'resnet_7blocks' is unknown"),
        ({"discriminator.name": "patchgan"}, "'patchgan' is unknown"),
        ({"generator.levels": 3, "data.size": 20}, "multiples of 8; data.size=20"),
        ({"discriminator.n_layers": 3}, "empty map at 16x16"),
        ({"precision": "float16"}, "'float16' is unknown"),
        ({"optimiser.schedule": "cosine"}, "'cosine' is unknown"),
        ({"loss.pool_size": -1}, "pool_size=-1: it must be 0"),
        ({"data.channels": (3, 1)}, "lambda_identity=0.5 compares .* A has 3 channels and B has 1"),
        (
            {"loss.adversarial_weight": 0.0, "loss.lambda_a": 0.0, "loss.lambda_b": 0.0},
            "nothing would be learnt",
        ),
    ],
)
def test_mistakes_are_told_in_one_sentence(small_cyclegan, changes, words):
    with pytest.raises(jgan.UserError, match=words):
        cyclegan.build(small_cyclegan(**changes))
