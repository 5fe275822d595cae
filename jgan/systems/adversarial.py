"""What the discriminator and the generator of a system pay, and the metrics of it: the same in all of them."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

import jgan
from jgan import losses

DTYPES = {"float32": None, "bfloat16": jnp.bfloat16}


def choose(loss: Any) -> losses.Adversarial:
    """The losses that `loss.adversarial` names; a `jgan.UserError` where there are none of that name."""
    if loss.adversarial not in losses.ADVERSARIAL:
        raise jgan.UserError(
            f"loss.adversarial={loss.adversarial!r} is unknown: use one of {', '.join(losses.ADVERSARIAL)}."
        )
    return losses.ADVERSARIAL[loss.adversarial]


def dtype(precision: str) -> Any:
    """The type of a net's arithmetic under `config.precision`, None for that of its parameters.

    Raises:
        jgan.UserError: an unknown precision.
    """
    if precision not in DTYPES:
        raise jgan.UserError(f"precision={precision!r} is unknown: use one of {', '.join(DTYPES)}.")
    return DTYPES[precision]


def norm(name: str, loss: Any) -> str:
    """The norm of a discriminator: `auto` is batch norm, but instance norm under a gradient penalty.

    The penalty is per example, and batch norm would tie the examples together (Gulrajani et al. 2017, sec. 4).
    """
    if name != "auto":
        return name
    return "instance" if loss.adversarial == "wgan_gp" else "batch"


def mean(term: Callable[[jax.Array], jax.Array], output: dict[str, Any]) -> jax.Array:
    """The mean of a term over patches and batch, averaged over the scales of a discriminator's output."""
    values = [jnp.mean(term(logits)) for logits in output["logits"]]
    return sum(values) / len(values)


def discriminator(
    adversarial: losses.Adversarial, on_fake: dict[str, Any], on_real: dict[str, Any]
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """(what D pays for its outputs on fakes and reals, {d_fake, d_real, d_accuracy_fake, d_accuracy_real})."""
    reported = {
        "d_fake": mean(adversarial.fake, on_fake),
        "d_real": mean(adversarial.real, on_real),
        "d_accuracy_fake": mean(lambda x: x <= adversarial.boundary, on_fake),
        "d_accuracy_real": mean(lambda x: x > adversarial.boundary, on_real),
    }
    return reported["d_fake"] + reported["d_real"], reported


def penalty(
    loss: Any,
    judge: Callable[[jax.Array], dict[str, Any]],
    real: jax.Array,
    fake: jax.Array,
    key: jax.Array,
) -> tuple[Any, dict[str, jax.Array]]:
    """(the weighted gradient penalty of `wgan_gp`, {d_penalty}); (0, {}) under other losses.

    Args:
        loss: of the config, with `gradient_penalty`.
        judge: images -> a discriminator's output, of which the first scale counts.
        real: images [n, h, w, c].
        fake: images of the same shape.
        key: draws the points between them.
    """
    if loss.adversarial != "wgan_gp":
        return 0.0, {}
    value = jnp.mean(losses.gradient_penalty(lambda images: judge(images)["logits"][0], real, fake, key))
    return loss.gradient_penalty * value, {"d_penalty": value}
