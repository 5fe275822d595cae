"""Operations on latents that hold styles: row by row, towards the mean style, and their directions in closed form.

Karras et al., "A Style-Based Generator Architecture for GANs" (2019), section 3.1: mixing. Abdal, Qin, Wonka,
"Image2StyleGAN" (2019), section 4: morphing, style transfer, expression transfer. Shen, Zhou, "Closed-Form
Factorization of Latent Semantics in GANs" (2021): directions from the weights alone.
"""

from collections.abc import Sequence
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jgan
from jgan import space as spaces

# Rows whose layers make 4 and 8 pixels, 16 and 32, and more: Karras et al. (2019), figure 3.
GROUPS = {"coarse": (0, 4), "middle": (4, 8), "fine": (8, None)}
MAX_AMOUNT = 1e6  # of a change


def held(space: spaces.Space) -> spaces.Held:
    """The styles of a space.

    Raises:
        jgan.UserError: its latents hold none.
    """
    if space.held is None:
        raise jgan.UserError(
            f"latents of the space {space.name!r} hold no styles: --space=w or w_plus of a StyleGAN2 run would work."
        )
    return space.held


def count(space: spaces.Space) -> int:
    """How many rows of styles a latent of the space has."""
    latent = jax.eval_shape(space.sample, jax.random.key(0))
    return jax.eval_shape(held(space).rows, latent).shape[0]


def choose(text: str, number: int) -> tuple[int, ...]:
    """The rows, out of so many, that a text names: `0-6`, `0,2,5-7`, `coarse`, `middle`, `fine`; empty: all.

    Raises:
        jgan.UserError: it names none, or some that there are not.
    """
    rows: set[int] = set()
    for part in text.split(",") if text else ["0-" + str(number - 1)]:
        part = part.strip()
        match = re.fullmatch(r"(\d{1,4})(?:-(\d{1,4}))?", part, re.ASCII)
        if part in GROUPS:
            begin, end = GROUPS[part]
            found = range(begin, number if end is None else min(end, number))
        elif match:
            begin, end = int(match[1]), int(match[2] or match[1])
            found = range(begin, end + 1) if end < number else range(0)
        else:
            found = range(0)
        if not found:
            raise jgan.UserError(
                f"{text[:60]!r} names rows of styles that there are not: this generator has {number}, 0 to "
                f"{number - 1}, such as 0-3 or {', '.join(GROUPS)} where it is large enough."
            )
        rows.update(found)
    return tuple(sorted(rows))


def chosen(rows: Sequence[int], number: int) -> np.ndarray:
    """[number, 1], 1 for these rows and 0 for others: a factor of styles."""
    return np.isin(np.arange(number), rows).astype(np.float32)[:, None]


def lift(space: spaces.Space, styles: jax.Array, rows: Sequence[int] | None = None) -> Any:
    """The direction, a latent, that moves styles by [w_dim] or [k, w_dim], and nothing else.

    Args:
        space: with styles.
        styles: of one row, which all rows take, or of each.
        rows: those that move; None: all.
    """
    nothing = jax.tree.map(
        lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(space.sample, jax.random.key(0))
    )
    number = count(space)
    moved = jnp.broadcast_to(styles, (number, styles.shape[-1]))
    return held(space).put(nothing, moved if rows is None else moved * chosen(rows, number))


def closed_form(space: spaces.Space, number: int, layers: Sequence[int] | None = None) -> jax.Array:
    """The `number` unit directions [number, w_dim] to which layers respond most, strongest first (SeFa).

    The eigenvectors of A A^T, where the columns of A are the weights by which styles scale channels, each of unit
    norm. Signs are such that the largest number of a direction is positive.

    Args:
        space: with styles.
        number: at most w_dim.
        layers: those that count; None: all.

    Raises:
        jgan.UserError: there are no such layers, or fewer directions.
    """
    affine = held(space).affine
    taken = [x for k, x in enumerate(affine) if layers is None or k in layers]
    if not taken:
        raise jgan.UserError(
            f"these rows belong to no layer with styles: those of this generator are 0 to {len(affine) - 1}."
        )
    a = jnp.concatenate(taken, 1)
    if not 1 <= number <= a.shape[0]:
        raise jgan.UserError(
            f"styles of {a.shape[0]} numbers have 1 to {a.shape[0]} directions, not {number}."
        )
    a = a / jnp.maximum(jnp.linalg.norm(a, axis=0), 1e-12)
    _, vectors = jnp.linalg.eigh(jnp.matmul(a, a.T, precision="highest"))
    vectors = vectors[:, ::-1].T[:number]
    largest = jnp.take_along_axis(vectors, jnp.argmax(jnp.abs(vectors), 1)[:, None], 1)
    return vectors * jnp.where(largest < 0, -1, 1)


def mix(space: spaces.Space, latent: Any, other: Any, rows: Sequence[int]) -> Any:
    """The latent with these rows of styles from another one.

    Raises:
        jgan.UserError: there is one style for all layers.
    """
    number = count(space)
    if number == 1:
        raise jgan.UserError(
            f"the space {space.name!r} has one style for all layers, so that none can be mixed: "
            "--space=w_plus would work."
        )
    styles, taken = held(space), chosen(rows, number)
    return styles.put(latent, jnp.where(taken > 0, styles.rows(other), styles.rows(latent)))


def truncate(space: spaces.Space, latent: Any, psi: float | jax.Array) -> Any:
    """The latent with its styles moved towards their mean: at 1 as they are, at 0 all of them the mean."""
    styles = held(space)
    rows = styles.rows(latent)
    return styles.put(latent, rows + (1 - psi) * (styles.mean - rows))


def transfer(
    space: spaces.Space,
    v1: Any,
    v2: Any,
    v3: Any,
    amount: float | jax.Array = 1.0,
    threshold: float | jax.Array = 0.0,
) -> Any:
    """v1 + amount (v3 - v2) of styles, for expressions: `v2` and `v3` are the same face without and with one.

    Image2StyleGAN, section 4.3. Rows in which the two hardly differ do not change `v1`.

    Args:
        space: with styles.
        v1: the latent to change.
        v2: the one without the expression.
        v3: the one with it.
        amount: how much of the change.
        threshold: as a share of the longest row of v3 - v2, how long a row must be to count.
    """
    styles = held(space)
    change = styles.rows(v3) - styles.rows(v2)
    length = jnp.linalg.norm(change, axis=1, keepdims=True)
    change = jnp.where(length >= threshold * jnp.max(length), change, 0)
    return styles.put(v1, styles.rows(v1) + amount * change)
