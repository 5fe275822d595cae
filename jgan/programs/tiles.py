"""Pictures that no net could take whole: translated tile by tile, in memory that depends on the tile.

A pixel that lies further from every cut than the net's radius comes out of a tile as it would out of the whole
picture, given that both are normalised by the same statistics. So neighbours overlap by twice the radius and a
little more, and fade into each other where both are exact. The grid of tiles ends at the borders of the picture,
where padding then acts as it always does. Statistics are gathered once (`parts`) and frozen for all tiles.

A net that sees the whole picture has no radius: its tiles overlap by a quarter and are blended, no more.
"""

from collections.abc import Callable
import itertools
import math
from typing import NamedTuple

import numpy as np

import jgan

BLENDED = (
    "This net sees its whole input: tiles are blended where they overlap, but each is translated by what it alone "
    "shows, and the result is not that of one pass over the whole picture."
)
_FADE = 16  # pixels over which exact tiles fade: they differ by rounding, or by the noise of dropout
_PARTS = 4  # along a side; together they are as large as 2 x 2 tiles


class Span(NamedTuple):
    """One row (or column) of tiles, in pixels of the picture: a start before 0 lies in its mirrored padding."""

    start: int
    low: int  # it is used from here,
    high: int  # to here; neighbours share `fade` pixels


class Grid(NamedTuple):
    """Where the tiles of a picture lie; all have one size."""

    rows: list[Span]
    columns: list[Span]
    size: tuple[int, int]
    fade: int


def check(tile: int, *, radius: int | None, multiple: int) -> None:
    """Refuses a tile that the net cannot take or that its radius fills, naming one that works.

    Raises:
        jgan.UserError: `tile` is no multiple of `multiple`, or too small.
    """
    smallest = multiple
    if radius is not None:
        _, overlap, unit = _overlap(tile, radius, multiple)
        smallest = _up(overlap + max(unit, 2 * _FADE), multiple)
    if tile % multiple or tile < smallest:
        raise jgan.UserError(
            f"tile={tile}: for this net it must be a multiple of {multiple} and at least {smallest}: "
            f"{max(_up(tile, multiple), smallest)} would work."
        )


def parts(image: np.ndarray, *, tile: int, multiple: int) -> np.ndarray:
    """What a picture's statistics are gathered from: [n, h, w, c] with about the pixels of four tiles at most.

    A picture of no more is taken whole. Of a larger one these are 16 crops, spread evenly and borders included:
    they keep the scale that the net was trained on, where a reduced copy would not.
    """
    h, w, _ = image.shape
    if _up(h, multiple) * _up(w, multiple) <= 4 * tile**2:
        return image[None]
    side = _up(math.ceil(2 * tile / _PARTS), multiple)
    count = max(2 * tile // side, 2)
    height, width = min(side, h), min(side, w)
    tops = np.linspace(0, h - height, min(count, -(-h // height))).astype(int)
    lefts = np.linspace(0, w - width, min(count, -(-w // width))).astype(int)
    return np.stack([image[y : y + height, x : x + width] for y in tops for x in lefts])


def translate(
    apply: Callable[[np.ndarray], np.ndarray],
    image: np.ndarray,
    *,
    tile: int,
    radius: int | None,
    multiple: int,
) -> np.ndarray:
    """The translation [h, w, c'] of a picture [h, w, c], in its type; floats only for a tile and along fades.

    Args:
        apply: a tile [th, tw, c] in the picture's type -> [th, tw, c'] in [-1, 1], with frozen statistics; every
            tile of a picture has the same shape.
        image: uint8, uint16 or float32.
        tile: height and width of a tile; a side of the picture that is smaller is taken whole.
        radius: how far a pixel of the net's output sees, None for all.
        multiple: the net takes sizes that are multiples of it.

    Raises:
        jgan.UserError: a tile that does not fit the net.
    """
    h, w, _ = image.shape
    layout = grid(h, w, tile=tile, radius=radius, multiple=multiple)
    fade, output, below, right = layout.fade, None, None, None
    for row, column in itertools.product(layout.rows, layout.columns):
        rows, columns = (
            _mirrored(span.start, *sizes)
            for span, *sizes in zip((row, column), layout.size, (h, w), strict=True)
        )
        y = np.asarray(apply(image[np.ix_(rows, columns)]), np.float32)
        if output is None:
            output = np.empty((h, w, y.shape[-1]), image.dtype)
            below = np.empty((fade, w, y.shape[-1]), np.float32)
        y = y[
            row.low - row.start : row.high - row.start, column.low - column.start : column.high - column.start
        ]
        y = y * _weights(row, h, fade)[:, None, None] * _weights(column, w, fade)[:, None]
        low, high, last = column.low, column.high, row.high
        if low > 0:
            y[:, :fade] += right
        if high < w:  # what the next tile is still to be added to
            high -= fade
            y, right = y[:, :-fade], y[:, -fade:]
        if row.low > 0:
            y[:fade] += below[:, low:high]
        if last < h:  # and what the next row is
            last -= fade
            below[:, low:high] = y[-fade:]
            y = y[:-fade]
        output[row.low : last, low:high] = _in_type(y, output.dtype)
    return output


def grid(height: int, width: int, *, tile: int, radius: int | None, multiple: int) -> Grid:
    """The tiles of a picture, spread evenly from border to border after mirroring up to `multiple`.

    Raises:
        jgan.UserError: a tile that does not fit the net.
    """
    check(tile, radius=radius, multiple=multiple)
    fade, overlap, unit = _overlap(tile, radius, multiple)
    spans, sizes = [], []
    for size in (height, width):
        padded = _up(size, multiple)
        side = min(tile, padded)
        # Starts are multiples of what keeps a tile in step with the net's strides.
        steps = -(-(padded - side) // (side - overlap)) if padded > side else 0
        starts = [unit * (k * ((padded - side) // unit) // max(steps, 1)) for k in range(steps + 1)]
        fades = [b + (a + side - b - fade) // 2 for a, b in zip(starts, starts[1:], strict=False)]
        before = (padded - size) // 2
        lows = [0, *(f - before for f in fades)]
        highs = [*(f - before + fade for f in fades), size]
        spans.append([Span(s - before, a, b) for s, a, b in zip(starts, lows, highs, strict=True)])
        sizes.append(side)
    return Grid(spans[0], spans[1], (sizes[0], sizes[1]), fade)


def difference(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """(mean, largest) absolute difference of two pictures of one type and shape, on the scale of 0 to 255."""
    scale = 127.5 if one.dtype.kind == "f" else 255 / np.iinfo(one.dtype).max
    total, largest = 0.0, 0.0
    for a, b in zip(one, other, strict=True):
        row = np.abs(a.astype(np.float64) - b)
        total, largest = total + float(row.sum()), max(largest, float(row.max()))
    return scale * total / one.size, scale * largest


def _overlap(tile: int, radius: int | None, multiple: int) -> tuple[int, int, int]:
    """(pixels of a fade, pixels that neighbours share at least, pixels that starts are multiples of)."""
    if radius is None:
        fade = tile // 4
        return fade, fade, math.gcd(fade, multiple)
    return _FADE, _up(2 * radius + _FADE, multiple), multiple


def _up(size: int, multiple: int) -> int:
    return -(-size // multiple) * multiple


def _mirrored(start: int, count: int, size: int) -> np.ndarray:
    """Indices of `count` pixels from `start` on along a side of `size`, mirrored at its ends as often as needed."""
    period = max(2 * (size - 1), 1)
    index = np.arange(start, start + count) % period
    return np.minimum(index, period - index) if size > 1 else np.zeros(count, int)


def _weights(span: Span, size: int, fade: int) -> np.ndarray:
    """How much a tile counts along a side of the picture: neighbours sum to 1."""
    weights = np.ones(span.high - span.low, np.float32)
    ramp = (np.arange(fade, dtype=np.float32) + 0.5) / fade
    if span.low > 0:
        weights[:fade] = ramp
    if span.high < size:
        weights[-fade:] = 1 - ramp
    return weights


def _in_type(images: np.ndarray, dtype: np.dtype) -> np.ndarray:
    images = np.clip(images, -1, 1)
    if dtype.kind == "f":
        return images.astype(dtype)
    return np.round((images + 1) * np.float32(np.iinfo(dtype).max / 2)).astype(dtype)
