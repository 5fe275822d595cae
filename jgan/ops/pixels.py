"""Pixels between the file's own type and the float images that nets see."""

import jax
import jax.numpy as jnp
import numpy as np


def to_float(images: jax.Array) -> jax.Array:
    """Images in [-1, 1] from uint8, uint16 (float32) or from floats that are in that range already."""
    if jnp.issubdtype(images.dtype, jnp.floating):
        return images
    half = jnp.iinfo(images.dtype).max / 2
    return images.astype(jnp.float32) / half - 1


def from_float(images: jax.Array, dtype: jnp.dtype) -> jax.Array:
    """Images of an integer type (rounded, clipped) or float32 (clipped) from images in [-1, 1].

    NumPy arrays stay on the host, because each operation on the device would be compiled for each size of picture.
    """
    xp = np if isinstance(images, np.ndarray) else jnp
    images = xp.clip(images, -1, 1)
    if jnp.issubdtype(dtype, jnp.floating):
        return images.astype(dtype)
    half = jnp.iinfo(dtype).max / 2
    return xp.round((images + 1) * half).astype(dtype)
