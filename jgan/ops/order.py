"""The order in which a compiled program works, where that decides what it keeps in memory."""

import jax
import jax.numpy as jnp


def later(x: jax.Array, y: jax.Array) -> jax.Array:
    """x, in a program that reads it only once y is there.

    What a way back computes from an image that the way forward computed too, the compiler would compute once and
    keep until then, be it several times the image; and on CPU it drops barriers before it puts operations in order.
    So x plus a 0 of whose value it cannot know.
    """
    y = y[(0,) * y.ndim]
    return x + jnp.where((y == y) & (y != y), 1, 0).astype(x.dtype)
