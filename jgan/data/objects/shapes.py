"""Outlines as signed distances: negative inside, in frame units, on grids x [1, w] and y [h, 1].

A distance gives three things at once: soft edges that move continuously with every number an outline is made of, the
direction in which a rounded edge faces, and smooth joints (`join`, `cut` after Quilez' polynomial smooth minimum).
Distances need to be right near the edge only, so that curves divide by their slope and ellipses by their gradient
(first-order distance, Taubin 1994).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

_FAR = np.float32(1e3)

Points = Sequence[tuple[float, float]]


class Turned(NamedTuple):
    """A body of revolution seen from slightly above: its distance, its normal and how far down a point lies on it."""

    distance: np.ndarray
    across: np.ndarray  # components of the surface's normal, to the right and down
    down: np.ndarray
    level: np.ndarray  # frame units: the y at which a ring through this point meets the outline


def turned(x: np.ndarray, y: np.ndarray, middle: float, points: Points, tilt: float = 0.0) -> Turned:
    """The `Turned` body around the upright axis x = middle.

    Args:
        x: [1, w], as in all functions of this file.
        y: [h, 1].
        middle: the axis.
        points: [(y, radius), ...] of the outline, from top to bottom, joined by `curve`.
        tilt: height of a horizontal disc as a share of its width; both ends of the body are such discs.
    """
    rows = y[:, 0]
    (top, first), (bottom, last) = points[0], points[-1]
    inside = np.clip(rows, top, bottom)
    radius = curve(points, inside)
    slope = _slopes(radius, rows)
    beyond, end = np.where(rows < top, top - rows, rows - bottom), np.where(rows < top, first, last)
    share = np.clip(beyond, 0, None) / np.maximum(tilt * end, 1e-6)
    seen = (radius * np.sqrt(np.clip(1 - share**2, 0, None)))[:, None].astype(np.float32)
    steep = np.sqrt(1 + np.minimum(_slopes(seen[:, 0], rows), 40) ** 2)[:, None].astype(np.float32)
    offset = x - middle
    distance = (np.abs(offset) - seen) / steep
    distance[share > 1.0] = _FAR
    u = np.clip(offset / np.maximum(radius, 1e-4)[:, None].astype(np.float32), -1, 1)
    facing = (1 / np.sqrt(1 + slope**2))[:, None].astype(np.float32)
    front = np.sqrt(1 - u * u)
    level = y - (tilt * radius)[:, None].astype(np.float32) * front
    return Turned(distance, u * facing, -slope[:, None].astype(np.float32) * facing, level)


def ellipse(
    x: np.ndarray, y: np.ndarray, middle: float, centre: float, across: float, down: float
) -> np.ndarray:
    """The distance to an ellipse with half axes `across` and `down`."""
    u, v = (x - middle) / across, (y - centre) / down
    square = u * u + v * v
    gradient = np.sqrt((u / across) ** 2 + (v / down) ** 2) + 1e-6
    return (square - np.sqrt(square)) / gradient


def polygon(
    x: np.ndarray, y: np.ndarray, points: list[tuple[float, float]], rounding: float = 0.0
) -> np.ndarray:
    """The distance to a polygon of corners [(x, y), ...] grown by `rounding`."""
    nearest, sign = None, None
    for (xa, ya), (xb, yb) in zip(points, points[1:] + points[:1], strict=True):
        ex, ey = xb - xa, yb - ya
        px, py = x - xa, y - ya
        t = np.clip((px * ex + py * ey) / max(ex * ex + ey * ey, 1e-12), 0, 1)
        square = (px - t * ex) ** 2 + (py - t * ey) ** 2
        crossed = ((y < ya) != (y < yb)) & ((px * ey < py * ex) if ey > 0 else (px * ey > py * ex))
        nearest = square if nearest is None else np.minimum(nearest, square)
        sign = crossed if sign is None else sign ^ crossed
    distance = np.sqrt(nearest)
    return np.where(sign, -distance, distance) - np.float32(rounding)


def stroke(x: np.ndarray, y: np.ndarray, points: Points, start: float, end: float) -> np.ndarray:
    """The distance to a round stroke along [(x, y), ...] whose half width goes from `start` to `end`."""
    lengths = [np.hypot(xb - xa, yb - ya) for (xa, ya), (xb, yb) in zip(points, points[1:], strict=False)]
    whole, done, distance = sum(lengths), 0.0, None
    for (xa, ya), (xb, yb), length in zip(points, points[1:], lengths, strict=False):
        ex, ey = xb - xa, yb - ya
        px, py = x - xa, y - ya
        t = np.clip((px * ex + py * ey) / (length * length), 0, 1)
        radius = start + (end - start) * (done + t * length) / whole
        one = np.sqrt((px - t * ex) ** 2 + (py - t * ey) ** 2) - radius
        distance = one if distance is None else np.minimum(distance, one)
        done += length
    return distance


def above(x: np.ndarray, y: np.ndarray, points: Points) -> np.ndarray:
    """The distance to what lies above the curve through [(x, y), ...]."""
    columns = x[0]
    height = curve(points, columns)
    steep = np.sqrt(1 + _slopes(height, columns) ** 2)
    return (y - height[None].astype(np.float32)) / steep[None].astype(np.float32)


def left_of(x: np.ndarray, y: np.ndarray, points: Points) -> np.ndarray:
    """The distance to what lies left of the curve through [(y, x), ...]."""
    return above(y.T, x.T, points).T


def join(a: np.ndarray, b: np.ndarray, width: float = 0.0) -> np.ndarray:
    """The distance to both shapes together, with a smooth joint of `width`."""
    return -cut(-a, -b, width)


def cut(a: np.ndarray, b: np.ndarray, width: float = 0.0) -> np.ndarray:
    """The distance to the part that both shapes share, its corners rounded over `width`."""
    if not width:
        return np.maximum(a, b)
    near = np.clip(1 - np.abs(a - b) / np.float32(width), 0, None)
    return np.maximum(a, b) + near * near * np.float32(width / 4)


def curve(points: Points, at: np.ndarray) -> np.ndarray:
    """The smooth curve through [(t, value), ...] at `at` [n], level beyond its ends.

    It never leaves the range of two neighbours (monotone cubic, Fritsch and Carlson 1980).
    """
    t, value = np.asarray(points, np.float64).T
    step = np.maximum(np.diff(t), 1e-9)
    rise = np.diff(value) / step
    slope = np.empty_like(value)
    slope[0], slope[-1] = rise[0], rise[-1]
    before, after = rise[:-1], rise[1:]
    together = before * after > 0
    weights = step[1:] * 2 + step[:-1], step[1:] + 2 * step[:-1]
    harmonic = sum(weights) / (
        weights[0] / np.where(together, before, 1) + weights[1] / np.where(together, after, 1)
    )
    slope[1:-1] = np.where(together, harmonic, 0)
    at = np.clip(at, t[0], t[-1])
    i = np.clip(np.searchsorted(t, at, side="right") - 1, 0, len(t) - 2)
    h = step[i]
    s = (at - t[i]) / h
    return (
        value[i] * (1 + 2 * s) * (1 - s) ** 2
        + h * slope[i] * s * (1 - s) ** 2
        + value[i + 1] * s * s * (3 - 2 * s)
        + h * slope[i + 1] * s * s * (s - 1)
    )


def _slopes(values: np.ndarray, at: np.ndarray) -> np.ndarray:
    """The slopes of a curve known at `at` [n]; 0 of a single point."""
    return np.gradient(values, at) if len(at) > 1 else np.zeros_like(values)
