"""The loop around a system's step.

It never waits for the device but to save, and at the few steps of which the trace tells every array: metrics of step t
are fetched after step t + 1 is dispatched. Nothing is saved before its metrics and its parameters were seen finite.

Several runs that differ in their seeds alone may be trained together (`Loop` with several members). Each of them is
then what it would be if it were trained alone.
"""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
import dataclasses
import functools
import signal
import time
from typing import Any

import jax
from jax.experimental import multihost_utils
import jax.numpy as jnp
import ml_collections
import numpy as np

from jgan import frozen
from jgan import output
from jgan import sharding
from jgan import state as state_lib
from jgan import trained
from jgan.programs import keeping
from jgan.programs import previews
from jgan.programs import profiling
from jgan.programs import seeds
from jgan.programs import usage
from jgan.runs import trace
from jgan.systems import SYSTEMS
from jgan.systems import system as system_lib


class Loop:
    """One process's training run: device functions, state, and what is due when."""

    def __init__(
        self,
        members: Sequence[keeping.Member],
        init_from: str = "",
        held: Any = None,
        *,
        until: int | None = None,
        digested: Iterable[int] = trace.DIGESTED,
        how: str = "",
        model_axis: int = 1,
        profile: range = range(0),
    ) -> None:
        """Has the step compiled, and makes or restores the state.

        Args:
            members: the run, or several that differ in their seeds alone and go on after the same step.
            init_from: another run whose weights new runs start from.
            held: examples of validation; None: none.
            until: the last step, after which nothing is saved, scored or shown; None: all steps, and all of that.
            digested: steps of which the traces have every array.
            how: several runs take their steps, `in_turn` or `vmapped`; empty: as `seeds.choose` says.
            model_axis: devices over which a state is divided, as `sharding.mesh` takes it.
            profile: steps of which a profile is written, as `profiling.Profile` takes them.
        """
        self.members, first = tuple(members), members[0]
        self.config: ml_collections.ConfigDict = first.config
        self.start, self.until = first.start, until
        self.system = system = SYSTEMS[self.config.system](self.config)
        mesh = sharding.mesh(model_axis)
        self._whole = sharding.replicated(mesh)
        self._bases = [jax.random.key(member.config.seed) for member in self.members]
        shapes = trained.batch_shape(self.config)
        self._shapes: state_lib.State = jax.eval_shape(system.init, self._bases[0], shapes)
        self._places = sharding.of_state(mesh, self._shapes)
        self._gather = jax.jit(lambda tree: tree, out_shardings=self._whole) if model_axis > 1 else None
        self.program = seeds.of(how or seeds.choose(), system, self._bases, mesh, self._places)
        self._frozen = self._gathered()
        states = self._restored() if self.start else self._made(init_from)
        self._sizes = {x: sum(a.size for a in jax.tree.leaves(p)) for x, p in states[0].params.items()}
        self.program.states = [dataclasses.replace(state, frozen=self._frozen) for state in states]
        self._keep(held, digested)
        self._held = held
        self._peak = usage.peak(self.config.get("precision", "float32"))
        self._flops: dict[Any, float | None] = {}  # of the programs that were called
        self._profile = profiling.Profile(first.workdir, profile, self.program.wait, say)
        self.stopped = False

    @property
    def vmapped(self) -> tuple[int, ...]:
        """The seeds of the runs if one vmapped program trains them; () otherwise."""
        several = isinstance(self.program, seeds.Vmapped)
        return tuple(member.config.seed for member in self.members) if several else ()

    def _keep(self, held: Any, digested: Iterable[int]) -> None:
        """Opens what each run leaves; all of them use the same compiled functions."""
        system = self.system
        make = jax.jit(
            lambda weights, inputs, key, way, statistics: system.ways[way].run(
                weights, inputs, key, statistics=statistics
            ),
            static_argnames=("way", "statistics"),
            out_shardings=self._whole,
        )
        codes = next(iter(system.spaces.values()), None)
        predict = jax.jit(codes.predict, out_shardings=self._whole) if codes and codes.predict else None
        finite = jax.jit(
            lambda tree: jnp.all(jnp.array([jnp.all(jnp.isfinite(x)) for x in jax.tree.leaves(tree)]))
        )
        several = len(self.members) > 1
        self.keepers = [
            keeping.Keeping(
                member,
                previews.Previews(member.config, system, held, make, predict),
                finite,
                digested=digested,
                title=f"seed {member.config.seed}" if several else "",
            )
            for member in self.members
        ]

    def _gathered(self) -> dict[str, Any]:
        """The nets that nobody trains, which every run keeps for itself."""
        kept = [frozen.gather(member.workdir, self.system.frozen) for member in self.members][0]
        return jax.device_put(kept, self._whole) if kept else {}

    def _compile_ahead(self, state: state_lib.State) -> None:
        """Has the step compiled beside all that comes before it; `run` waits for that."""
        state = dataclasses.replace(state, frozen=self._frozen)
        types = self.members[0].stream.dtypes
        batch = {name: (x.shape, types[name]) for name, x in trained.batch_shape(self.config).items()}
        updates = self.system.programs(self.system.plan(self.start))
        self._compilation = functools.partial(self.program.ahead, state, batch)
        self.ahead = [self._compilation(one) for one in updates]
        if jax.process_count() == 1 and self.start < self.config.steps:
            for program in self.ahead:
                program.start()

    def _restored(self) -> list[state_lib.State]:
        """The states of the checkpoints."""
        abstract = jax.tree.map(
            lambda x, place: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place),
            self._shapes,
            self._places,
        )
        self._compile_ahead(abstract)
        states = []
        for member in self.members:
            states.append(member.checkpoints.restore(self.start, abstract))
            say(f"continuing {member.workdir} at step {self.start}")
        return states

    def _made(self, init_from: str) -> list[state_lib.State]:
        """The states before the first step."""
        # Only shapes matter to init, so it needs no data.
        zeros = {name: np.zeros(x.shape, x.dtype) for name, x in trained.batch_shape(self.config).items()}
        init = jax.jit(
            self.system.init,
            out_shardings=self._places,
            compiler_options=system_lib.supported(system_lib.INIT_COMPILER_OPTIONS),
        )
        # Never the key that drives the steps.
        keys = [jax.random.fold_in(base, 2**31 - 1) for base in self._bases]
        self._compile_ahead(self._shapes)
        states = [init(key, zeros) for key in keys]
        init.clear_cache()  # tens of MiB of program that runs once
        if init_from:
            states, sentences = zip(*(trained.start_from(state, init_from) for state in states), strict=True)
            say(sentences[0])
        return list(states)

    def run(self) -> None:
        """Trains until the last step, or until the process is told to stop."""
        self._tell()
        if self.start == 0 and self.until is None:
            for keeper, state in self._each():
                keeper.sample(0, self._weights(state))
        if self.start >= self.config.steps:
            say(f"the run has its {self.config.steps} steps already")
            self._finish()
            return
        say("compiling the step")
        for program in self.ahead:
            program.wait()
        previous = _on_signals(self._stop)  # only now: until then there is nothing to save
        batches = [member.stream.batches(self.start) for member in self.members]
        last = self.until or self.config.steps
        progress = output.progress(last, self.start) if jax.process_index() == 0 else output.Silent()
        try:
            self._steps(batches, progress)
        finally:
            progress.close()
            for iterator in batches:
                iterator.close()
            for keeper in self.keepers:
                keeper.close()
            self._profile.end()
            _restore_signals(previous)
        for member in self.members:
            member.checkpoints.wait()
        self._finish()

    def _tell(self) -> None:
        """Says what is trained, and what is left out."""
        config, stream = self.config, self.members[0].stream
        sizes = ", ".join(f"{name} {size:,}" for name, size in self._sizes.items())
        say(f"{config.system}: {sizes} parameters; {stream.examples} training examples")
        for name, steps in self.system.phases.items():
            say(f"phase {name}: steps {steps.start + 1} to {steps.stop}")
        if config.optimiser.schedule == "linear" and not self.system.phases:
            say(
                f"learning rate {config.optimiser.learning_rate:g} until step "
                f"{int(config.steps * config.optimiser.decay_from)}, then in a line to 0 at step {config.steps}"
            )
        self._profile.tell(self.start, self.until or config.steps)
        for note in stream.notes:
            say(note)
        for path, reason in dict.fromkeys([*stream.bad, *(self._held.bad if self._held else [])]):
            say(f"left out: {path} ({reason})")

    def _stop(self, *_: Any) -> None:
        self.stopped = True

    def _steps(self, batches: Sequence[Any], progress: Any) -> None:
        """All steps that are left."""
        config, pending = self.config, None
        windows = [keeper.window for keeper in self.keepers]
        for window in windows:
            window.begin()
        if self.start == 0:
            self._trace(0)
        for done in range(self.start + 1, (self.until or config.steps) + 1):
            if self._profile.due(done - 1):
                with self._paused():
                    self._profile.turn(done - 1)
            asked = time.perf_counter()
            local = [next(iterator) for iterator in batches]
            placed = self.program.place(local)
            for window in windows:
                window.waited += time.perf_counter() - asked
            sums = [
                keeper.trace.batch(done, batch) for keeper, batch in zip(self.keepers, local, strict=True)
            ]
            reported = self._take(done, placed, progress)
            if pending:
                self._observe(*pending)
            pending = done, reported, sums
            progress.update(1)
            for member in self.members:
                member.checkpoints.check()
            if jax.process_count() > 1 and multihost_utils.reached_preemption_sync_point(done):
                self.stopped = True
            # Decided once: a signal that comes while this step is shown ends the training after the next one.
            last = done == config.steps or self.stopped
            if self._due(done, last, pending):
                pending = None
            if last:
                break
        if self.stopped and done < config.steps:
            say(f"stopped at step {done} of {config.steps}; the same command continues")

    def _take(self, done: int, placed: Any, progress: Any) -> list[Any]:
        """Takes a step, which need not have ended then; its metrics, for `_observe` to fetch."""
        reported = []
        with self._profile.step(done - 1):
            for updates in self.system.programs(self.system.plan(done - 1)):
                called = time.perf_counter()
                reported.append(self.program.update(placed, updates))
                if updates not in self._flops:
                    self._flops[updates] = self._counted(updates)
                    for keeper in self.keepers:
                        keeper.window.away += time.perf_counter() - called  # compilation is not training
                    progress.unpause()
        return reported

    def _counted(self, updates: Any) -> float | None:
        """FLOPs of a compiled program on each device, for one of the runs; None where no share of a peak is told."""
        if not self._peak:
            return None
        counted = usage.flops(
            self._compilation(updates).lowered().compile()
        )  # what was compiled is found again
        return counted / (len(self.members) if self.vmapped else 1) if counted is not None else None

    def _due(self, done: int, last: bool, pending: tuple[int, Any, Any]) -> bool:
        """Does what is due after a step, which may be the last; whether its metrics have been observed."""
        config = self.config
        if self.until is not None:
            last = last or done == self.until
            if last:
                self._observe(*pending)
            self._trace(done)
            return last
        sample, validate, save = (
            last or done % every == 0
            for every in (config.sample_every, config.validate_every, config.save_every)
        )
        if not (sample or validate or save):
            self._trace(done)
            return False
        self._observe(*pending)
        with self._paused():
            for keeper, state in self._each():
                weights = self._weights(state)
                scores = keeper.validate(done, weights) if validate and not self.stopped else None
                if validate or save:
                    keeper.save(done, state, scores)
                else:
                    keeper.trace.state(done, state)
                if sample:
                    keeper.sample(done, weights)
        return True

    @contextlib.contextmanager
    def _paused(self) -> Iterator[None]:
        """A context whose time does not count as training."""
        for keeper in self.keepers:
            keeper.window.pause()
        yield
        for keeper in self.keepers:
            keeper.window.resume()

    def _each(self) -> Iterator[tuple[keeping.Keeping, state_lib.State]]:
        """Each run with its state."""
        return zip(self.keepers, self.program.states, strict=True)

    def _weights(self, state: state_lib.State) -> dict[str, Any]:
        """The weights for inference, whole on every device."""
        return self._gather(state.weights()) if self._gather else state.weights()

    def _trace(self, step: int) -> None:
        """Has the traces tell the states of a step that they are to tell."""
        if any(keeper.trace.due(step) for keeper in self.keepers):
            for keeper, state in self._each():
                keeper.trace.state(step, state)

    def _observe(self, step: int, reported: list[Any], sums: list[dict[str, str]]) -> None:
        """Fetches the metrics of a step and hands them on."""
        metrics = self.program.metrics(reported)
        flops = [self._flops[updates] for updates in self.system.programs(self.system.plan(step - 1))]
        share = None if None in flops else sum(flops) / self._peak
        for keeper, values, batch in zip(self.keepers, metrics, sums, strict=True):
            keeper.observe(step, values, batch, share)

    def _finish(self) -> None:
        """Writes the pages, and says where they are."""
        if self.until is not None:
            return
        for keeper in self.keepers:
            keeper.page()
            say(f"curves and pictures: {keeper.workdir}/index.html")


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


def say(line: str) -> None:
    """Prints a line, in the first process alone."""
    if jax.process_index() == 0:
        print(line, flush=True)
