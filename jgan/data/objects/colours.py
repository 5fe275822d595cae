"""Colours of the drawn objects: one strong colour, and companions that go with every colour.

Lightness, chroma and hue are those of OKLab (Ottosson 2020), in which equal steps look equal.
"""

from collections.abc import Sequence

import numpy as np

Colour = tuple[float, ...]  # three numbers, linear from 0 to 1

# Companions from ivory over leather to charcoal, and metals from brass to steel: sRGB, 0..255.
_TRIMS = [(246, 240, 226), (222, 196, 156), (166, 112, 70), (96, 62, 46), (52, 50, 54)]
_WOODS = [(226, 190, 142), (196, 142, 90), (140, 88, 54), (88, 56, 40)]
_METALS = [(206, 168, 96), (200, 196, 190), (120, 124, 132)]


def strong(hue: float, chroma: float, tone: float) -> Colour:
    """The linear colour of a hue (1: once around), a share of chroma and a share of lightness."""
    # Yellows are light by nature (dark ones look like mud), and the sRGB gamut is narrow at cyan.
    angle = 2 * np.pi * hue
    yellow, cyan = ((0.5 + 0.5 * np.cos(angle - at)) ** 3 for at in (1.8, 3.6))
    lightness = 0.43 + 0.33 * tone + (0.13 - 0.06 * tone) * yellow
    strength = (0.045 + 0.11 * chroma) * (1 - 0.25 * cyan)
    return lch(lightness, strength, angle)


def trim(share: float) -> Colour:
    """A linear colour from ivory (0) over leather to charcoal (1)."""
    return _ramp(_TRIMS, share)


def companion(colour: Colour, share: float) -> Colour:
    """A linear colour that goes with another: ivory (0), sand, or a dark shade of itself (1)."""
    sand, shade = trim(0.22), mixed(scaled(colour, 0.3), trim(1.0), 0.35)
    return mixed(trim(0), sand, 2 * share) if share < 0.5 else mixed(sand, shade, 2 * share - 1)


def wood(share: float) -> Colour:
    """The linear colour of a wood, from beech (0) to walnut (1)."""
    return _ramp(_WOODS, share)


def metal(share: float) -> Colour:
    """The linear colour of a metal, from brass (0) to steel (1)."""
    return _ramp(_METALS, share)


def scaled(colour: Colour, factor: float) -> Colour:
    """A linear colour made darker or lighter."""
    return tuple(min(1.0, factor * v) for v in colour)


def mixed(a: Colour, b: Colour, share: float) -> Colour:
    """The linear colour between a (0) and b (1)."""
    return tuple(u + share * (v - u) for u, v in zip(a, b, strict=True))


def lch(lightness: float, chroma: float, angle: float) -> Colour:
    """The linear colour of OKLab lightness, chroma and hue angle, clipped to what sRGB can show."""
    a, b = chroma * np.cos(angle), chroma * np.sin(angle)
    l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    s = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    linear = np.clip(
        [
            4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
            -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
            -0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s,
        ],
        0,
        1,
    )
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return tuple(float(v) ** 2 for v in encoded)


def _ramp(stops: Sequence[tuple[int, int, int]], share: float) -> Colour:
    """The linear colour at a share of a series of sRGB colours from 0 to 255."""
    place = min(max(share, 0.0), 1.0) * (len(stops) - 1)
    i = min(int(place), len(stops) - 2)
    ends = [tuple((v / 255) ** 2 for v in stop) for stop in stops[i : i + 2]]
    return mixed(*ends, place - i)
