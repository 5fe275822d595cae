"""Light on a painted canvas: textures, sun and shadows, glass, sky, and the camera.

Light is computed from the height image of the surfaces: a march towards the sun casts the shadows of
cornices, sills and balconies, the slope gives lit and dark edges, and the difference to a blurred copy the
dimmer corners. Arithmetic is on linear colours, taken as the square of sRGB.
"""

from collections.abc import Sequence
import functools
import math
from typing import NamedTuple

import numpy as np

from jgan.data.facades import drawing

_NOISE = drawing.NOISE
_GLOW = np.asarray([1.0, 0.56, 0.2], np.float32)  # lamps


class Light(NamedTuple):
    """Sun, sky and camera of one picture; colours are linear, the sun's direction in frame units."""

    sun: drawing.Colour
    ambient: drawing.Colour
    across: float  # shadow offset to the right per unit of height
    down: float
    zenith: drawing.Colour
    horizon: drawing.Colour
    cloud: drawing.Colour
    cover: float  # share of the sky under clouds
    opposite: float  # height in the frame below which the houses opposite throw their shadow, > 1: none
    dapple: float  # strength of tree shadows
    dirt: float
    vignette: float
    gain: drawing.Colour  # white balance and exposure
    contrast: float
    noise: float


def render(canvas: drawing.Canvas, light: Light, rng: np.random.Generator) -> np.ndarray:
    """The lit picture of a painted canvas: uint8 [size, size, 3]; surface 0 is the sky.

    `rng` is a numpy Generator; its draws do not depend on the size, so neither does the picture.
    """
    n, parts = canvas.fine, canvas.parts
    slow = _field(n, 5, rng) + 0.5 * _field(n, 17, rng)
    quick = _field(n, 60, rng)
    middle = _field(n, 31, rng)
    worn = 0.35 * slow + 0.2 * middle + 0.3 * quick
    offset = rng.integers(0, 256, 2)
    grain = _grain(n, offset)

    mix, tone = _textures(canvas, worn, grain)
    colours = _linear(canvas.colours)
    change = _linear(canvas.seconds) - colours
    picture = np.take(change, parts, axis=0)
    picture *= mix[..., None]
    picture += np.take(colours, parts, axis=0)

    heights = np.asarray(canvas.heights, np.float32)
    height = heights[parts]
    lit = _sunlight(height, light, n)
    blurred = _from_blocks(_blocks(height, min(n, 48)), n)
    corner = np.clip(1.0 - 9.0 * (blurred - height), 0.45, 1.1)
    y = ((np.arange(n, dtype=np.float32) + 0.5) / n)[:, None]
    x = y.T
    if light.opposite < 1:
        lit *= np.clip((light.opposite + 0.1 * (slow - 0.75) + 0.15 * x - y) / 0.03, 0, 1)
    if light.dapple > 0:
        crown = np.clip(5 * (slow - 0.75 + 0.5 * (y - 0.45)), 0, 1)
        lit *= 1 - light.dapple * crown * np.clip(5 * (0.5 * middle + 0.5 * quick - 0.44), 0, 1)
    dirt = _streaks(height, n, rng) * light.dirt
    dirt += light.dirt * 0.7 * np.clip((y - 0.78) / 0.15, 0, 1) * quick
    tone *= 1 - np.clip(dirt, 0, 0.6)
    sun, shade = lit * tone, corner * tone
    for channel in range(3):
        picture[..., channel] *= light.sun[channel] * sun + light.ambient[channel] * shade

    _panes(canvas, picture, light, slow, lit)
    _sky(canvas, picture, light, y, rng)
    return _develop(picture, canvas, light, grain)


def _linear(colours: Sequence[drawing.Colour]) -> np.ndarray:
    """Linear colours, float32; a square stands for the sRGB curve, and the picture takes the root again."""
    return np.square(np.asarray(colours, np.float32) / 255)


@functools.lru_cache(maxsize=64)
def _taps(n: int, cells: int, shift: float) -> tuple[np.ndarray, np.ndarray]:
    """The first lattice row [n] and four cubic B-spline weights [4, n, 1] for n pixels over `cells` cells."""
    at = (np.arange(n) + 0.5) / n * cells + shift
    i = np.floor(at).astype(int)
    f = at - i
    taps = np.stack([(1 - f) ** 3, 3 * f**3 - 6 * f**2 + 4, -3 * f**3 + 3 * f**2 + 3 * f + 1, f**3]) / 6
    return i, taps.astype(np.float32)[..., None]


def _stretch(grid: np.ndarray, n: int, cells: int, shift: float = 0.0, last: int | None = None) -> np.ndarray:
    """`grid` [k, w] interpolated along its first axis to the first `last` of n rows.

    It gathers rows, because a matrix product would wake a thread on every core for a millisecond's work, and the cores
    belong to the training step.
    """
    i, taps = _taps(n, cells, shift)
    i, taps = i[:last], taps[:, :last]
    out = grid[i]
    out *= taps[0]
    for k in range(1, 4):
        more = grid[i + k]
        more *= taps[k]
        out += more
    return out


def _enlarge(
    grid: np.ndarray, n: int, rows: int, columns: int, shift: float = 0.0, last: int | None = None
) -> np.ndarray:
    """`grid` interpolated along both axes, [last or n, n]."""
    across = np.ascontiguousarray(_stretch(np.ascontiguousarray(grid.T), n, columns, shift).T)
    return _stretch(across, n, rows, shift, last)


def _field(
    n: int, rows: int, rng: np.random.Generator, columns: int | None = None, last: int | None = None
) -> np.ndarray:
    """Smooth noise of mean 1/2 with `rows` by `columns` cells, float32 [last or n, n]."""
    columns = columns or rows
    grid = rng.random((rows + 3, columns + 3), dtype=np.float32)
    # The spline averages neighbours: 1.8 gives back about the contrast of the lattice.
    return _enlarge(1.8 * grid - 0.4, n, rows, columns, last=last)


def _blocks(image: np.ndarray, cells: int) -> np.ndarray:
    """Means of `image` over cells by cells blocks, float32 [cells, cells]."""
    n = image.shape[0]
    starts = np.arange(cells) * n // cells
    counts = np.diff(np.append(starts, n)).astype(np.float32)
    sums = np.add.reduceat(np.add.reduceat(image, starts, 0), starts, 1)
    return sums / (counts[:, None] * counts)


def _from_blocks(blocks: np.ndarray, n: int) -> np.ndarray:
    """A smooth image [n, n] through block means."""
    return _enlarge(np.pad(blocks, 2, mode="edge"), n, len(blocks), len(blocks), 0.5)


def _grain(n: int, offset: np.ndarray) -> np.ndarray:
    """White noise [n, n] in [0, 1], tiled from this offset on."""
    reps = -(-n // 256) + 1
    i, j = offset
    return np.tile(_NOISE, (reps, reps))[i : i + n, j : j + n]


def _coverage(at: np.ndarray, step: float, period: float, width: float) -> np.ndarray:
    """The share of each pixel [at, at + step) covered by joints of `width` every `period`."""

    def area(x: np.ndarray) -> np.ndarray:
        whole = np.floor(x / period)
        return whole * width + np.minimum(x - whole * period, width)

    return ((area(at + step) - area(at)) / step).astype(np.float32)


def _textures(canvas: drawing.Canvas, worn: np.ndarray, grain: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The share of the second colour and the brightness of every sub-pixel, both float32 [n, n]."""
    n, parts = canvas.fine, canvas.parts
    mix = np.zeros((n, n), np.float32)
    tone = np.ones((n, n), np.float32)
    slots = np.asarray(canvas.slots, np.int16)
    for index, (texture, box) in enumerate(zip(canvas.textures, canvas.boxes, strict=True)):
        i0, j0, i1, j1 = box
        if i1 <= i0 or j1 <= j0:
            continue
        here = (slots == index)[parts[i0:i1, j0:j1]]
        m, t = _pattern(texture, n, i0, i1, j0, j1, worn[i0:i1, j0:j1], grain[i0:i1, j0:j1])
        np.copyto(mix[i0:i1, j0:j1], m, where=here)
        np.copyto(tone[i0:i1, j0:j1], t, where=here)
    return mix, tone


def _pattern(
    texture: drawing.Texture, n: int, i0: int, i1: int, j0: int, j1: int, worn: np.ndarray, grain: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The share of the second colour and the brightness of a texture in a box of sub-pixels."""
    t = 1 + texture.stain * (worn - 0.5) + texture.grain * (grain - 0.5)
    if texture.leaf:
        x, y = drawing.centres(n, i0, i1, j0, j1)
        small = drawing.leaves(x, y, 90, texture.seed) * 0.6 + drawing.leaves(x, y, 28, texture.seed) * 0.7
        m = np.clip(2.2 * (small - 0.62) + 0.5 * (grain - 0.5) + 0.4, 0, 1)
        return m, t
    m = np.zeros_like(t)
    if texture.patch:
        m += texture.patch * np.clip(5 * (worn - 0.52), 0, 1)
    if texture.height:
        y, x = np.arange(i0, i1) / n, np.arange(j0, j1) / n
        row = np.floor(y / texture.height).astype(int)
        rows = _coverage(y, 1 / n, texture.height, texture.joint)[:, None]
        shifts = (0.0, texture.bond * texture.length)
        # Not below zero: floor of a negative quotient would index the tones from the far side.
        column = np.stack([np.floor((x + s) / texture.length).astype(int) for s in shifts])
        joints = np.stack([_coverage(x + s, 1 / n, texture.length, texture.joint) for s in shifts])
        joint = np.maximum(rows, joints[row % 2])
        block = _NOISE[((row + texture.seed) % 256)[:, None], (column % 256)[row % 2]]
        t += texture.vary * (block - 0.5) * (1 - joint)
        m = m * (1 - joint) + texture.mix * joint
        if texture.shade:
            t *= (1 - texture.shade * ((y / texture.height) % 1)).astype(np.float32)[:, None]
    return m, t


def _sunlight(height: np.ndarray, light: Light, n: int) -> np.ndarray:
    """The share of direct sun at every sub-pixel: cast shadows times the slope towards the sun."""
    rise = np.round(height * (n * 16)).astype(np.int16)
    shadow = np.zeros(rise.shape, bool)
    step = max(1.0, n / 280)
    for s in range(1, 1 + int(0.075 * n / step)):
        up = s * step
        dx, dy = round(up * light.across), round(up * light.down)
        a, b = (slice(0, n - dx), slice(dx, n)) if dx >= 0 else (slice(-dx, n), slice(0, n + dx))
        shadow[dy:, b] |= rise[: n - dy, a] > rise[dy:, b] + np.int16(16 * up)
    lit = 1.0 - shadow
    lit = lit.astype(np.float32)
    lit[1:-1] = 0.25 * (lit[:-2] + lit[2:]) + 0.5 * lit[1:-1]
    lit[:, 1:-1] = 0.25 * (lit[:, :-2] + lit[:, 2:]) + 0.5 * lit[:, 1:-1]
    slope = np.zeros_like(height)
    slope[1:-1] += np.clip((height[2:] - height[:-2]) * 60, -0.5, 0.5)
    slope[:, 1:-1] += math.copysign(1, light.across) * np.clip(
        (height[:, 2:] - height[:, :-2]) * 40, -0.4, 0.4
    )
    lit *= 1 + np.clip(slope, -0.6, 0.6)
    return lit


def _streaks(height: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Dirt that rain carries down from sills and cornices, float32 [n, n]."""
    cells = min(n, 96)
    coarse = _blocks(height, cells)
    ledge = np.zeros_like(coarse)
    ledge[1:] = np.clip((coarse[:-1] - coarse[1:]) * 60, 0, 1)
    columns = rng.random(96, dtype=np.float32)[:cells] ** 2
    level = np.zeros(cells, np.float32)
    for i in range(cells):
        level = np.maximum(level * 0.86, ledge[i] * columns)
        ledge[i] = level
    return _from_blocks(ledge, n)


def _panes(
    canvas: drawing.Canvas, picture: np.ndarray, light: Light, slow: np.ndarray, lit: np.ndarray
) -> None:
    """Fills the glass: rooms, curtains and goods behind it, sky and houses opposite mirrored in it."""
    if not canvas.glass:
        return
    n = canvas.fine
    keys = list(canvas.glass)
    lookup = np.full(len(canvas.slots), -1, np.int16)
    lookup[keys] = np.arange(len(keys))
    index = lookup[canvas.parts].ravel()
    where = np.flatnonzero(index >= 0)
    if not where.size:
        return
    index = index[where]
    table = np.asarray(
        [
            (
                g.x,
                g.y,
                1 / g.w,
                1 / g.h,
                g.mirror,
                g.tilt,
                g.opened,
                g.roller,
                g.lamp,
                g.columns,
                g.rows,
                g.seed,
                g.goods,
            )
            for g in canvas.glass.values()
        ],
        np.float32,
    )
    cloth = np.asarray([g.cloth for g in canvas.glass.values()], np.float32)[index]
    room = np.asarray([g.room for g in canvas.glass.values()], np.float32)[index]
    (left, top, iw, ih, mirror, tilt, opened, roller, lamp, columns, rows, seed, goods) = table[index].T
    row, column = np.divmod(where.astype(np.int32), np.int32(n))
    x = (column + np.float32(0.5)) * np.float32(1 / n)
    y = (row + np.float32(0.5)) * np.float32(1 / n)
    u, v = (x - left) * iw, (y - top) * ih
    pane = np.floor(u * columns) + 3 * np.floor(v * rows) + 17 * seed
    jitter = _hash(pane.astype(np.int32), 7919)

    far = np.clip(1.1 - 0.7 * v, 0.2, 1)
    inside = room * far[:, None]
    show = np.flatnonzero(goods > 0)
    if show.size:
        inside[show] = _goods(u[show], v[show], goods[show], seed[show], lamp[show], inside[show])
    blind = v < roller
    drawn = blind | (np.abs(2 * u - 1) > opened + 0.1 * np.sin(3 * v + seed))
    lace = np.where((opened < 0) & ((seed * 7) % 1 < 0.6), np.float32(0.55), np.float32(1))
    fold = 0.7 + 0.22 * np.sin(u * (20 + 25 * (seed % 1)) + 4 * np.sin(2 * v + seed)) + 0.1 * jitter
    fold = np.where(blind, np.float32(0.85), fold) * (0.55 + 0.45 * lit.ravel()[where])
    hung = drawn * lace
    inside += hung[:, None] * (cloth * fold[:, None] - inside)
    warm = lamp * np.where(drawn, np.float32(0.55), np.float32(0.85)) * far
    inside += warm[:, None] * _GLOW * (room + np.float32(0.25))
    inside *= np.clip(0.45 + 6 * v, 0, 1)[:, None]

    skyline = 0.52 + tilt + 0.06 * (jitter - 0.5) + 0.3 * (slow.ravel()[where] - 0.75)
    skyline += 0.07 * np.floor(2.5 * np.sin(x * 21 + 3 * tilt * 9))
    sky = np.clip((skyline - y) * 50, 0, 1)[:, None]
    bright = np.asarray(light.horizon, np.float32) * 0.5 + np.asarray(light.zenith, np.float32) * 0.5
    dim = np.asarray(light.ambient, np.float32) * np.asarray([0.2, 0.17, 0.14], np.float32)
    mirrored = dim + sky * (bright * (0.8 + 0.4 * jitter[:, None]) - dim)
    mirrored -= inside
    mirrored *= (mirror * (0.85 + 0.3 * jitter))[:, None]
    picture.reshape(-1, 3)[where] = inside + mirrored


def _goods(
    u: np.ndarray, v: np.ndarray, cells: np.ndarray, seed: np.ndarray, lamp: np.ndarray, inside: np.ndarray
) -> np.ndarray:
    """The goods in a shop window, linear [points, 3], in the tints of that shop."""
    cell = (np.floor(u * cells) + 31 * np.floor(v * (1 + cells // 3)) + 113 * np.floor(seed)).astype(np.int32)
    hue = np.stack([_hash(cell, q) for q in (7919, 104729, 1299709)], -1)
    tint = np.stack([_hash(seed.astype(np.int32), q) for q in (7919, 104729, 1299709)], -1)
    a, b = (u * cells) % 1, (v * (1 + cells // 3)) % 1
    thing = (
        (v > 0.25) & (hue[:, 0] < 0.8) & (b > 0.6 * hue[:, 1]) & (np.abs(a - 0.5) < 0.25 + 0.3 * hue[:, 2])
    )
    colour = np.square(0.45 * hue + 0.45 * tint) * (0.45 + 0.5 * b[:, None]) * (0.6 + 1.5 * lamp[:, None])
    shelf = (b > 0.93) & (cells > 5)
    colour = np.where(shelf[:, None], np.float32(0.12), colour)
    return np.where((thing | shelf)[:, None], colour, inside)


def _hash(number: np.ndarray, factor: int) -> np.ndarray:
    """A fixed number in [0, 1] for every integer."""
    return _NOISE.ravel()[(number * np.int32(factor)) & 65535]


def _sky(
    canvas: drawing.Canvas, picture: np.ndarray, light: Light, y: np.ndarray, rng: np.random.Generator
) -> None:
    """Fills what no building covers with a graded sky and clouds."""
    open_sky = canvas.parts == 0
    rows = np.flatnonzero(open_sky.any(1))
    if not rows.size:
        return
    n, last = canvas.fine, rows[-1] + 1
    puff = sum(
        w * _field(n, r, rng, k, last)
        for w, r, k in ((0.5, 5, 3), (0.27, 12, 8), (0.15, 29, 17), (0.1, 61, 40))
    )
    zenith, horizon, cloud = (np.asarray(c, np.float32) for c in (light.zenith, light.horizon, light.cloud))
    sky = zenith + (horizon - zenith) * np.clip(y[:last, :, None] * 1.6, 0, 1)
    veil = np.clip((puff - 0.75 + 0.5 * light.cover) * 3.5, 0, 1)
    veil *= veil * (3 - 2 * veil)
    veil *= 1 - 0.4 * y[:last]
    shade = 1.05 - 0.5 * np.clip(puff - 0.5, 0, 1)
    for channel in range(3):
        mixed = sky[..., channel] + veil * (cloud[channel] * shade - sky[..., channel])
        np.copyto(picture[:last, :, channel], mixed, where=open_sky[:last])


def _develop(picture: np.ndarray, canvas: drawing.Canvas, light: Light, grain: np.ndarray) -> np.ndarray:
    """Averages sub-pixels and applies the camera: exposure, shoulder, vignette, noise."""
    s, k = canvas.size, canvas.k
    if k > 1:
        rows = picture[0::k].copy()
        for i in range(1, k):
            rows += picture[i::k]
        picture = rows[:, 0::k].copy()
        for i in range(1, k):
            picture += rows[:, i::k]
        picture *= 1 / (k * k)
    at = (np.arange(s, dtype=np.float32) + 0.5) / s * 2 - 1
    fall = 1 - light.vignette * (np.square(at)[:, None] + np.square(at)[None])
    picture = picture * (np.asarray(light.gain, np.float32) * fall[..., None])
    picture = picture * (1 + 0.12 * picture) / (1 + 0.32 * picture)
    picture = np.sqrt(np.maximum(picture, 0))
    picture = picture + light.contrast * (picture - 0.45) * np.clip(1 - np.square(2 * picture - 1), 0, 1)
    picture = picture + light.noise * (
        np.stack([grain[:s, :s], grain[:s, :s].T, grain[s - 1 :: -1, :s][:s]], -1) - 0.5
    )
    return (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)
