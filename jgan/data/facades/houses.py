"""Buildings: masonry fronts of many kinds and modern blocks, composed of the parts of a facade."""

import random
from typing import Any

from jgan.data.facades import drawing
from jgan.data.facades import elements
from jgan.data.facades import materials
from jgan.data.facades import roofs
from jgan.data.facades import storefronts


def building(
    c: drawing.Canvas, d: random.Random, x0: float, x1: float, ground: float, kind: str, z: float
) -> elements.House:
    """Paints a building of a kind from x0 to x1; the house that it is."""
    if kind == "modern":
        return _modern(c, d, x0, x1, ground, z)
    return _masonry(c, d, x0, x1, ground, kind, z)


def _masonry(
    c: drawing.Canvas, d: random.Random, x0: float, x1: float, ground: float, kind: str, z: float
) -> elements.House:
    """A front of masonry: "classic", "brick" or "house"."""
    floors = {"classic": d.randint(3, 5), "brick": d.randint(2, 5), "house": 2}[kind]
    roof = d.choices(
        ["flat", "tiles", "mansard", "gable"],
        {"classic": [4, 4, 4, 0], "brick": [3, 2, 1, 4], "house": [0, 4, 0, 5]}[kind],
    )[0]
    if roof == "gable" and x1 - x0 > 0.75 and kind != "house":
        roof = "tiles"
    top = {
        "flat": d.uniform(0.07, 0.2),
        "tiles": d.uniform(0.16, 0.32),
        "mansard": d.uniform(0.24, 0.34),
        "gable": d.uniform(0.3, 0.42),
    }[roof]
    tall = d.uniform(1.1, 1.4) if floors > 2 else d.uniform(0.95, 1.1)
    h = elements.House(c, d, x0, x1, ground, top, floors, tall, kind, z)
    m = h.m
    bays = max(1, round((x1 - x0) / m / d.uniform(2.5, 3.4)))
    edge = d.uniform(0.2, 0.6) * m
    pitch = (x1 - x0 - 2 * edge) / bays
    centres = [x0 + edge + pitch * (i + 0.5) for i in range(bays)]
    c.rect(x0, top, x1, ground, h.wall, "wall")
    {
        "flat": roofs.parapet,
        "tiles": roofs.tiled,
        "mansard": roofs.mansard,
        "gable": roofs.gable,
    }[roof](c, d, h, centres, pitch)
    _piers(c, d, h, centres, pitch, edge)
    _belts(c, d, h, floors)
    style = elements.window_style(d, h, kind, pitch)
    _upper_floors(c, d, h, centres, pitch, style)
    _ground_floor(c, d, h, centres, pitch, style, kind)
    if roof != "gable":
        _cornice(c, d, h)
    if d.random() < 0.3:
        x = d.choice([x0 + 0.25 * edge + 0.1 * m, x1 - 0.25 * edge - 0.1 * m])
        pipe = c.surface(
            materials.near(d, d.choice([(110, 110, 106), (150, 146, 138), (84, 110, 96)])), z + 0.15 * m
        )
        c.rect(x - 0.06 * m, top, x + 0.06 * m, ground, pipe)
    return h


def _modern(
    c: drawing.Canvas, d: random.Random, x0: float, x1: float, ground: float, z: float
) -> elements.House:
    """A modern block."""
    floors, tall = d.randint(4, 8), d.uniform(1.1, 1.4)
    top = d.uniform(0.06, 0.22)
    h = elements.House(c, d, x0, x1, ground, top, floors, tall, "modern", z)
    m = h.m
    c.rect(x0, top, x1, ground, h.wall, "wall")
    c.rect(
        x0 - 0.05 * m,
        top - 0.3 * m,
        x1 + 0.05 * m,
        top + 0.12 * m,
        c.surface(tuple(0.8 * v for v in h.colour), z + 0.12 * m, h.plain),
        "cornice",
    )
    if d.random() < 0.4:
        x, w = d.uniform(x0 + 0.2, x1 - 0.2), d.uniform(1.5, 3) * m
        c.rect(
            x - w,
            top - 1.9 * m,
            x + w,
            top - 0.3 * m,
            c.surface((150, 150, 148), z - 0.5 * m, h.plain),
            "roof",
        )
    bays = max(2, round((x1 - x0) / m / d.uniform(2.8, 4.2)))
    pitch = (x1 - x0) / bays
    kind = d.choice(["band", "grid", "wide", "wide"])
    loggias = {d.randrange(bays) for _ in range(max(1, bays // 2))} if d.random() < 0.65 else set()
    rail = d.choice(
        [
            "iron",
            materials.near(d, d.choice(materials.CONCRETES)),
            materials.near(d, d.choice(materials.PLASTERS)),
            (150, 175, 180),
        ]
    )
    mirror, columns = d.uniform(0.3, 0.75), d.choice([1, 2, 3, 4])
    half = {"band": 0.5, "grid": 0.44, "wide": d.uniform(0.26, 0.38)}[kind] * pitch
    low, tall = {"band": (0.25, 0.5), "grid": (0.1, 0.8), "wide": (0.27, d.uniform(0.42, 0.56))}[kind]
    accent = c.surface(
        materials.near(d, d.choice(materials.PLASTERS + materials.BRICKS)), z - 0.02 * m, h.plain
    )
    panels = d.random() < 0.5
    rollers = d.random() < 0.35
    fins = d.random() < 0.35
    for i in range(1, floors):
        floor = h.floor_bottom(i)
        for j in range(bays):
            x = x0 + (j + 0.5) * pitch
            y1 = floor - low * h.step
            y0 = y1 - tall * h.step
            if j in loggias:
                y0, y1 = floor - 0.8 * h.step, floor - 0.06 * h.step
            if panels:
                c.rect(x - half, y1, x + half, floor - 0.04 * h.step, accent)
            elements.pane(
                c,
                d,
                h,
                x - half,
                y0,
                x + half,
                y1,
                "rect",
                columns,
                1,
                0.15,
                min(0.9, max(0.1, d.gauss(mirror, 0.1))),
            )
            if kind == "wide" and j not in loggias:
                c.rect(x - half - 0.05 * m, y1, x + half + 0.05 * m, y1 + 0.09 * m, h.trim(c, 0.12), "sill")
            if rollers and d.random() < 0.4:
                c.rect(
                    x - half,
                    y0,
                    x + half,
                    y0 + (y1 - y0) * d.choice([0.25, 0.5, 0.8]),
                    c.surface(
                        h.shutter_colour, z - 0.05 * m, h.slats, tuple(0.5 * v for v in h.shutter_colour)
                    ),
                    "blind",
                )
            if j in loggias:
                elements.balcony(c, d, h, x - 0.46 * pitch, x + 0.46 * pitch, floor - 0.04 * h.step, rail)
    if fins:
        for j in range(bays + 1):
            x = x0 + j * pitch
            c.rect(x - 0.14 * m, top + 0.12 * m, x + 0.14 * m, h.floor_bottom(1), h.trim(c, 0.35), "pillar")
    y = h.floor_bottom(1)
    c.rect(x0, y - 0.1 * m, x1, y + 0.2 * m, h.trim(c, 0.4 if d.random() < 0.5 else 0.1), "cornice")
    entry = d.randrange(bays)
    edges = [x0 + j * pitch for j in range(bays + 1)]
    if d.random() < 0.6:
        for a, b in ((edges[0], edges[entry]), (edges[entry + 1], edges[-1])):
            if b > a:
                storefronts.shop(c, d, h, a + 0.15 * m, b - 0.15 * m, y + 0.25 * m)
    else:
        for j in range(bays):
            if j != entry:
                x = (edges[j] + edges[j + 1]) / 2
                elements.pane(
                    c,
                    d,
                    h,
                    x - 0.8 * half,
                    y + 0.9 * m,
                    x + 0.8 * half,
                    ground - 0.8 * m,
                    "rect",
                    columns,
                    1,
                    0.15,
                    mirror,
                )
    storefronts.door(c, d, h, (edges[entry] + edges[entry + 1]) / 2, 0.9 * m, y)
    return h


def _piers(
    c: drawing.Canvas, d: random.Random, h: elements.House, centres: list[float], pitch: float, edge: float
) -> None:
    """Pilasters between the bays or quoins at the corners."""
    kind = d.choices(["none", "pilasters", "quoins"], [5, 3, 2])[0]
    foot, m = h.floor_bottom(1), h.m
    if kind == "pilasters" and len(centres) > 1:
        w = min(0.28 * m, 0.12 * pitch)
        for i in range(len(centres) + 1):
            x = centres[0] + (i - 0.5) * pitch
            c.rect(x - w, h.top, x + w, foot, h.trim(c, 0.16), "pillar")
            for y in (h.top + 0.45 * m, foot - 0.3 * m):
                c.rect(x - 1.3 * w, y, x + 1.3 * w, y + 0.3 * m, h.trim(c, 0.24), "pillar")
    elif kind == "quoins":
        for x, sign in ((h.x0, 1), (h.x1, -1)):
            y, long = foot, False
            while y > h.top + 0.3 * m:
                w = sign * m * (0.62 if long else 0.38)
                c.rect(min(x, x + w), y - 0.42 * m, max(x, x + w), y - 0.03 * m, h.trim(c, 0.07), "pillar")
                y, long = y - 0.42 * m, not long


def _belts(c: drawing.Canvas, d: random.Random, h: elements.House, floors: int) -> None:
    """Cornices and bands between the floors."""
    m = h.m
    chance = d.choice([0.1, 0.5, 1.0])
    for i in range(1, floors):
        y = h.floor_bottom(i)
        if i == 1 and d.random() < 0.8:
            c.rect(h.x0, y - 0.1 * m, h.x1, y + 0.16 * m, h.trim(c, 0.2), "cornice")
            c.rect(h.x0, y - 0.16 * m, h.x1, y - 0.08 * m, h.trim(c, 0.34), "cornice")
        elif d.random() < chance:
            c.rect(h.x0, y - 0.06 * m, h.x1, y + 0.14 * m, h.trim(c, 0.1), "moulding")


def _cornice(c: drawing.Canvas, d: random.Random, h: elements.House) -> None:
    """The cornice below the roof."""
    m, y = h.m, h.top
    depth = d.uniform(0.35, 0.7)
    c.rect(h.x0, y + 0.1 * m, h.x1, y + 0.45 * m, h.trim(c, 0.15), "cornice")
    if d.random() < 0.6:
        c.bars(
            h.x0,
            y + 0.1 * m,
            h.x1,
            y + d.uniform(0.25, 0.42) * m,
            d.uniform(0.35, 0.8) * m,
            h.trim(c, 0.35),
            0.45,
        )
    c.rect(h.x0 - 0.2 * m, y - 0.12 * m, h.x1 + 0.2 * m, y + 0.1 * m, h.trim(c, depth), "cornice")
    c.rect(h.x0 - 0.28 * m, y - 0.2 * m, h.x1 + 0.28 * m, y - 0.1 * m, h.trim(c, depth + 0.15), "cornice")


def _upper_floors(
    c: drawing.Canvas,
    d: random.Random,
    h: elements.House,
    centres: list[float],
    pitch: float,
    style: dict[str, Any],
) -> None:
    """The windows and balconies above the ground floor."""
    m, n, half = h.m, len(centres), style["half"]
    mode = style["balcony"]
    chosen = {d.randrange(n), n - 1 - d.randrange(n)}
    attic = d.uniform(0.6, 0.8) if d.random() < 0.3 and h.floors > 3 else 1.0
    broken = d.random() < 0.12
    balconies = []
    for i in range(1, h.floors):
        floor = h.floor_bottom(i)
        last = i == h.floors - 1
        shape = style["shape"] if not style["change"] or i in (1, h.floors - 1) else "rect"
        surround = style["surround"]
        if surround in ("pediment", "round") and i > 1:
            surround = "band"
        if last and style["change"]:
            surround = d.choice([surround, "none"])
        for j, x in enumerate(centres):
            if broken and d.random() < 0.06:
                continue  # a bricked-up window
            has = {
                "none": False,
                "middle": j in (n // 2, (n - 1) // 2) and i == 1,
                "first": i == 1,
                "columns": j in chosen,
                "some": (7 * i + 3 * j + h.seed) % 5 == 0,
            }[mode]
            tall = style["tall"] * h.step * (attic if last else 1)
            low = floor - (0.06 if has else 0.24) * h.step
            if has:
                tall = min(tall + 0.16 * h.step, 0.78 * h.step)
            elements.window(c, d, h, x, low, tall, style, shape, surround)
            if has:
                balconies.append((x, floor - 0.05 * h.step))
    wide = min(half + 0.5 * m, 0.49 * pitch)
    if mode == "first" and h.seed % 2:
        elements.balcony(
            c, d, h, centres[0] - wide, centres[-1] + wide, h.floor_bottom(1) - 0.05 * h.step, style["rail"]
        )
    elif mode == "middle" and n % 2 == 0:
        elements.balcony(
            c,
            d,
            h,
            centres[n // 2 - 1] - wide,
            centres[n // 2] + wide,
            h.floor_bottom(1) - 0.05 * h.step,
            style["rail"],
        )
    else:
        for x, y in balconies:
            elements.balcony(c, d, h, x - wide, x + wide, y, style["rail"])


def _ground_floor(
    c: drawing.Canvas,
    d: random.Random,
    h: elements.House,
    centres: list[float],
    pitch: float,
    style: dict[str, Any],
    kind: str,
) -> None:
    """The ground floor: its wall, shops or windows, and the door."""
    m, top = h.m, h.floor_bottom(1)
    face = d.choices(["plain", "rustic", "painted"], [4, 4, 1] if kind == "classic" else [6, 1, 1])[0]
    if face == "rustic":
        course = m * d.uniform(0.35, 0.5)
        colour = materials.near(d, d.choice([h.trim_colour, h.colour, d.choice(materials.STONES)]), 6)
        texture = c.texture(
            drawing.Texture(
                course, d.choice([9.0, 2.4 * course]), 0.06 * m, 0.5, 0.1, 1.0, 0.12, 0.1, 0.3, seed=h.seed
            )
        )
        wall = c.surface(colour, h.z + 0.04 * m, texture, tuple(0.5 * v for v in colour))
        c.rect(h.x0, top + 0.16 * m, h.x1, h.ground, wall)
    elif face == "painted":
        c.rect(
            h.x0,
            top + 0.16 * m,
            h.x1,
            h.ground,
            c.surface(materials.near(d, d.choice(materials.PLASTERS)), h.z, h.trim_texture),
        )
    if d.random() < 0.7:
        rise = d.uniform(0.3, 0.8) * m
        plinth = c.surface(tuple(0.72 * v for v in h.trim_colour), h.z + 0.08 * m, h.trim_texture)
        c.rect(h.x0, h.ground - rise, h.x1, h.ground, plinth)
    n = len(centres)
    entry = d.choice([n // 2, 0, n - 1, d.randrange(n)])
    shops = d.random() < {"classic": 0.5, "brick": 0.4, "house": 0.05}[kind]
    if shops:
        runs = [r for r in (range(0, entry), range(entry + 1, n)) if len(r)]
        for run in runs or [range(entry, entry + 1)]:
            storefronts.shop(
                c, d, h, centres[run[0]] - 0.46 * pitch, centres[run[-1]] + 0.46 * pitch, top + 0.24 * m
            )
        if not runs:
            return
    else:
        low = dict(style, boxes=False, shutters=style["shutters"] and h.seed % 2)
        tall = min(style["tall"] * h.step * 1.05, h.ground - top - 1.3 * m)
        for j, x in enumerate(centres):
            if j != entry and tall > 0.5 * m:
                elements.window(
                    c,
                    d,
                    h,
                    x,
                    h.ground - 0.9 * m,
                    tall,
                    low,
                    style["shape"] if h.seed % 3 else "rect",
                    "none" if face == "rustic" else style["surround"],
                )
    storefronts.door(c, d, h, centres[entry], min(0.75 * m, 0.4 * pitch), top)
