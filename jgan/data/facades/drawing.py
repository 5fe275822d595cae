"""Canvas for drawn facades: labels and surfaces are painted by index, back to front.

Rectangles and shapes are given in coordinates of the frame ([0, 1], y down), so that a scene is the same
at every size. The canvas keeps two index images: the label of every pixel, and the surface (colour, height
above the wall, texture, glass) of every finer sub-pixel, which `lighting` turns into a picture.
"""

from collections.abc import Callable
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

# White noise that every scene cuts from, and the lattice of the smooth noise at a point.
NOISE = np.random.default_rng(7).random((256, 256), dtype=np.float32)
_WAVE = NOISE[:64, :64]

Colour = tuple[float, ...]  # three numbers: sRGB from 0 to 255, or linear from 0 to 1


class Texture(NamedTuple):
    """The pattern of a surface: courses of blocks `height` by `length` (frame units) with joints."""

    height: float = 0.0  # 0: no courses, only grain and stains
    length: float = 1.0
    joint: float = 0.0  # width of a joint, frame units
    bond: float = 0.5  # shift of every second course, in lengths
    vary: float = 0.1  # brightness differences between blocks
    mix: float = 1.0  # how much of the second colour a joint takes
    shade: float = 0.0  # darkening of each course towards its lower edge (roof tiles)
    grain: float = 0.05
    stain: float = 0.15
    patch: float = 0.0  # share of the second colour in large worn patches
    leaf: bool = False
    seed: int = 0


class Glass(NamedTuple):
    """The look of a pane: the box of the window, the reflection, the curtains and the room behind."""

    x: float
    y: float
    w: float
    h: float
    mirror: float  # share of reflected light, 0..1
    tilt: float  # shift of the reflected skyline, frame units
    opened: float  # half width left open by the curtains, 1: none
    roller: float  # share of the height covered by a blind behind the glass
    cloth: Colour  # linear colour of curtain and blind
    room: Colour  # linear colour of the room
    lamp: float  # light from within
    columns: int
    rows: int
    seed: float
    goods: float  # things side by side in a shop window, 0: none


class Canvas:
    """Index images of labels [size, size] and surfaces [size * k, size * k], painted back to front."""

    def __init__(self, size: int, names: Iterable[str]) -> None:
        """A canvas for a picture of `size` pixels a side, whose labels have these names."""
        self.size = size
        self.names = {name: i for i, name in enumerate(names)}
        self.k = 4 if size <= 48 else 3 if size <= 96 else 2 if size <= 320 else 1
        self.fine = size * self.k
        self.labels = np.zeros((size, size), np.uint8)
        self.parts = np.zeros((self.fine, self.fine), np.uint16)
        self.over = None  # name of a label that replaces all others (houses in the background)
        self.colours, self.seconds, self.heights, self.slots = [], [], [], []
        self.glass = {}
        self.textures = []
        self.boxes = []

    def texture(self, texture: Texture) -> int:
        """The index of a new texture."""
        self.textures.append(texture)
        self.boxes.append([self.fine, self.fine, 0, 0])
        return len(self.textures) - 1

    def surface(
        self,
        colour: Colour,
        height: float = 0.0,
        texture: int = -1,
        second: Colour | None = None,
        glass: Glass | None = None,
    ) -> int:
        """The index of a new surface: sRGB colours 0..255, height in frame units above the wall."""
        self.colours.append(colour)
        self.seconds.append(colour if second is None else second)
        self.heights.append(height)
        self.slots.append(texture)
        if glass is not None:
            self.glass[len(self.slots) - 1] = glass
        return len(self.slots) - 1

    def rect(
        self, x0: float, y0: float, x1: float, y1: float, part: int | None = None, label: str | None = None
    ) -> None:
        """Paints a rectangle; parts are at least one sub-pixel thick, labels cover pixel centres."""
        if part is not None:
            i0, i1, j0, j1 = _span(self.fine, x0, y0, x1, y1, 1)
            self.parts[i0:i1, j0:j1] = part
            self._grow(part, i0, i1, j0, j1)
        if label is not None:
            i0, i1, j0, j1 = _span(self.size, x0, y0, x1, y1, 0)
            self.labels[i0:i1, j0:j1] = self.names[self.over or label]

    def bars(
        self, x0: float, y0: float, x1: float, y1: float, pitch: float, part: int, share: float = 0.35
    ) -> None:
        """Paints upright bars `pitch` apart (a railing, brackets under a cornice)."""
        i0, i1, j0, j1 = _span(self.fine, x0, y0, x1, y1, 1)
        on = ((np.arange(j0, j1) + 0.5) / self.fine - x0) % pitch < share * pitch
        self.parts[i0:i1, j0:j1][:, on] = part
        self._grow(part, i0, i1, j0, j1)

    def shape(
        self,
        x0: float,
        y0: float,
        x1: float,
        y1: float,
        inside: Callable[[np.ndarray, np.ndarray], np.ndarray],
        part: int | None = None,
        label: str | None = None,
    ) -> None:
        """Paints where `inside(x [1, w], y [h, 1]) -> bool [h, w]` holds within the box."""
        if part is not None:
            i0, i1, j0, j1 = _span(self.fine, x0, y0, x1, y1, 1)
            if i1 > i0 and j1 > j0:
                view = self.parts[i0:i1, j0:j1]
                view[inside(*centres(self.fine, i0, i1, j0, j1))] = part
                self._grow(part, i0, i1, j0, j1)
        if label is not None:
            i0, i1, j0, j1 = _span(self.size, x0, y0, x1, y1, 0)
            if i1 > i0 and j1 > j0:
                view = self.labels[i0:i1, j0:j1]
                where = inside(*centres(self.size, i0, i1, j0, j1))
                view[where] = self.names[self.over or label]

    def polygon(
        self, points: list[tuple[float, float]], part: int | None = None, label: str | None = None
    ) -> None:
        """Paints a polygon given by its corners [(x, y), ...], filled by the even-odd rule."""
        xs, ys = [p[0] for p in points], [p[1] for p in points]
        edges = list(zip(points, points[1:] + points[:1], strict=True))

        def inside(x: np.ndarray, y: np.ndarray) -> np.ndarray:
            odd = np.zeros((y.shape[0], x.shape[1]), bool)
            for (xa, ya), (xb, yb) in edges:
                if ya != yb:
                    odd ^= ((y < ya) != (y < yb)) & (x < xa + (y - ya) * ((xb - xa) / (yb - ya)))
            return odd

        self.shape(min(xs), min(ys), max(xs), max(ys), inside, part, label)

    def _grow(self, part: int, i0: int, i1: int, j0: int, j1: int) -> None:
        """Extends the box of a surface's texture by rows [i0, i1) and columns [j0, j1)."""
        slot = self.slots[part]
        if slot >= 0 and i1 > i0 and j1 > j0:
            box = self.boxes[slot]
            if i0 < box[0]:
                box[0] = i0
            if j0 < box[1]:
                box[1] = j0
            if i1 > box[2]:
                box[2] = i1
            if j1 > box[3]:
                box[3] = j1


def leaves(x: np.ndarray, y: np.ndarray, frequency: float, shift: float) -> np.ndarray:
    """Smooth noise in [0, 1] at points x [1, w], y [h, 1], `frequency` cells across the frame."""
    u, v = x[0] * frequency + shift, y[:, 0] * frequency + 3.7 * shift
    i, j = np.floor(v).astype(int), np.floor(u).astype(int)
    a, b = (v - i)[:, None], (u - j)[None]
    a, b = a * a * (3 - 2 * a), b * b * (3 - 2 * b)
    top, low = _WAVE[i % 64], _WAVE[(i + 1) % 64]
    left = top[:, j % 64] * (1 - a) + low[:, j % 64] * a
    right = top[:, (j + 1) % 64] * (1 - a) + low[:, (j + 1) % 64] * a
    return left * (1 - b) + right * b


def _span(n: int, x0: float, y0: float, x1: float, y1: float, least: int) -> tuple[int, int, int, int]:
    """(i0, i1, j0, j1): rows [i0, i1) and columns [j0, j1) whose centres lie in the box, within the frame.

    There are at least `least` of each, unless they lie outside the frame.
    """
    # Called tens of thousands of times: one shift makes every operand positive, so int() is floor().
    i0, j0 = int(y0 * n + 4096.5) - 4096, int(x0 * n + 4096.5) - 4096
    i1, j1 = int(y1 * n + 4096.5) - 4096, int(x1 * n + 4096.5) - 4096
    if i1 < i0 + least:
        i1 = i0 + least
    if j1 < j0 + least:
        j1 = j0 + least
    return (
        0 if i0 < 0 else n if i0 > n else i0,
        0 if i1 < 0 else n if i1 > n else i1,
        0 if j0 < 0 else n if j0 > n else j0,
        0 if j1 < 0 else n if j1 > n else j1,
    )


def centres(n: int, i0: int, i1: int, j0: int, j1: int) -> tuple[np.ndarray, np.ndarray]:
    """The coordinates x [1, w] and y [h, 1] of the centres of these pixels in the frame."""
    x = (np.arange(j0, j1, dtype=np.float32) + 0.5) / n
    y = (np.arange(i0, i1, dtype=np.float32) + 0.5) / n
    return x[None], y[:, None]
