"""A street front: buildings side by side, pavement, trees, a parked car, a lamp post."""

import random

import numpy as np

from jgan.data.facades import drawing
from jgan.data.facades import elements
from jgan.data.facades import houses
from jgan.data.facades import materials

CARS = [(40, 42, 46), (150, 152, 156), (120, 28, 30), (36, 56, 96), (226, 226, 224), (66, 84, 74)]
LEAVES = [(112, 140, 58), (92, 128, 62), (128, 146, 72), (80, 116, 70), (176, 140, 56), (150, 90, 48)]


def scene(c: drawing.Canvas, d: random.Random) -> None:
    """Paints a whole street front."""
    c.surface((0, 0, 0), -0.2)
    c.rect(0, 0, 1, 1, 0, "sky")
    ground = d.uniform(0.885, 0.95)
    layout = d.choices(["full", "between", "free", "row"], [3, 4, 2, 3])[0]
    kinds, odds = ["classic", "brick", "modern", "house"], [5, 4, 2, 1]
    if layout == "full":
        spans = [(-0.03, 1.03)]
    elif layout == "between":
        spans = [(d.uniform(0.06, 0.2), d.uniform(0.8, 0.94))]
    elif layout == "free":
        spans = [(d.uniform(0.08, 0.16), d.uniform(0.84, 0.92))]
        odds = [4, 3, 3, 5]
    else:
        cuts = (
            [-0.02]
            + sorted(d.choice([[d.uniform(0.4, 0.6)], [d.uniform(0.28, 0.38), d.uniform(0.62, 0.72)]]))
            + [1.02]
        )
        spans, odds = list(zip(cuts[:-1], cuts[1:], strict=True)), [4, 6, 0, 2]
    left, right = spans[0][0], spans[-1][1]
    c.over = "background"
    if layout == "between":
        for x0, x1 in ((-0.35, left), (right, 1.35)):
            if d.random() < 0.85:
                houses.building(c, d, x0, x1, ground, d.choice(["classic", "brick", "modern"]), -0.008)
            else:
                _crown(c, d, (x0 + x1) / 2, ground - 0.14, 0.2, 0.16, 0.0)
    elif layout == "free":
        for x0, x1 in ((-0.3, left - 0.03), (right + 0.02, 1.3)):
            if d.random() < 0.75:
                _crown(
                    c,
                    d,
                    d.uniform(max(x0, 0), min(x1, 1)),
                    ground - 0.1,
                    d.uniform(0.08, 0.16),
                    d.uniform(0.1, 0.22),
                    0.0,
                )
        _hedge(c, d, ground)
    c.over = None
    for x0, x1 in spans:
        house = houses.building(c, d, x0, x1, ground, d.choices(kinds, odds)[0], d.uniform(-0.004, 0.004))
        if d.random() < 0.07:
            _ivy(c, d, house)
    _street(c, d, ground)
    if d.random() < 0.28 and house.m < 0.085:
        _car(c, d, house, ground)
    if d.random() < 0.24:
        _tree(c, d, ground)
    if d.random() < 0.2:
        _lamp_post(c, d, ground)


def _street(c: drawing.Canvas, d: random.Random, ground: float) -> None:
    """The pavement and the road."""
    tone = materials.painted(d, lambda d: d.uniform(90, 165))
    slabs = c.texture(
        drawing.Texture(0.02, d.uniform(0.05, 0.12), 0.0016, 0.5, 0.14, 1, 0, 0.12, 0.3, seed=d.randrange(99))
    )
    grey = (tone, tone * 0.98, tone * 0.94)
    dark = tuple(v * 0.72 for v in grey)
    c.rect(0, ground, 1, 1, c.surface(grey, 0.0, slabs, dark), "ground")
    road = ground + d.uniform(0.025, 0.06)
    rough = c.texture(drawing.Texture(grain=0.28, stain=0.4))
    shade = materials.painted(d, lambda d: d.uniform(58, 92))
    c.rect(0, road, 1, road + 0.006, c.surface(materials.near(d, (172, 168, 160)), 0.0, slabs, dark))
    c.rect(0, road + 0.005, 1, road + 0.011, c.surface((52, 50, 48), 0.0, rough))
    c.rect(0, road + 0.011, 1, 1, c.surface((shade, shade, shade * 1.03), 0.0, rough))


def _leaf_colour(d: random.Random) -> drawing.Colour:
    """A colour of leaves, sRGB."""
    return materials.near(d, d.choice(LEAVES), 14)


def _crown(
    c: drawing.Canvas,
    d: random.Random,
    x: float,
    y: float,
    rx: float,
    ry: float,
    z: float,
    light: drawing.Colour | None = None,
    texture: int | None = None,
) -> None:
    """A mass of leaves around (x, y)."""
    shift = d.uniform(0, 50)
    light = light or _leaf_colour(d)
    if texture is None:
        texture = _foliage(c, d)
    part = c.surface(tuple(v * 0.28 for v in light), z, texture, light)

    def inside(px: np.ndarray, py: np.ndarray) -> np.ndarray:
        r = np.sqrt(np.square((px - x) / rx) + np.square((py - y) / ry))
        edge = (
            drawing.leaves(px, py, 11, shift) * 0.5
            + drawing.leaves(px, py, 37, shift) * 0.4
            + drawing.leaves(px, py, 95, shift) * 0.35
        )
        return r < 0.4 + 0.95 * edge

    c.shape(x - 1.5 * rx, y - 1.5 * ry, x + 1.5 * rx, y + 1.5 * ry, inside, part, "plant")


def _foliage(c: drawing.Canvas, d: random.Random) -> int:
    """The index of a texture of leaves."""
    return c.texture(drawing.Texture(leaf=True, seed=d.uniform(0, 40), grain=0.4, stain=0.9))


def _hedge(c: drawing.Canvas, d: random.Random, ground: float) -> None:
    """Hedges at both sides of the frame."""
    for x in (0.02, 0.98):
        _crown(c, d, x, ground - 0.01, d.uniform(0.1, 0.2), d.uniform(0.03, 0.06), 0.0)


def _tree(c: drawing.Canvas, d: random.Random, ground: float) -> None:
    """A tree before the houses."""
    x = d.choice([d.uniform(0.0, 0.25), d.uniform(0.75, 1.0)])
    foot, fork = ground + d.uniform(0.01, 0.04), ground - d.uniform(0.14, 0.26)
    bark = c.surface(materials.near(d, (92, 82, 70)), 0.0, c.texture(drawing.Texture(grain=0.5, stain=0.5)))
    w, spread, rise = d.uniform(0.008, 0.015), d.uniform(0.07, 0.15), d.uniform(0.1, 0.26)
    lean = d.uniform(-0.015, 0.015)
    c.polygon(
        [(x - 1.2 * w, foot), (x + lean - 0.7 * w, fork), (x + lean + 0.7 * w, fork), (x + 1.2 * w, foot)],
        bark,
        "plant",
    )
    x += lean
    tips = [(x + spread * d.uniform(-1, 1), fork - rise * d.uniform(0.2, 1)) for _ in range(d.randint(4, 7))]
    for a, b in tips:
        c.polygon([(x - 0.6 * w, fork + w), (a, b), (x + 0.6 * w, fork + w)], bark, "plant")
    light, texture = _leaf_colour(d), _foliage(c, d)
    full = d.uniform(0.4, 0.75)
    # Low and far leaves are in the shade of the rest.
    for a, b in sorted(tips, key=lambda tip: -tip[1]):
        bright = 0.75 + 0.45 * (fork - b) / rise
        _crown(
            c,
            d,
            a,
            b,
            full * spread * d.uniform(0.7, 1.1),
            full * rise * d.uniform(0.45, 0.7),
            0.0,
            tuple(v * bright for v in light),
            texture,
        )


def _ivy(c: drawing.Canvas, d: random.Random, h: elements.House) -> None:
    """Leaves climbing up from the ground at one side of a house."""
    x = d.choice([h.x0 + d.uniform(0, 0.1), h.x1 - d.uniform(0, 0.1)])
    y, rise = h.ground, d.uniform(0.15, 0.45)
    _crown(c, d, x, y - 0.4 * rise, d.uniform(0.05, 0.1), 0.6 * rise, h.z + 0.15 * h.m)


def _lamp_post(c: drawing.Canvas, d: random.Random, ground: float) -> None:
    """A lamp post on the pavement."""
    x, top = d.uniform(0.1, 0.9), ground - d.uniform(0.22, 0.34)
    iron = c.surface(materials.near(d, (46, 50, 48)), 0.01)
    c.rect(x - 0.004, top, x + 0.004, ground + 0.03, iron, "background")
    c.rect(x - 0.007, ground - 0.02, x + 0.007, ground + 0.03, iron, "background")
    c.rect(x - 0.012, top - 0.035, x + 0.012, top, c.surface((214, 210, 196), 0.01), "background")
    c.rect(x - 0.015, top - 0.041, x + 0.015, top - 0.034, iron, "background")


def _car(c: drawing.Canvas, d: random.Random, h: elements.House, ground: float) -> None:
    """A parked car, seen from its side, on the near edge of the pavement."""
    m, low = h.m * d.uniform(0.85, 1.0), d.uniform(0.9, 1.05)
    x0, foot, turn = d.uniform(-0.1, 0.8), ground + d.uniform(0.03, 0.045), d.random() < 0.5

    def place(*points: tuple[float, float]) -> list[tuple[float, float]]:
        """The frame coordinates of points of the car, in metres to the right and up."""
        return [(x0 + (4.3 - u if turn else u) * m, foot - v * m * low) for u, v in points]

    def spot(u: float, v: float, half: float, tall: float, part: int, label: str | None = None) -> None:
        """Paints an ellipse around a point of the car."""
        ((x, y),), rx, ry = place((u, v)), half * m, tall * m
        c.shape(x - rx, y - ry, x + rx, y + ry, elements.disc(x, y, rx, ry), part, label)

    colour = materials.near(d, d.choice(CARS), 8)
    body, under = c.surface(colour), c.surface(tuple(0.7 * v for v in colour))
    shadow, black, rim = (c.surface((v, v, v)) for v in (36, 24, 150))
    c.rect(x0 - 0.1 * m, foot - 0.12 * m, x0 + 4.4 * m, foot + 0.1 * m, shadow, "background")
    back = d.choice([3.3, 3.7, 4.0])
    hood, roof = ((0, 0.28), (0.03, 0.7), (0.25, 0.84), (1.0, 0.92)), ((1.6, 1.4), (2.3, 1.47), (3.1, 1.43))
    tail = ((back, 0.97), (4.2, 0.9), (4.3, 0.6), (4.28, 0.28))
    c.polygon(place(*hood, *roof, *tail), body, "background")
    c.polygon(place((0, 0.25), (0.02, 0.55), (4.3, 0.55), (4.28, 0.25)), under)
    a, b = sorted((place((1.1, 0))[0][0], place((3.6, 0))[0][0]))
    pane = elements.glass(c, d, h, a, foot - 1.5 * m, b - a, 0.6 * m, 3, 1, mirror=0.45)
    c.polygon(place((1.2, 0.94), (1.68, 1.32), (2.2, 1.38), (2.2, 0.95)), pane)
    c.polygon(place((2.32, 0.95), (2.32, 1.38), (3.0, 1.35), (back - 0.3, 0.97)), pane)
    for u in (0.85, 3.4):
        spot(u, 0.31 / low, 0.33, 0.33, black, "background")
        spot(u, 0.31 / low, 0.19, 0.19, rim)
    spot(0.12, 0.72, 0.1, 0.08, c.surface((236, 232, 214)))
    spot(4.18, 0.72, 0.1, 0.08, c.surface((170, 30, 30)))
