"""Photos that are computed strip by strip, because as floats they would not fit in memory."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

_STRIP = 2**18  # pixels that are made at a time


def rows_of(height: int, width: int) -> int:
    """The number of rows of a picture that are computed at a time."""
    return max(1, min(height, _STRIP // width))


def reduced(
    part: Callable[..., jax.Array], old: tuple[int, int], new: tuple[int, int], channels: int
) -> jax.Array:
    """The result of `flows.resize` for a picture that exists only in parts: [*new, channels].

    Args:
        part: (first row, rows, first column, columns) -> that part of the picture, [rows, columns, channels].
        old: height and width of the picture.
        new: height and width of the result.
        channels: of both.
    """
    height, width = old
    rows = rows_of(height, width)
    across = _shares(width, new[1], jnp.arange(width))
    across = across / jnp.sum(across, 1, keepdims=True)

    def add(sums: tuple[jax.Array, jax.Array], i: jax.Array) -> tuple[tuple[jax.Array, jax.Array], None]:
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
    """[new, n]: the share of the old pixels `at` [n] in every new pixel, up to a factor.

    It is a triangle as wide as a new pixel, or as an old one if that is wider.
    """
    middle = (jnp.arange(new, dtype=jnp.float32) + 0.5) * (old / new) - 0.5
    return jnp.maximum(0, 1 - jnp.abs(at - middle[:, None]) / max(old / new, 1))
