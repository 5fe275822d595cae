"""Times what a training adds to the bare compiled step of its system, on one device.

    python -m benchmarks.overhead [--configs=pix2pix:demo,dcgan:demo --steps=200]

Both are in one process, each with a state of its own, and take turns step by step:

    bare        the system's step, compiled for one device without a mesh, on a batch that lies there already
    training    a step of launch.train from one batch to the next: it places the batch, takes the step compiled with
                the mesh, and tells checksums and the metrics of the step before; batches were read before, since
                waiting for data is a metric of its own (`input_wait`), and nothing is saved, scored or shown

After each step the device is waited for. The last line of the output is one JSON object, for each config:

    bare_ms, training_ms    medians over the steps
    difference_ms, ratio    medians of training - bare and of training / bare over pairs of neighbours
    allowed_ms              the difference that is allowed: 3 % of a bare step, or 0.5 ms where that is more
    load_before             the machine's load before the start; above 0.5 single steps are noisy
"""

from collections.abc import Iterator
import itertools
import json
import os
import statistics
import tempfile
import time
from typing import Any

from absl import flags
import jax
import ml_collections

import jgan
from jgan.data import pipeline
from jgan.programs import keeping
from jgan.programs import loop
from jgan.programs import train
from jgan.runs import checkpoint
from jgan.systems import SYSTEMS
from jgan.systems import system as system_lib
import launch
from launch import config_files

CONFIGS = flags.DEFINE_list("configs", ["pix2pix:demo", "dcgan:demo"], "What is trained.")
STEPS = flags.DEFINE_integer("steps", 200, "Steps of each side that are timed.", lower_bound=1)

_WARM_UP = 60  # steps before, beyond those of which a run's trace tells most
_BATCHES = 8  # different ones, one after the other


def main() -> None:
    if jax.device_count() > 1:
        raise jgan.UserError(f"there are {jax.device_count()} devices: CUDA_VISIBLE_DEVICES=0 leaves one.")
    report: dict[str, Any] = {"load_before": round(os.getloadavg()[0], 2)}
    for name in CONFIGS.value:
        report[name] = measured(config_files.get(name), STEPS.value)
        print(f"{name}: {json.dumps(report[name])}", flush=True)
    print(json.dumps(report))


def measured(config: ml_collections.ConfigDict, steps: int) -> dict[str, float]:
    """The figures of a config."""
    config = train.taken(config)
    config.steps = max(config.steps, _WARM_UP + steps + 1)
    with tempfile.TemporaryDirectory() as workdir:
        stream = pipeline.train(config.data, batch_size=config.batch_size, seed=config.seed)
        config.data.update(stream.facts)
        batches = stream.batches(0)
        read = [next(batches) for _ in range(_BATCHES)]
        batches.close()
        stream.close()
        alternating = Alternating(stream, read, Bare(config, read[0]))
        with checkpoint.Checkpoints(os.path.join(workdir, "checkpoints"), best=None) as checkpoints:
            member = keeping.Member(config, workdir, alternating, checkpoints)
            training = loop.Loop([member], until=_WARM_UP + steps)
            alternating.wait = lambda: jax.block_until_ready(training.program.states)
            training.run()
    pairs = [(ours * 1e3, bare * 1e3) for ours, bare in alternating.seconds[_WARM_UP:]]
    bare = statistics.median(bare for _, bare in pairs)
    figures = {
        "bare_ms": bare,
        "training_ms": statistics.median(ours for ours, _ in pairs),
        "difference_ms": statistics.median(ours - bare for ours, bare in pairs),
        "ratio": statistics.median(ours / bare for ours, bare in pairs),
        "allowed_ms": max(0.03 * bare, 0.5),
    }
    return {name: round(value, 3) for name, value in figures.items()}


class Bare:
    """The compiled step of a config's system, with a state of its own."""

    def __init__(self, config: ml_collections.ConfigDict, batch: Any) -> None:
        self._system = system = SYSTEMS[config.system](config)
        self._key = jax.random.key(config.seed)
        self._batch = jax.device_put(batch)
        self._taken = 0
        init = jax.jit(system.init, compiler_options=system_lib.supported(system_lib.INIT_COMPILER_OPTIONS))
        self._state = init(jax.random.fold_in(self._key, 2**31 - 1), batch)
        self._step = jax.jit(
            lambda state, batch, key, updates: system.step(
                state, batch, jax.random.fold_in(key, state.step), updates
            ),
            static_argnums=3,
            donate_argnums=0,
            compiler_options=system_lib.supported(system.compiler_options),
        )

    def __call__(self) -> None:
        """Takes a step, and waits for it."""
        for updates in self._system.programs(self._system.plan(self._taken)):
            self._state, metrics = self._step(self._state, self._batch, self._key, updates)
        self._taken += 1
        jax.block_until_ready((self._state, metrics))


class Alternating:
    """A stream of batches whose iterator is asked for one after each step of a training, and takes a bare step then.

    Attributes:
        seconds: (of the training's step, of the bare step after it), of each step.
        wait: called after each step of the training; it returns when the device is ready.
    """

    def __init__(self, stream: Any, batches: list[Any], bare: Bare) -> None:
        self._batches, self._bare = batches, bare
        self.dtypes, self.examples, self.notes, self.bad = stream.dtypes, stream.examples, [], []
        self.seconds: list[tuple[float, float]] = []
        self.wait = lambda: None

    def batches(self, _: int) -> Iterator[Any]:
        for batch in itertools.cycle(self._batches):
            begun = time.perf_counter()
            yield batch
            self.wait()
            ended = time.perf_counter()
            self._bare()
            self.seconds.append((ended - begun, time.perf_counter() - ended))


if __name__ == "__main__":
    launch.run(main)
