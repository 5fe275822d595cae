"""Canvas of the drawn objects: parts are lit as they are painted, back to front, on a white studio ground.

The studio: a large key light from the upper left, light from above and from the white floor, and a tall soft box whose
reflection glossy things show. Coordinates are of the frame ([0, 1], y down); colours are linear, taken as the
square of sRGB.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

_KEY = np.asarray((-0.46, -0.58, 0.67), np.float32)
_HALF = (_KEY + (0, 0, 1)) / np.linalg.norm(_KEY + (0, 0, 1))


class Surface(NamedTuple):
    """The material of a part."""

    colour: tuple[float, ...]  # linear, 0..1
    gloss: float = 0.0  # strength of the highlight
    polish: int = 4  # its narrowness: the cosine to the power of 2**polish
    box: float = 0.0  # strength of the soft box's reflection
    glow: float = 0.0  # light from within


class Window(NamedTuple):
    """A part of the canvas: rows, columns, and the coordinates x [1, w], y [h, 1] of its pixels."""

    rows: slice
    columns: slice
    x: np.ndarray
    y: np.ndarray


class Canvas:
    """A white square, painted at `k` times its size; `picture` gives it as bytes."""

    def __init__(self, size: int) -> None:
        """A white canvas for a picture of `size` pixels a side."""
        self.size = size
        self.k = 4 if size <= 40 else 2 if size <= 256 else 1
        self.n = size * self.k
        self._light = np.ones((self.n, self.n, 3), np.float32)
        self._covered = np.zeros((self.n, self.n), np.float32)
        self._at = ((np.arange(self.n) + 0.5) / self.n).astype(np.float32)

    def window(self, x0: float = 0.0, y0: float = 0.0, x1: float = 1.0, y1: float = 1.0) -> Window:
        """The window of these bounds, a little wider so that soft edges fit."""
        spans = []
        for low, high in ((y0, y1), (x0, x1)):
            first = min(max(int(low * self.n) - 2, 0), self.n - 3)
            spans.append(slice(first, max(min(int(high * self.n) + 3, self.n), first + 3)))
        rows, columns = spans
        return Window(rows, columns, self._at[None, columns], self._at[rows, None])

    def around(self, points: Sequence[tuple[float, float]], margin: float) -> Window:
        """The window that holds all points [(x, y), ...] and `margin` around them."""
        xs, ys = zip(*points, strict=True)
        return self.window(min(xs) - margin, min(ys) - margin, max(xs) + margin, max(ys) + margin)

    def ground(self, middle: float, y: float, across: float, strength: float = 0.5) -> None:
        """Paints the shadow of something that stands at `y` and is 2 `across` wide: a core and a wide half-shade."""
        for wide, high, share in ((1.12, 0.2, 0.45), (0.9, 0.075, 0.75)):
            w = self.window(middle - 2.4 * across * wide, y - 0.3, middle + 2.4 * across * wide, y + 0.3)
            q = ((w.x - middle - 0.06 * across) / (across * wide)) ** 2 + (
                (w.y - y) / (across * high + 0.012)
            ) ** 2
            # The border of the frame stays white.
            inner = np.clip(10 * np.minimum(w.x, 1 - w.x) - 0.2, 0, 1) * np.clip(9.8 - 10 * w.y, 0, 1)
            dark = np.float32(strength * share) * np.exp(-1.6 * q) * inner
            self._light[w.rows, w.columns] *= 1 - dark[..., None] * np.asarray((1, 0.985, 0.96), np.float32)

    def shade(self, w: Window, distance: np.ndarray, blur: float, strength: float) -> None:
        """Darkens what is painted already, and not the ground, under a shape with edges `blur` wide."""
        soft = np.clip(0.5 - distance / np.float32(2 * blur), 0, 1)
        soft = soft * soft * (3 - 2 * soft)
        self._light[w.rows, w.columns] *= (
            1 - np.float32(strength) * soft * self._covered[w.rows, w.columns]
        )[..., None]

    def paint(
        self,
        w: Window,
        distance: np.ndarray,
        surface: Surface,
        bevel: float = 0.02,
        bulge: float = 0.9,
        facing: tuple[float | np.ndarray, float | np.ndarray] = (0.0, 0.0),
        mix: tuple[np.ndarray, tuple[float, ...]] | None = None,
        shadow: np.ndarray | None = None,
    ) -> None:
        """Paints a shape.

        Args:
            w: the window.
            distance: signed distance [h, w] of the shape.
            surface: its material.
            bevel: width of the rounded edge.
            bulge: how far that edge turns away (1: to the side).
            facing: the normal's components to the right and down, numbers or [h, w]; rounded edges add to it.
            mix: the share [h, w] of a second colour, and that colour.
            shadow: the share [h, w] of the light that is kept.
        """
        cover = np.clip(0.5 - distance * np.float32(self.n), 0, 1)
        nx, ny = facing
        if bulge:
            turn = np.clip(1 + distance / np.float32(bevel), 0, 1)
            turn *= turn * np.float32(bulge)
            gy, gx = _gradient(distance)
            turn /= np.sqrt(gx * gx + gy * gy) + np.float32(1e-9)
            nx, ny = nx + gx * turn, ny + gy * turn
        light, shine = _lit(nx, ny, surface)
        if shadow is not None:
            light, shine = light * shadow, shine * shadow
        colour = np.asarray(surface.colour, np.float32)
        if mix is not None:
            share, second = mix
            colour = colour + share[..., None] * (np.asarray(second, np.float32) - colour)
        lit = colour * np.asarray(light)[..., None] + np.asarray(shine)[..., None]
        part, cover3 = self._light[w.rows, w.columns], cover[..., None]
        part += cover3 * (lit - part)
        covered = self._covered[w.rows, w.columns]
        covered += cover * (1 - covered)

    def picture(self) -> np.ndarray:
        """The canvas, uint8 [size, size, 3]."""
        # The average is of values as bytes have them, not of light, so that pictures of two sizes agree after a box
        # filter.
        values = np.sqrt(np.clip(self._light, 0, 1))
        values = values.reshape(self.size, self.k, self.size, self.k, 3)
        return np.rint(255 * values.mean((1, 3))).astype(np.uint8)


def _lit(
    nx: float | np.ndarray, ny: float | np.ndarray, surface: Surface
) -> tuple[float | np.ndarray, float | np.ndarray]:
    """The light on a surface of unit colour, and the light that it mirrors."""
    length = nx * nx + ny * ny
    scale = 1 / np.sqrt(np.maximum(length / np.float32(0.97), 1))
    nx, ny = nx * scale, ny * scale
    nz = np.sqrt(np.maximum(1 - nx * nx - ny * ny, 0.02))
    key = np.clip(0.5 + 0.5 * (nx * _KEY[0] + ny * _KEY[1] + nz * _KEY[2]), 0, 1)
    light = 0.2 + 0.9 * key * key - 0.1 * ny + 0.16 * np.clip(ny, 0, None) + surface.glow
    shine = 0.0 * nz
    if surface.gloss:
        peak = np.clip(nx * _HALF[0] + ny * _HALF[1] + nz * _HALF[2], 0, 1)
        for _ in range(surface.polish):
            peak = peak * peak
        shine = np.float32(surface.gloss) * peak + np.float32(0.22 * surface.gloss) * (1 - nz) ** 4
    if surface.box:
        strip = np.clip(1 - np.abs(nx + 0.56) / 0.13, 0, 1)
        back = np.clip(1 - np.abs(nx - 0.8) / 0.1, 0, 1)
        shine = shine + np.float32(surface.box) * (strip * strip * (3 - 2 * strip) + 0.35 * back * back)
    return light, shine


def _gradient(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Twice the central differences of values [h, w] downwards and to the right."""
    down, across = np.empty_like(values), np.empty_like(values)
    down[1:-1] = values[2:] - values[:-2]
    down[0], down[-1] = 2 * (values[1] - values[0]), 2 * (values[-1] - values[-2])
    across[:, 1:-1] = values[:, 2:] - values[:, :-2]
    across[:, 0], across[:, -1] = 2 * (values[:, 1] - values[:, 0]), 2 * (values[:, -1] - values[:, -2])
    return down, across
