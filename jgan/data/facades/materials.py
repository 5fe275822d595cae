"""Materials of a facade: sRGB colours of real materials, and the textures of walls.

`d` draws the random numbers, and `m` is one metre in frame units.
"""

from collections.abc import Callable
from collections.abc import Sequence
import random
from typing import Any

from jgan.data.facades import drawing

BRICKS = [
    (150, 78, 60),
    (172, 98, 72),
    (122, 62, 52),
    (190, 148, 104),
    (204, 178, 134),
    (98, 72, 64),
    (182, 88, 58),
    (138, 100, 80),
]
PLASTERS = [
    (228, 216, 190),
    (234, 230, 220),
    (218, 192, 146),
    (212, 164, 132),
    (196, 196, 190),
    (226, 204, 170),
    (166, 182, 190),
    (218, 178, 164),
    (176, 188, 162),
    (242, 238, 228),
    (204, 136, 106),
    (206, 178, 98),
    (150, 152, 150),
    (190, 110, 90),
    (120, 140, 160),
]
STONES = [(204, 194, 172), (186, 178, 160), (168, 160, 146), (210, 194, 160), (150, 146, 138)]
CONCRETES = [(176, 174, 168), (200, 198, 192), (150, 148, 144), (206, 196, 180), (226, 226, 222)]
FRAMES = [
    (240, 240, 236),
    (232, 226, 210),
    (86, 58, 42),
    (60, 62, 64),
    (52, 74, 62),
    (222, 222, 222),
    (120, 92, 66),
]
SHUTTERS = [
    (62, 92, 74),
    (92, 112, 130),
    (140, 70, 52),
    (120, 126, 120),
    (222, 218, 206),
    (90, 66, 48),
    (70, 100, 130),
]


class Repainted(random.Random):
    """The random numbers of a scene with the same buildings in other colours and with other curtains.

    The buildings come from this stream and the paint from `paint`; this stream advances as if it drew the paint too.
    """

    def __init__(self, seed: str, paint: str) -> None:
        """The streams of two seeds: that of the scene and that of its paint."""
        super().__init__(seed)
        self.paint = random.Random(paint)

    def choice(self, seq: Sequence[Any]) -> Any:
        """A choice as `Random` makes it; among colours, which are tuples of three numbers, it is a choice of paint."""
        chosen = super().choice(seq)
        return self.paint.choice(seq) if all(isinstance(x, tuple) for x in seq) else chosen


def painted(d: random.Random, draw: Callable[[random.Random], Any]) -> Any:
    """The result of `draw(stream)`, which is not visible in the label map and which a `Repainted` stream draws anew."""
    drawn = draw(d)
    return draw(d.paint) if isinstance(d, Repainted) else drawn


def near(d: random.Random, colour: drawing.Colour, spread: float = 10) -> drawing.Colour:
    """A colour near another one, at most 1.5 times `spread` of 255 away in each channel."""
    return painted(d, lambda d: _near(d, colour, spread))


def _near(d: random.Random, colour: drawing.Colour, spread: float) -> drawing.Colour:
    """A colour near another one, drawn from this stream alone."""
    shade = d.uniform(-spread, spread)
    return tuple(min(255, max(0, c + shade + d.uniform(-spread, spread) * 0.5)) for c in colour)


def linear(colour: drawing.Colour) -> drawing.Colour:
    """The linear colour, each channel from 0 to 1, of sRGB from 0 to 255."""
    return tuple((c / 255) ** 2 for c in colour)


def wall(
    d: random.Random, material: str, m: float, seed: int
) -> tuple[drawing.Colour, drawing.Colour, drawing.Texture]:
    """The colour, the second colour and the texture of a wall."""
    if material == "brick":
        colour = near(d, d.choice(BRICKS), 14)
        mortar = d.choice([(196, 188, 172), (150, 142, 132), tuple(0.7 * v for v in colour)])
        course = m * d.uniform(0.1, 0.15)
        return (
            colour,
            mortar,
            drawing.Texture(
                course,
                2.9 * course,
                0.16 * course,
                d.choice([0.5, 0.5, 0.25]),
                d.uniform(0.25, 0.6),
                d.uniform(0.4, 0.9),
                0,
                0.15,
                d.uniform(0.1, 0.35),
                seed=seed,
            ),
        )
    if material == "stone":
        colour = near(d, d.choice(STONES), 12)
        course = m * d.uniform(0.35, 0.6)
        return (
            colour,
            tuple(0.62 * v for v in colour),
            drawing.Texture(
                course,
                course * d.uniform(1.6, 2.6),
                0.035 * m,
                0.5,
                d.uniform(0.1, 0.28),
                d.uniform(0.4, 1),
                0,
                0.14,
                d.uniform(0.15, 0.4),
                seed=seed,
            ),
        )
    if material == "concrete":
        colour = near(d, d.choice(CONCRETES), 10)
        return (
            colour,
            tuple(0.7 * v for v in colour),
            drawing.Texture(
                m * d.choice([1.1, 1.65, 3.3]),
                m * d.uniform(1.5, 4),
                0.04 * m,
                0,
                d.uniform(0.04, 0.12),
                0.8,
                0,
                0.08,
                d.uniform(0.1, 0.3),
                seed=seed,
            ),
        )
    colour = near(d, d.choice(PLASTERS), 12)
    worn = tuple(0.55 * v + 60 for v in colour)
    return (
        colour,
        worn,
        drawing.Texture(
            grain=d.uniform(0.04, 0.12), stain=d.uniform(0.08, 0.35), patch=d.choice([0, 0, 0.25, 0.5])
        ),
    )
