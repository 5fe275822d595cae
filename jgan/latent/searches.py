"""The minimisers of a projection, one evaluation at a time: Adam with StyleGAN2's schedule, and L-BFGS.

All lanes of a `vmap` advance together, so a line search inside an iteration would make each lane wait for the slowest.
Here an iteration is one evaluation of the generator and its gradient, and each lane uses it for what it needs next:
another trial of its own line search or the first trial of a new direction.
"""

from collections.abc import Callable
from typing import Any
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

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
        ramp_up: the share of the evaluations in which Adam's rate rises from 0, linearly.
        ramp_down: the share at the end in which it falls to 0, as a cosine.
        style_noise: of the noise that is added to styles before each evaluation, the deviation at first, as a share of
            the styles' own (`space.Styles.deviation`). It falls to 0 as a square.
        style_noise_until: the share of the evaluations after which there is none.
        shared: the share of the evaluations in which all rows of styles move together, as in W, before they move apart.
        noise_evaluations: those of a second search, for the maps of noise alone, where latents have them.
        noise_regulariser: above 0 styles and normalised maps of noise are searched for together, as by StyleGAN2's
            projector, with this weight of the maps' autocorrelation (1e5 there).
        p_norm: above 0 styles are searched for in P-norm coordinates, with this weight of their mean square (0.001 in
            Improved StyleGAN Embedding).
    """

    optimiser: str = "lbfgs"
    evaluations: int = 320
    learning_rate: float = 0.1
    memory: int = 10
    tolerance: float = 1e-6
    ramp_up: float = 0.0
    ramp_down: float = 0.0
    style_noise: float = 0.0
    style_noise_until: float = 0.75
    shared: float = 0.0
    noise_evaluations: int = 0
    noise_regulariser: float = 0.0
    p_norm: float = 0.0

    def rate(self, count: jax.Array) -> jax.Array:
        """Adam's rate in the evaluation number `count` from 0, by Karras et al. (2020), appendix D."""
        t, rate = count / self.evaluations, jnp.full((), self.learning_rate)
        if self.ramp_down:
            rate *= 0.5 - 0.5 * jnp.cos(jnp.pi * jnp.clip((1 - t) / self.ramp_down, 0, 1))
        if self.ramp_up:
            rate *= jnp.minimum(1.0, t / self.ramp_up)
        return rate

    def noise(self, count: jax.Array) -> jax.Array:
        """How much noise is added in that evaluation, as a share of the styles' deviation."""
        left = jnp.maximum(0.0, 1 - count / self.evaluations / self.style_noise_until)
        return self.style_noise * jnp.square(left)


class Search(NamedTuple):
    """A minimiser whose caller evaluates: `trial` gives a point, `update` takes the value and the gradient there."""

    init: Callable[..., Any]
    trial: Callable[[Any], Any]
    update: Callable[..., Any]
    done: Callable[[Any], jax.Array]


def adam(settings: Settings) -> Search:
    """Adam, which uses all evaluations. It moves the point without the noise under which it was evaluated."""
    scheduled = settings.ramp_up or settings.ramp_down
    adam = optax.adam(settings.rate if scheduled else settings.learning_rate)

    def init(u: Any, dtype: Any) -> Any:
        return {"u": u, "adam": adam.init(u)}

    def update(state: Any, at: Any, value: jax.Array, gradient: Any) -> Any:
        change, moments = adam.update(gradient, state["adam"], state["u"])
        return {"u": optax.apply_updates(state["u"], change), "adam": moments}

    # Without a line search there is no sign that it has arrived.
    return Search(init, lambda state: state["u"], update, lambda state: jnp.zeros((), bool))


def lbfgs(settings: Settings) -> Search:
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
        return where(accepted, moved, where(lost, anew, again))

    return Search(init, trial, update, lambda s: s["done"])


SEARCHES = {"lbfgs": lbfgs, "adam": adam}


def where(condition: jax.Array, yes: Any, no: Any) -> Any:
    """One of two pytrees."""
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), yes, no)
