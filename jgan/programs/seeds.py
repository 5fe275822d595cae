"""The step of one run, or of several that differ in their seeds alone, as compiled programs.

Several runs can take their steps in two ways. `InTurn` calls the program of a single run once for each of them; the
calls are asynchronous, so that the device works on one while another leaves it idle, and each run has the bits that it
would have alone. `Vmapped` is one program for all of them, with a leading axis over seeds in states, batches and keys;
it computes the same numbers in another order of sums, and pays on devices that one small run cannot fill.
"""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jgan
from jgan import sharding
from jgan import state as state_lib
from jgan.ops import placement
from jgan.programs import timing
from jgan.systems import system as system_lib

# The axes of a state over seeds; what nobody trains is there once.
_AXES = state_lib.State(step=0, params=0, stats=0, opt=0, ema=0, aux=0, frozen=None)


def choose() -> str:
    """How several runs are trained together on the platform in use: `in_turn` or `vmapped`."""
    return "in_turn" if jax.default_backend() == "cpu" else "vmapped"


def of(
    how: str,
    system: system_lib.System,
    keys: Sequence[jax.Array],
    mesh: jax.sharding.Mesh,
    places: state_lib.State | None = None,
) -> "InTurn | Vmapped":
    """The step of so many runs as there are keys, `in_turn` or `vmapped`.

    Args:
        how: the way.
        system: of the runs.
        keys: the random key of each, from which those of its steps are derived.
        mesh: over which batches are split.
        places: the shardings of a state, as `sharding.of_state` gives them; None: it is whole on every device.

    Raises:
        jgan.UserError: a vmapped step of states that are divided.
    """
    if how == "vmapped" and len(keys) > 1:
        if mesh.shape["model"] > 1:
            raise jgan.UserError("--model_axis divides the state of one run: train one seed at a time.")
        return Vmapped(system, keys, mesh)
    return InTurn(system, keys, mesh, places)


class InTurn:
    """The program of a single run, called for one run after the other."""

    def __init__(
        self,
        system: system_lib.System,
        keys: Sequence[jax.Array],
        mesh: jax.sharding.Mesh,
        places: state_lib.State | None = None,
    ) -> None:
        """Compiles nothing yet; arguments are those of `of`."""
        # What nobody trains is there once. A step reuses its memory, so that it is handed from one to the next.
        self._states: list[state_lib.State] = []
        self._frozen: Any = {}
        self._split, self._whole = _split(mesh), sharding.replicated(mesh)
        self._keys = [_sent(jax.random.key_data(key), self._whole) for key in keys]
        self._places = dataclasses.replace(places, frozen=self._whole) if places else self._whole
        self._step = _jitted(system, _of_one(system, mesh), self._places, self._whole)

    @property
    def states(self) -> list[state_lib.State]:
        """The states of the runs, valid until the next `update`."""
        return [dataclasses.replace(state, frozen=self._frozen) for state in self._states]

    @states.setter
    def states(self, states: list[state_lib.State]) -> None:
        self._frozen = states[0].frozen
        self._states = [dataclasses.replace(state, frozen={}) for state in states]

    def ahead(
        self, state: state_lib.State, batch: Mapping[str, tuple[tuple[int, ...], Any]], updates: Any
    ) -> timing.Ahead:
        """The compilation of a program, to be started.

        Args:
            state: shapes and types of one run's state.
            batch: {field: (shape, type)} of one run's batch.
            updates: of the step.
        """
        return timing.Ahead(self._step, *self.shapes(state, batch), updates=updates)

    def shapes(
        self, state: state_lib.State, batch: Mapping[str, tuple[tuple[int, ...], Any]]
    ) -> tuple[Any, ...]:
        """The arguments of one run's program, as shapes in their places; arguments as in `ahead`."""
        return (
            jax.tree.map(
                lambda place, part: jax.tree.map(lambda x: _abstract(x.shape, x.dtype, place), part),
                self._places,
                state,
            ),
            {name: _abstract(shape, dtype, self._split) for name, (shape, dtype) in batch.items()},
            self._keys[0],
        )

    def place(self, batches: Sequence[dict[str, np.ndarray]]) -> Any:
        """The batches of all runs as `update` takes them: on several devices each has its part."""
        if self._split is None:
            return batches
        return [sharding.global_batch(batch, self._split) for batch in batches]

    def update(self, batches: Any, updates: tuple[str, ...]) -> Any:
        """Takes a step of every run; returns its metrics, for `metrics` to fetch."""
        reported = []
        for place, (batch, key) in enumerate(zip(batches, self._keys, strict=True)):
            state = self._states[place]
            if self._frozen:  # a tree less to be made anew in every step
                state = dataclasses.replace(state, frozen=self._frozen)
            state, metrics = self._step(state, batch, key, updates=updates)
            if self._frozen:
                self._frozen, state = state.frozen, dataclasses.replace(state, frozen={})
            self._states[place] = state
            reported.append(metrics)
        return reported

    def wait(self) -> None:
        """Returns when all steps have ended."""
        jax.block_until_ready(self._states)

    def metrics(self, reported: Sequence[Any]) -> list[dict[str, float]]:
        """The metrics of each run, of one step that may have been several calls of `update`."""
        calls = [_fetched(one) for one in reported]
        return [
            {name: float(x) for call in calls for name, x in call[k].items()} for k in range(len(self._keys))
        ]


class Vmapped:
    """One program for all runs. Its functions are those of `InTurn`."""

    def __init__(self, system: system_lib.System, keys: Sequence[jax.Array], mesh: jax.sharding.Mesh) -> None:
        """As `InTurn`; the mesh splits each run's batch."""
        self._count = len(keys)
        self._stacked: state_lib.State | None = None
        self._whole = sharding.replicated(mesh)
        self._split = _split(mesh, None)
        self._keys = _sent(np.stack([np.asarray(jax.random.key_data(key)) for key in keys]), self._whole)
        single = _of_one(system, mesh)

        def step(state: state_lib.State, batch: Any, key: Any, updates: tuple[str, ...]) -> Any:
            every = jax.vmap(lambda *of_one: single(*of_one, updates), (_AXES, 0, 0), (_AXES, 0))
            return every(state, batch, key)

        self._step = _jitted(system, step, self._whole, self._whole)
        self._stack = jax.jit(lambda *trees: jax.tree.map(lambda *x: jnp.stack(x), *trees))
        self._parts = jax.jit(
            lambda tree: [jax.tree.map(lambda x, k=k: x[k], tree) for k in range(self._count)]
        )

    @property
    def states(self) -> list[state_lib.State]:
        """The states of the runs, copied from the one that is trained."""
        frozen = self._stacked.frozen
        parts = self._parts(dataclasses.replace(self._stacked, frozen={}))
        return [dataclasses.replace(part, frozen=frozen) for part in parts]

    @states.setter
    def states(self, states: list[state_lib.State]) -> None:
        stacked = self._stack(*(dataclasses.replace(state, frozen={}) for state in states))
        self._stacked = dataclasses.replace(stacked, frozen=states[0].frozen)

    def ahead(
        self, state: state_lib.State, batch: Mapping[str, tuple[tuple[int, ...], Any]], updates: Any
    ) -> timing.Ahead:
        """As in `InTurn`."""
        n = self._count
        all_but = jax.tree.map(
            lambda x: _abstract((n, *x.shape), x.dtype, self._whole), dataclasses.replace(state, frozen={})
        )
        frozen = jax.tree.map(lambda x: _abstract(x.shape, x.dtype, self._whole), state.frozen)
        return timing.Ahead(
            self._step,
            dataclasses.replace(all_but, frozen=frozen),
            {name: _abstract((n, *shape), dtype, self._split) for name, (shape, dtype) in batch.items()},
            self._keys,
            updates=updates,
        )

    def place(self, batches: Sequence[dict[str, np.ndarray]]) -> Any:
        """As in `InTurn`."""
        stacked = {name: np.stack([batch[name] for batch in batches]) for name in batches[0]}
        return sharding.global_batch(stacked, self._split) if self._split else stacked

    def update(self, batches: Any, updates: tuple[str, ...]) -> Any:
        """As in `InTurn`."""
        self._stacked, metrics = self._step(self._stacked, batches, self._keys, updates=updates)
        return metrics

    def wait(self) -> None:
        """As in `InTurn`."""
        jax.block_until_ready(self._stacked)

    def metrics(self, reported: Sequence[Any]) -> list[dict[str, float]]:
        """As in `InTurn`."""
        calls = [_fetched(one) for one in reported]
        return [{name: float(x[k]) for call in calls for name, x in call.items()} for k in range(self._count)]


def _of_one(system: system_lib.System, mesh: jax.sharding.Mesh) -> Callable[..., Any]:
    """`(state, batch, key data, updates) -> (state, metrics)`: a step of one run, whose key depends on its number."""

    def step(state: state_lib.State, batch: Any, key: Any, updates: tuple[str, ...]) -> Any:
        base = jax.random.wrap_key_data(key)
        with placement.under(mesh):
            gathered = dataclasses.replace(state, params=placement.whole(state.params))
            return system.step(gathered, batch, jax.random.fold_in(base, state.step), updates)

    return step


def _jitted(
    system: system_lib.System, step: Callable[..., Any], places: Any, whole: jax.sharding.Sharding
) -> Callable[..., Any]:
    """A step that is compiled as the system asks for, and reuses the memory of the state, which stays in its places."""
    return jax.jit(
        step,
        static_argnames="updates",
        donate_argnums=0,
        out_shardings=(places, whole),
        compiler_options=system_lib.supported(system.compiler_options),
    )


def _split(mesh: jax.sharding.Mesh, *before: None) -> jax.sharding.NamedSharding | None:
    """The sharding of a batch, with so many axes in front that are not split; None on one device.

    There a compiled call takes arrays of the host and sends them itself, which Python would do more slowly.
    """
    spec = jax.sharding.PartitionSpec(*before, placement.AXES)
    return jax.sharding.NamedSharding(mesh, spec) if mesh.size > 1 else None


def _sent(data: Any, whole: jax.sharding.NamedSharding) -> jax.Array:
    """An array that every process has, on all devices: once, and not in every step."""
    data = np.asarray(data)
    return jax.make_array_from_callback(data.shape, whole, lambda part: data[part])


def _fetched(metrics: Any) -> Any:
    """Metrics on the host."""
    if jax.default_backend() != "cpu":  # where an array's memory is the host's, each has its value at once
        for x in jax.tree.leaves(metrics):
            x.copy_to_host_async()
    return jax.tree.map(np.asarray, metrics)


def _abstract(
    shape: tuple[int, ...], dtype: Any, place: jax.sharding.Sharding | None
) -> jax.ShapeDtypeStruct:
    """An array that is not there yet."""
    return jax.ShapeDtypeStruct(shape, dtype, sharding=place)
