"""Turned things: bottle, mug and table lamp.

Every function paints one object on the canvas `c`; `f` holds its factors, in the ranges that stand above the function.
"""

import types

import numpy as np

from jgan.data.objects import canvas
from jgan.data.objects import colours
from jgan.data.objects import shapes

_TILT = 0.16  # height of a horizontal disc as a share of its width

BOTTLE = {
    "height": (0.72, 0.86),
    "width": (0.125, 0.185),
    "shoulder": (0.26, 0.46),
    "neck": (0.04, 0.062),
    "waist": (0.0, 0.16),
    "label": (0.2, 0.5),
    "cap": (0.05, 0.085),
}


def bottle(c: canvas.Canvas, f: types.SimpleNamespace) -> None:
    """A glass bottle with a label and a cap."""
    top, foot = 0.5 - f.height / 2, 0.49 + f.height / 2
    glass = colours.strong(f.hue, f.chroma, f.tone)
    c.ground(0.5, foot + 0.01, 1.1 * f.width, 0.5)
    shoulder = top + f.shoulder * f.height
    low, half = foot - 0.03, f.width
    middle = 0.5 * (shoulder + low)
    w = c.window(0.5 - half, top, 0.5 + half, foot + 0.04)
    body = shapes.turned(
        w.x,
        w.y,
        0.5,
        [
            (top + 0.02, f.neck),
            (top + f.cap + 0.35 * (shoulder - top), f.neck * 1.04),
            (shoulder, half * 0.95),
            (shoulder + 0.05, half),
            (middle, half * (1 - f.waist)),
            (low - 0.02, half),
            (low + 0.018, half * 0.97),
            (foot, half * 0.86),
        ],
        _TILT,
    )
    # The label is a band that follows the round of the body; light comes through the glass beside it.
    tall = f.label * (low - shoulder)
    band = np.abs(body.level - (middle + 0.02)) - tall / 2
    share = np.clip(0.5 - band * c.n, 0, 1)
    through = np.clip(1 - np.abs(body.across - 0.35) / 0.5, 0, 1) * 0.28
    c.paint(
        w,
        body.distance,
        canvas.Surface(glass, gloss=0.5, polish=4, box=0.5),
        bulge=0,
        facing=(body.across, body.down),
        mix=(share, colours.trim(0.55 * f.trim)),
        shadow=1 + through * (1 - share),
    )
    line = np.clip(0.5 - (np.abs(band + 0.2 * tall) - 0.007) * c.n, 0, 1)
    _overlay(c, w, body, line, colours.scaled(glass, 0.8))
    w = c.window(0.5 - 0.08, top - 0.02, 0.5 + 0.08, top + f.cap + 0.05)
    cap = shapes.turned(
        w.x,
        w.y,
        0.5,
        [(top, f.neck * 1.1), (top + 0.012, f.neck * 1.25), (top + f.cap, f.neck * 1.25)],
        _TILT,
    )
    lid = colours.trim(0.25 + 0.75 * f.trim)
    c.paint(w, cap.distance, canvas.Surface(lid, gloss=0.25, box=0.2), bulge=0, facing=(cap.across, cap.down))
    lip = shapes.ellipse(w.x, w.y, 0.5, top, f.neck * 1.1, _TILT * f.neck * 1.1)
    c.paint(w, lip, canvas.Surface(colours.scaled(lid, 1.1)), bulge=0, facing=(0.0, -0.7))


MUG = {
    "height": (0.44, 0.62),
    "width": (0.23, 0.29),
    "taper": (-0.16, 0.14),
    "handle": (0.1, 0.165),
    "thick": (0.02, 0.034),
    "band": (0.0, 0.5),
    "fill": (0.03, 0.09),
}


def mug(c: canvas.Canvas, f: types.SimpleNamespace) -> None:
    """A mug of coffee, seen from slightly above."""
    tilt = 0.26
    top, foot = 0.5 - f.height / 2, 0.48 + f.height / 2
    rim, base = f.width, f.width * (1 - f.taper)
    left = 0.5 - 0.42 * f.handle
    clay = colours.strong(f.hue, f.chroma, f.tone)
    inner = colours.trim(0.3 * f.trim)
    surface = canvas.Surface(clay, gloss=0.45, polish=4, box=0.32)
    c.ground(left + 0.02, foot + 0.02, 1.12 * base + 0.3 * f.handle, 0.55)
    middle, tall = top + 0.5 * f.height, 0.33 * f.height
    side = left + 0.5 * (rim + base) - 0.015
    w = c.window(side - 0.05, middle - tall - 0.06, side + f.handle + 0.06, middle + tall + 0.06)
    ring = np.abs(shapes.ellipse(w.x, w.y, side, middle, f.handle, tall)) - f.thick
    c.paint(w, ring, canvas.Surface(clay, gloss=0.35), bevel=f.thick, bulge=0.95)
    w = c.window(left - 1.2 * rim, top - 0.1, left + 1.2 * rim, foot + 0.1)
    body = shapes.turned(
        w.x,
        w.y,
        left,
        [(top, rim), (foot - 0.06, base), (foot - 0.025, 0.985 * base), (foot, 0.93 * base)],
        tilt,
    )
    share = np.clip(0.5 - (body.level - (foot - f.band * f.height)) * -c.n, 0, 1)
    c.paint(
        w,
        body.distance,
        surface,
        bulge=0,
        facing=(body.across, body.down),
        mix=(share, inner),
    )
    edge = shapes.ellipse(w.x, w.y, left, top, rim, tilt * rim)
    c.paint(
        w,
        edge,
        canvas.Surface(colours.scaled(clay, 1.15), gloss=0.2),
        bulge=0.5,
        bevel=0.012,
        facing=(0, -0.5),
    )
    hole = shapes.ellipse(w.x, w.y, left, top + 0.003, rim - 0.018, tilt * (rim - 0.018))
    round_ = np.clip((w.x - left) / rim, -1, 1)
    c.paint(
        w,
        hole,
        canvas.Surface(colours.scaled(inner, 0.78), gloss=0.1),
        bulge=0,
        facing=(-0.75 * round_, 0.15),
    )
    drink = shapes.ellipse(w.x, w.y, left, top + f.fill, rim - 0.02, tilt * (rim - 0.02))
    coffee = colours.mixed((0.075, 0.028, 0.012), (0.3, 0.14, 0.06), f.trim)
    c.paint(w, shapes.cut(hole, drink), canvas.Surface(coffee, gloss=0.06), bulge=0, facing=(0, -0.55))


LAMP = {
    "height": (0.74, 0.86),
    "shade": (0.21, 0.3),
    "taper": (0.42, 0.8),
    "tall": (0.34, 0.44),
    "bulb": (0.05, 0.15),
    "place": (0.25, 0.75),
    "foot": (0.11, 0.16),
}


def lamp(c: canvas.Canvas, f: types.SimpleNamespace) -> None:
    """A table lamp."""
    top, foot = 0.5 - f.height / 2, 0.49 + f.height / 2
    low = top + f.tall * f.height
    c.ground(0.5, foot + 0.006, 1.2 * f.foot, 0.5)
    clay = colours.strong(f.hue, f.chroma, f.tone)
    cloth = colours.mixed(colours.trim(0.25 * f.trim), (0.97, 0.82, 0.55), 0.4)
    brass = canvas.Surface(colours.metal(f.trim), gloss=0.6, box=0.5)
    w = c.window(0.5 - 0.2, low - 0.06, 0.5 + 0.2, foot + 0.06)
    pole = shapes.turned(w.x, w.y, 0.5, [(low - 0.05, 0.014), (foot - 0.02, 0.014)], _TILT)
    c.paint(w, pole.distance, brass, bulge=0, facing=(pole.across, pole.down))
    plate = shapes.turned(
        w.x,
        w.y,
        0.5,
        [
            (foot - 0.035, 0.35 * f.foot),
            (foot - 0.022, 0.92 * f.foot),
            (foot - 0.012, f.foot),
            (foot, f.foot),
        ],
        _TILT,
    )
    c.paint(w, plate.distance, brass, bulge=0, facing=(plate.across, plate.down))
    room = foot - 0.03 - low
    heart = low + (0.3 + 0.4 * f.place) * room
    vase = shapes.turned(
        w.x,
        w.y,
        0.5,
        [
            (low + 0.05 * room, 0.018),
            (low + 0.16 * room, 0.026),
            (heart, f.bulb),
            (foot - 0.16 * room, 0.34 * f.bulb + 0.022),
            (foot - 0.03, 0.4 * f.bulb + 0.026),
        ],
        _TILT,
    )
    c.paint(
        w,
        vase.distance,
        canvas.Surface(clay, gloss=0.5, polish=4, box=0.4),
        bulge=0,
        facing=(vase.across, vase.down),
    )
    w = c.window(0.5 - f.shade, top - 0.08, 0.5 + f.shade, low + 0.1)
    shade = shapes.turned(w.x, w.y, 0.5, [(top, f.shade * f.taper), (low, f.shade)], 0.13)
    c.shade(w, shade.distance, 0.03, 0.35)
    warm = np.clip(1 - np.hypot((w.x - 0.5) / f.shade, (w.y - low + 0.05) / (low - top)), 0, 1)
    c.paint(
        w,
        shade.distance,
        canvas.Surface(cloth, glow=0.12),
        bulge=0,
        facing=(0.8 * shade.across, shade.down),
        mix=(0.75 * warm, (1.0, 0.86, 0.5)),
    )
    for at in (top + 0.006, low - 0.006):
        seam = np.clip(0.5 - (np.abs(shade.level - at) - 0.007) * c.n, 0, 1)
        _overlay(c, w, shade, seam, colours.scaled(colours.mixed(cloth, clay, 0.75), 0.9))
    rim = f.shade * f.taper
    hole = shapes.ellipse(w.x, w.y, 0.5, top, rim - 0.006, 0.13 * rim - 0.004)
    c.paint(w, hole, canvas.Surface((1.0, 0.9, 0.62), glow=0.2), bulge=0, facing=(0, 0.1))


def _overlay(
    c: canvas.Canvas, w: canvas.Window, body: shapes.Turned, share: np.ndarray, colour: colours.Colour
) -> None:
    """Prints on a turned body: where `share` is 1, its surface has another colour."""
    hidden = shapes.cut(body.distance, (0.5 - share) / c.n)
    c.paint(w, hidden, canvas.Surface(colour, gloss=0.15), bulge=0, facing=(body.across, body.down))
