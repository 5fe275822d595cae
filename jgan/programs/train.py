"""Training: the loop around a system's step.

The loop never waits for the device but to save: metrics of step t are fetched after step t + 1 is dispatched.
Nothing is saved before its metrics and its parameters were seen finite.
"""

import dataclasses
import importlib.metadata
import os
import signal
import sys
import time
from typing import Any

import jax
from jax.experimental import multihost_utils
import jax.numpy as jnp
import ml_collections
import numpy as np

import jgan
from jgan import fields
from jgan import frozen
from jgan import output
from jgan import pictures as pictures_lib
from jgan import sharding
from jgan import state as state_lib
from jgan import trained
from jgan.data import images as image_files
from jgan.data import pipeline
from jgan.metrics import scores
from jgan.metrics import segmentation
from jgan.programs import previews
from jgan.programs import timing
from jgan.runs import checkpoint
from jgan.runs import config as run_config
from jgan.runs import log
from jgan.runs import page
from jgan.systems import SYSTEMS
from jgan.systems import system as system_lib


def train(
    config: ml_collections.ConfigDict, workdir: str, init_from: str = "", *, allow_changed_data: bool = False
) -> None:
    """Trains what `config` describes until `config.steps`, and leaves a run in `workdir`.

    A run that is there already is continued: the outcome is bit-equal to one that was never interrupted. SIGTERM
    and Ctrl-C save and return, and before the first step end at once.

    Args:
        config: as a file in `configs/` makes it.
        workdir: directory of the run.
        init_from: directory of another run whose weights a new run starts from.
        allow_changed_data: a run goes on though its data are not those it was trained on.

    Raises:
        jgan.UserError: a mistake in config, data or directory, reported before the first step; another process that
            trains the run; or what was to be saved could not be written.
        jgan.NotFinite: the run diverged; the last good checkpoint is kept.
    """
    run_config.check(config, SYSTEMS)
    sharding.check(config.batch_size)
    run_config.prepare(workdir)
    config = ml_collections.ConfigDict(config.to_dict())
    run_config.take_names(config)
    segmentation.take_palette(config)
    with sharding.once(run_config.lock(workdir)):
        _train(config, workdir, init_from, allow_changed_data)


def _train(config: ml_collections.ConfigDict, workdir: str, init_from: str, allow_changed_data: bool) -> None:
    """`train`, nobody else training the run meanwhile."""
    if os.path.exists(os.path.join(workdir, trained.EXPORTED)):
        raise jgan.UserError(
            f"--workdir={workdir} is an export, without what training needs to go on: "
            f"another --workdir with --init_from={workdir} would work."
        )
    old = run_config.read(workdir) if os.path.exists(os.path.join(workdir, "config.json")) else None
    if old is not None:
        run_config.take_facts(config, old)
        run_config.check_continuation(workdir, old, config)
    # What cannot be built is refused before the data are read, which may take long; only they know their labels.
    if "label" not in fields.of(config.data) or config.data.names:
        scores.best_policy(config.best, SYSTEMS[config.system](config))
    stream = pipeline.train(
        config.data,
        batch_size=config.batch_size,
        seed=config.seed,
        processes=(jax.process_index(), jax.process_count()),
        sets=tuple(config.get("sets", ())),
        mask=config.get("mask", True),
    )
    try:
        config.data.update(stream.facts)
        if old is not None:
            run_config.check_continuation(workdir, old, config)
            sentence = run_config.check_files(workdir, old, config, _read(stream), allow=allow_changed_data)
            if sentence:
                _say(f"going on with other data: they {sentence}")
        system = SYSTEMS[config.system](config)
        best = scores.best_policy(config.best, system)
        held = previews.held_out(config, system)
        if isinstance(held, str):
            _say(f"no validation: {held}")
            held = None
        if old is not None and held:
            sentence = run_config.check_files(
                workdir, old, config, _read(held), split=config.data.val_split, allow=True
            )
            if sentence:
                _say(f"validation goes on with other data: they {sentence}")
        with checkpoint.Checkpoints(
            os.path.join(workdir, "checkpoints"), keep=config.keep, best=best
        ) as checkpoints:
            loop = _Loop(config, workdir, stream, checkpoints, init_from, held)
            # Only now: a mistake reported above leaves no run behind that a corrected command would contradict.
            if jax.process_index() == 0:
                _write(workdir, config, stream, held, init_from)
            loop.run()
    finally:
        stream.close()


class _Loop:
    """One process's training run: device functions, state, and what is due when."""

    def __init__(
        self,
        config: ml_collections.ConfigDict,
        workdir: str,
        stream: Any,
        checkpoints: checkpoint.Checkpoints,
        init_from: str,
        held: Any,
    ):
        self.config, self.workdir, self.stream, self.checkpoints = config, workdir, stream, checkpoints
        self.held = held
        self.system = system = SYSTEMS[config.system](config)
        mesh = sharding.mesh()
        self.split, whole = sharding.split(mesh), sharding.replicated(mesh)
        base = jax.random.key(config.seed)

        def step(state: state_lib.State, batch: Any, updates: tuple[str, ...]) -> Any:
            return system.step(state, batch, jax.random.fold_in(base, state.step), updates)

        self.step = jax.jit(
            step,
            static_argnames="updates",
            donate_argnums=0,
            out_shardings=(whole, whole),
            compiler_options=system_lib.supported(system.compiler_options),
        )
        make = jax.jit(
            lambda weights, inputs, key, way, statistics: system.ways[way].run(
                weights, inputs, key, statistics=statistics
            ),
            static_argnames=("way", "statistics"),
            out_shardings=whole,
        )
        codes = next(iter(system.spaces.values()), None)
        predict = jax.jit(codes.predict, out_shardings=whole) if codes and codes.predict else None
        self.previews = previews.Previews(config, system, held, make, predict)
        self.finite = jax.jit(
            lambda tree: jnp.all(jnp.array([jnp.all(jnp.isfinite(x)) for x in jax.tree.leaves(tree)]))
        )
        # Never the key that drives the steps.
        init_key = jax.random.fold_in(base, 2**31 - 1)
        shapes = trained.batch_shape(config)
        latest = checkpoints.latest
        batch = {
            name: jax.ShapeDtypeStruct(x.shape, stream.dtypes[name], sharding=self.split)
            for name, x in shapes.items()
        }

        kept = frozen.gather(workdir, system.frozen)
        kept = jax.device_put(kept, whole) if kept else {}

        def ahead(state: state_lib.State) -> None:
            """Has the step compiled beside all that comes before it; `run` waits for that."""
            state = dataclasses.replace(state, frozen=kept)
            state = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=whole), state)
            first = system.programs(system.plan(latest or 0))
            self.ahead = [timing.Ahead(self.step, state, batch, updates=updates) for updates in first]
            if jax.process_count() == 1 and (latest or 0) < config.steps:
                for program in self.ahead:
                    program.start()

        if latest is not None:
            abstract = jax.eval_shape(system.init, init_key, shapes)
            abstract = jax.tree.map(
                lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=whole), abstract
            )
            ahead(abstract)
            self.state = checkpoints.restore(latest, abstract)
            _say(f"continuing {workdir} at step {latest}")
        else:
            # Only shapes matter to init, so it needs no data.
            zeros = {name: np.zeros(x.shape, x.dtype) for name, x in shapes.items()}
            init = jax.jit(
                system.init,
                out_shardings=whole,
                compiler_options=system_lib.supported(system_lib.INIT_COMPILER_OPTIONS),
            )
            ahead(init.eval_shape(init_key, zeros))
            self.state = init(init_key, zeros)
            init.clear_cache()  # tens of MiB of program that runs once
            if init_from:
                self.state, sentence = trained.start_from(self.state, init_from)
                _say(sentence)
        self.state = dataclasses.replace(self.state, frozen=kept)
        self.start = latest or 0
        first = jax.process_index() == 0
        self.log = log.Log(os.path.join(workdir, "metrics.jsonl") if first else None, self.start)
        self.stopped = False

    def run(self) -> None:
        config = self.config
        names = {x: sum(a.size for a in jax.tree.leaves(p)) for x, p in self.state.params.items()}
        sizes = ", ".join(f"{name} {size:,}" for name, size in names.items())
        _say(f"{config.system}: {sizes} parameters; {self.stream.examples} training examples")
        for name, steps in self.system.phases.items():
            _say(f"phase {name}: steps {steps.start + 1} to {steps.stop}")
        if config.optimiser.schedule == "linear" and not self.system.phases:
            _say(
                f"learning rate {config.optimiser.learning_rate:g} until step "
                f"{int(config.steps * config.optimiser.decay_from)}, then in a line to 0 at step {config.steps}"
            )
        for note in self.stream.notes:
            _say(note)
        for path, reason in dict.fromkeys([*self.stream.bad, *(self.held.bad if self.held else [])]):
            _say(f"left out: {path} ({reason})")
        if self.start == 0:
            self._sample(0)
        if self.start >= config.steps:
            _say(f"the run has its {config.steps} steps already")
            self._finish()
            return
        _say("compiling the step")
        for program in self.ahead:
            program.wait()
        previous = _on_signals(self._stop)  # only now: until then there is nothing to save
        batches = self.stream.batches(self.start)
        progress = output.progress(config.steps, self.start) if jax.process_index() == 0 else output.Silent()
        try:
            self._steps(batches, progress)
        finally:
            progress.close()
            batches.close()
            _restore_signals(previous)
            self.log.close()
        self.checkpoints.wait()
        self._finish()

    def _stop(self, *_: Any) -> None:
        self.stopped = True

    def _steps(self, batches: Any, progress: Any) -> None:
        config = self.config
        pending, window, compiled = None, timing.Window(config.batch_size), set()
        for done in range(self.start + 1, config.steps + 1):
            asked = time.perf_counter()
            batch = sharding.global_batch(next(batches), self.split)
            window.waited += time.perf_counter() - asked
            metrics = {}
            for updates in self.system.programs(self.system.plan(done - 1)):
                called = time.perf_counter()
                self.state, reported = self.step(self.state, batch, updates=updates)
                metrics |= reported
                if updates not in compiled:
                    compiled.add(updates)
                    window.away += time.perf_counter() - called  # compilation is not training
                    progress.unpause()
            if pending:
                self._observe(*pending, window)
            pending = done, metrics
            progress.update(1)
            self.checkpoints.check()
            if jax.process_count() > 1 and multihost_utils.reached_preemption_sync_point(done):
                self.stopped = True
            last = done == config.steps or self.stopped
            sample, validate, save = (
                last or done % every == 0
                for every in (config.sample_every, config.validate_every, config.save_every)
            )
            if sample or validate or save:
                self._observe(*pending, window)
                pending = None
                window.pause()
                scores = self._validate(done) if validate and not self.stopped else None
                if validate or save:
                    self._save(done, scores)
                if sample:
                    self._sample(done)
                window.resume()
            if last:
                break
        if self.stopped and done < config.steps:
            _say(f"stopped at step {done} of {config.steps}; the same command continues")

    def _observe(self, step: int, metrics: dict[str, jax.Array], window: timing.Window) -> None:
        """Fetches the metrics of a step, refuses what is not finite, and logs when it is time."""
        values = {name: float(x) for name, x in jax.device_get(metrics).items()}
        for name, value in values.items():
            if not np.isfinite(value):
                raise self._diverged(step, f"{name} is {value}")
        window.add(values)
        if step % self.config.log_every == 0 or step == self.config.steps:
            self.log.write({"step": step, **window.record()})

    def _diverged(self, step: int, what: str) -> jgan.NotFinite:
        latest = self.checkpoints.latest
        kept = (
            "no checkpoint was saved before"
            if latest is None
            else f"step {latest} is the last good checkpoint"
        )
        return jgan.NotFinite(f"stopped at step {step}: {what}; {kept}.")

    def _save(self, step: int, scores: dict[str, float] | None) -> None:
        if not self.finite((self.state.params, self.state.stats, self.state.ema)):
            raise self._diverged(step, "a parameter is not finite")
        self.checkpoints.save(step, self.state, scores)

    def _validate(self, step: int) -> dict[str, float] | None:
        values = self.previews.scores(self.state.weights(), step)
        if values is not None:
            self.log.write({"step": step, **{f"val_{name}": value for name, value in values.items()}})
        return values

    def _sample(self, step: int) -> None:
        """Writes samples/STEP.png: fixed examples or codes and what becomes of them. All processes draw, one writes."""
        made = self.previews.pictures(self.state.weights(), step)
        if jax.process_index():
            return
        folder = os.path.join(self.workdir, "samples")
        os.makedirs(folder, exist_ok=True)
        for name, picture in made.items():
            path = os.path.join(folder, name or f"{step:06d}.png")
            if name.endswith(".webp"):
                pictures_lib.film(path, picture)
            else:
                image_files.write(path, picture)
        self.log.warn(step, self.previews.warnings)
        self._page()

    def _page(self) -> None:
        if jax.process_index() == 0:
            page.write(self.workdir)

    def _finish(self) -> None:
        self._page()
        _say(f"curves and pictures: {os.path.join(self.workdir, 'index.html')}")


def _write(workdir: str, config: ml_collections.ConfigDict, stream: Any, held: Any, init_from: str) -> None:
    """Writes what the run is, and what its data are."""
    facts = {"init_from": init_from, "excluded": stream.bad, "halves": stream.halves}
    run_config.write(workdir, config, versions=_versions(), **facts)
    splits = {config.data.val_split: _read(held)} if held else {}
    run_config.write_files(workdir, {**splits, config.data.split: _read(stream)})


def _read(examples: Any) -> run_config.Data:
    """What is recorded of the data of a split."""
    return run_config.Data(examples.files, examples.labels, examples.lists)


def _versions() -> dict[str, str]:
    versions = {"jgan": jgan.__version__, "python": sys.version.split()[0]}
    packages = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy")
    return versions | {name: importlib.metadata.version(name) for name in packages}


def _on_signals(handler: Any) -> list[tuple[int, Any]]:
    """Handles SIGTERM and Ctrl-C; outside the main thread Python allows no handlers, and none is set.

    Where several processes train together, JAX itself listens for SIGTERM and lets all stop at one step.
    """
    if jax.process_count() > 1:
        return []
    try:
        return [(s, signal.signal(s, handler)) for s in (signal.SIGTERM, signal.SIGINT)]
    except ValueError:
        return []


def _restore_signals(previous: list[tuple[int, Any]]) -> None:
    for number, handler in previous:
        signal.signal(number, handler)


def _say(line: str) -> None:
    if jax.process_index() == 0:
        print(line, flush=True)
