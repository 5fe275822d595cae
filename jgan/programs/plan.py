"""What a training step needs on so many devices, without them: it is compiled for virtual ones and read.

The step is that of `launch.train`, with the same shardings, compiled by XLA for CPU devices that share this machine.
The program that comes out is one device's. Its arithmetic, collectives and arrays are those of any platform, for XLA
divides programs before it knows the device's instructions; but XLA fuses kernels and reuses memory in other ways on
each. So the bytes that pass the memory and those of temporary arrays are estimates, and so are all times
(`plan_chips`).
"""

from collections.abc import Mapping
import concurrent.futures
import dataclasses
import math
import os
from typing import NamedTuple

import jax
import ml_collections

import jgan
from jgan import sharding
from jgan import trained
from jgan.metrics import segmentation
from jgan.ops import conv
from jgan.programs import plan_program
from jgan.programs import seeds
from jgan.runs import config as run_config
from jgan.systems import SYSTEMS
from jgan.systems import system as system_lib

# Steps that are averaged: regularisers that come every 2 to 16 steps all come round in them.
STEPS = 240
# Images per device of the second, larger batch: with few images gradients alone decide how much memory is needed.
_LARGER = 32
# Programs in work at the same time, at most: over a quarter of a plan is Python, which one thread at a time runs.
_WORKERS = 4
# What is read is decided before the compiler's passes on machine code, which take most of its time.
_OPTIONS = {
    "xla_backend_optimization_level": 0,
    "xla_cpu_use_fusion_emitters": False,
    "xla_cpu_parallel_codegen_split_count": 1,
}


class Call(NamedTuple):
    """A program of a step.

    Attributes:
        updates: that it makes.
        share: of the steps that call it.
        program: what one device does in it.
        temporary: bytes of the arrays that are there only meanwhile, activations and gradients, at their peak.
    """

    updates: tuple[str, ...]
    share: float
    program: plan_program.Program
    temporary: int


@dataclasses.dataclass(frozen=True)
class Step:
    """The mean step at one size of batch, on one of the devices.

    Attributes:
        batch: images per device.
        calls: its programs.
    """

    batch: int
    calls: tuple[Call, ...]

    @property
    def flops(self) -> float:
        """Of convolutions and matrix products."""
        return sum(call.share * call.program.flops for call in self.calls)

    @property
    def moved(self) -> float:
        """Bytes that kernels read and write."""
        return sum(call.share * call.program.bytes for call in self.calls)

    @property
    def temporary(self) -> int:
        """Bytes of temporary arrays at their peak."""
        return max(call.temporary for call in self.calls)

    def collectives(self) -> dict[str, tuple[float, float]]:
        """{kind: (how many, bytes of their arrays)}."""
        found: dict[str, tuple[float, float]] = {}
        for call in self.calls:
            for one in call.program.collectives:
                count, size = found.get(one.kind, (0.0, 0.0))
                times = call.share * one.times
                found[one.kind] = count + times, size + times * one.bytes
        return found


class Plan(NamedTuple):
    """What a step needs.

    Attributes:
        system: of the config.
        precision: of its arithmetic.
        devices: over which the batch is split.
        held: {what: bytes on one device}, of all that stays from step to step.
        step: at the batch that was asked for.
        larger: at a larger batch, so that what grows with it is known.
        alone: of one device without others, at the larger batch.
    """

    system: str
    precision: str
    devices: int
    held: Mapping[str, int]
    step: Step
    larger: Step
    alone: Step


def plan(config: ml_collections.ConfigDict, *, batch: int, start: int = 0, model_axis: int = 1) -> Plan:
    """The plan for all devices that JAX has, which may be virtual.

    Args:
        config: of `launch.train`; its `batch_size` does not count.
        batch: images per device.
        start: the step from which `STEPS` steps are averaged.
        model_axis: devices over which a state is divided, as `sharding.mesh` takes it.

    Raises:
        jgan.UserError: the config does not fit, or needs to know the data (names of classes).
    """
    mesh = sharding.mesh(model_axis)
    one = jax.sharding.Mesh(
        mesh.devices.reshape(-1)[:1].reshape([1] * mesh.devices.ndim),
        mesh.axis_names,
        axis_types=mesh.axis_types,
    )
    more = max(2 * batch, _LARGER)
    asked = [Asked(config, among, n, start) for among, n in ((mesh, batch), (mesh, more), (one, more))]
    # Python traces one program while XLA compiles others: one more than there are cores, as one may wait for Python.
    with concurrent.futures.ThreadPoolExecutor(min((os.cpu_count() or 1) + 1, _WORKERS)) as pool:
        begun = [[pool.submit(of.call, *each) for each in of.shares] for of in asked]
        here, there, alone = (
            Step(of.batch, tuple(call.result() for call in calls))
            for of, calls in zip(asked, begun, strict=True)
        )
    return Plan(
        config.system,
        config.get("precision", "float32"),
        mesh.size,
        asked[0].held(),
        here,
        there,
        alone,
    )


class Asked:
    """A step with so many images on each device of a mesh, before it is compiled."""

    def __init__(
        self, config: ml_collections.ConfigDict, mesh: jax.sharding.Mesh, batch: int, start: int
    ) -> None:
        """Refuses a config that does not fit with a `jgan.UserError`."""
        config = ml_collections.ConfigDict(config.to_dict() | {"batch_size": batch * mesh.size})
        run_config.take_names(config)
        segmentation.take_palette(config)
        run_config.check(config, SYSTEMS)
        system = SYSTEMS[config.system](config)
        if system.frozen:
            raise jgan.UserError(f"{config.system} uses nets from files, and a plan knows nothing of them.")
        key, shapes = jax.random.key(config.seed), trained.batch_shape(config)
        self.batch, self._size, self._mesh = batch, config.batch_size, mesh
        self.shares = _shares(system, start, config.steps)
        with conv.prefer("accelerator", always=True):
            self._state = jax.eval_shape(system.init, key, shapes)
        self._runs = seeds.InTurn(system, [key], mesh, sharding.of_state(mesh, self._state))
        self._fields = {name: (x.shape, x.dtype) for name, x in shapes.items()}

    def held(self) -> dict[str, int]:
        """{part of the state: its bytes on one device}."""
        state = self._runs.ahead(self._state, self._fields, self.shares[0][0]).shapes[0]
        parts = {
            "parameters": state.params,
            "optimiser": state.opt,
            "averages": state.ema,
            "others": (state.stats, state.aux, state.frozen, state.step),
        }
        return {name: sum(map(_bytes, jax.tree.leaves(part))) for name, part in parts.items()}

    def call(self, updates: tuple[str, ...], share: float) -> Call:
        """One of its programs, compiled and read."""
        ahead = self._runs.ahead(self._state, self._fields, updates)
        with conv.prefer("accelerator", always=True):
            lowered = ahead.lowered()
        try:
            compiled = lowered.compile(compiler_options=system_lib.supported(_OPTIONS))
        except jax.errors.JaxRuntimeError as error:
            raise jgan.UserError(
                f"XLA cannot compile the step for {self._size:,} images on {self._mesh.size:,} devices: "
                f"{str(error).splitlines()[0][:300]}"
            ) from error
        memory = compiled.memory_analysis()
        return Call(
            updates,
            share,
            plan_program.read(compiled.as_text(), self._mesh.size),
            memory.temp_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes,
        )


def _shares(system: system_lib.System, start: int, steps: int) -> list[tuple[tuple[str, ...], float]]:
    """[(updates of a program, the share of steps that call it)] of a few steps."""
    counts: dict[tuple[str, ...], int] = {}
    looked = range(start, min(start + STEPS, steps))
    for step in looked:
        for updates in system.programs(system.plan(step)):
            counts[updates] = counts.get(updates, 0) + 1
    return [(updates, count / len(looked)) for updates, count in counts.items()]


def _bytes(x: jax.ShapeDtypeStruct) -> int:
    return math.prod(x.sharding.shard_shape(x.shape)) * x.dtype.itemsize
