"""Changes of resolution and of borders on images [n, h, w, c].

The filters are the binomial ones of Zhang, "Making Convolutional Networks Shift-Invariant Again" (2019).
"""

import jax
import jax.numpy as jnp


def blur(x: jax.Array) -> jax.Array:
    """The images smoothed by [1, 2, 1] / 4 along both axes, borders reflected: the same shape.

    Followed by a strided convolution it is Zhang's anti-aliased layer (convolve, blur, subsample), because two
    linear filters commute; blurring first costs no convolution at full resolution.
    """
    x = reflect_pad(x, 1)
    x = 0.25 * (x[:, :-2] + x[:, 2:]) + 0.5 * x[:, 1:-1]
    return 0.25 * (x[:, :, :-2] + x[:, :, 2:]) + 0.5 * x[:, :, 1:-1]


def blur_downsample(x: jax.Array) -> jax.Array:
    """The images smoothed by [1, 2, 1] / 4 and every second pixel taken: [n, ceil(h/2), ceil(w/2), c]."""
    return blur(x)[:, ::2, ::2]


def mean_downsample(x: jax.Array) -> jax.Array:
    """Means of the 3x3 pixels around every second one, of those inside the image: [n, ceil(h/2), ceil(w/2), c].

    It makes what a discriminator of several scales sees at its next scale.
    """
    for axis in (1, 2):
        size = x.shape[axis]
        side = [(0, 0)] * 4
        side[axis] = (1, 1)
        padded = jnp.pad(x, side)
        parts = [jax.lax.slice_in_dim(padded, k, k + size, 2, axis) for k in range(3)]
        there = [1 + (start > 0) + (start + 1 < size) for start in range(0, size, 2)]
        shape = [1] * 4
        shape[axis] = len(there)
        x = sum(parts) / jnp.asarray(there, x.dtype).reshape(shape)
    return x


def halve(x: jax.Array) -> jax.Array:
    """Means of blocks of 2x2 pixels, of images with even sides: [n, h/2, w/2, c]."""
    n, h, w, c = x.shape
    return jnp.mean(x.reshape(n, h // 2, 2, w // 2, 2, c), (2, 4))


def nearest_upsample(x: jax.Array) -> jax.Array:
    """Every pixel as a block of 2x2: [n, 2h, 2w, c]."""
    n, h, w, c = x.shape
    x = jnp.broadcast_to(x[:, :, None, :, None], (n, h, 2, w, 2, c))
    return x.reshape(n, 2 * h, 2 * w, c)


def blur_upsample(x: jax.Array) -> jax.Array:
    """Twice the size by the filter [1, 3, 3, 1] / 4 (bilinear, edges repeated): [n, 2h, 2w, c]."""
    n, h, w, c = x.shape
    for axis in (1, 2):
        first = jax.lax.slice_in_dim(x, 0, 1, axis=axis)
        last = jax.lax.slice_in_dim(x, x.shape[axis] - 1, x.shape[axis], axis=axis)
        before = jnp.concatenate([first, jax.lax.slice_in_dim(x, 0, -1, axis=axis)], axis)
        after = jnp.concatenate([jax.lax.slice_in_dim(x, 1, None, axis=axis), last], axis)
        pair = jnp.stack([0.75 * x + 0.25 * before, 0.75 * x + 0.25 * after], axis + 1)
        x = pair.reshape(n, 2 * h, w if axis == 1 else 2 * w, c)
    return x


def reflect_pad(x: jax.Array, width: int) -> jax.Array:
    """The images with `width` mirrored pixels on every side; the border pixel itself is not repeated.

    An image too small to be mirrored that far is mirrored again and again; a side of one pixel is repeated.
    """
    side = (width, width)
    return jnp.pad(x, ((0, 0), side, side, (0, 0)), mode="reflect")


def pad_to_multiple(x: jax.Array, multiple: int) -> jax.Array:
    """The images mirrored symmetrically up to the next multiple of `multiple` pixels in height and width."""
    h, w = (-x.shape[1]) % multiple, (-x.shape[2]) % multiple
    if not h and not w:
        return x
    sides = ((h // 2, h - h // 2), (w // 2, w - w // 2))
    return jnp.pad(x, ((0, 0), *sides, (0, 0)), mode="reflect")


def crop_centre(x: jax.Array, height: int, width: int) -> jax.Array:
    """The middle `height` x `width` pixels: undoes `pad_to_multiple`."""
    top, left = (x.shape[1] - height) // 2, (x.shape[2] - width) // 2
    return x[:, top : top + height, left : left + width]
