"""Built-in pairs without a download: drawn facades as label maps and photo-like pictures.

Every example is one street front, drawn from (seed, index): town houses, brick fronts with gables,
modern blocks, sometimes neighbours, trees and sky. The label map says where the parts are, in the spirit
of the CMP facade database (Tylecek and Sara, 2013); materials, colours, weather, curtains and light are
drawn independently of it, so that a labels -> photo model cannot know them. Geometry is kept in frame
coordinates: the same index shows the same building at every size.
"""

import operator
import random

import numpy as np

import jgan
from jgan.data.facades import drawing
from jgan.data.facades import lighting
from jgan.data.facades import materials
from jgan.data.facades import streets

PALETTE = {
    "sky": (150, 210, 255),
    "background": (0, 0, 90),
    "wall": (0, 0, 255),
    "window": (0, 110, 255),
    "door": (0, 200, 255),
    "balcony": (170, 255, 85),
    "cornice": (0, 255, 200),
    "moulding": (255, 85, 0),
    "sill": (90, 220, 140),
    "blind": (255, 255, 0),
    "pillar": (255, 0, 0),
    "shop": (150, 0, 0),
    "roof": (160, 0, 200),
    "ground": (110, 110, 110),
    "plant": (0, 120, 30),
}
STYLES = ("day", "dusk")
_COLOURS = np.asarray(list(PALETTE.values()), np.uint8)


class Facades:
    """Random-access source of {"labels", "photo"}, both uint8 [size, size, 3].

    An example depends on (seed, index, size, style) only; labels hold the colours of PALETTE only.
    `style` is "day" or "dusk": the same buildings with the lamps lit.
    """

    def __init__(self, size: int, number: int, seed: int = 0, style: str = "day") -> None:
        """`number` facades of `size` pixels a side.

        Raises:
            jgan.UserError: a size or number that cannot be drawn, or an unknown style.
        """
        if not 16 <= size <= 2048:
            raise jgan.UserError(f"facades of {size} pixels were asked for; 16 to 2048 can be drawn.")
        if number < 1:
            raise jgan.UserError(f"{number} facades were asked for; the number must be at least 1.")
        if style not in STYLES:
            raise jgan.UserError(f"facade style {style!r} is unknown; there are {', '.join(STYLES)}.")
        self.size, self.number, self.seed, self.style = int(size), int(number), int(seed), style

    def __len__(self) -> int:
        return self.number

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        index = operator.index(index)
        if not 0 <= index < self.number:
            raise IndexError(f"facade {index} of {self.number}")
        labels, photo = draw(self.size, self.seed, index, self.style)
        return {"labels": labels, "photo": photo}

    def __repr__(self) -> str:
        return f"Facades({self.size}, {self.number}, seed={self.seed}, style={self.style!r})"


def draw(
    size: int, seed: int, index: int, style: str = "day", photo: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """The label map and the photo of one facade, both uint8 [size, size, 3].

    Each number `photo` gives another photo of the same label map: its materials, light, textures and curtains differ as
    much as those of different indices.
    """
    # The buildings, the light and the textures have random numbers of their own, so that a change to the drawing of one
    # leaves the others as they were, and dusk shows the same building as day.
    canvas = drawing.Canvas(size, PALETTE)
    built, other = f"facade {seed} {index}", f" photo {photo}" if photo else ""
    scene = materials.Repainted(built, f"paint {seed} {index}{other}") if photo else random.Random(built)
    streets.scene(canvas, scene)
    light = _light(random.Random(f"light {seed} {index}{other}"), style)
    rng = np.random.default_rng([seed % 2**63, index, photo] if photo else [seed % 2**63, index])
    if style == "dusk":
        _switch_on(canvas, random.Random(f"lamps {seed} {index}{other}"))
    return _COLOURS[canvas.labels], lighting.render(canvas, light, rng)


def _light(d: random.Random, style: str) -> lighting.Light:
    """The sun, sky and camera of a picture."""
    side = d.choice([-1, 1])
    across, down = side * d.uniform(0.3, 1.1), d.uniform(0.5, 1.2)
    cover = d.uniform(0, 1)
    dirt, vignette, noise = d.uniform(0, 0.55), d.uniform(0.0, 0.12), d.uniform(0.01, 0.05)
    contrast, warm, exposure = d.uniform(-0.05, 0.35), d.uniform(-0.09, 0.09), d.uniform(0.85, 1.2)
    weather = d.choices(["sun", "haze", "grey"], [5, 3, 3])[0]
    opposite = d.uniform(0.35, 0.9) if weather == "sun" and d.random() < 0.3 else 2.0
    dapple = d.uniform(0.3, 0.8) if weather == "sun" and d.random() < 0.2 else 0.0
    hue = d.random()
    if style == "dusk":
        glow = (0.9 - 0.3 * hue, 0.34 + 0.1 * hue, 0.22 + 0.25 * hue)
        return lighting.Light(
            sun=(0.05, 0.035, 0.03),
            ambient=(0.16 + 0.05 * hue, 0.18, 0.30),
            across=across,
            down=down,
            zenith=(0.05, 0.08, 0.2),
            horizon=glow,
            cloud=(0.3, 0.2, 0.25),
            cover=0.6 * cover,
            opposite=2.0,
            dapple=0.0,
            dirt=dirt,
            vignette=vignette + 0.05,
            gain=tuple(exposure * v for v in (1 + warm, 1, 1 - warm)),
            contrast=contrast,
            noise=noise + 0.02,
        )
    sun = {"sun": d.uniform(0.9, 1.3), "haze": d.uniform(0.35, 0.7), "grey": 0.08}[weather]
    sky = {"sun": d.uniform(0.38, 0.52), "haze": d.uniform(0.6, 0.8), "grey": d.uniform(0.8, 1.05)}[weather]
    gold = d.uniform(0, 0.22)
    zenith = (0.09 + 0.1 * hue, 0.24 + 0.12 * hue, 0.62)
    horizon = (0.5, 0.66, 0.86)
    if weather == "grey":
        grey = d.uniform(0.55, 0.85)
        zenith, horizon, cover = (grey, grey, grey * 1.04), (grey * 1.1, grey * 1.1, grey * 1.1), 0.8
    elif weather == "haze":
        zenith, horizon = tuple(0.5 * v + 0.35 for v in zenith), (0.8, 0.84, 0.88)
    return lighting.Light(
        sun=(sun * (1 + 0.5 * gold), sun, sun * (1 - gold)),
        ambient=(sky * 0.92, sky, sky * 1.1),
        across=across,
        down=down,
        zenith=zenith,
        horizon=horizon,
        cloud=(0.92, 0.92, 0.94),
        cover=0.9 * cover,
        opposite=opposite,
        dapple=dapple,
        dirt=dirt,
        vignette=vignette,
        gain=tuple(exposure * v for v in (1 + warm, 1, 1 - warm)),
        contrast=contrast,
        noise=noise,
    )


def _switch_on(canvas: drawing.Canvas, d: random.Random) -> None:
    """Lights some of the rooms and all of the shops."""
    share = d.uniform(0.25, 0.65)
    for key, glass in canvas.glass.items():
        lamp = d.uniform(0.5, 1.1) if glass.goods else d.uniform(0.5, 2.2) if d.random() < share else 0.0
        canvas.glass[key] = glass._replace(
            lamp=lamp,
            room=(0.22, 0.16, 0.09) if lamp else glass.room,
            mirror=glass.mirror * (0.4 if lamp else 1),
        )
