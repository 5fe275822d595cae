"""Roofs: parapets, tiled and mansard roofs with dormers, plain, stepped and bell gables."""

from collections.abc import Callable
import random

import numpy as np

from jgan.data.facades import drawing
from jgan.data.facades import elements
from jgan.data.facades import materials

ROOFS = [
    (142, 72, 52),
    (160, 86, 58),
    (108, 58, 48),
    (84, 84, 90),
    (66, 68, 74),
    (120, 116, 110),
    (104, 128, 118),
]


def parapet(
    c: drawing.Canvas, d: random.Random, h: elements.House, centres: list[float], pitch: float
) -> None:
    """A parapet before a flat roof, perhaps with a balustrade and a pediment."""
    m = h.m
    rise = d.uniform(0.3, 1.0) * m
    wall = c.surface(h.colour, h.z - 0.1 * m, h.texture, h.second)
    c.rect(h.x0, h.top - rise, h.x1, h.top, wall, "wall")
    if d.random() < 0.4:
        c.rect(h.x0, h.top - 0.85 * rise, h.x1, h.top - 0.3 * rise, h.hollow)
        c.bars(h.x0, h.top - 0.85 * rise, h.x1, h.top - 0.3 * rise, 0.3 * m, h.trim(c, 0.0), 0.55)
    c.rect(
        h.x0 - 0.06 * m, h.top - rise - 0.12 * m, h.x1 + 0.06 * m, h.top - rise, h.trim(c, 0.05), "cornice"
    )
    if d.random() < 0.35 and len(centres) > 1:
        w = d.uniform(0.8, 1.2) * pitch
        x = centres[len(centres) // 2] - (0 if len(centres) % 2 else pitch / 2)
        c.polygon(
            [(x - w, h.top - rise), (x, h.top - rise - 0.45 * w), (x + w, h.top - rise)],
            h.trim(c, 0.3),
            "moulding",
        )
        c.polygon(
            [
                (x - 0.75 * w, h.top - rise - 0.04 * w),
                (x, h.top - rise - 0.36 * w),
                (x + 0.75 * w, h.top - rise - 0.04 * w),
            ],
            h.wall,
        )


def tiled(c: drawing.Canvas, d: random.Random, h: elements.House, centres: list[float], pitch: float) -> None:
    """A roof of tiles with chimneys, and with dormers or skylights."""
    rise, slant = d.uniform(0.8, 1.7) * h.step, d.choice([0.0, 0.0, 0.5, 0.9])
    rise = min(rise, h.top - 0.05)
    ridge = h.top - rise
    _chimneys(c, d, h, h.top, ridge)
    part = _roof_surface(c, d, h, h.z - 0.3 * h.m)
    c.polygon(
        [
            (h.x0 - 0.3 * h.m, h.top),
            (h.x0 + slant * rise, ridge),
            (h.x1 - slant * rise, ridge),
            (h.x1 + 0.3 * h.m, h.top),
        ],
        part,
        "roof",
    )
    c.rect(
        h.x0 + slant * rise,
        ridge - 0.08 * h.m,
        h.x1 - slant * rise,
        ridge + 0.1 * h.m,
        c.surface((96, 70, 60), h.z - 0.2 * h.m),
        "roof",
    )
    if d.random() < 0.45:
        _dormers(c, d, h, centres, h.top - 0.12 * rise, min(0.7 * rise, 1.9 * h.m), part)
    elif d.random() < 0.6:
        for x in centres:
            inner = min(x - h.x0, h.x1 - x) > 0.6 * slant * rise + 0.6 * h.m
            if d.random() < 0.35 and inner:
                _skylight(c, d, h, x, h.top - d.uniform(0.4, 0.6) * rise)


def mansard(
    c: drawing.Canvas, d: random.Random, h: elements.House, centres: list[float], pitch: float
) -> None:
    """A mansard roof with chimneys and dormers."""
    rise = min(d.uniform(0.95, 1.15) * h.step, h.top - 0.06)
    _chimneys(c, d, h, h.top, h.top - rise)
    part = _roof_surface(c, d, h, h.z - 0.25 * h.m)
    lean = 0.12 * rise
    c.polygon(
        [(h.x0, h.top), (h.x0 + lean, h.top - rise), (h.x1 - lean, h.top - rise), (h.x1, h.top)], part, "roof"
    )
    lead = c.surface((120, 124, 124), h.z - 0.1 * h.m)
    c.rect(
        h.x0 + lean - 0.1 * h.m,
        h.top - rise - 0.14 * h.m,
        h.x1 - lean + 0.1 * h.m,
        h.top - rise,
        lead,
        "roof",
    )
    _dormers(c, d, h, centres, h.top - 0.14 * rise, 0.68 * rise, part)


def gable(c: drawing.Canvas, d: random.Random, h: elements.House, centres: list[float], pitch: float) -> None:
    """A plain, stepped or bell gable, perhaps with windows."""
    m, x0, x1 = h.m, h.x0, h.x1
    mid, half = (x0 + x1) / 2, (x1 - x0) / 2
    kind = d.choice(["plain", "plain", "stepped", "bell"])
    rise = min(half * d.uniform(0.7, 1.15), h.top - 0.04)
    if kind == "plain":
        tile = _roof_surface(c, d, h, h.z + 0.35 * m)
        over = 0.35 * m
        c.polygon(
            [
                (x0 - over, h.top + 0.2 * m),
                (mid, h.top - rise - over),
                (x1 + over, h.top + 0.2 * m),
                (x1, h.top + 0.25 * m),
                (x0, h.top + 0.25 * m),
            ],
            tile,
            "roof",
        )
        c.polygon([(x0, h.top + 0.1 * m), (mid, h.top - rise), (x1, h.top + 0.1 * m)], h.wall, "wall")
        c.rect(x0, h.top + 0.09 * m, x1, h.top + 0.3 * m, h.wall, "wall")
    elif kind == "stepped":
        steps = d.randint(3, 6)
        for i in range(steps):
            w, y = half * (1 - i / steps), h.top - rise * i / steps
            c.rect(mid - w, y - rise / steps, mid + w, y, h.wall, "wall")
            inner = half * (1 - (i + 1) / steps)
            for a, b in ((mid - w, mid - inner), (mid + inner, mid + w)):
                c.rect(
                    a, y - rise / steps - 0.12 * m, b, y - rise / steps + 0.06 * m, h.trim(c, 0.12), "cornice"
                )
    else:
        power = d.uniform(1.4, 2.2)

        def bell(grow: float) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
            """The inside of the gable, wider by `grow` on both sides."""

            def inside(x: np.ndarray, y: np.ndarray) -> np.ndarray:
                up = np.clip((h.top - y) / rise, 0, 1)
                return np.abs(x - mid) < half * (0.28 + 0.72 * (1 - up) ** power) + grow

            return inside

        c.shape(x0, h.top - rise - 0.15 * m, x1, h.top, bell(0.0), h.trim(c, 0.15), "moulding")
        c.shape(x0, h.top - rise, x1, h.top, bell(-0.22 * m), h.wall, "wall")
        c.shape(
            mid - 0.34 * half,
            h.top - rise - 0.3 * half,
            mid + 0.34 * half,
            h.top - rise + 0.04 * m,
            elements.disc(mid, h.top - rise, 0.34 * half, 0.3 * half),
            h.trim(c, 0.2),
            "cornice",
        )
    if rise > 2.2 * m:
        y = h.top - 0.18 * rise
        w, tall = min(0.55 * m, 0.2 * half), min(1.6 * m, 0.34 * rise)
        shape = d.choice(["rect", "arch"])
        for x in [mid] if half < 3.2 * m else [mid - 1.1 * m, mid + 1.1 * m]:
            c.rect(x - w - 0.14 * m, y, x + w + 0.14 * m, y + 0.14 * m, h.trim(c, 0.2), "sill")
            elements.pane(c, d, h, x - w, y - tall, x + w, y, shape, 2, 2, 0.2)
        if d.random() < 0.5:
            r, y = 0.32 * m, h.top - 0.62 * rise
            c.shape(
                mid - 2 * r,
                y - 2 * r,
                mid + 2 * r,
                y + 2 * r,
                elements.disc(mid, y, 1.4 * r, 1.4 * r),
                h.trim(c, 0.08),
                "moulding",
            )
            c.shape(
                mid - r,
                y - r,
                mid + r,
                y + r,
                elements.disc(mid, y, r, r),
                elements.glass(c, d, h, mid - r, y - r, 2 * r, 2 * r, 1, 1),
                "window",
            )


def _roof_surface(c: drawing.Canvas, d: random.Random, h: elements.House, z: float) -> int:
    """The index of a surface of tiles or of metal sheets with seams."""
    m, colour = h.m, materials.near(d, d.choice(ROOFS), 12)
    course = m * d.uniform(0.2, 0.3)
    tiles = drawing.Texture(
        course,
        course * d.uniform(0.7, 1.1),
        0.03 * m,
        0.5,
        d.uniform(0.2, 0.5),
        0.8,
        0.4,
        0.15,
        0.4,
        seed=h.seed,
    )
    seams = drawing.Texture(9.0, 0.6 * m, 0.07 * m, 0, 0.06, 0.8, 0, 0.05, 0.3, seed=h.seed)
    texture = c.texture(d.choices([tiles, seams], [4, 1])[0])
    return c.surface(colour, z, texture, tuple(0.5 * v for v in colour))


def _chimneys(c: drawing.Canvas, d: random.Random, h: elements.House, low: float, high: float) -> None:
    """No chimney, one or two, on a roof from `low` up to `high`."""
    m = h.m
    brick = materials.near(d, d.choice(materials.BRICKS[:3] + materials.PLASTERS[:5]), 12)
    part = c.surface(
        brick,
        h.z + 0.2 * m,
        c.texture(drawing.Texture(0.14 * m, 0.4 * m, 0.03 * m, 0.5, 0.3, 0.7, 0, 0.15, 0.5)),
        tuple(0.7 * v for v in brick),
    )
    cap = c.surface(tuple(0.75 * v for v in brick), h.z + 0.3 * m)
    pot = c.surface((150, 90, 66), h.z + 0.2 * m)
    for _ in range(d.choice([0, 1, 1, 2])):
        x, w = d.uniform(h.x0 + m, h.x1 - m), d.uniform(0.35, 0.8) * m
        y0, y1 = high - d.uniform(0.5, 1.2) * m, low + 0.3 * (high - low)
        for k in range(d.randint(1, 3)):
            at = x - w + (k + 0.5) * 0.5 * m
            if at < x + w:
                c.rect(at - 0.1 * m, y0 - 0.35 * m, at + 0.1 * m, y0, pot, "roof")
        c.rect(x - w, y0, x + w, y1, part, "roof")
        c.rect(x - w - 0.08 * m, y0, x + w + 0.08 * m, y0 + 0.16 * m, cap, "roof")


def _dormers(
    c: drawing.Canvas,
    d: random.Random,
    h: elements.House,
    centres: list[float],
    low: float,
    tall: float,
    roof: int,
) -> None:
    """Dormers above the bays, `tall` from `low` upwards."""
    m, every, kind = h.m, d.choice([1, 1, 2]), d.choice(["gable", "arch", "flat"])
    w = min(0.62 * m, 0.3 * tall + 0.2 * m)
    cheek = h.trim(c, 0.05)
    hood = c.surface(tuple(0.8 * v for v in c.colours[roof]), h.z + 0.25 * m, c.slots[roof], c.seconds[roof])
    for i, x in enumerate(centres):
        if i % every:
            continue
        c.rect(x - w - 0.16 * m, low - tall, x + w + 0.16 * m, low, cheek, "moulding")
        if kind == "gable":
            c.polygon(
                [(x - w - 0.3 * m, low - tall), (x, low - tall - 0.5 * m), (x + w + 0.3 * m, low - tall)],
                hood,
                "roof",
            )
        elif kind == "arch":
            c.shape(
                x - w - 0.26 * m,
                low - tall - 0.4 * m,
                x + w + 0.26 * m,
                low - tall,
                elements.disc(x, low - tall, w + 0.26 * m, 0.4 * m),
                hood,
                "roof",
            )
        else:
            c.rect(x - w - 0.26 * m, low - tall - 0.14 * m, x + w + 0.26 * m, low - tall, hood, "roof")
        elements.pane(c, d, h, x - w, low - tall + 0.1 * m, x + w, low - 0.12 * m, "rect", 2, 2, 0.05)


def _skylight(c: drawing.Canvas, d: random.Random, h: elements.House, x: float, y: float) -> None:
    """A window in the slope of a roof, around (x, y)."""
    m = h.m
    c.rect(
        x - 0.45 * m, y - 0.5 * m, x + 0.45 * m, y + 0.5 * m, c.surface((88, 88, 90), h.z - 0.2 * m), "window"
    )
    c.rect(
        x - 0.36 * m,
        y - 0.4 * m,
        x + 0.36 * m,
        y + 0.4 * m,
        elements.glass(c, d, h, x - 0.4 * m, y - 0.4 * m, 0.8 * m, 0.8 * m, 1, 1, mirror=0.75),
        "window",
    )
