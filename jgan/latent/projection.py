"""Projection: the latent whose image comes closest to a given one.

Zhu et al., "Generative Visual Manipulation on the Natural Image Manifold" (2016), section 3.1: by optimisation
(L-BFGS from a random start), by a network that predicts the latent, or by the hybrid, which starts the optimisation
from the prediction. `project` is for one image and one start; `jax.vmap` makes it many of both.

All lanes of a `vmap` advance together, so a line search inside an iteration would make each lane wait for the slowest.
Here an iteration is one evaluation of the generator and its gradient, and each lane uses it for what it needs next:
another trial of its own line search or the first trial of a new direction.
"""

from collections.abc import Callable
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

import jgan
from jgan import space as space_lib
from jgan.latent import paths

METHODS = ("optimise", "network", "hybrid")
OPTIMISERS = ("lbfgs", "adam")
# The hybrid starts at this share of the distance from the middle of a bounded space to the predicted latent. A
# predictor drives half of its codes to the border, where `bound` is flat and an optimiser hardly moves.
_INWARD = 0.6
_SPREAD = 0.25  # of the hybrid's further starts around the predicted one, as a share of a draw from the prior

# Weak Wolfe conditions, and how many trials a line search has before it starts anew from steepest descent.
_DECREASE, _CURVATURE, _TRIALS = 1e-4, 0.9, 12


class Settings(NamedTuple):
    """The settings of a projection's search.

    Attributes:
        optimiser: `lbfgs`, the paper's choice, or `adam`.
        evaluations: the largest number of evaluations of the generator and its gradient for each start, those of line
            searches included.
        learning_rate: of Adam.
        memory: the number of pairs that L-BFGS remembers.
        tolerance: a start is done when an iteration lowers its cost by less than this share.
    """

    optimiser: str = "lbfgs"
    evaluations: int = 320
    learning_rate: float = 0.1
    memory: int = 10
    tolerance: float = 1e-6


DEFAULT = Settings()


class Projection(NamedTuple):
    """The result of a projection.

    Attributes:
        latent: the best latent.
        cost: its cost.
        evaluations: the number of evaluations that were made, int32.
        history: the lowest cost after each evaluation, [evaluations] (the last one is repeated when a start is done);
            empty unless asked for.
    """

    latent: Any
    cost: jax.Array
    evaluations: jax.Array
    history: jax.Array


def check(settings: Settings, method: str, starts: int) -> None:
    """Refuses settings that make no sense with a `jgan.UserError`."""
    if method not in METHODS:
        raise jgan.UserError(f"method={method!r} is unknown: use one of {', '.join(METHODS)}.")
    if settings.optimiser not in OPTIMISERS:
        raise jgan.UserError(
            f"optimiser={settings.optimiser!r} is unknown: use one of {', '.join(OPTIMISERS)}."
        )
    if starts < 1:
        raise jgan.UserError(f"starts={starts}: a projection needs 1 start or more.")
    if settings.evaluations < 1:
        raise jgan.UserError(f"evaluations={settings.evaluations}: it must be 1 or more.")


def reconstruction(
    target: jax.Array,
    mask: jax.Array | None = None,
    features: Callable[[jax.Array], Sequence[jax.Array]] | None = None,
    weight: float = 0.0,
) -> Callable[[jax.Array], jax.Array]:
    """The cost of an image [h, w, c] as a reconstruction of `target`: pixels and features.

    Zhu et al. (2016), equations 2 and 3: the mean squared difference of pixels in [-1, 1], plus `weight` times that
    of features. Since layers of different nets differ by orders of magnitude, each layer's difference is divided by
    the mean square of the target's own activations, and layers are averaged.

    Args:
        target: [h, w, c] in [-1, 1].
        mask: [h, w], 1 where the target is known and 0 where it is unknown; None: known everywhere. Where it is 0,
            features are taken of the target itself, so that nothing there counts.
        features: `image -> arrays`, such as a discriminator's activations.
        weight: of the features; 0 leaves them out.
    """
    m = jnp.ones(target.shape[:2], target.dtype) if mask is None else mask.astype(target.dtype)
    m = m[..., None]
    area = jnp.maximum(jnp.sum(m) * target.shape[-1], 1e-6)
    wanted = features(target) if features is not None and weight else ()
    scales = [jnp.mean(jnp.square(f)) + 1e-6 for f in wanted]

    def cost(image: jax.Array) -> jax.Array:
        value = jnp.sum(m * jnp.square(image - target)) / area
        if wanted:
            seen = features(image if mask is None else m * image + (1 - m) * target)
            parts = [jnp.mean(jnp.square(a - b)) / s for a, b, s in zip(seen, wanted, scales, strict=True)]
            value += weight * sum(parts) / len(parts)
        return value

    return cost


def project(
    space: space_lib.Space,
    cost: Callable[[jax.Array], jax.Array],
    start: Any,
    settings: Settings = DEFAULT,
    *,
    history: bool = False,
) -> Projection:
    """The projection of one image from one start.

    The memory does not depend on the number of evaluations. Under `vmap` a start that is done no longer changes, and
    all end when the last one is done.

    Args:
        space: the latent space.
        cost: of an image, as `reconstruction` makes it.
        start: a latent.
        settings: of the search.
        history: whether to record the cost after each evaluation.
    """
    carry = begin(space, cost, start, settings, history=history)
    return finish(space, advance(space, cost, carry, settings.evaluations, settings))


def begin(
    space: space_lib.Space,
    cost: Callable[[jax.Array], jax.Array],
    start: Any,
    settings: Settings = DEFAULT,
    *,
    history: bool = False,
) -> dict[str, Any]:
    """The state of a search before the first evaluation, a pytree of arrays. The arguments are those of `project`."""
    u = space.free(start)
    dtype = jax.eval_shape(lambda u: cost(space.generate(space.bound(u))), u).dtype
    return {
        "search": _SEARCHES[settings.optimiser](settings).init(u, dtype),
        "best": u,
        "cost": jnp.full((), jnp.inf, dtype),
        "count": jnp.zeros((), jnp.int32),
        "history": jnp.full((settings.evaluations if history else 0,), jnp.inf, dtype),
    }


def advance(
    space: space_lib.Space,
    cost: Callable[[jax.Array], jax.Array],
    carry: dict[str, Any],
    until: int | jax.Array,
    settings: Settings = DEFAULT,
) -> dict[str, Any]:
    """The state of a search, from `begin` or `advance`, after `until` evaluations in all or when the search is done.

    A projection in several parts is the same as in one. `until` may be traced.
    """
    search = _SEARCHES[settings.optimiser](settings)

    def evaluate(u: Any) -> tuple[jax.Array, Any]:
        return jax.value_and_grad(lambda u: cost(space.generate(space.bound(u))))(u)

    def unfinished(carry: dict[str, Any]) -> jax.Array:
        return (carry["count"] < until) & ~search.done(carry["search"])

    def body(carry: dict[str, Any]) -> dict[str, Any]:
        at = search.trial(carry["search"])
        value, gradient = evaluate(at)
        better = value < carry["cost"]
        lowest = jnp.where(better, value, carry["cost"])
        past = carry["history"]
        if past.size:
            past = jnp.where(jnp.arange(past.shape[0]) >= carry["count"], lowest, past)
        return {
            "search": search.update(carry["search"], at, value, gradient),
            "best": _where(better, at, carry["best"]),
            "cost": lowest,
            "count": carry["count"] + 1,
            "history": past,
        }

    return jax.lax.while_loop(unfinished, body, carry)


def finish(space: space_lib.Space, carry: dict[str, Any]) -> Projection:
    """The projection that a search has reached."""
    return Projection(space.bound(carry["best"]), carry["cost"], carry["count"], carry["history"])


def starts(
    space: space_lib.Space, key: jax.Array, number: int, method: str, predicted: Any | None = None
) -> Any:
    """`number` latents for one image to start from, along a new first axis.

    `optimise` draws them from the prior. The other methods begin with the predicted latent, moved towards the middle of
    a bounded space; further starts lie around it, in the optimiser's variable, a quarter of a draw from the prior away.
    """
    drawn = jax.vmap(space.sample)(jax.random.split(key, number))
    if method == "optimise":
        return drawn
    first = paths.inward(space, predicted, _INWARD)

    def near(k: jax.Array, latent: Any) -> Any:
        u = jax.tree.map(lambda a, b: a + _SPREAD * b, space.free(first), space.free(latent))
        # The first is the latent itself, not the result of `free` and `bound`.
        return jax.tree.map(lambda a, b: jnp.where(k == 0, a, b), first, space.bound(u))

    return jax.vmap(near)(jnp.arange(number), drawn)


def best(projections: Projection) -> Projection:
    """The projection of the lowest cost along the first axis; a cost that is not a number is never the lowest."""
    costs = jnp.where(jnp.isnan(projections.cost), jnp.inf, projections.cost)
    k = jnp.argmin(costs)
    return jax.tree.map(lambda x: x[k], projections)


def project_image(
    space: space_lib.Space,
    cost: Callable[[jax.Array], jax.Array],
    key: jax.Array,
    settings: Settings = DEFAULT,
    *,
    method: str = "optimise",
    number: int = 1,
    predicted: Any | None = None,
    history: bool = False,
) -> Projection:
    """The best projection of one image from `number` starts; `evaluations` is then the sum over starts.

    Args:
        space: the latent space.
        cost: of an image, as `reconstruction` makes it.
        key: of the starts.
        settings: of the search.
        method: `optimise`, `network` (the prediction alone, one evaluation) or `hybrid`.
        number: of starts.
        predicted: the network's latent for this image, for the last two methods.
        history: whether to record the lowest cost over all starts after each evaluation.
    """
    if method == "network":
        value = cost(space.generate(predicted))
        past = jnp.full((settings.evaluations if history else 0,), value)
        return Projection(predicted, value, jnp.ones((), jnp.int32), past)
    latents = starts(space, key, number, method, predicted)
    every = jax.vmap(lambda z: project(space, cost, z, settings, history=history))(latents)
    chosen = best(every)
    return chosen._replace(evaluations=jnp.sum(every.evaluations), history=jnp.min(every.history, 0))


class _Search(NamedTuple):
    """A minimiser whose caller evaluates: `trial` gives a point, `update` takes the value and the gradient there."""

    init: Callable[..., Any]
    trial: Callable[[Any], Any]
    update: Callable[..., Any]
    done: Callable[[Any], jax.Array]


def _adam(settings: Settings) -> _Search:
    """Adam, which uses all evaluations."""
    adam = optax.adam(settings.learning_rate)

    def init(u: Any, dtype: Any) -> Any:
        return {"u": u, "adam": adam.init(u)}

    def update(state: Any, at: Any, value: jax.Array, gradient: Any) -> Any:
        change, moments = adam.update(gradient, state["adam"], at)
        return {"u": optax.apply_updates(at, change), "adam": moments}

    # Without a line search there is no sign that it has arrived.
    return _Search(init, lambda state: state["u"], update, lambda state: jnp.zeros((), bool))


def _lbfgs(settings: Settings) -> _Search:
    """L-BFGS with the weak Wolfe line search of Lewis and Overton (2013), algorithm 2.6, one trial at a time.

    That search needs no smoothness, which a net of rectifiers lacks: a trial that does not lower the cost enough
    becomes the upper end of the bracket, and one where the cost still falls too steeply becomes the lower end. The next
    trial lies between them (by the parabola through both ends at first, by bisection later) or, without an upper end,
    twice as far. Directions are optax's.
    """
    memory = optax.scale_by_lbfgs(settings.memory)

    def init(u: Any, dtype: Any) -> Any:
        zero = jnp.zeros((), dtype)
        return {
            "u": u,
            "value": jnp.full((), jnp.inf, dtype),  # the first trial, at u itself, is thus accepted
            "gradient": jax.tree.map(jnp.zeros_like, u),
            "direction": jax.tree.map(jnp.zeros_like, u),
            "slope": zero,
            "step": zero,
            "low": zero,
            "high": jnp.full((), jnp.inf, dtype),
            "trials": jnp.zeros((), jnp.int32),
            "steepest": jnp.zeros((), bool),
            "memory": memory.init(u),
            "done": jnp.zeros((), bool),
        }

    def trial(s: Any) -> Any:
        return jax.tree.map(lambda x, d: x + s["step"].astype(x.dtype) * d, s["u"], s["direction"])

    def update(s: Any, at: Any, value: jax.Array, gradient: Any) -> Any:
        epsilon = jnp.finfo(value.dtype).eps
        floor = 16 * epsilon**2  # the mean square of rounding errors of pixels in [-1, 1]
        enough = value <= s["value"] + _DECREASE * s["step"] * s["slope"]
        flat = optax.tree.vdot(gradient, s["direction"]) >= _CURVATURE * s["slope"]
        accepted = enough & flat
        # A new direction from the accepted point.
        scaled, remembered = memory.update(gradient, s["memory"], at)
        direction = jax.tree.map(jnp.negative, scaled)
        moved = {
            "u": at,
            "value": value,
            "gradient": gradient,
            "direction": direction,
            "slope": optax.tree.vdot(gradient, direction),
            "step": jnp.ones_like(s["step"]),
            "low": jnp.zeros_like(s["low"]),
            "high": jnp.full_like(s["high"], jnp.inf),
            "trials": jnp.zeros_like(s["trials"]),
            "steepest": jnp.zeros_like(s["steepest"]),
            "memory": remembered,
            # The value before the first trial is infinite: that trial is no step and does not end the search.
            "done": (s["value"] - value <= settings.tolerance * value) | (value <= floor),
        }
        # Another trial along the same direction.
        low = jnp.where(enough, s["step"], s["low"])
        high = jnp.where(enough, s["high"], s["step"])
        fall = -s["slope"] * s["step"]  # what the gradient promised
        parabola = s["step"] * fall / (2 * (value - s["value"] + fall))  # its minimum, of the part above 0
        inside = (s["low"] == 0) & (parabola > 0.1 * s["step"]) & (parabola < 0.5 * s["step"])
        between = jnp.where(~enough & inside, parabola, 0.5 * (low + high))
        step = jnp.where(jnp.isinf(high), 2 * s["step"], between)
        tired = s["trials"] + 1 >= _TRIALS
        again = {
            **s,
            "low": low,
            "high": high,
            "step": step,
            "trials": s["trials"] + 1,
            # The possible gain is less than rounding, or two line searches have failed.
            "done": (~enough & (fall <= epsilon * value)) | (tired & s["steepest"]),
        }
        # After a failed line search: once more from the same point, without memory, along the gradient.
        norm = jnp.sqrt(optax.tree.vdot(s["gradient"], s["gradient"]))
        anew = {
            **again,
            "direction": jax.tree.map(jnp.negative, s["gradient"]),
            "slope": -jnp.square(norm),
            "step": 1 / jnp.maximum(norm, 1e-12),
            "low": jnp.zeros_like(low),
            "high": jnp.full_like(high, jnp.inf),
            "trials": jnp.zeros_like(s["trials"]),
            "steepest": jnp.ones_like(s["steepest"]),
            "memory": memory.init(s["u"]),
        }
        lost = ~accepted & tired & ~s["steepest"]
        return _where(accepted, moved, _where(lost, anew, again))

    return _Search(init, trial, update, lambda s: s["done"])


_SEARCHES = {"lbfgs": _lbfgs, "adam": _adam}


def _where(condition: jax.Array, yes: Any, no: Any) -> Any:
    """One of two pytrees."""
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), yes, no)
