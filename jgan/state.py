"""The state of a training, and the functions that change it: an update from a loss, averages, transplanted weights."""

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses
from typing import Any
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jgan.ops import placement


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class State:
    """Everything that training changes, as pytrees; all of it but `frozen` is saved in checkpoints.

    Attributes:
        step: int32 scalar, the number of steps taken.
        params: {net: parameters}.
        stats: {net: running statistics}.
        opt: {group: optimiser state}.
        ema: {net: moving average of its parameters}, for the nets that have one.
        aux: {name: arrays} that a system remembers besides, such as an image pool.
        frozen: {net: weights} that nothing changes (a feature net); they are saved once in the run, not in checkpoints.
    """

    step: jax.Array
    params: dict[str, Any]
    stats: dict[str, Any]
    opt: dict[str, Any]
    ema: dict[str, Any] = dataclasses.field(default_factory=dict)
    aux: dict[str, Any] = dataclasses.field(default_factory=dict)
    frozen: dict[str, Any] = dataclasses.field(default_factory=dict)

    def weights(self) -> dict[str, Any]:
        """The weights for inference: {"params": averages if there are any, "stats": ..., "frozen": ...}."""
        return {
            "params": {**self.params, **self.ema},
            "stats": self.stats,
            "frozen": self.frozen,
        }


class Group(NamedTuple):
    """Nets that one optimiser updates together."""

    nets: tuple[str, ...]
    optimiser: optax.GradientTransformation


def create(
    groups: Mapping[str, Group],
    params: dict[str, Any],
    stats: dict[str, Any],
    ema: tuple[str, ...] = (),
    aux: dict[str, Any] | None = None,
    frozen: dict[str, Any] | None = None,
) -> State:
    """The state before step 0: optimisers at rest, averages (of the nets named in `ema`) equal to the parameters."""
    return State(
        step=jnp.zeros((), jnp.int32),
        params=params,
        stats=stats,
        opt={
            name: group.optimiser.init({net: params[net] for net in group.nets})
            for name, group in groups.items()
        },
        # A copy: a donated state must not hold one buffer twice.
        ema={net: jax.tree.map(jnp.copy, params[net]) for net in ema},
        aux=aux or {},
        frozen=frozen or {},
    )


def update(
    state: State,
    groups: Mapping[str, Group],
    name: str,
    loss_fn: Callable[[dict[str, Any]], tuple[jax.Array, tuple[dict[str, Any], Any]]],
) -> tuple[State, Any]:
    """The state after one optimiser step of group `name`, and the metrics or other values that the loss returns.

    Args:
        state: in which all other nets do not change.
        groups: the system's groups.
        name: the group to update.
        loss_fn: `params -> (loss, (stats, aux))`, where `params` holds the group's nets only, `loss` is a
            scalar, and `stats` holds the new running statistics of any nets.

    Returns:
        The state with new parameters, optimiser state and statistics (the caller changes `step` and `ema`), and aux.
    """
    group = groups[name]
    params = {net: state.params[net] for net in group.nets}
    grads, (stats, aux) = jax.grad(loss_fn, has_aux=True)(params)
    # Where optimiser states are divided, the compiler would otherwise divide the backward pass in the same way, and
    # gather activations for it.
    grads = placement.whole(grads)
    changes, opt = group.optimiser.update(grads, state.opt[name], params)
    state = dataclasses.replace(
        state,
        params={**state.params, **placement.whole(optax.apply_updates(params, changes))},
        stats={**state.stats, **stats},
        opt={**state.opt, name: opt},
    )
    return state, aux


def once(function: Callable[[Any], Any], params: Any) -> tuple[Any, Callable[[Any], Any]]:
    """(what a function gives, a function of the same parameters that gives it again and is not computed again).

    The second has the first one's backward pass. So a net passes forward once in a step, though D learns from what it
    made before the net does. XLA would merge two equal passes on one device; on several, not where a batch norm has
    sums over devices in them.

    Args:
        function: of parameters, whose value is a tree of floating-point arrays.
        params: the parameters; the second function has to be called with the same ones.
    """
    value, pull = jax.vjp(function, params)

    @jax.custom_vjp
    def again(params: Any) -> Any:
        return value

    again.defvjp(lambda params: (value, None), lambda kept, given: pull(given))
    return value, again


def accumulate(
    loss_fn: Callable[[dict[str, Any], dict[str, Any], Any], tuple[jax.Array, tuple[dict[str, Any], Any]]],
    stats: dict[str, Any],
    chunks: Any,
) -> Callable[[dict[str, Any]], tuple[jax.Array, tuple[dict[str, Any], Any]]]:
    """A `loss_fn` for `update`: the sum over chunks, with one chunk in memory at a time.

    Gradients are computed chunk by chunk in the forward pass, so nothing is kept or computed again for a backward pass;
    the result can be differentiated once, with respect to `params`.

    Args:
        loss_fn: `(params, stats, chunk) -> (loss, (stats, aux))`.
        stats: {net: running statistics} before the first chunk; each chunk continues those of the one before.
        chunks: arrays with a leading axis over chunks.

    Returns:
        `params -> (loss, (stats, aux))`, aux with a leading axis over chunks.
    """

    def forward(params: dict[str, Any]) -> tuple[Any, Any]:
        def body(carry: tuple[Any, Any], chunk: Any) -> tuple[tuple[Any, Any], Any]:
            stats, so_far = carry
            (loss, (changed, aux)), grads = jax.value_and_grad(loss_fn, has_aux=True)(params, stats, chunk)
            return ({**stats, **changed}, jax.tree.map(jnp.add, so_far, grads)), (loss, aux)

        zeros = jax.tree.map(jnp.zeros_like, params)
        (last, grads), results = jax.lax.scan(body, (stats, zeros), chunks)
        losses, aux = results
        return (jnp.sum(losses), (last, aux)), grads

    @jax.custom_vjp
    def total(params: dict[str, Any]) -> Any:
        return forward(params)[0]

    def backward(grads: Any, cotangent: Any) -> tuple[Any]:
        return (jax.tree.map(lambda g: g * cotangent[0].astype(g.dtype), grads),)

    total.defvjp(forward, backward)
    return total


def average(state: State, decay: float) -> State:
    """The state with `ema` moved towards the parameters: ema <- decay * ema + (1 - decay) * params.

    During the first steps the decay is at most (1 + step) / (10 + step), so that the initial weights are soon
    forgotten.
    """
    step = state.step.astype(jnp.float32)
    return moved_average(state, jnp.minimum(decay, (1 + step) / (10 + step)))


def moved_average(state: State, decay: float | jax.Array) -> State:
    """The state with ema <- decay * ema + (1 - decay) * params, by exactly this decay."""
    ema = {
        net: jax.tree.map(lambda e, p: (decay * e + (1 - decay) * p).astype(p.dtype), old, state.params[net])
        for net, old in state.ema.items()
    }
    return dataclasses.replace(state, ema=ema)


def transplant(state: State, params: dict[str, Any], stats: dict[str, Any]) -> tuple[State, list[str]]:
    """The state with those weights of another run whose path and shape agree, and a line for each that does not.

    Averages start anew from the parameters; optimisers and step do not change.

    Args:
        state: before its first step.
        params: {net: parameters} of the other run, of any structure.
        stats: {net: running statistics} of the other run.
    """
    missed: list[str] = []

    def take(ours: Any, theirs: Any, kind: str) -> Any:
        rest = {jax.tree_util.keystr(path): x for path, x in jax.tree_util.tree_leaves_with_path(theirs)}

        def pick(path: Any, x: jax.Array) -> jax.Array:
            name = jax.tree_util.keystr(path)
            other = rest.pop(name, None)
            if other is None or other.shape != x.shape:
                there = "missing there" if other is None else f"{other.shape} there"
                missed.append(f"{kind}{name} {x.shape} here, {there}")
                return x
            return jax.device_put(other, x.sharding)

        tree = jax.tree_util.tree_map_with_path(pick, ours)
        missed.extend(f"{kind}{name} {x.shape} there, missing here" for name, x in rest.items())
        return tree

    state = dataclasses.replace(
        state, params=take(state.params, params, "params"), stats=take(state.stats, stats, "stats")
    )
    ema = {net: jax.tree.map(jnp.copy, state.params[net]) for net in state.ema}
    return dataclasses.replace(state, ema=ema), missed
