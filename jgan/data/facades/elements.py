"""Parts of a facade: walls, windows, shutters, glass and balconies, painted on a canvas.

Every function takes the canvas `c`, the random numbers `d` and the house `h` to which the part belongs; `m` is one
metre of that house in frame units, and y grows downwards.
"""

from collections.abc import Callable
import random
from typing import Any

import numpy as np

from jgan.data.facades import drawing
from jgan.data.facades import materials


class House:
    """Measures and surfaces that the parts of one building share."""

    def __init__(
        self,
        c: drawing.Canvas,
        d: random.Random,
        x0: float,
        x1: float,
        ground: float,
        top: float,
        floors: int,
        tall: float,
        kind: str,
        z: float,
    ) -> None:
        """A house of a kind from x0 to x1 and from `ground` up to `top`, in frame units.

        Args:
            c: the canvas.
            d: draws the materials.
            x0: the left side.
            x1: the right side.
            ground: the lower edge.
            top: the upper edge of the wall.
            floors: how many there are, with the ground floor.
            tall: the height of the ground floor in those of the others.
            kind: "classic", "brick", "modern" or "house".
            z: how far its wall stands before the plane of the street front, in frame units.
        """
        self.x0, self.x1, self.ground, self.top, self.z = x0, x1, ground, top, z
        self.step = (ground - top) / (floors - 1 + tall)
        self.floors, self.tall = floors, tall
        m = self.m = self.step / 3.3
        odds = {
            "classic": [6, 2, 3, 0],
            "brick": [0, 1, 0, 0],
            "modern": [2, 2, 0, 5],
            "house": [4, 3, 1, 0],
        }[kind]

        def material(d: random.Random) -> str:
            """A material of the wall."""
            return d.choices(["plaster", "brick", "stone", "concrete"], odds)[0]

        first = material(d)
        self.seed = d.randrange(200)
        self.colour, self.second, texture = materials.painted(
            d, lambda of: materials.wall(of, first if of is d else material(of), m, self.seed)
        )
        self.texture = c.texture(texture)
        self.wall = c.surface(self.colour, z, self.texture, self.second)
        # Trim is stone, painted plaster, or the wall's own colour made lighter.
        base = d.choice(
            [d.choice(materials.STONES), (236, 232, 222), tuple(0.5 * v + 120 for v in self.colour)]
        )
        self.trim_colour = materials.near(d, base, 8)
        self.trim_texture = c.texture(drawing.Texture(grain=0.1, stain=0.25))
        self.frame_colour = materials.near(d, d.choice(materials.FRAMES), 6)
        self.plain = c.texture(drawing.Texture(grain=0.04, stain=0.08))
        self.frame = c.surface(self.frame_colour, z - 0.12 * m, self.plain)
        self.hollow = c.surface(tuple(0.82 * v for v in self.colour), z - 0.22 * m, self.trim_texture)
        self.iron = c.surface(
            materials.near(d, d.choice([(38, 40, 42), (52, 56, 54), (70, 74, 70), (200, 200, 196)])),
            z + 0.85 * m,
            self.plain,
        )
        self.cloth = d.choice([(236, 232, 222), (220, 208, 184), (210, 214, 216), (206, 180, 160)])
        self.shutter_colour = materials.near(d, d.choice(materials.SHUTTERS), 8)
        course = m * d.uniform(0.08, 0.13)
        self.slats = c.texture(drawing.Texture(course, 9.0, 0.28 * course, 0, 0.05, 0.65, 0.18, 0.05, 0.12))
        self.bloom = c.texture(drawing.Texture(leaf=True, seed=d.uniform(0, 30), grain=0.6, stain=0.5))
        self.trims = {}

    def trim(self, c: drawing.Canvas, out: float) -> int:
        """The surface of the trim that stands `out` metres before the wall."""
        if out not in self.trims:
            self.trims[out] = c.surface(self.trim_colour, self.z + out * self.m, self.trim_texture)
        return self.trims[out]

    def floor_bottom(self, i: int) -> float:
        """The lower edge of floor i in frame units; floor 0 is the ground floor."""
        return self.ground if i == 0 else self.ground - (self.tall + i - 1) * self.step


def window_style(d: random.Random, h: House, kind: str, pitch: float) -> dict[str, Any]:
    """The common features of the windows of a house, drawn for bays that are `pitch` wide."""
    m = h.m
    return {
        "half": min(d.uniform(0.42, 0.68) * m, 0.36 * pitch),
        "tall": d.uniform(0.5, 0.64),
        "shape": d.choices(["rect", "arch", "segment"], [6, 2, 2 if kind == "brick" else 1])[0],
        "columns": d.choice([1, 2, 2, 2, 3]),
        "rows": d.choice([1, 2, 2, 3]),
        "surround": d.choices(
            ["none", "band", "lintel", "pediment", "round"],
            [2, 4, 3, 3, 1] if kind != "brick" else [3, 1, 6, 0, 0],
        )[0],
        "sill": d.random() < 0.8,
        "shutters": d.random() < (0.45 if kind == "house" else 0.2) and pitch > 1.9 * m,
        "rollers": d.random() < 0.22,
        "boxes": d.random() < 0.15,
        "balcony": d.choices(["none", "middle", "first", "columns", "some"], [6, 2, 2, 2, 2])[0]
        if kind != "house"
        else d.choices(["none", "middle"], [3, 1])[0],
        "rail": d.choice(["iron", "iron", "stone"]),
        "mirror": d.uniform(0.25, 0.6),
        "change": d.random() < 0.6,
    }


def window(
    c: drawing.Canvas,
    d: random.Random,
    h: House,
    x: float,
    low: float,
    tall: float,
    style: dict[str, Any],
    shape: str,
    surround: str,
) -> None:
    """One window with its surround, sill and blinds, standing on `low`."""
    m, half = h.m, style["half"]
    x0, x1, y0 = x - half, x + half, low - tall
    band = 0.16 * m
    if surround in ("band", "pediment", "round"):
        head = 0.0 if shape == "rect" else 0.1 * m
        c.rect(x0 - band, y0 - band, x1 + band, low, h.trim(c, 0.06), "moulding")
        if head:
            rise = half if shape == "arch" else 0.3 * half
            c.rect(x0 - band, y0 - band, x1 + band, y0 + 0.6 * rise, h.wall, "wall")
            c.shape(
                x0 - band,
                y0 - band,
                x1 + band,
                y0 + rise,
                disc(x, y0 + rise, half + band, rise + band),
                h.trim(c, 0.06),
                "moulding",
            )
            c.rect(x0 - band, y0 + rise, x1 + band, low, h.trim(c, 0.06), "moulding")
    if surround in ("pediment", "round") and shape == "rect":
        y, w = y0 - band - 0.12 * m, half + 2 * band
        c.rect(x - w, y, x + w, y + 0.12 * m, h.trim(c, 0.28), "moulding")
        if surround == "pediment":
            c.polygon([(x - w, y), (x, y - 0.42 * m), (x + w, y)], h.trim(c, 0.28), "moulding")
            c.polygon(
                [(x - 0.7 * w, y - 0.02 * m), (x, y - 0.3 * m), (x + 0.7 * w, y - 0.02 * m)], h.trim(c, 0.06)
            )
        else:
            c.shape(x - w, y - 0.36 * m, x + w, y, disc(x, y, w, 0.36 * m), h.trim(c, 0.28), "moulding")
            c.shape(x - w, y - 0.25 * m, x + w, y, disc(x, y, 0.72 * w, 0.24 * m), h.trim(c, 0.06))
    elif surround == "lintel":
        if shape == "rect":
            c.rect(x0 - band, y0 - 0.28 * m, x1 + band, y0, h.trim(c, 0.03), "moulding")
        else:
            rise = half if shape == "arch" else 0.3 * half
            c.shape(
                x0 - 1.3 * band,
                y0 - 1.3 * band,
                x1 + 1.3 * band,
                y0 + rise,
                disc(x, y0 + rise, half + 1.3 * band, rise + 1.3 * band),
                h.trim(c, 0.03),
                "moulding",
            )
            c.rect(x - 0.1 * m, y0 - 0.3 * m, x + 0.1 * m, y0 + 0.05 * m, h.trim(c, 0.1), "moulding")
    pane(
        c,
        d,
        h,
        x0,
        y0,
        x1,
        low,
        shape,
        style["columns"],
        style["rows"],
        0.2,
        min(0.85, max(0.1, d.gauss(style["mirror"], 0.12))),
    )
    if style["sill"]:
        c.rect(x0 - 0.14 * m, low, x1 + 0.14 * m, low + 0.13 * m, h.trim(c, 0.22), "sill")
    if style["shutters"]:
        _shutters(c, d, h, x0, y0 if shape == "rect" else y0 + 0.15 * m, x1, low)
    elif style["rollers"] and shape == "rect" and d.random() < 0.6:
        colour = h.shutter_colour
        c.rect(
            x0,
            y0,
            x1,
            y0 + tall * d.choice([0.2, 0.45, 0.7, 1.0]),
            c.surface(colour, h.z - 0.08 * m, h.slats, tuple(0.5 * v for v in colour)),
            "blind",
        )
    if style["boxes"] and d.random() < 0.7:
        box = c.surface(materials.near(d, (120, 74, 50)), h.z + 0.3 * m)
        c.rect(x0, low - 0.12 * m, x1, low + 0.12 * m, box, "plant")
        bloom = d.choice([(196, 50, 60), (220, 120, 150), (230, 200, 90), (120, 150, 70)])
        c.rect(
            x0 - 0.05 * m,
            low - 0.32 * m,
            x1 + 0.05 * m,
            low - 0.05 * m,
            c.surface((40, 74, 34), h.z + 0.3 * m, h.bloom, bloom),
            "plant",
        )


def pane(
    c: drawing.Canvas,
    d: random.Random,
    h: House,
    x0: float,
    y0: float,
    x1: float,
    y1: float,
    shape: str,
    columns: int,
    rows: int,
    deep: float,
    mirror: float | None = None,
    label: str = "window",
) -> None:
    """A window: hollow in the wall, frame, glass and bars."""
    m = h.m
    f = min(0.075 * m, 0.14 * (x1 - x0))
    x, half = (x0 + x1) / 2, (x1 - x0) / 2
    inner = glass(c, d, h, x0, y0, x1 - x0, y1 - y0, columns, rows, mirror)
    if shape == "rect":
        c.rect(x0, y0, x1, y1, h.frame, label)
        if deep > 0.1:
            c.rect(x0, y0, x1, y0 + 0.04 * m, h.hollow)
        c.rect(x0 + f, y0 + f, x1 - f, y1 - f, inner)
        spring = y0 + f
    else:
        rise = half if shape == "arch" else 0.3 * half
        spring = y0 + rise
        for inset, part, name in ((0, h.frame, label), (f, inner, None)):
            c.shape(
                x0 + inset,
                y0 + inset,
                x1 - inset,
                spring,
                disc(x, spring, half - inset, rise - inset),
                part,
                name,
            )
            c.rect(x0 + inset, spring, x1 - inset, y1 - inset, part, name)
    bar = 0.035 * m
    for i in range(1, columns):
        at = x0 + (x1 - x0) * i / columns
        c.rect(at - bar, spring, at + bar, y1 - f, h.frame)
    for i in range(1, rows):
        # Two rows stand for a fanlight over the casements.
        at = y0 + (y1 - y0) * (0.3 if rows == 2 else i / rows)
        c.rect(x0 + f, at - bar, x1 - f, at + bar, h.frame)


def glass(
    c: drawing.Canvas,
    d: random.Random,
    h: House,
    x: float,
    y: float,
    w: float,
    hh: float,
    columns: int,
    rows: int,
    mirror: float | None = None,
    goods: float = 0.0,
) -> int:
    """The index of a surface of glass with its own room, curtains and reflection."""
    seen = materials.painted(d, lambda d: _seen(d, h, mirror, goods))
    return c.surface(
        (0, 0, 0), h.z - 0.15 * h.m, glass=drawing.Glass(x, y, w, hh, columns=columns, rows=rows, **seen)
    )


def _seen(d: random.Random, h: House, mirror: float | None, goods: float) -> dict[str, Any]:
    """The look of a pane, as fields of `drawing.Glass`."""
    curtains = d.random()
    opened = 1.3 if curtains < 0.4 else d.uniform(0.0, 0.75) if curtains < 0.85 else -0.3
    roller = d.choice([0, 0, 0, d.uniform(0.1, 0.7)])
    if goods:
        opened, roller = 1.3, 0.0
    room = d.uniform(0.008, 0.05)
    return {
        "mirror": d.uniform(0.2, 0.6) if mirror is None else mirror,
        "tilt": d.gauss(0, 0.1),
        "opened": opened,
        "roller": roller,
        "cloth": materials.linear(materials.near(d, h.cloth, 12)),
        "room": (room * 1.1, room, room * 0.85),
        "lamp": d.choice([0, 0, 0, 0.1]) if not goods else d.uniform(0.05, 0.4),
        "seed": d.uniform(0, 100),
        "goods": goods,
    }


def disc(x: float, y: float, rx: float, ry: float) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """The inside of an ellipse around (x, y), as `Canvas.shape` takes it; its upper half is an arch."""
    return lambda u, v: np.square((u - x) / rx) + np.square((v - y) / ry) < 1


def _shutters(
    c: drawing.Canvas, d: random.Random, h: House, x0: float, y0: float, x1: float, y1: float
) -> None:
    """Shutters on both sides of a window, or now and then closed ones or a single one."""
    m, colour = h.m, h.shutter_colour
    leaf = c.surface(colour, h.z + 0.06 * m, h.slats, tuple(0.45 * v for v in colour))
    rim = c.surface(colour, h.z + 0.08 * m, h.plain)
    half = (x1 - x0) / 2
    leaves = [(x0, x0 + half), (x1 - half, x1)] if d.random() < 0.15 else [(x0 - half, x0), (x1, x1 + half)]
    if d.random() < 0.06:
        leaves = leaves[:1]
    for a, b in leaves:
        c.rect(a, y0, b, y1, rim, "blind")
        c.rect(a + 0.07 * m, y0 + 0.08 * m, b - 0.07 * m, y1 - 0.08 * m, leaf)


def balcony(
    c: drawing.Canvas,
    d: random.Random,
    h: House,
    x0: float,
    x1: float,
    floor: float,
    rail: str | drawing.Colour,
) -> None:
    """A balcony whose floor lies at `floor`."""
    m, top = h.m, floor - 0.95 * h.m
    out = h.trim(c, 0.9)
    if rail == "iron":
        c.rect(x0, top, x1, floor, None, "balcony")
        c.bars(x0, top, x1, floor, 0.13 * m, h.iron, 0.3)
        for y in (top, top + 0.12 * m, floor - 0.12 * m):
            c.rect(x0, y, x1, y + 0.045 * m, h.iron)
    elif rail == "stone":
        c.rect(x0, top, x1, floor, h.hollow, "balcony")
        c.bars(x0, top, x1, floor, 0.26 * m, out, 0.6)
        c.rect(x0, top, x1, top + 0.14 * m, out)
    else:
        c.rect(x0, top, x1, floor, c.surface(materials.near(d, rail, 4), h.z + 0.95 * m, h.plain), "balcony")
        c.rect(x0, top - 0.05 * m, x1, top, h.iron)
    c.rect(x0 - 0.08 * m, floor, x1 + 0.08 * m, floor + 0.2 * m, out, "balcony")
    for x in (x0 + 0.15 * m, x1 - 0.15 * m):
        c.polygon(
            [(x - 0.1 * m, floor + 0.2 * m), (x + 0.1 * m, floor + 0.2 * m), (x, floor + 0.65 * m)],
            h.trim(c, 0.5),
            "moulding",
        )
