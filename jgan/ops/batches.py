"""Several batches that pass a net as one.

Examples that belong together become neighbours. So devices that divide a batch keep what they have, where batches one
after the other would have to move between them.
"""

from typing import Any

import jax
import jax.numpy as jnp


def join(*batches: jax.Array) -> jax.Array:
    """One batch [count * n, ...] of equal ones [n, ...]: their first examples, their second, and so on."""
    return jnp.stack(batches, 1).reshape(-1, *batches[0].shape[1:])


def split(joint: Any, count: int) -> list[Any]:
    """The inverse of `join` of so many batches, in all arrays of a tree."""
    parts = jax.tree.map(lambda x: x.reshape(-1, count, *x.shape[1:]), joint)
    return [jax.tree.map(lambda x, k=k: x[:, k], parts) for k in range(count)]
