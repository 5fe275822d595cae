"""An edit of a generated picture, done to the photo that it was made of, in the photo's own size."""

from collections.abc import Callable
import functools

import jax
import numpy as np

from jgan.data import framing
from jgan.data import images as image_files
from jgan.data import transforms
from jgan.latent import transfer
from jgan.ops import pixels

_FILM = 512  # pixels: the longer side of the animated photo


def carry(photo: np.ndarray, film: np.ndarray, fit: str = "letterbox") -> tuple[np.ndarray, np.ndarray]:
    """(the photo [H, W, c] as the film's last frame has it, in its own size and type; the film of it in [-1, 1]).

    The second has a longer side of 512 pixels at most. What a generator shows in the margins of a letterbox does not
    count: frames go on beyond the photo's border as the photo does.

    Args:
        photo: of any type and as many channels as the film.
        film: [n, h, w, c] in [-1, 1], from the projection of the photo to its edited version; n at least 2.
        fit: how the film sees the photo, as in `framing.fit`.
    """
    height, width = photo.shape[:2]
    ratio = min(1.0, _FILM / max(height, width))
    small = transforms.resize(photo, (max(1, round(height * ratio)), max(1, round(width * ratio))))
    small = image_files.convert(small, np.float32)
    rows, columns = map(_inner, framing.inside(photo.shape, film.shape[1], fit))
    made = _fields(film[:, rows][:, :, columns])
    follow, apply = _programs(photo.shape, photo.dtype, small.shape, fit)
    moving = np.asarray(follow(small, made))
    if ratio == 1:
        return np.asarray(pixels.from_float(moving[-1], photo.dtype)), moving
    # Large photos are edited once more for their last frame alone: all frames of them would not fit in memory.
    flow, colours = (x[-1] for x in made)
    return np.asarray(apply(photo, flow, colours)), moving


_fields = jax.jit(transfer.fields)


# Of eight kinds of photos at most: each has programs of its own, and a server sees photos of any size.
@functools.lru_cache(maxsize=8)
def _programs(
    shape: tuple[int, ...], dtype: np.dtype, small: tuple[int, ...], fit: str
) -> tuple[Callable, Callable]:
    # What makes the film of a reduced photo, and what carries the edit to the photo itself.
    follow = functools.partial(transfer.film, box=framing.place(small, fit))
    apply = functools.partial(transfer.apply, box=framing.place(shape, fit))
    return jax.jit(follow), jax.jit(apply)


def _inner(inside: np.ndarray) -> np.ndarray:
    """For every row the nearest one that shows the photo."""
    places = np.flatnonzero(inside)
    return np.clip(np.arange(len(inside)), places[0], places[-1]) if len(places) else np.arange(len(inside))
