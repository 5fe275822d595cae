"""Things to wear: shoe, shirt and hat.

Every function paints one object on the canvas `c`; `f` holds its factors, in the ranges that stand above the function.
"""

import types

import numpy as np

from jgan.data.objects import canvas
from jgan.data.objects import colours
from jgan.data.objects import shapes

SHOE = {
    "length": (0.8, 0.9),
    "collar": (0.25, 0.42),
    "toe": (0.14, 0.19),
    "sole": (0.05, 0.085),
    "heel": (0.0, 0.035),
    "throat": (0.44, 0.56),
    "cap": (0.14, 0.24),
}


def shoe(c: canvas.Canvas, f: types.SimpleNamespace) -> None:
    """A sneaker from its side, the toe to the left."""
    x0, long = 0.5 - f.length / 2, f.length
    floor = 0.53 + f.collar / 2

    def at(share: float) -> float:
        return x0 + share * long

    cloth = colours.strong(f.hue, f.chroma, f.tone)
    rubber = colours.trim(0.12 * f.trim)
    trim = colours.companion(cloth, 0.25 + 0.75 * f.trim)
    c.ground(0.5, floor + 0.005, 0.5 * long, 0.6)
    w = c.window(x0 - 0.03, floor - f.collar - 0.12, x0 + long + 0.03, floor + 0.02)
    deck = floor - f.sole
    collar, throat = deck - f.collar, at(f.throat)
    lace = deck - f.toe - 0.42 * (f.collar - f.toe)
    heel = [(collar - 0.03, at(0.97)), (collar + 0.03, at(0.955)), (deck - 0.05, at(0.985)), (deck, at(0.97))]
    front = [
        (at(0.012), deck - 0.1 * f.toe),
        (at(0.035), deck - 0.62 * f.toe),
        (at(0.1), deck - 0.96 * f.toe),
        (at(0.24), deck - 1.12 * f.toe),
        (at(f.throat - 0.12), deck - 1.25 * f.toe - 0.08 * f.collar),
        (throat, lace),
    ]
    # The far side of the collar, the lining, and the tongue; then the near side in front of them.
    far = shapes.above(w.x, w.y, [*front, (at(0.66), collar), (at(0.97), collar - 0.02)])
    back = shapes.left_of(w.x, w.y, heel)
    lower = shapes.cut(w.y - deck - 0.012, at(0.008) - w.x, 0.02)
    outer = shapes.cut(shapes.cut(-far, back, 0.03), lower)
    c.paint(w, outer, canvas.Surface(colours.scaled(colours.mixed(cloth, rubber, 0.25), 0.5)), bulge=0)
    spine = [(throat - 0.03, lace + 0.05), (at(f.throat + 0.1), collar - 0.005)]
    v = c.around(spine, 0.04)
    tongue = shapes.stroke(v.x, v.y, spine, 0.034, 0.032)
    c.paint(v, tongue, canvas.Surface(colours.scaled(cloth, 1.15)), bevel=0.03, bulge=0.8)
    dip = 0.13 * f.collar + 0.02
    near = shapes.above(
        w.x,
        w.y,
        [
            *front,
            (at(f.throat + 0.12), collar + 0.3 * dip),
            (at(f.throat + 0.16), collar + 0.35 * dip),
            (at(0.5 * (f.throat + 0.16) + 0.44), collar + dip),
            (at(0.95), collar - 0.018),
            (at(1.0), collar - 0.02),
        ],
    )
    upper = shapes.cut(shapes.cut(-near, back, 0.035), lower)
    # Bent towards the viewer at the sole, away from him at the top.
    lean = np.clip((w.y - (deck - 0.6 * f.collar)) / f.collar, -0.6, 0.6)
    roll = np.clip((w.x - 0.5) / long, -0.5, 0.5)
    facing = (0.75 * roll, 0.55 * lean - 0.2)
    cap = np.hypot((w.x - at(-0.02)) / (f.cap * long), (w.y - deck - 0.02) / (2.1 * f.toe)) - 1
    tip = np.clip(0.5 - 0.12 * cap * c.n, 0, 1)
    c.paint(
        w,
        upper,
        canvas.Surface(cloth, gloss=0.12, polish=3),
        bevel=0.05,
        bulge=0.75,
        facing=facing,
        mix=(tip, rubber),
    )
    swoop = shapes.cut(
        shapes.polygon(
            w.x,
            w.y,
            [
                (at(f.throat - 0.02), deck - 0.32 * f.collar),
                (at(f.throat + 0.09), deck - 0.5 * f.collar),
                (at(0.86), deck - 0.02),
                (at(0.72), deck - 0.02),
            ],
            0.012,
        ),
        upper + 0.01,
    )
    c.paint(w, swoop, canvas.Surface(trim, gloss=0.1), bevel=0.012, bulge=0.35, facing=facing)
    tab = shapes.cut(upper + 0.004, at(0.895) - w.x + 0.25 * (w.y - deck))
    c.paint(w, tab, canvas.Surface(trim, gloss=0.1), bevel=0.04, bulge=0.7, facing=facing)
    for i in range(4):
        s = (i + 0.6) / 4
        x = at(f.throat - 0.14) + s * 0.23 * long
        y = float(shapes.curve([*front, (at(f.throat + 0.12), collar + 0.3 * dip)], np.asarray([x]))[0])
        ends = [(x - 0.012, y - 0.006), (x + 0.04, y + 0.052)]
        v = c.around(ends, 0.02)
        string = shapes.stroke(v.x, v.y, ends, 0.013, 0.013)
        c.paint(v, string, canvas.Surface(colours.trim(0.0)), bevel=0.013, bulge=0.8)
    under = [
        (at(-0.02), floor - 0.018),
        (at(0.1), floor),
        (at(0.8), floor + 0.001),
        (at(1.02), floor - 0.01),
    ]
    over = [
        (at(-0.02), deck - 0.02),
        (at(0.3), deck + 0.012),
        (at(0.6), deck + 0.004 - f.heel),
        (at(1.02), deck - f.heel - 0.004),
    ]
    slab = shapes.cut(shapes.above(w.x, w.y, under), -shapes.above(w.x, w.y, over), 0.012)
    slab = shapes.cut(slab, np.abs(w.x - 0.5) - 0.5 * long, 0.045)
    c.shade(w, slab, 0.025, 0.4)
    tread = np.clip(0.5 - (floor - 0.014 - w.y) * c.n, 0, 1)
    c.paint(
        w,
        slab,
        canvas.Surface(rubber, gloss=0.15, polish=3),
        bevel=0.02,
        bulge=0.7,
        facing=(0.5 * roll, 0),
        mix=(tread, colours.scaled(trim, 0.7)),
    )


SHIRT = {
    "width": (0.205, 0.26),
    "length": (0.66, 0.8),
    "sleeve": (0.14, 0.22),
    "spread": (0.5, 1.0),
    "neck": (0.075, 0.1),
    "depth": (0.04, 0.1),
    "flare": (-0.02, 0.04),
    "stripe": (0.0, 0.15),
}


def shirt(c: canvas.Canvas, f: types.SimpleNamespace) -> None:
    """A T-shirt from the front."""
    top, hem = 0.5 - f.length / 2, 0.5 + f.length / 2
    half = f.width
    shoulder, armpit = top + 0.05, top + 0.24
    cloth = colours.strong(f.hue, f.chroma, f.tone)
    second = colours.companion(cloth, f.trim)
    c.ground(0.5, hem + 0.035, 1.05 * half, 0.28)
    w = c.window(0.02, top - 0.04, 0.98, hem + 0.03)
    # Folds hang from the armpits and fade towards the middle of the chest.
    u = (w.x - 0.5) / half
    fold = 0.2 * np.sin(9 * u - 3.2 * u * (w.y - armpit) / 0.3) * np.clip((w.y - armpit + 0.05) / 0.3, 0, 1)
    fold = fold * np.clip(1.6 * np.abs(u), 0.25, 1)
    round_ = np.clip((w.x - 0.5) / half, -1, 1)
    body = (0.6 * round_ * np.abs(round_) + fold, -0.1 + 0.4 * fold)
    surface = canvas.Surface(cloth)
    rib = canvas.Surface(colours.mixed(cloth, second, 0.85))
    # Sleeves first: the seam of the body lies over them.
    reach, drop = f.sleeve * np.cos(f.spread), f.sleeve * np.sin(f.spread)
    edge, out = 0.5 + half, np.abs(w.x - 0.5) + np.float32(0.5)
    cos, sin = np.cos(f.spread), np.sin(f.spread)
    end = (edge + reach, shoulder + 0.022 + drop)
    corners = [
        (edge - 0.07, shoulder + 0.004),
        end,
        (end[0] - 0.125 * sin, end[1] + 0.125 * cos),
        (edge - 0.02, armpit - 0.01),
    ]
    arms = shapes.polygon(out, w.y, corners, 0.012)
    along = ((out - edge) * cos + (w.y - shoulder) * sin) / f.sleeve
    cuff = np.clip(0.5 + (along - 0.93) * f.sleeve * c.n, 0, 1)
    side = np.clip((w.x - 0.5) / 0.02, -1, 1)
    c.paint(w, arms, surface, bevel=0.05, bulge=0.6, facing=(0.22 * side, 0.1), mix=(cuff, rib.colour))
    outline = shapes.polygon(
        out,
        w.y,
        [
            (0.4, top + 0.012),
            (0.5 + f.neck, top + 0.012),
            (0.5 + half - 0.02, shoulder + 0.012),
            (0.5 + half - 0.03, armpit),
            (0.5 + half + f.flare - 0.012, hem - 0.012),
            (0.4, hem - 0.012),
        ],
        0.012,
    )
    sag = (
        outline
        + 0.014 * np.cos(np.pi * (w.x - 0.5) / half) * np.clip((w.y - hem + 0.08) / 0.08, 0, 1)
        - 0.012
    )
    c.shade(w, outline, 0.02, 0.3)
    torso = shapes.cut(outline, sag + 0.004)
    line = np.abs(w.y - (armpit + 0.07) + 0.01 * round_**2) - f.stripe / 2
    share = np.clip(0.5 - line * c.n, 0, 1) * np.clip(f.stripe / 0.03, 0, 1)
    c.paint(w, torso, surface, bevel=0.06, bulge=0.7, facing=body, mix=(share, second))
    # The opening: the back of the collar is seen in it.
    hole = shapes.ellipse(w.x, w.y, 0.5, top + 0.004, f.neck, f.depth + 0.02)
    collar = shapes.cut(np.abs(hole) - 0.016, top - 0.006 - w.y, 0.01)
    inside = shapes.cut(hole, top - 0.004 - w.y)
    c.paint(w, inside, canvas.Surface(colours.scaled(cloth, 0.42)), bulge=0)
    behind = shapes.cut(inside, w.y - top - 0.024 + 0.02 * ((w.x - 0.5) / f.neck) ** 2, 0.01)
    c.paint(w, behind, canvas.Surface(colours.scaled(rib.colour, 0.75)), bulge=0)
    c.paint(w, collar, rib, bevel=0.016, bulge=0.6)


HAT = {
    "brim": (0.39, 0.46),
    "open": (0.2, 0.29),
    "curl": (-0.03, 0.055),
    "crown": (0.27, 0.4),
    "width": (0.52, 0.62),
    "taper": (0.66, 0.92),
    "dent": (0.0, 0.05),
    "band": (0.16, 0.34),
}


def hat(c: canvas.Canvas, f: types.SimpleNamespace) -> None:
    """A felt hat with a ribbon, seen from slightly above."""
    deep = f.open * f.brim
    base = 0.5 + 0.5 * f.crown - 0.02
    top = base - f.crown
    felt = colours.strong(f.hue, 0.75 * f.chroma, f.tone)
    surface = canvas.Surface(felt, gloss=0.05, polish=2)
    half = f.width * f.brim
    c.ground(0.5, base + deep - 0.005, 0.96 * f.brim, 0.5)
    w = c.window(0.5 - f.brim, top - 0.08, 0.5 + f.brim, base + deep + 0.08)
    s = (w.x - 0.5) / f.brim
    lift = f.curl * (s * s - 0.25)
    brim = shapes.ellipse(w.x, w.y + lift, 0.5, base, f.brim, deep)
    # The edge first, a little lower: felt has a thickness.
    edge = shapes.ellipse(w.x, w.y + lift, 0.5, base + 0.016, f.brim, deep)
    c.paint(w, edge, canvas.Surface(colours.scaled(felt, 0.62)), bulge=0)
    tipped = np.clip(12 * f.curl * s, -0.5, 0.5)
    c.paint(w, brim, surface, bevel=0.03, bulge=0.35, facing=(-tipped, -0.42))
    c.shade(w, shapes.ellipse(w.x, w.y, 0.53, base + 0.01, 1.12 * half, 0.3 * half), 0.05, 0.5)
    tilt = 0.2
    body = shapes.turned(
        w.x,
        w.y,
        0.5,
        [
            (top, 0.62 * half * f.taper),
            (top + 0.025, 0.86 * half * f.taper),
            (top + 0.07, half * f.taper),
            (base - 0.25 * f.crown, 0.97 * half),
            (base, half),
        ],
        tilt,
    )
    # Dented in the middle of the top.
    dip = f.dent * np.exp(-(((w.x - 0.5) / (0.42 * half)) ** 2))
    crown = shapes.cut(body.distance, (top - 0.02 + 1.25 * dip) - w.y, 0.03)
    hollow = np.clip(1 - (w.y - top - 1.2 * dip) / 0.09, 0, 1) * np.clip(dip / 0.05, 0, 1)
    ribbon = np.clip(0.5 + (body.level - (base - f.band * f.crown)) * c.n, 0, 1)
    c.paint(
        w,
        crown,
        surface,
        bevel=0.035,
        bulge=0.3,
        facing=(0.92 * body.across, body.down),
        mix=(ribbon, colours.companion(felt, f.trim)),
        shadow=1 - 0.35 * hollow,
    )
