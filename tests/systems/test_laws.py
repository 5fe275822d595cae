"""The laws that every system obeys, over all of SYSTEMS and all presets: a new system is held by them as it is.

Each system has a preset `tiny`, the smallest nets that train on drawn pictures.
"""

import dataclasses
import functools
import importlib
import json
import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgan import fields
from jgan import trained
from jgan.programs import controls
from jgan.programs import train
from jgan.runs import checkpoint
from jgan.runs import config as run_config
from jgan.systems import SYSTEMS
from tests import cells
from tests.initial_weights import quick_init
from tests.interrupted import sigterm_after

pytestmark = pytest.mark.usefixtures("quick_convolutions")

KEY = jax.random.key(3)
NAMES = ("one", "two", "three")  # of classes and attributes, where the data would tell them
PRESETS = [
    (name, preset) for name in SYSTEMS for preset in importlib.import_module(f"configs.{name}").PRESETS
]


def config_of(name, preset="tiny", **changes):
    config = importlib.import_module(f"configs.{name}").get_config(preset)
    if "names" in config.data and not config.data.names:
        config.data.names = NAMES
    if not config.data.channels:
        pictures = [x for x in fields.of(config.data).values() if isinstance(x, fields.Picture)]
        config.data.channels = (3,) * len(pictures)
    config.update_from_flattened_dict(changes)
    return config


def batch_of(config, seed=0):
    """A batch of noise, as the fields of the data say."""
    rng, found = np.random.default_rng(seed), {}
    for name, field in fields.of(config.data).items():
        shape, dtype = field.spec(config.batch_size, config.data.size)
        if isinstance(field, fields.Picture):
            found[name] = rng.integers(0, 256, shape, np.uint8)
        elif isinstance(field, fields.Label):
            found[name] = rng.integers(0, len(field.names), shape).astype(dtype)
        else:
            found[name] = rng.integers(0, 2, shape).astype(dtype)
    return found


# Of the module, so that all laws of a system are looked at one after the other, with one compilation of its steps.
@pytest.fixture(scope="module", params=SYSTEMS)
def name(request):
    """A system."""
    return request.param


def steps_of_all_kinds(system):
    """Numbers of steps: the plans of all kinds of them come early or at the ends of phases."""
    return [*range(12), *(k for phase in system.phases.values() for k in (phase.start, phase.stop - 1))]


@functools.cache
def stepped(name):
    """(system, config, {updates: (state before, state after, metrics)}) of all kinds of steps of a run in turn."""
    config = config_of(name)
    system, batch = SYSTEMS[name](config), batch_of(config)
    state, found = quick_init(system.init)(KEY, batch), {}
    step = jax.jit(system.step, static_argnames="updates")
    first = {}
    for k in sorted({*range(config.steps), *steps_of_all_kinds(system)}):
        first.setdefault(system.plan(k), k)
    for updates, k in first.items():
        state = dataclasses.replace(state, step=jnp.asarray(k, state.step.dtype))
        after, metrics = state, {}
        for part in system.programs(updates):
            after, reported = step(after, batch, KEY, part)
            metrics |= reported
        found[updates] = state, after, metrics
        state = after
    return system, config, found


def nets_of(state, group):
    """The nets that a group's optimiser has moments of."""
    return {
        key.key
        for path, _ in jax.tree_util.tree_leaves_with_path(state.opt[group])
        for key in path
        if isinstance(key, jax.tree_util.DictKey) and key.key in state.params
    }


def equal(a, b):
    return all(np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


def inputs_of(way, config, seed=0):
    """What a way starts from and all of its controls, of a batch; codes are left to be drawn."""
    batch = batch_of(config, seed)
    return {name: batch[name] for name in way.inputs} | controls.drawn(way, config.batch_size, seed)


def test_an_update_leaves_other_groups_bit_equal(name):
    _, _, found = stepped(name)
    for before, after, _ in found.values():
        moved = {group for group in before.opt if not equal(before.opt[group], after.opt[group])}
        trained_nets = set().union(*(nets_of(before, group) for group in moved))
        for net in before.params:
            assert equal(before.params[net], after.params[net]) == (net not in trained_nets), net
        assert after.step == before.step + 1
        assert jax.tree.map(lambda x: (x.shape, x.dtype), before) == jax.tree.map(
            lambda x: (x.shape, x.dtype), after
        )


def test_gradients_reach_every_parameter(name):
    """In one of the kinds of steps; where nets grow, later ones leave some of what was learnt behind."""
    _, _, found = stepped(name)
    reached = {}
    for _, after, _ in found.values():
        for path, moment in jax.tree_util.tree_leaves_with_path(after.opt):
            if any(isinstance(key, jax.tree_util.DictKey) for key in path[1:]):
                where = jax.tree_util.keystr(path)
                reached[where] = reached.get(where, False) or bool(np.any(moment))
    assert reached and all(reached.values()), [where for where, there in reached.items() if not there]


def test_metrics_are_finite_scalars_and_tell_the_learning_rate(name):
    _, _, found = stepped(name)
    for _, _, metrics in found.values():
        assert "learning_rate" in metrics
        for metric, value in metrics.items():
            assert value.shape == () and value.dtype == jnp.float32 and np.isfinite(value), metric


def test_ways_make_what_they_declare(name):
    system, config, found = stepped(name)
    weights = list(found.values())[-1][1].weights()
    known = fields.of(config.data)
    for way in system.ways.values():
        assert set(way.inputs) <= set(known) and (not way.target or way.target in known)
        made = jax.eval_shape(way.run, weights, inputs_of(way, config), KEY)
        assert set(way.returns) <= set(made)
        like = known[way.target or way.inputs[0]]
        n = config.batch_size if way.inputs or controls.drawn(way, 1, 0) else 1
        assert made[way.returns[0]].shape == (n, config.data.size, config.data.size, like.channels)
        for name_of_space in system.spaces:
            space = system.spaces[name_of_space].space(weights, one_of(inputs_of(way, config)))
            image = jax.eval_shape(lambda key, space=space: space.generate(space.sample(key)), KEY)
            assert image.shape == (config.data.size, config.data.size, like.channels)


def one_of(inputs, k=0):
    """What belongs to one example of a batch, without the leading axis."""
    return {name: jnp.asarray(x[k]) for name, x in inputs.items()}


def test_a_batch_is_as_its_examples_alone(name):
    """Under what normalises pictures at the end of the run, a way and a space treat every example by itself."""
    system, config, found = stepped(name)
    weights = list(found.values())[-1][1].weights()
    statistics = system.statistics(config.steps)
    for way in system.ways.values():
        inputs = inputs_of(way, config)
        codes = {n: f for n, f in way.controls.items() if isinstance(f, fields.Code)}
        for control, field in codes.items():
            space = system.spaces[field.spaces[0]].space(weights, {})
            inputs[control] = jax.vmap(space.sample)(jax.random.split(KEY, config.batch_size))
        run = jax.jit(functools.partial(way.run, statistics=statistics))
        together = run(weights, inputs, KEY)
        for k in range(2):
            alone = run(weights, jax.tree.map(lambda x, k=k: x[k : k + 1], inputs), KEY)
            for picture in way.returns:
                np.testing.assert_allclose(together[picture][k], alone[picture][0], atol=2e-4)
        for control, field in codes.items():
            given = {n: x for n, x in inputs.items() if n != control}
            make = system.spaces[field.spaces[0]].space
            mapped = jax.jit(jax.vmap(lambda z, given, make=make: make(weights, given).generate(z)))
            np.testing.assert_allclose(mapped(inputs[control], given), together[way.returns[0]], atol=2e-4)


def test_every_control_is_described_and_set(name):
    system, config, found = stepped(name)
    weights = list(found.values())[-1][1].weights()
    for way in system.ways.values():
        told = {n: fields.of(config.data)[n].describe() for n in way.inputs}
        told |= {n: field.describe() for n, field in way.controls.items()}
        assert json.loads(json.dumps(told)) == told
        run = trained.Run(config, config.steps, system, weights)
        for control, field in way.controls.items():
            text = {
                fields.Label: lambda f: f.names[-1],
                fields.Attributes: lambda f: f"{f.names[0]}={f.high:g}",
                fields.Amount: lambda f: f"{f.low:g}",
                fields.Code: lambda f: "7",
            }[type(field)](field)
            asked = fields.parse(dict(way.controls), [f"{control}={text}"])
            given = controls.repeated(controls.values(run, way, asked), config.batch_size)
            made = jax.eval_shape(way.run, weights, inputs_of(way, config) | given, KEY)
            assert set(way.returns) <= set(made)


@pytest.mark.parametrize("name, preset", PRESETS)
def test_a_config_alone_tells_whether_a_run_draws_from_codes(name, preset):
    config = config_of(name, preset)
    assert run_config.draws(config) == trained.draws(SYSTEMS[name](config))


@pytest.mark.parametrize("name, preset", PRESETS)
def test_a_preset_builds(name, preset):
    config = config_of(name, preset)
    state = jax.eval_shape(SYSTEMS[name](config).init, KEY, trained.batch_shape(config))
    assert state.params and all(x.size for x in jax.tree.leaves(state.params))


# Little is new but sizes: the smallest takes them in `stepped`.
@pytest.mark.slow
@pytest.mark.parametrize("name, preset", [x for x in PRESETS if x[1] != "tiny"])
def test_a_preset_takes_every_kind_of_step(name, preset):
    config = config_of(name, preset)
    system = SYSTEMS[name](config)
    shapes = trained.batch_shape(config)
    state = jax.eval_shape(system.init, KEY, shapes)
    for updates in dict.fromkeys(map(system.plan, steps_of_all_kinds(system))):
        after, metrics = jax.eval_shape(functools.partial(system.step, updates=updates), state, shapes, KEY)
        assert jax.tree.map(lambda x: x.shape, after) == jax.tree.map(lambda x: x.shape, state)
        assert all(x.shape == () for x in metrics.values())


# Among the slow tests; tests/programs has it of pix2pix among the others.
@pytest.mark.slow
@pytest.mark.parametrize("name", SYSTEMS)
def test_a_run_that_was_interrupted_ends_bit_equal_and_shows_what_it_makes(name, tmp_path):
    config = importlib.import_module(f"configs.{name}").get_config("tiny")
    states = []
    for workdir, stops in ((tmp_path / "whole", 0), (tmp_path / "parts", config.steps // 2)):
        with sigterm_after(stops):
            train.train(config, str(workdir))
        if stops:
            train.train(config, str(workdir))
        known = run_config.read(str(workdir))
        abstract = jax.eval_shape(SYSTEMS[name](known).init, KEY, trained.batch_shape(known))
        with checkpoint.Checkpoints(str(workdir / "checkpoints"), best=None, read_only=True) as found:
            states.append(found.restore(config.steps, abstract))
    assert equal(*states)
    grids = sorted(os.listdir(tmp_path / "whole" / "samples"))
    assert {"000000.png", f"{config.steps:06d}.png"} <= set(grids)
    assert cells.cells(cells.read(tmp_path / "whole" / "samples" / f"{config.steps:06d}.png"))
    assert ("walk.webp" in grids) == bool(SYSTEMS[name](known).spaces)
