"""Steps of systems on a mesh of several devices: what a test starts, in processes that have so many.

    python -m tests.systems.on_devices collectives|compared|gradients SYSTEM,... [PROCESS PORT]

prints a line [system, findings] of JSON for each. Alone it has four devices; with a number, 0 or 1, it is one of two
processes that have two each (`compared` alone).
"""

import itertools
import json
import re
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jgan import sharding
from jgan.ops import conv
from jgan.ops import placement
from jgan.programs import seeds
from jgan.systems import SYSTEMS

BATCH = 16  # a multiple of four devices and of the groups of four that some discriminators compare
# Those that are looked at with a divided state as well, one of each kind of net: the rest takes as long again.
DIVIDED = ("gan", "dcgan", "pix2pix", "cyclegan", "stylegan2")
# Nets for which programs compile sooner: another resolution or block would be the same again. CycleGAN has the paper's
# net, whose blocks are a loop.
SMALLER: dict[str, dict[str, Any]] = {
    "cyclegan": {"generator.name": "resnet", "generator.blocks": 2},
    "bicyclegan": {"generator.levels": 2, "encoder.blocks": 1},
    "stylegan2": {"data.size": 8},
    "progressive": {"data.size": 8},
}
LARGE = 64  # numbers, from which arrays of these small nets are divided
_COLLECTIVE = re.compile(
    r"= (.*?) (all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute|send|recv|custom-call)(?:-start)?\("
)
_NAME = re.compile(r'op_name="([^"]*)"')


def of(name):
    """(system, batch, shapes of its state) of the preset `tiny` for a batch of 16; NAME/NORM has another norm."""
    from tests.systems import test_laws

    name, _, norm = name.partition("/")
    changes = dict(SMALLER.get(name, {}))
    if name != "progressive":  # whose steps are those of its growth
        changes["steps"] = 40  # so that the learning rate has not come to 0
    if norm:
        changes |= {"generator.norm": norm, "discriminator.norm": norm}
    config = test_laws.config_of(name, batch_size=BATCH, **changes)
    system, batch = SYSTEMS[name](config), test_laws.batch_of(config)
    # Images as numbers, so that where jax has 64 bits all arithmetic has them.
    wide = np.float64 if jax.config.jax_enable_x64 else np.float32
    batch = {field: x / wide(127.5) - 1 if x.dtype == np.uint8 else x for field, x in batch.items()}
    return system, batch, jax.eval_shape(lambda: initial(system, batch, wide))


def initial(system, batch, wide):
    """A state before its first step, in these floats."""
    state = system.init(jax.random.key(0), batch)
    return jax.tree.map(lambda x: x.astype(wide) if jnp.issubdtype(x.dtype, jnp.floating) else x, state)


class Side:
    """A system on a mesh."""

    def __init__(self, system, shapes, mesh):
        self.system, self.shapes, self.mesh = system, shapes, mesh
        self.places = sharding.of_state(mesh, shapes, LARGE)
        self.key = jax.random.key(3)
        self.program = seeds.of("in_turn", system, [self.key], mesh, self.places)

    def start(self, state):
        """Takes a state on the host as its own."""

        def put(x, place):
            return jax.make_array_from_callback(x.shape, place, lambda index: x[index])

        self.program.states = [jax.tree.map(put, state, self.places)]

    def step(self, batch, number):
        """Takes a step; returns its metrics."""
        processes = sorted({device.process_index for device in self.mesh.devices.flat})
        rows, index = BATCH // len(processes), processes.index(jax.process_index())
        local = {field: x[index * rows : (index + 1) * rows] for field, x in batch.items()}
        placed, found = self.program.place([local]), []
        for updates in self.system.programs(self.system.plan(number)):
            found.append(self.program.update(placed, updates))
        return self.program.metrics(found)[0]

    def told(self, batch, number, whole):
        """Takes a step; returns its metrics, and the state after it if it is wanted."""
        return self.step(batch, number), self.state if whole else None

    @property
    def state(self):
        """The state, on the host."""
        whole = sharding.replicated(self.mesh)
        return jax.device_get(jax.jit(lambda x: x, out_shardings=whole)(self.program.states[0]))

    def collectives(self, batch, updates):
        """[(kind, shape, name)] of what devices exchange, and of calls of the host, in the compiled program."""
        shapes = {field: (x.shape, x.dtype) for field, x in batch.items()}
        given = self.program.shapes(self.shapes, shapes)
        text = self.program._step.lower(*given, updates=updates).compile().as_text()
        found = []
        for line in text.splitlines():
            match = _COLLECTIVE.search(line)
            if match and (match[2] != "custom-call" or "callback" in line):
                name = _NAME.search(line)
                found.append((match[2], match[1], name[1] if name else ""))
        return found


def difference(a, b, noise=frozenset()):
    """The largest difference of two trees, of each array in relation to its largest number.

    Args:
        a: the first tree.
        b: the second one.
        noise: names, as `named` gives them, of parameters that are not compared.
    """
    found, second = 0.0, dict(jax.tree_util.tree_leaves_with_path(b))
    for path, x in jax.tree_util.tree_leaves_with_path(a):
        if np.size(x) and named(path) not in noise:
            apart = np.abs(np.subtract(x, second[path], dtype=np.float64)).max()
            found = max(found, float(apart / max(np.abs(x).max(), 1e-12)))
    return found


def named(path):
    """The place of a parameter in its net, the same in parameters, averages and moments."""
    keys = [str(getattr(key, "key", getattr(key, "name", getattr(key, "idx", "")))) for key in path]
    nets = ("generator", "discriminator", "encoder", "mapping", "synthesis", "segmenter", "predictor")
    first = next((k for k, key in enumerate(keys) if key.startswith(nets)), len(keys))
    return "/".join(keys[first:])


def moments(state):
    """{parameter: Adam's mean of its gradients}, which after one step is the gradient times a number."""
    return {
        named(path): x
        for path, x in jax.tree_util.tree_leaves_with_path(state.opt)
        if any(getattr(key, "name", "") == "mu" for key in path)
    }


def without_gradient(state, rounding=1e-10):
    """Names of parameters whose gradient is 0 but for rounding, as of a bias before an instance norm.

    Adam makes steps of full size of it, whose directions are chance.
    """
    largest = {name: float(np.abs(x).max()) for name, x in moments(state).items() if x.size}
    limit = rounding * max(largest.values())
    return {name for name, size in largest.items() if size == 0 or (size < limit and name.endswith("bias"))}


def compared(name, steps):
    """(metrics of the last step, {mesh: differences to one device}).

    Differences are those of the state and of the metrics after the first step, and after all. Of two processes the
    first one compares, and "4" is the mesh of both.
    """
    system, batch, shapes = of(name)
    sides = {"4": Side(system, shapes, sharding.mesh())}
    if jax.process_count() == 1 and name in DIVIDED:
        sides["2x2"] = Side(system, shapes, sharding.mesh(2))
    if jax.process_index() == 0:
        one = jax.sharding.Mesh(np.array(jax.local_devices()[:1])[:, None], placement.AXES)
        sides["1"] = Side(system, shapes, one)
    start, after = started(system, batch), {}
    for mesh, side in sides.items():
        side.start(start)
        # XLA's convolutions of float64 take seconds for a step of a ResNet.
        with conv.prefer("gemm" if name == "cyclegan" else "lax", always=True):
            told = [side.told(batch, number, number in (0, steps - 1)) for number in range(steps)]
        after[mesh] = told[0], told[-1]
    found = {mesh: [] for mesh in sides}
    for mesh, number in itertools.product(sides if "1" in sides else (), (0, 1)):
        (metrics, state), (ours, one) = after[mesh][number], after["1"][number]
        noise = without_gradient(one)  # after the first step also what has not learnt yet
        found[mesh].append(difference(one, state, noise))
        found[mesh].append(difference(ours, metrics))
    return after["4"][1][0], found


def gradients(name):
    """(parameters without a gradient, {parameter: difference of its gradients on four devices and on one})."""
    system, batch, shapes = of(name)
    one = jax.sharding.Mesh(np.array(jax.devices()[:1])[:, None], placement.AXES)
    sides = [Side(system, shapes, one), Side(system, shapes, sharding.mesh())]
    start = started(system, batch)
    for side in sides:
        side.start(start)
        side.step(batch, 0)
    ours, theirs = (moments(side.state) for side in sides)
    noise = without_gradient(sides[0].state, 1e-6)
    return sorted(noise), {key: difference(x, theirs[key]) for key, x in ours.items() if key not in noise}


def started(system, batch):
    """A state before its first step, on the host; the same in all processes."""
    wide = np.float64 if jax.config.jax_enable_x64 else np.float32
    return jax.device_get(jax.jit(lambda: initial(system, batch, wide))())


def collectives(name, model):
    """{updates: [(kind, shape, name)]} of the programs of a system whose state is divided over `model` devices."""
    system, batch, shapes = of(name)
    side = Side(system, shapes, sharding.mesh(model))
    plans = {part for k in range(2) for part in system.programs(system.plan(k))}
    return {"+".join(part): side.collectives(batch, part) for part in sorted(plans)}


def main(what, names, process="", port=""):
    if process:
        jax.config.update("jax_num_cpu_devices", 2)
        address = f"127.0.0.1:{port}"
        jax.distributed.initialize(address, 2, int(process), coordinator_bind_address=address)
    else:
        jax.config.update("jax_num_cpu_devices", 4)
    for name in names.split(","):
        if what == "collectives":
            found = {model: collectives(name, model) for model in (1, 2) if model == 1 or name in DIVIDED}
        elif what == "compared":
            found = compared(name, 20)
        else:
            found = gradients(name)
        print(json.dumps([name, found]), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
