"""Progressive GAN as a system: which step works on which size, what starts anew, what is shown, refusals."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from configs import progressive as presets
import jgan
from jgan.nets import progressive as nets
from jgan.systems import optimiser
from jgan.systems import progressive
from tests.initial_weights import quick_init

pytestmark = pytest.mark.usefixtures("quick_convolutions")

KEY = jax.random.key(6)


def small(**changes):
    config = presets.get_config("tiny")
    config.update_from_flattened_dict(changes)
    return config


def batch(config):
    shape = (config.batch_size, config.data.size, config.data.size, 3)
    return {"images": np.random.default_rng(0).integers(0, 256, shape, np.uint8)}


@functools.cache
def begun():
    """(config, system, state before the first step)."""
    config = small()
    system = progressive.build(config)
    return config, system, quick_init(system.init)(KEY, batch(config))


def test_sizes_take_turns_and_each_is_one_program():
    """Of `tiny` at four images a step: one step of 4 px, two of a fade, one of 8 px, two of a fade, and 16 px."""
    growth, plan = progressive.Growth.of(small()), progressive.build(small()).plan
    assert growth == progressive.Growth(first=0, last=2, stable=1, fade=2)
    assert [plan(k) for k in (0, 1, 3, 4, 9)] == [(f"dis@{r}", f"gen@{r}") for r in (4, 8, 8, 16, 16)]
    assert len({plan(k) for k in range(1000)}) == 3
    assert growth.phases(9) == {
        "4 px": range(1),
        "fade to 8 px": range(1, 3),
        "8 px": range(3, 4),
        "fade to 16 px": range(4, 6),
        "16 px": range(6, 9),
    }
    assert list(growth.phases(4)) == ["4 px", "fade to 8 px", "8 px"]
    levels = [float(growth.level(growth.top(k), jnp.int32(k), jnp.float32)) for k in range(8)]
    assert levels == [0, 0.25, 0.75, 1, 1.25, 1.75, 2, 2]
    assert [k for k in range(20) if growth.changes(growth.top(k), jnp.int32(k))] == [1, 3, 4, 6]


def test_the_schedule_of_celeba_hq():
    """600,000 images of 4 px, then 600,000 of a fade and 600,000 after it for each size; the rest of 1024 px."""
    config = presets.get_config("paper1024")
    phases = progressive.build(config).phases
    images = {name: (x.start * config.batch_size, x.stop * config.batch_size) for name, x in phases.items()}
    assert len(images) == 17 and images["4 px"] == (0, 600_000)
    assert images["fade to 128 px"] == (5_400_000, 6_000_000)
    assert images["1024 px"] == (9_600_000, 12_000_000)


def test_without_growing_all_blocks_work_from_the_first_step_on():
    config = small(**{"growth.start": 16})
    system = progressive.build(config)
    assert {system.plan(k) for k in range(100)} == {("dis@16", "gen@16")} and list(system.phases) == ["16 px"]
    growth = progressive.Growth.of(config)
    assert [float(growth.level(2, jnp.int32(k), jnp.float32)) for k in range(4)] == [2, 2, 2, 2]
    assert not any(growth.changes(2, jnp.int32(k)) for k in range(20))


def test_moments_are_forgotten_and_the_schedule_is_not():
    adam = optimiser.adam(small(**{"optimiser.schedule": "linear"}).optimiser, 10)
    params = {"x": jnp.ones(3)}
    state = adam.update({"x": jnp.ones(3)}, adam.init(params), params)[1]
    kept, gone = (optimiser.forgotten(state, jnp.asarray(when)) for when in (False, True))
    assert jax.tree.all(jax.tree.map(np.array_equal, kept, state))
    adam_before, adam_after = (
        next(x for x in s if isinstance(x, optax.ScaleByAdamState)) for s in (adam.init(params), gone)
    )
    assert jax.tree.all(jax.tree.map(np.array_equal, adam_before, adam_after))
    assert [int(x.count) for x in gone if isinstance(x, optax.ScaleByScheduleState)] == [1]


def test_a_step_forgets_at_both_ends_of_a_fade_and_moves_what_has_grown():
    _, system, state = begun()
    step = jax.jit(system.step, static_argnames="updates")
    counts, moved = {}, {}
    for k in (1, 2, 3):
        before = dataclasses.replace(state, step=jnp.int32(k))
        before = dataclasses.replace(before, opt=jax.tree.map(lambda x: x + jnp.ones_like(x), before.opt))
        after, metrics = step(before, batch(small()), KEY, updates=system.plan(k))
        counts[k] = [int(after.opt[group][0].count) for group in ("dis", "gen")]
        moved[k] = {
            name for name, x in after.params["generator"].items()
            if not jax.tree.all(jax.tree.map(np.array_equal, x, before.params["generator"][name]))
        }  # fmt: skip
        level = float(after.stats["generator"]["level"])
        np.testing.assert_allclose(metrics["size"], 4 * 2**level, rtol=1e-6)
    assert counts == {1: [1, 1], 2: [2, 2], 3: [1, 1]}
    assert "b4_torgb" in moved[1] and "b4_torgb" not in moved[3]
    assert all(
        "b8_conv1" in found and not any(x.startswith("b16") for x in found) for found in moved.values()
    )


def test_pictures_and_judgements_are_those_of_the_level_that_has_been_reached():
    _, system, state = begun()
    weights, z = state.weights(), jax.random.normal(KEY, (2, 5))
    run, judge = jax.jit(system.ways["sample"].run), jax.jit(system.spaces["z"].judge)

    def at(level):
        return {**weights, "stats": {"generator": {"level": jnp.float32(level)}, "discriminator": {}}}

    shown = {level: run(at(level), {"z": z})["output"] for level in (0, 1, 2)}
    for level, images in shown.items():
        assert images.shape == (2, 16, 16, 3)
        np.testing.assert_array_equal(images, nets.enlarged(nets.shrunk(images, 4 << level), 16))
    assert not np.allclose(shown[2], nets.enlarged(nets.shrunk(shown[2], 8), 16), atol=1e-3)
    image = jax.jit(lambda z: system.spaces["z"].space(at(1), {}).generate(z))(z[0])
    np.testing.assert_allclose(image, shown[1][0], atol=1e-5)
    together = judge(at(1), shown[2], {})["logits"][0]
    np.testing.assert_allclose(together[:1], judge(at(1), shown[2][:1], {})["logits"][0], atol=1e-5)
    np.testing.assert_allclose(
        together, judge(at(1), nets.enlarged(nets.shrunk(shown[2], 8), 16), {})["logits"][0], atol=1e-5
    )


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"data.size": 24}, "data.size=24"),
        ({"growth.start": 12}, "growth.start=12.*4, 8, 16 px"),
        ({"growth.start": 32}, "growth.start=32"),
        ({"growth.fade_kimg": 0.0}, "growth.fade_kimg=0.0"),
        ({"growth.stable_kimg": float("nan")}, "growth.stable_kimg=nan"),
        ({"loss.drift": -1.0}, "loss.drift=-1.0"),
        ({"latent.nz": 0}, "latent.nz=0"),
        ({"batch_size": 6}, "batch_size=8 would work"),
        ({"discriminator.mbstd_group": 0}, "mbstd_group=0"),
    ],
)
def test_what_cannot_be_built_is_refused_in_one_sentence(changes, message):
    with pytest.raises(jgan.UserError, match=message):
        progressive.build(small(**changes))
