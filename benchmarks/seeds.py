"""Times several seeds that train together against single trainings one after the other.

    python -m benchmarks.seeds [--variants=l1,l1+cgan --ways=in_turn,vmapped --seeds=4 --turns=5 --steps=20]

The runs are those of the sweep configs/sweeps/pix2pix_objectives.py:facades64: 64 pixels, one image a step. The ways
take turns, so that whatever else the machine does hits all of them; data and compilation are not timed. The last line
of the output is one JSON object, for each variant:

    single                       images per second of single trainings one after the other, median over the turns
    divided, in_turn, vmapped    the same of all seeds together; divided: in processes that divide the cores, in turn in
                                 each of them, as `launch.sweep --vmap_seeds` trains them on CPUs
    ..._ratio                    median over the turns of the speed in relation to single ones, each turn by itself
    ..._cpu                      seconds of processor time for a step of all seeds, median; other programs hardly
                                 change it
    load_before                  the machine's load before the start; above 0.5 the times mean little
"""

from collections.abc import Callable
import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from typing import Any

from absl import flags
import jax
import numpy as np

from configs import pix2pix as presets
from configs.sweeps import pix2pix_objectives
from jgan import bound
from jgan import sharding
from jgan.programs import seeds
from jgan.programs import sweep
from jgan.systems import SYSTEMS
import launch

VARIANTS = flags.DEFINE_list("variants", ["l1", "gan", "cgan", "l1+gan", "l1+cgan"], "Of the sweep.")
WAYS = flags.DEFINE_list("ways", ["divided"], "Any of divided, in_turn and vmapped.")
COUNT = flags.DEFINE_integer("seeds", 4, "How many train together.", lower_bound=2)
TURNS = flags.DEFINE_integer("turns", 5, "Turns of each way.", lower_bound=1)
STEPS = flags.DEFINE_integer("steps", 20, "Steps of every seed in a turn.", lower_bound=1)
_PART = flags.DEFINE_string("part", "", "FIRST:END of the seeds: be their process of the way `divided`.")


def main() -> None:
    if _PART.value:
        serve(VARIANTS.value[0], slice(*map(int, _PART.value.split(":"))))
        return
    load = os.getloadavg()[0]
    report: dict[str, Any] = {"seeds": COUNT.value, "load_before": round(load, 2)}
    for variant in VARIANTS.value:
        report[variant] = measured(variant)
        print(f"{variant}: {json.dumps(report[variant])}", flush=True)
    print(json.dumps(report))


def measured(variant: str) -> dict[str, float]:
    """The figures of a variant."""
    system, of = made(variant)
    alone = [of("in_turn", slice(k, k + 1)) for k in range(COUNT.value)]
    for step, _ in alone[1:]:
        step._step = alone[0][0]._step  # the same program, which need not be compiled again
    ways: dict[str, Callable[[int], float]] = {
        "single": lambda steps: sum(trained(*one, system, steps) for one in alone)
    }
    with contextlib.ExitStack() as held:
        for how in WAYS.value:
            if how == "divided":
                ways[how] = held.enter_context(divided(variant))
            else:
                together = of(how, slice(None))
                ways[how] = lambda steps, together=together: trained(*together, system, steps)
        return compare(ways, COUNT.value * alone[0][1][0]["a"].shape[0] * STEPS.value)


def made(variant: str) -> tuple[Any, Callable[[str, slice], tuple[Any, list[Any]]]]:
    """(the system of a variant, (way, which of the seeds) -> (their step, their batches))."""
    found, overrides = pix2pix_objectives.get_sweep("facades64"), dict(pix2pix_objectives.VARIANTS)[variant]
    config = presets.get_config(found.config.rpartition(":")[2])
    config.update_from_flattened_dict({**found.base, **overrides, "data.channels": (3, 3)})
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

    return system, of


@contextlib.contextmanager
def divided(variant: str):
    """Opens processes on cores of their own; gives what has them all take steps and returns their processor time."""
    cores = sweep.shares(sweep.parts(COUNT.value))
    command = [sys.executable, "-m", "benchmarks.seeds", f"--variants={variant}", f"--seeds={COUNT.value}"]
    processes, size = [], -(-COUNT.value // len(cores))
    for own, first in zip(cores, range(0, COUNT.value, size), strict=False):
        flag = f"--part={first}:{min(first + size, COUNT.value)}"
        processes.append(
            subprocess.Popen(
                bound.command([*command, flag], own),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )

    def take(steps: int) -> float:
        for process in processes:
            process.stdin.write(f"{steps}\n")
            process.stdin.flush()
        return sum(float(process.stdout.readline()) for process in processes)

    try:
        yield take
    finally:
        for process in processes:
            process.stdin.close()
            process.wait()


def serve(variant: str, part: slice) -> None:
    """Takes as many steps as each line of standard input says, and answers with their processor time."""
    system, of = made(variant)
    together = of("in_turn", part)
    for line in sys.stdin:
        print(trained(*together, system, int(line)), flush=True)


def trained(step: Any, batches: list[Any], system: Any, steps: int) -> float:
    """Takes steps as a training does, whose metrics are fetched after the next step is dispatched.

    Returns:
        Seconds of processor time.
    """
    before, pending = time.process_time(), None
    for _ in range(steps):
        placed = step.place(batches)
        reported = [step.update(placed, updates) for updates in system.programs(system.plan(0))]
        if pending:
            step.metrics(pending)
        pending = reported
    step.metrics(pending)
    return time.process_time() - before


def compare(ways: dict[str, Callable[[int], float]], images: int) -> dict[str, float]:
    """The figures of ways that take turns."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    used: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way(2)
    for _ in range(TURNS.value):
        for name, way in ways.items():
            begun = time.perf_counter()
            used[name].append(way(STEPS.value))
            seconds[name].append(time.perf_counter() - begun)
    figures = {name: images / statistics.median(taken) for name, taken in seconds.items()}
    for name in ways:
        if name != "single":
            pairs = zip(seconds["single"], seconds[name], strict=True)
            figures[f"{name}_ratio"] = statistics.median(single / ours for single, ours in pairs)
        figures[f"{name}_cpu"] = statistics.median(used[name]) / STEPS.value
    return {name: round(value, 3) for name, value in figures.items()}


if __name__ == "__main__":
    launch.run(main)
