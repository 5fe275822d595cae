"""A training step from files of the old tools, with Adam from zero, is the step that PyTorch makes from them.

The steps in PyTorch are those of tests/systems, with the modules whose files are taken.
"""

import copy
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgan.systems import cyclegan
from jgan.systems import pix2pix
from jgan.weights import tables
from jgan.weights import translation
from tests.systems import parity
from tests.systems import test_cyclegan_parity as cyclegan_parity
from tests.systems import test_pix2pix_parity as pix2pix_parity
from tests.weights import torch_translation as peer

pytestmark = pytest.mark.usefixtures("quick_convolutions")
KEY = jax.random.key(5)


def part_of(module):
    (part,) = translation.recognise(peer.entries(module.state_dict()))
    return part


def leaves(module, params, stats=None):
    """(name, PyTorch's tensor, our array in its layout) for all leaves of a net, by the table of its file."""
    tensors = dict(module.named_parameters()) | dict(module.named_buffers())
    for name, array in tables.pour({"params": params, "stats": stats}, part_of(module).table).items():
        yield name, tensors[name], array


def test_pix2pix(small_config):
    modules = {
        "generator": peer.drawn(peer.UNet(3, width=4, dropout=0.0)),
        "discriminator": peer.drawn(peer.Patch(2, width=4)),
    }
    config = small_config(**pix2pix_parity.SETTING)

    def step(nets, images):
        update = pix2pix_parity.Update(config)
        vars(update).update(nets)
        return update, update.step(*map(parity.images, images.values()), None)

    assert_the_same_step(config, pix2pix.build, modules, step)


@pytest.mark.slow
def test_cyclegan(small_cyclegan):
    modules = {
        "generator_ab": peer.drawn(peer.ResNet(2, width=4), 0),
        "generator_ba": peer.drawn(peer.ResNet(2, width=4), 1),
        "discriminator_a": peer.drawn(peer.Patch(1, 3, 4, "instance"), 2),
        "discriminator_b": peer.drawn(peer.Patch(1, 3, 4, "instance"), 3),
    }
    config = small_cyclegan(**cyclegan_parity.SETTING | {"loss.pool_size": 0})

    def step(nets, images):
        update = cyclegan_parity.Update(config)
        update.ab, update.ba = nets["generator_ab"], nets["generator_ba"]
        update.judges = {x: nets[f"discriminator_{x}"] for x in "ab"}
        turns = dict.fromkeys("ab")
        return update, update.step(*map(parity.images, images.values()), turns, turns)

    assert_the_same_step(config, cyclegan.build, modules, step)


def assert_the_same_step(config, build, modules, step):
    """Losses, gradients, changes of parameters and running statistics agree to 1e-8.

    Args:
        config: of the system; what the files say of their nets goes into it.
        build: of the system.
        modules: {our net: PyTorch's}, as the files have them.
        step: `(modules, images) -> (update with optimisers, losses)`, in PyTorch.
    """
    parts = {net: part_of(module) for net, module in modules.items()}
    for part in parts.values():
        config.update_from_flattened_dict(dict(part.fields))
    size, rng = config.data.size, np.random.default_rng(3)
    images = {name: rng.uniform(-1, 1, (2, size, size, 3)) for name in "ab"}
    with jax.enable_x64(True):
        system = build(config)
        before = jax.device_get(parity.drawn(system, images, rng, jnp.float64))
        params, stats = dict(before.params), dict(before.stats)
        assert set(params) == set(modules)
        for net, part in parts.items():
            shapes = {"params": params[net], "stats": stats[net]}
            weights = tables.fill(net, part.entries, part.table, shapes, part.ignored)
            params[net], stats[net] = weights["params"], weights["stats"]
        before = dataclasses.replace(before, params=params, stats=stats)
        program = jax.jit(system.step, static_argnames="updates")

    def theirs(before, images):
        nets = copy.deepcopy(modules)
        parity.copy(nets, before, leaves)
        update, losses = step(nets, images)
        return parity.outcome_of_theirs(nets, update.optimisers, before, losses, leaves)

    def ours(before, images):
        with jax.enable_x64(True):
            after, metrics = jax.device_get(program(before, images, KEY, updates=system.plan(0)))
        return parity.outcome_of_ours(modules, before, after, metrics, leaves)

    found = parity.compare(theirs, ours, before, images)
    parity.assert_same(found.theirs, found.ours, found.noise, 1e-8)
    parity.assert_moved(found.ours)
