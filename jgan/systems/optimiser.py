"""The optimisers that GAN systems share, from the `optimiser` part of a config."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jgan


def schedule(config: Any, steps: int) -> optax.Schedule:
    """The learning rate as a pure function of the step (0-based).

    `constant` is the config's `learning_rate`; `linear` is that until the share `decay_from` of the run, then
    falls in a line that would reach 0 at `steps`.
    """
    rate = config.learning_rate
    if config.schedule == "constant":
        return optax.constant_schedule(rate)
    if config.schedule == "linear":
        start = int(steps * config.decay_from)
        span = max(steps - start, 1)

        def linear(step: Any) -> Any:
            # Of a number in numpy: what jax compiles to compute one would take longer than a training step.
            past = (jnp if isinstance(step, jax.Array) else np).clip(step - start, 0, span)
            return rate * (1 - past / span)

        return linear
    raise jgan.UserError(f"optimiser.schedule={config.schedule!r} is unknown: use 'linear' or 'constant'.")


def rate(config: Any, steps: int, step: jax.Array) -> jax.Array:
    """The learning rate of a step as a float32 scalar, for the metrics of a system."""
    return jnp.asarray(schedule(config, steps)(step), jnp.float32)


def adam(config: Any, steps: int) -> optax.GradientTransformation:
    """Adam with the config's `b1`, `b2` and `eps`, and its schedule over `steps` updates.

    With `weight_decay` that many times the parameters are added to the gradients of all of them before Adam sees
    any: L2 as iGAN has it, not AdamW's.
    """
    decay = config.get("weight_decay", 0.0)
    _check(config, decay)

    def make(b1: Any) -> optax.GradientTransformation:
        return optax.adam(schedule(config, steps), b1, config.b2, config.eps)

    def update(grads: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        if decay:
            grads = jax.tree.map(lambda g, p: g + decay * p, grads, params)
        # Behind the barrier b1 is no constant. With b1 = 1/2 XLA would factor m/2 + g/2 into (m + g)/2, find that cheap
        # enough to compute again where the parameters need it, and copy all old moments for it: on two cores that
        # doubles the time of the update taken alone.
        return make(jax.lax.optimization_barrier(config.b1)).update(grads, state, params)

    return optax.GradientTransformation(make(config.b1).init, update)


def forgotten(state: Any, when: jax.Array) -> Any:
    """The state of `adam` with its moments as before the first update where `when` is true; the schedule goes on."""

    def forget(part: Any) -> Any:
        if not isinstance(part, optax.ScaleByAdamState):
            return part
        return jax.tree.map(lambda x: jnp.where(when, jnp.zeros_like(x), x), part)

    return tuple(map(forget, state))


def _check(config: Any, decay: float) -> None:
    """Refuses numbers with which Adam would divide by 0 or climb with a `jgan.UserError`."""
    for name, value in (("learning_rate", config.learning_rate), ("weight_decay", decay)):
        if not value >= 0:
            raise jgan.UserError(f"optimiser.{name}={value}: it must be 0 or more.")
    for name in ("b1", "b2"):
        if not 0 <= config[name] < 1:
            raise jgan.UserError(f"optimiser.{name}={config[name]}: it must be 0 or more and below 1.")
    if not config.eps > 0:
        raise jgan.UserError(f"optimiser.eps={config.eps}: it must be above 0.")
    if not 0 <= config.decay_from <= 1:
        raise jgan.UserError(f"optimiser.decay_from={config.decay_from}: a share of the run lies in 0 to 1.")
