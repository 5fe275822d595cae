"""What a person sets of a way, as values on the device: one example's, and a batch's."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jgan import fields
from jgan import trained
from jgan.programs import draws
from jgan.systems import system as system_lib


def values(run: trained.Run, way: system_lib.Way, asked: dict[str, Any]) -> dict[str, Any]:
    """{name: value of one example, for the device} of what `fields.parse` gave: a code's seed becomes its latent."""
    found = {}
    for name, value in asked.items():
        field = way.controls[name]
        if isinstance(field, fields.Code):
            space = run.system.spaces[field.spaces[0]].space(run.weights, {})
            found[name] = jax.tree.map(lambda x: x[0], draws.codes(space, value, 1))
        else:
            found[name] = value
    return found


def missing(way: system_lib.Way, given: dict[str, Any]) -> list[str]:
    """The controls that have to be set: those that are neither drawn nor have a default."""
    needed = (fields.Label, fields.Attributes)
    return [name for name, field in way.controls.items() if isinstance(field, needed) and name not in given]


def repeated(given: dict[str, Any], n: int) -> dict[str, Any]:
    """Values of one example as those of a batch of n."""
    return jax.tree.map(lambda x: jnp.broadcast_to(x, (n, *jnp.shape(x))), given)


def drawn(way: system_lib.Way, n: int, seed: int) -> dict[str, np.ndarray]:
    """{name: [n, ...]} of the controls of a way that are not drawn by its key: classes and attributes at random.

    Amounts are their default. The first values are the same for every n.
    """
    found: dict[str, np.ndarray] = {}
    for name, field in way.controls.items():
        shape, dtype = field.spec(n, 0)
        chance = np.random.default_rng([seed % 2**32, len(found)])
        if isinstance(field, fields.Label):
            found[name] = (chance.random(n) * len(field.names)).astype(dtype)
        elif isinstance(field, fields.Attributes):
            found[name] = np.where(chance.random(shape) < 0.5, field.low, field.high).astype(dtype)
        elif isinstance(field, fields.Amount):
            found[name] = np.full(shape, field.default, dtype)
    return found
