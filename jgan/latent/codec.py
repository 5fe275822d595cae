"""Latents of a space as flat vectors of numbers, as host code, JSON and files keep them, and back."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jgan import space as spaces


@dataclasses.dataclass(frozen=True)
class Codec:
    """Latents of a space as flat vectors of `size` numbers, leaf after leaf in the order of the tree, and back."""

    size: int
    _shapes: tuple[jax.ShapeDtypeStruct, ...]
    _tree: Any

    @classmethod
    def of(cls, space: spaces.Space) -> "Codec":
        """That of the latents that a space draws."""
        latent = jax.eval_shape(space.sample, jax.random.key(0))
        leaves, tree = jax.tree.flatten(latent)
        return cls(sum(leaf.size for leaf in leaves), tuple(leaves), tree)

    def flat(self, latent: Any) -> jax.Array:
        """The vector [size] float32 of a latent."""
        return jnp.concatenate([leaf.astype(jnp.float32).ravel() for leaf in jax.tree.leaves(latent)])

    def latent(self, vector: Any) -> Any:
        """The latent of a vector [size]."""
        ends = np.cumsum([shape.size for shape in self._shapes])[:-1]
        parts = jnp.split(vector, ends)
        leaves = [p.reshape(s.shape).astype(s.dtype) for p, s in zip(parts, self._shapes, strict=True)]
        return self._tree.unflatten(leaves)
