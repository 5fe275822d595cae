"""Latents in the forms that programs exchange: arrays by name in files, and flat vectors."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jgan import space as spaces


def names(space: str, latent: Any) -> list[str]:
    """The names of a latent's arrays in files: that of its space, followed by a number if there are several arrays."""
    count = len(jax.tree.leaves(latent))
    return [space] if count == 1 else [f"{space}_{k}" for k in range(count)]


def arrays(space: str, latent: Any) -> dict[str, np.ndarray]:
    """{name in files: array} of a latent, or of many of them with a leading axis."""
    return dict(zip(names(space, latent), map(np.asarray, jax.tree.leaves(latent)), strict=True))


@dataclasses.dataclass(frozen=True)
class Codec:
    """A conversion between latents of a space and flat vectors of `size` numbers."""

    size: int
    _shapes: tuple[jax.ShapeDtypeStruct, ...]
    _tree: Any

    @classmethod
    def of(cls, space: spaces.Space) -> "Codec":
        """The codec of the latents that a space draws."""
        leaves, tree = jax.tree.flatten(jax.eval_shape(space.sample, jax.random.key(0)))
        return cls(sum(leaf.size for leaf in leaves), tuple(leaves), tree)

    def flat(self, latent: Any) -> jax.Array:
        """The vector [size] float32 of a latent."""
        return jnp.concatenate([leaf.astype(jnp.float32).ravel() for leaf in jax.tree.leaves(latent)])

    def latent(self, vector: jax.Array) -> Any:
        """The latent of a vector [size]."""
        ends = np.cumsum([shape.size for shape in self._shapes])[:-1]
        parts = jnp.split(vector, ends)
        leaves = [p.reshape(s.shape).astype(s.dtype) for p, s in zip(parts, self._shapes, strict=True)]
        return self._tree.unflatten(leaves)
