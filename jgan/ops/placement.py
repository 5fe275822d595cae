"""Where the arrays of a step lie, told to the compiler where it would choose another place.

A step that is traced `under` a mesh divides its examples over all devices, and its nets see whole parameters. Without
a mesh, and in a program that each device runs by itself, these functions return what they are given.
"""

from collections.abc import Callable
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
    mesh = _mesh()
    if mesh is None:
        return tree
    count = math.prod(mesh.shape[axis] for axis in AXES)
    spec = PartitionSpec(AXES)

    def place(x: Any) -> Any:
        if not getattr(x, "ndim", 0) or x.shape[0] % count:
            return x
        return jax.lax.with_sharding_constraint(x, spec)

    return jax.tree.map(place, tree)


def apart(function: Callable[..., Any], *examples: jax.Array) -> Callable[..., Any]:
    """`function(whole, *examples) -> examples` where each device computes those of its own, and no other's.

    The gradients of `whole` are then summed over devices once, after the whole backward pass. In a loop the compiler
    would sum those of each turn by themselves: a ResNet's blocks are one. Where examples are not divided it is the
    function itself. Nothing in it may tie examples together or be drawn, since each device would draw the same.

    Args:
        function: of anything and of arrays [n, ...]; its value is a tree of arrays [n, ...].
        examples: what it is going to be called with.
    """
    mesh = _mesh()
    count = 1 if mesh is None else math.prod(mesh.shape[axis] for axis in AXES)
    if mesh is None or any(x.shape[0] % count for x in examples):
        return function
    spec = PartitionSpec(AXES)
    return jax.shard_map(
        function,
        mesh=mesh,
        in_specs=(PartitionSpec(), *[spec] * len(examples)),
        out_specs=spec,
        check_vma=False,  # the primitives of this project have no rules for what varies over devices
    )


def whole(tree: Any) -> Any:
    """Arrays of which every device has all."""
    if _mesh() is None:
        return tree
    return jax.tree.map(lambda x: jax.lax.with_sharding_constraint(x, PartitionSpec()), tree)


def _mesh() -> jax.sharding.AbstractMesh | None:
    """The mesh whose devices the compiler divides a program over; None: it is a program of one device.

    Those of `sharding.per_device` are such programs, although they run on several.
    """
    mesh = jax.sharding.get_abstract_mesh()
    return None if mesh.size < 2 or mesh.manual_axes else mesh
