"""Photos that are made strip by strip, because as floats they would not fit in memory."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

_STRIP = 2**18  # pixels that are made at a time


def rows_of(height: int, width: int) -> int:
    """How many rows of a picture are made at a time."""
    return max(1, min(height, _STRIP // width))


def reduced(
    part: Callable[..., jax.Array], old: tuple[int, int], new: tuple[int, int], channels: int
) -> jax.Array:
    """What `flows.resize` makes of a picture that there is in parts alone: [*new, channels]."""
    height, width = old
    rows = rows_of(height, width)
    across = _shares(width, new[1], jnp.arange(width))
    across = across / jnp.sum(across, 1, keepdims=True)

    def add(sums: tuple[jax.Array, jax.Array], i: jax.Array) -> tuple:
        begin = jnp.minimum(i * rows, height - rows)
        at = begin + jnp.arange(rows)
        share = jnp.where(at < i * rows, 0, _shares(height, new[0], at))  # rows of the strip before this one
        seen = jnp.einsum("xw,rwc->rxc", across, part(begin, rows, 0, width), precision="highest")
        new_rows = jnp.einsum("yr,rxc->yxc", share, seen, precision="highest")
        return (sums[0] + new_rows, sums[1] + jnp.sum(share, 1)), None

    zeros = jnp.zeros((*new, channels), jnp.float32), jnp.zeros(new[0], jnp.float32)
    (total, shares), _ = jax.lax.scan(add, zeros, jnp.arange(-(-height // rows)))
    return total / shares[:, None, None]


def _shares(old: int, new: int, at: jax.Array) -> jax.Array:
    """[new, n]: how much of the old pixels `at` is in every new one, up to a factor: a triangle of its width or one."""
    middle = (jnp.arange(new, dtype=jnp.float32) + 0.5) * (old / new) - 0.5
    return jnp.maximum(0, 1 - jnp.abs(at - middle[:, None]) / max(old / new, 1))
