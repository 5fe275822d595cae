"""Canvas for drawn facades: labels and surfaces are painted by index, back to front.

Rectangles and shapes are given in coordinates of the frame ([0, 1], y down), so that a scene is the same
at every size. The canvas keeps two index images: the label of every pixel, and the surface (colour, height
above the wall, texture, glass) of every finer sub-pixel, which `lighting` turns into a picture.
"""

from typing import NamedTuple

import numpy as np

# White noise that every scene cuts from, and the lattice of the smooth noise at a point.
NOISE = np.random.default_rng(7).random((256, 256), dtype=np.float32)
_WAVE = NOISE[:64, :64]


class Texture(NamedTuple):
    """Pattern of a surface: courses of blocks `height` by `length` (frame units) with joints."""

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
    """What is seen in a pane: box of the window, reflection, curtains, room behind."""

    x: float
    y: float
    w: float
    h: float
    mirror: float  # share of reflected light, 0..1
    tilt: float  # shift of the reflected skyline, frame units
    opened: float  # half width left open by the curtains, 1: none
    roller: float  # share of the height covered by a blind behind the glass
    cloth: tuple  # linear colour of curtain and blind
    room: tuple  # linear colour of the room
    lamp: float  # light from within
    columns: int
    rows: int
    seed: float
    goods: float  # things side by side in a shop window, 0: none


class Canvas:
    """Index images of labels [size, size] and surfaces [size * k, size * k], painted back to front."""

    def __init__(self, size, names):
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

    def texture(self, texture):
        """Index of a new texture."""
        self.textures.append(texture)
        self.boxes.append([self.fine, self.fine, 0, 0])
        return len(self.textures) - 1

    def surface(self, colour, height=0.0, texture=-1, second=None, glass=None):
        """Index of a new surface: sRGB colours 0..255, height in frame units above the wall."""
        self.colours.append(colour)
        self.seconds.append(colour if second is None else second)
        self.heights.append(height)
        self.slots.append(texture)
        if glass is not None:
            self.glass[len(self.slots) - 1] = glass
        return len(self.slots) - 1

    def rect(self, x0, y0, x1, y1, part=None, label=None):
        """Paints a rectangle; parts are at least one sub-pixel thick, labels cover pixel centres."""
        if part is not None:
            i0, i1, j0, j1 = _span(self.fine, x0, y0, x1, y1, 1)
            self.parts[i0:i1, j0:j1] = part
            self._grow(part, i0, i1, j0, j1)
        if label is not None:
            i0, i1, j0, j1 = _span(self.size, x0, y0, x1, y1, 0)
            self.labels[i0:i1, j0:j1] = self.names[self.over or label]

    def bars(self, x0, y0, x1, y1, pitch, part, share=0.35):
        """Paints upright bars `pitch` apart (a railing, brackets under a cornice)."""
        i0, i1, j0, j1 = _span(self.fine, x0, y0, x1, y1, 1)
        on = ((np.arange(j0, j1) + 0.5) / self.fine - x0) % pitch < share * pitch
        self.parts[i0:i1, j0:j1][:, on] = part
        self._grow(part, i0, i1, j0, j1)

    def shape(self, x0, y0, x1, y1, inside, part=None, label=None):
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

    def polygon(self, points, part=None, label=None):
        """Paints a polygon given by its corners [(x, y), ...], filled by the even-odd rule."""
        xs, ys = [p[0] for p in points], [p[1] for p in points]
        edges = list(zip(points, points[1:] + points[:1], strict=True))

        def inside(x, y):
            odd = np.zeros((y.shape[0], x.shape[1]), bool)
            for (xa, ya), (xb, yb) in edges:
                if ya != yb:
                    odd ^= ((y < ya) != (y < yb)) & (x < xa + (y - ya) * ((xb - xa) / (yb - ya)))
            return odd

        self.shape(min(xs), min(ys), max(xs), max(ys), inside, part, label)

    def _grow(self, part, i0, i1, j0, j1):
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


def leaves(x, y, frequency, shift):
    """Smooth noise in [0, 1] at points x [1, w], y [h, 1], `frequency` cells across the frame."""
    u, v = x[0] * frequency + shift, y[:, 0] * frequency + 3.7 * shift
    i, j = np.floor(v).astype(int), np.floor(u).astype(int)
    a, b = (v - i)[:, None], (u - j)[None]
    a, b = a * a * (3 - 2 * a), b * b * (3 - 2 * b)
    top, low = _WAVE[i % 64], _WAVE[(i + 1) % 64]
    left = top[:, j % 64] * (1 - a) + low[:, j % 64] * a
    right = top[:, (j + 1) % 64] * (1 - a) + low[:, (j + 1) % 64] * a
    return left * (1 - b) + right * b


def _span(n, x0, y0, x1, y1, least):
    """Rows [i0, i1) and columns [j0, j1) whose centres lie in the box, within the frame."""
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


def centres(n, i0, i1, j0, j1):
    x = (np.arange(j0, j1, dtype=np.float32) + 0.5) / n
    y = (np.arange(i0, i1, dtype=np.float32) + 0.5) / n
    return x[None], y[:, None]
