"""Ground floors: doors and shop fronts with signs, goods and awnings."""

import random

from jgan.data.facades import drawing
from jgan.data.facades import elements
from jgan.data.facades import materials

DOORS = [(92, 58, 38), (44, 66, 52), (40, 48, 72), (122, 36, 34), (60, 58, 56), (150, 112, 76), (34, 34, 36)]
SIGNS = [
    (30, 60, 50),
    (120, 24, 28),
    (24, 36, 80),
    (236, 232, 222),
    (30, 30, 32),
    (206, 160, 50),
    (80, 120, 60),
    (190, 70, 40),
]


def door(c: drawing.Canvas, d: random.Random, h: elements.House, x: float, half: float, top: float) -> None:
    """A door around x, about 2 `half` wide, in a ground floor that begins at `top`."""
    m, z = h.m, h.z
    half *= d.uniform(0.75, 1.1)
    tall = min(d.uniform(2.3, 2.9) * m, 0.86 * (h.ground - top))
    y0, arched = h.ground - tall, d.random() < 0.35
    colour = materials.near(d, d.choice(DOORS), 10)
    leaf = c.surface(colour, z - 0.18 * m, h.plain)
    panel = c.surface(tuple(0.75 * v for v in colour), z - 0.22 * m, h.plain)
    band = 0.22 * m
    if arched:
        rise = half
        y0 += 0.3 * rise
        c.shape(
            x - half - band,
            y0 - rise - band,
            x + half + band,
            y0,
            elements.disc(x, y0, half + band, rise + band),
            h.trim(c, 0.12),
            "moulding",
        )
        c.rect(x - half - band, y0, x + half + band, h.ground, h.trim(c, 0.12), "moulding")
        c.shape(
            x - half,
            y0 - rise,
            x + half,
            y0,
            elements.disc(x, y0, half, rise),
            elements.glass(c, d, h, x - half, y0 - rise, 2 * half, rise, 3, 1),
            "door",
        )
        c.rect(x - half, y0 - 0.05 * m, x + half, h.ground, leaf, "door")
    else:
        c.rect(x - half - band, y0 - band, x + half + band, h.ground, h.trim(c, 0.12), "moulding")
        if d.random() < 0.4:
            c.rect(
                x - half - 2 * band,
                y0 - 1.7 * band,
                x + half + 2 * band,
                y0 - band,
                h.trim(c, 0.5),
                "moulding",
            )
        c.rect(x - half, y0, x + half, h.ground, leaf, "door")
        if d.random() < 0.6:
            c.rect(
                x - half + 0.08 * m,
                y0 + 0.06 * m,
                x + half - 0.08 * m,
                y0 + 0.42 * m,
                elements.glass(c, d, h, x - half, y0, 2 * half, 0.5 * m, 2, 1),
            )
            y0 += 0.45 * m
    leaves = 2 if half > 0.55 * m else 1
    wide = 2 * half / leaves
    glazed = d.random() < 0.35
    for i in range(leaves):
        a = x - half + i * wide
        for f0, f1 in ((0.08, 0.5), (0.58, 0.92)):
            part = panel
            if glazed and f0 < 0.3:
                part = elements.glass(c, d, h, a, y0, wide, tall, 1, 1)
            span = h.ground - y0
            c.rect(a + 0.14 * wide, y0 + f0 * span, a + 0.86 * wide, y0 + f1 * span, part)
    if leaves == 2:
        c.rect(x - 0.02 * m, y0, x + 0.02 * m, h.ground, panel)
    c.rect(x + 0.02 * m, h.ground - 1.05 * m, x + 0.1 * m, h.ground - 0.95 * m, c.surface((190, 160, 90), z))
    stone = c.surface(materials.near(d, (160, 156, 148)), z + 0.4 * m, h.trim_texture)
    c.rect(x - half - band, h.ground - 0.14 * m, x + half + band, h.ground + 0.02 * m, stone, "ground")


def shop(c: drawing.Canvas, d: random.Random, h: elements.House, x0: float, x1: float, top: float) -> None:
    """A shop front: frame, sign with lettering, windows with goods, a door, sometimes an awning."""
    m, z = h.m, h.z
    colour = materials.near(d, d.choice(SIGNS), 10)
    body = c.surface(colour, z + 0.06 * m, h.plain)
    c.rect(x0, top, x1, h.ground, body, "shop")
    board = top + 0.62 * m
    sign = c.surface(materials.near(d, d.choice([colour, d.choice(SIGNS)]), 8), z + 0.16 * m, h.plain)
    c.rect(x0, top + 0.06 * m, x1, board, sign)
    dark = sum(c.colours[sign]) < 330
    ink = c.surface((236, 226, 200) if dark else (40, 36, 34), z + 0.18 * m)
    _lettering(c, d, (x0 + x1) / 2, top + 0.18 * m, min(0.7 * (x1 - x0), 4.5 * m), 0.32 * m, ink)
    c.rect(x0, top, x1, top + 0.08 * m, c.surface(colour, z + 0.3 * m, h.plain))
    n = max(1, round((x1 - x0) / (1.9 * m)))
    wide, entry = (x1 - x0) / n, d.randrange(n)
    goods = float(d.randint(2, 11))
    for i in range(n):
        a, b = x0 + i * wide + 0.1 * m, x0 + (i + 1) * wide - 0.1 * m
        if i == entry:
            a, b = (a + b) / 2 - min(0.5 * m, 0.45 * wide), (a + b) / 2 + min(0.5 * m, 0.45 * wide)
            c.rect(
                a,
                board + 0.12 * m,
                b,
                h.ground,
                c.surface(tuple(0.8 * v for v in colour), z - 0.1 * m),
                "door",
            )
            c.rect(
                a + 0.1 * m,
                board + 0.22 * m,
                b - 0.1 * m,
                h.ground - 0.5 * m,
                elements.glass(c, d, h, a, board, b - a, h.ground - board, 1, 1, goods=0.0),
            )
        else:
            base = h.ground - d.uniform(0.3, 0.6) * m
            c.rect(
                a,
                board + 0.12 * m,
                b,
                base,
                elements.glass(c, d, h, a, board, b - a, base - board, 2, 1, d.uniform(0.15, 0.45), goods),
            )
            if d.random() < 0.3:
                _lettering(
                    c,
                    d,
                    (a + b) / 2,
                    board + 0.5 * m,
                    0.5 * (b - a),
                    0.16 * m,
                    c.surface((228, 224, 214), z - 0.1 * m),
                )
    if d.random() < 0.45:
        _awning(c, d, h, x0 + 0.05 * m, x1 - 0.05 * m, board + 0.02 * m)


def _awning(c: drawing.Canvas, d: random.Random, h: elements.House, x0: float, x1: float, y: float) -> None:
    """An awning that begins at y."""
    m, low = h.m, y + 0.7 * h.m
    first = materials.near(
        d, d.choice([(150, 40, 42), (40, 84, 62), (40, 60, 110), (200, 150, 60), (90, 60, 50)]), 10
    )
    second = d.choice([(232, 226, 212), tuple(0.85 * v for v in first)])
    steps, height = 4, [0.35, 0.6, 0.85, 1.1]
    for i in range(steps):
        a = c.surface(first, h.z + height[i] * m, h.plain)
        b = c.surface(second, h.z + height[i] * m, h.plain)
        y0, y1 = y + i * (low - y) / steps, y + (i + 1) * (low - y) / steps
        c.rect(x0, y0, x1, y1, a, "shop")
        c.bars(x0, y0, x1, y1, 0.5 * m, b, 0.5)
    flap = c.surface(tuple(0.8 * v for v in first), h.z + 1.1 * m, h.plain)
    c.rect(x0, low, x1, low + 0.14 * m, flap, "shop")
    c.bars(x0, low + 0.08 * m, x1, low + 0.2 * m, 0.25 * m, flap, 0.6)


def _lettering(
    c: drawing.Canvas, d: random.Random, x: float, y: float, width: float, tall: float, ink: int
) -> None:
    """Strokes that pass for a word."""
    at, end, s = x - width / 2, x + width / 2, 0.16 * tall
    while at < end - 0.5 * tall:
        w = tall * d.uniform(0.35, 0.7)
        for stroke in d.sample(("left", "right", "top", "middle", "low"), d.randint(2, 3)):
            c.rect(
                *{
                    "left": (at, y, at + s, y + tall),
                    "right": (at + w - s, y, at + w, y + tall),
                    "top": (at, y, at + w, y + s),
                    "middle": (at, y + 0.45 * tall, at + w, y + 0.45 * tall + s),
                    "low": (at, y + tall - s, at + w, y + tall),
                }[stroke],
                ink,
            )
        at += w + tall * (0.2 if d.random() < 0.85 else 0.7)
