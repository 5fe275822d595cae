"""The guided filter: fields that follow the edges of a picture, and that are enlarged along them.

He, Sun and Tang, "Guided Image Filtering" (2013), equations 14-16 (colour guide); the enlargement is that of He and
Sun, "Fast Guided Filter" (2015): the linear models are made at the field's size and used at the guide's.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jgan.ops import flow


def guided_filter(guide: jax.Array, values: jax.Array, radius: int, epsilon: float) -> jax.Array:
    """The values [h, w, c], smoothed but for edges that the guide [h, w, g] has too: the same shape.

    In every window of (2 radius + 1)^2 pixels the values are taken for a linear function of the guide's colour, fitted
    by least squares with `epsilon` on the slopes (in the guide's units squared: contrasts below sqrt(epsilon) count as
    smooth); a pixel gets the mean of the values from its windows. Windows are cut at the border.
    """
    return evaluate(models(guide, values, radius, epsilon), guide)


def upsample(guide: jax.Array, values: jax.Array, radius: int, epsilon: float) -> jax.Array:
    """The values [h, w, c] at the guide's size [H, W, c], with the guide's edges; constants stay what they are.

    `radius` is in pixels of the values.
    """
    small = flow.resize(guide, values.shape[:2])
    return enlarge(models(small, values, radius, epsilon), guide)


def models(guide: jax.Array, values: jax.Array, radius: int, epsilon: float) -> jax.Array:
    """The mean linear model of the windows around every pixel, [h, w, c, g + 1]: slopes, then what is added."""
    g = guide.shape[-1]
    products = guide[..., :, None] * guide[..., None, :]
    mixed = guide[..., :, None] * values[..., None, :]
    centre, level = _box(guide, radius), _box(values, radius)
    spread = _box(products, radius) - centre[..., :, None] * centre[..., None, :]
    shared = _box(mixed, radius) - centre[..., :, None] * level[..., None, :]
    slopes = jnp.swapaxes(_solve(spread + epsilon * jnp.eye(g), shared), -1, -2)
    added = level - jnp.sum(slopes * centre[..., None, :], -1)
    return _box(jnp.concatenate([slopes, added[..., None]], -1), radius)


def evaluate(models: jax.Array, guide: jax.Array) -> jax.Array:
    """The values [h, w, c] of models [h, w, c, g + 1] at the colours of a guide [h, w, g]."""
    return jnp.sum(models[..., :-1] * guide[..., None, :], -1) + models[..., -1]


def enlarge(models: jax.Array, guide: jax.Array) -> jax.Array:
    """The values [H, W, c] of models [h, w, c, g + 1], interpolated, at the colours of a larger guide [H, W, g]."""
    shape = guide.shape[:2]
    return evaluate(between(between(models, 0, shape[0]), 1, shape[1]), guide)


def between(field: jax.Array, axis: int, size: int, begin: jax.Array | int = 0, count: int = 0) -> jax.Array:
    """A field enlarged linearly to `size` along one axis, or `count` pixels of it from `begin`; pixel areas aligned.

    Two pixels are read for each that is made: at large sizes a small part of the work of `flow.resize`, and strips of
    a picture can be made one after another.
    """
    old = field.shape[axis]
    position = (begin + jnp.arange(count or size) + 0.5) * (old / size) - 0.5
    position = jnp.clip(position, 0, old - 1)
    first = jnp.minimum(position.astype(jnp.int32), max(old - 2, 0))
    t = (position - first).reshape(-1, *[1] * (field.ndim - 1 - axis))
    low = jnp.take(field, first, axis)
    return low + t * (jnp.take(field, jnp.minimum(first + 1, old - 1), axis) - low)


def _solve(a: jax.Array, b: jax.Array) -> jax.Array:
    """The solutions of many small positive definite systems, by Gauss-Jordan without pivots.

    It takes a fraction of the compile time of jnp.linalg.solve.
    """
    for k in range(a.shape[-1]):
        row_a, row_b = (x[..., k : k + 1, :] / a[..., k : k + 1, k : k + 1] for x in (a, b))
        others = (jnp.arange(a.shape[-1]) != k)[:, None]
        factor = a[..., :, k : k + 1]
        a, b = (jnp.where(others, x - factor * row, row) for x, row in ((a, row_a), (b, row_b)))
    return b


def _box(x: jax.Array, radius: int) -> jax.Array:
    """The mean over windows, cut at the border: two products with banded matrices, quick at the size of fields."""
    rows, columns = (_band(size, radius) for size in x.shape[:2])
    return jnp.einsum("yh,xw,hw...->yx...", rows, columns, x, precision="highest")


def _band(size: int, radius: int) -> np.ndarray:
    """The matrix [size, size] of means over the pixels of a line that are at most `radius` away."""
    i = np.arange(size)
    near = (np.abs(i[:, None] - i) <= radius).astype(np.float32)
    return near / near.sum(1, keepdims=True)
