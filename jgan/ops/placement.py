"""Where the arrays of a step lie, told to the compiler where it would choose another place.

A step that is traced `under` a mesh divides its examples over all devices, and its nets see whole parameters. Without
a mesh these functions return what they are given.
"""

import contextlib
import math
from typing import Any

import jax
from jax.sharding import PartitionSpec

# Of every mesh: batches are divided over both, large arrays of a state over the second.
AXES = ("data", "model")


def under(mesh: jax.sharding.Mesh) -> contextlib.AbstractContextManager[Any]:
    """A context in which functions are traced for the devices of a mesh."""
    return jax.sharding.use_abstract_mesh(mesh.abstract_mesh)


def examples(tree: Any) -> Any:
    """Arrays [n, ...] divided over the devices, where their number divides n.

    What a step draws needs to be told: no input says how to divide it, and every device would draw all of it, and
    pass all of it through a net.
    """
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.size < 2:
        return tree
    count = math.prod(mesh.shape[axis] for axis in AXES)
    spec = PartitionSpec(AXES)

    def place(x: Any) -> Any:
        if not getattr(x, "ndim", 0) or x.shape[0] % count:
            return x
        return jax.lax.with_sharding_constraint(x, spec)

    return jax.tree.map(place, tree)


def whole(tree: Any) -> Any:
    """Arrays of which every device has all."""
    if jax.sharding.get_abstract_mesh().size < 2:
        return tree
    return jax.tree.map(lambda x: jax.lax.with_sharding_constraint(x, PartitionSpec()), tree)
