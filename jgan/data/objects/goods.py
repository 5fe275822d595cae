"""Bag and chair.

Every function paints one object on the canvas `c`; `f` holds its factors, in the ranges that stand above the function.
"""

import types

import numpy as np

from jgan.data.objects import canvas
from jgan.data.objects import colours
from jgan.data.objects import shapes

BAG = {
    "width": (0.29, 0.38),
    "height": (0.4, 0.54),
    "taper": (0.72, 0.98),
    "flap": (0.3, 0.62),
    "handle": (0.14, 0.24),
    "span": (0.38, 0.62),
    "gusset": (0.03, 0.075),
}


def bag(c: canvas.Canvas, f: types.SimpleNamespace) -> None:
    """A handbag with a flap and one handle."""
    whole = f.height + f.handle
    top, foot = 0.5 - whole / 2 + f.handle, 0.49 + whole / 2
    half, upper = f.width, f.width * f.taper
    left = 0.5 - 0.5 * f.gusset
    leather = colours.strong(f.hue, f.chroma, f.tone)
    surface = canvas.Surface(leather, gloss=0.22, polish=3)
    c.ground(0.5, foot, 1.04 * half, 0.6)
    arch = f.span * upper
    w = c.window(left - arch - 0.05, top - f.handle - 0.05, left + arch + 0.05, top + 0.12)
    # Handle: an arch whose feet go down behind the flap.
    ring = shapes.ellipse(w.x, w.y, left, top + 0.02, arch, f.handle)
    loop = shapes.cut(np.abs(ring) - 0.017, w.y - top - 0.03)
    c.paint(
        w, loop, canvas.Surface(colours.scaled(leather, 0.8), gloss=0.25, polish=3), bevel=0.017, bulge=0.9
    )
    w = c.window(left - half - 0.03, top - 0.05, left + half + f.gusset + 0.03, foot + 0.02)
    side = shapes.polygon(
        w.x,
        w.y,
        [
            (left + upper - 0.03, top + 0.02),
            (left + upper + 0.55 * f.gusset, top + 0.012),
            (left + half + f.gusset - 0.02, foot - 0.055),
            (left + half - 0.03, foot - 0.02),
        ],
        0.018,
    )
    c.paint(w, side, canvas.Surface(colours.scaled(leather, 0.55)), bevel=0.03, bulge=0.4, facing=(0.5, 0.05))
    front = [
        (left - upper + 0.03, top + 0.03),
        (left + upper - 0.03, top + 0.03),
        (left + half - 0.04, foot - 0.04),
        (left - half + 0.04, foot - 0.04),
    ]
    body = shapes.polygon(w.x, w.y, front, 0.04)
    puff = np.clip((w.y - top) / f.height, 0, 1)
    facing = (0.45 * np.clip((w.x - left) / half, -1, 1), 0.35 * (puff - 0.55))
    c.paint(w, body, surface, bevel=0.07, bulge=0.75, facing=facing)
    low = top + f.flap * f.height
    s = (w.x - left) / half
    lid = shapes.cut(body + 0.002, w.y - low + 0.1 * f.height * s * s * s * s + 0.03 * s * s, 0.03)
    c.shade(w, shapes.cut(lid, body) - 0.018, 0.018, 0.45)
    c.paint(
        w,
        lid,
        canvas.Surface(colours.companion(leather, f.trim), gloss=0.25, polish=3),
        bevel=0.03,
        bulge=0.6,
        facing=(facing[0], facing[1] - 0.12),
    )
    clasp = shapes.polygon(
        w.x,
        w.y,
        [
            (left - 0.02, low - 0.03),
            (left + 0.02, low - 0.03),
            (left + 0.02, low + 0.008),
            (left - 0.02, low + 0.008),
        ],
        0.012,
    )
    c.shade(w, clasp - 0.008, 0.01, 0.4)
    c.paint(w, clasp, canvas.Surface(colours.metal(f.trim), gloss=0.6, polish=3), bevel=0.016, bulge=0.6)
    for edge in (-1, 1):
        x = left + edge * arch
        stud = shapes.ellipse(w.x, w.y, x, top + 0.03, 0.022, 0.028)
        c.paint(w, stud, canvas.Surface(colours.metal(f.trim), gloss=0.5, polish=3), bevel=0.02, bulge=0.7)


CHAIR = {
    "width": (0.36, 0.46),
    "depth": (0.32, 0.42),
    "seat": (0.3, 0.4),
    "back": (0.32, 0.42),
    "lean": (0.02, 0.1),
    "splay": (0.0, 0.05),
    "turn": (0.35, 0.65),
    "pad": (0.03, 0.06),
}
_SCALE = 0.86


def chair(c: canvas.Canvas, f: types.SimpleNamespace) -> None:
    """A padded wooden chair, turned a little to the right."""
    cos, sin, rise = np.cos(f.turn), np.sin(f.turn), 0.34
    a, b = f.width / 2, f.depth / 2
    middle = 0.47 * (f.seat + f.back)  # as much of the chair above the middle of the frame as below it

    def place(x: float, y: float, z: float) -> tuple[float, float]:
        """Frame coordinates of a point: x to the chair's left, y up from the floor, z towards its back."""
        return (
            0.5 + _SCALE * (cos * x + sin * z - 0.5 * sin * f.lean),
            0.495 + _SCALE * (middle - 0.94 * y - rise * (cos * z - sin * x)),
        )

    timber = canvas.Surface(colours.wood(f.trim), gloss=0.2, polish=3)
    dark = canvas.Surface(colours.scaled(timber.colour, 0.68), gloss=0.1, polish=3)
    cloth = colours.strong(f.hue, f.chroma, f.tone)
    padded = canvas.Surface(cloth)
    centre = place(0, 0, 0)
    c.ground(centre[0], centre[1], 0.27, 0.42)

    def leg(x: float, z: float, surface: canvas.Surface, height: float) -> None:
        foot = place(x * (a + f.splay), 0, z * (b + f.splay))
        head = place(x * (a - 0.02), height, z * (b - 0.02))
        v = c.around([head, foot], 0.03)
        c.paint(v, shapes.stroke(v.x, v.y, [head, foot], 0.02, 0.013), surface, bevel=0.02, bulge=0.9)

    leg(-1, 1, dark, f.seat)
    leg(1, 1, dark, f.seat)
    leg(-1, -1, timber, f.seat)
    leg(1, -1, timber, f.seat)
    frame = [place(x * a, f.seat, z * b) for x, z in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    under = [(x, y + 0.032) for x, y in frame]
    w = c.around(under, 0.06)
    skirt = shapes.polygon(w.x, w.y, under, 0.008)
    c.shade(w, skirt - 0.02, 0.03, 0.3)
    c.paint(w, skirt, dark, bevel=0.012, bulge=0.5, facing=(-0.2, 0.1))
    # Posts of the back, then its pad, then the seat in front of their feet.
    reach = f.seat + f.back
    for x in (-1, 1):
        low, high = place(x * (a - 0.02), f.seat, b), place(x * (a - 0.02), reach, b + f.lean)
        v = c.around([low, high], 0.03)
        c.paint(v, shapes.stroke(v.x, v.y, [high, low], 0.018, 0.018), timber, bevel=0.018, bulge=0.9)
    corners = ((-1, 0.96), (1, 0.96), (1, 0.4), (-1, 0.4))
    panel = [place(x * (a - 0.045), f.seat + t * f.back, b + t * f.lean - 0.02) for x, t in corners]
    w = c.around(panel, 0.04)
    rest = shapes.polygon(w.x, w.y, panel, 0.028)
    c.paint(w, rest, padded, bevel=0.05, bulge=0.7, facing=(-0.22, -0.08))
    cushion = [(0.5 + 0.93 * (x - 0.5), y) for x, y in frame]
    w = c.around(cushion, f.pad + 0.04)
    thick = shapes.polygon(w.x, w.y, [(x, y - 0.004) for x, y in cushion], 0.022)
    c.paint(w, thick, canvas.Surface(colours.scaled(cloth, 0.8)), bevel=0.03, bulge=0.6, facing=(-0.1, 0.25))
    top = shapes.polygon(w.x, w.y, [(x, y - f.pad) for x, y in cushion], 0.02)
    c.paint(w, top, padded, bevel=0.035, bulge=0.55, facing=(-0.05, -0.5))
