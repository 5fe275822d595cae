"""Times several seeds that train together against single trainings one after the other.

    python -m benchmarks.seeds [--variants=l1,l1+cgan --ways=in_turn,vmapped --seeds=4 --turns=5 --steps=20]

The runs are those of the sweep configs/sweeps/pix2pix_objectives.py:facades64: 64 pixels, one image a step. The ways
take turns, so that whatever else the machine does hits all of them; data and compilation are not timed. The last line
of the output is one JSON object, for each variant:

    single                       images per second of single trainings one after the other, median over the turns
    in_turn, vmapped             the same of all seeds together
    in_turn_ratio, vmapped_ratio median over the turns of the speed in relation to single ones, each turn by itself
    ..._cpu                      seconds of processor time for a step of all seeds, median; other programs hardly
                                 change it
    load_before                  the machine's load before the start; above 0.5 the times mean little
"""

from collections.abc import Callable
import json
import os
import statistics
import time
from typing import Any

from absl import flags
import jax
import numpy as np

from configs import pix2pix as presets
from configs.sweeps import pix2pix_objectives
from jgan import sharding
from jgan.programs import seeds
from jgan.systems import SYSTEMS
import launch

VARIANTS = flags.DEFINE_list("variants", ["l1", "gan", "cgan", "l1+gan", "l1+cgan"], "Of the sweep.")
WAYS = flags.DEFINE_list("ways", ["in_turn"], "in_turn, vmapped or both.")
COUNT = flags.DEFINE_integer("seeds", 4, "How many train together.", lower_bound=2)
TURNS = flags.DEFINE_integer("turns", 5, "Turns of each way.", lower_bound=1)
STEPS = flags.DEFINE_integer("steps", 20, "Steps of every seed in a turn.", lower_bound=1)


def main() -> None:
    load = os.getloadavg()[0]
    report: dict[str, Any] = {"seeds": COUNT.value, "load_before": round(load, 2)}
    for variant in VARIANTS.value:
        report[variant] = measured(variant)
        print(f"{variant}: {json.dumps(report[variant])}", flush=True)
    print(json.dumps(report))


def measured(variant: str) -> dict[str, float]:
    """The figures of a variant."""
    made, overrides = pix2pix_objectives.get_sweep("facades64"), dict(pix2pix_objectives.VARIANTS)[variant]
    config = presets.get_config(made.config.rpartition(":")[2])
    config.update_from_flattened_dict({**made.base, **overrides, "data.channels": (3, 3)})
    system = SYSTEMS[config.system](config)
    size, rng = config.data.size, np.random.default_rng(0)
    batches = [
        {name: rng.integers(0, 256, (config.batch_size, size, size, 3), np.uint8) for name in "ab"}
        for _ in range(COUNT.value)
    ]
    init, keys = jax.jit(system.init), [jax.random.key(seed) for seed in range(COUNT.value)]

    def of(how: str, chosen: slice) -> tuple[Any, list[Any]]:
        step = seeds.of(how, system, keys[chosen], sharding.mesh())
        step.states = [init(key, batches[0]) for key in keys[chosen]]
        return step, batches[chosen]

    alone = [of("in_turn", slice(k, k + 1)) for k in range(COUNT.value)]
    for step, _ in alone[1:]:
        step._step = alone[0][0]._step  # the same program, which need not be compiled again
    ways: dict[str, Callable[[int], None]] = {
        "single": lambda steps: [trained(*one, system, steps) for one in alone]
    }
    for how in WAYS.value:
        together = of(how, slice(None))
        ways[how] = lambda steps, together=together: trained(*together, system, steps)
    return compare(ways, COUNT.value * config.batch_size * STEPS.value)


def trained(step: Any, batches: list[Any], system: Any, steps: int) -> None:
    """Takes steps as the loop of a training does: metrics are fetched after the next step is dispatched."""
    pending = None
    for _ in range(steps):
        placed = step.place(batches)
        reported = [step.update(placed, updates) for updates in system.programs(system.plan(0))]
        if pending:
            step.metrics(pending)
        pending = reported
    step.metrics(pending)


def compare(ways: dict[str, Callable[[int], None]], images: int) -> dict[str, float]:
    """The figures of ways that take turns."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    used: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way(2)
    for _ in range(TURNS.value):
        for name, way in ways.items():
            begun, before = time.perf_counter(), time.process_time()
            way(STEPS.value)
            seconds[name].append(time.perf_counter() - begun)
            used[name].append(time.process_time() - before)
    figures = {name: images / statistics.median(taken) for name, taken in seconds.items()}
    for name in ways:
        if name != "single":
            pairs = zip(seconds["single"], seconds[name], strict=True)
            figures[f"{name}_ratio"] = statistics.median(single / ours for single, ours in pairs)
        figures[f"{name}_cpu"] = statistics.median(used[name]) / STEPS.value
    return {name: round(value, 3) for name, value in figures.items()}


if __name__ == "__main__":
    launch.run(main)
