"""An edit document on the pixels of a generator: moved to the square view of a photo, and drawn as constraints."""

from collections.abc import Mapping
import functools
import math
import types

import jax
import numpy as np

import jgan
from jgan.latent import constraints
from jgan.latent import document
from jgan.ops import hog

_TOLERANCE = 0.02  # of proportions, which whole numbers of pixels seldom keep


def framed(
    drawn: document.Document, photo: tuple[int, int], square: tuple[int, int, int]
) -> document.Document:
    """The document in a square view of a photo; its canvas is then the square, in the photo's pixels.

    Points may then lie outside the canvas, where a crop hides part of the photo; `draw` draws only the pixels inside. A
    square canvas for a photo that is not square is assumed to be the view itself and does not change.

    Args:
        drawn: a document on the photo, at any scale, or on a square.
        photo: height and width in pixels.
        square: top, left and side of the view, as in `jgan.data.framing`: top and left are below 0 if it begins outside
            the photo.

    Raises:
        jgan.UserError: the canvas has neither the photo's proportions nor those of a square.
    """
    (height, width), (top, left, side) = drawn.size, square
    sy, sx = photo[0] / height, photo[1] / width
    if abs(math.log(sy / sx)) > _TOLERANCE:
        if abs(math.log(height / width)) <= _TOLERANCE:
            return drawn
        raise jgan.UserError(
            f"the edit's canvas of {height} x {width} pixels (height x width) has neither the proportions of the photo "
            f"of {photo[0]} x {photo[1]} nor those of a square."
        )
    scale = math.sqrt(sy * sx)

    def move(point: document.Point) -> document.Point:
        return point[0] * sx - left, point[1] * sy - top

    def seen(stroke: document.Stroke) -> document.Stroke:
        if isinstance(stroke, document.Warp):
            return document.Warp(move(stroke.source), move(stroke.target), stroke.side * scale)
        return stroke._replace(points=tuple(map(move, stroke.points)), width=stroke.width * scale)

    return drawn._replace(size=(side, side), strokes=tuple(map(seen, drawn.strokes)))


def draw(
    drawn: document.Document,
    size: tuple[int, int, int],
    image: np.ndarray | None = None,
    sources: Mapping[int, np.ndarray] = types.MappingProxyType({}),
) -> constraints.Constraints:
    """The constraints of the strokes on images of `size` (h, w, c), drawn without antialiasing.

    The canvas is scaled to the image. A line covers the pixels whose centres lie within half its width, which is taken
    as at least one pixel, and the pixels in which its points lie. For images of one channel colours become luma (Rec.
    601).

    Sketches are white on black, or black on white if the image's border is bright: for `hog` that is the same except
    along the border, outside of which it sees black. On a black ground a bright image could never satisfy the outer
    cells. Without an image they are white on black, as in iGAN, and in one channel black on white.

    Args:
        drawn: as `document.parse` returns it.
        size: of the generator's images.
        image: [h, w, c] in [-1, 1], the current image (any of several), from which warps take their patches.
        sources: {position of a stroke from 0 on: the image that was shown when it was drawn}, in the place of `image`.

    Raises:
        jgan.UserError: the canvas has other proportions, there is a warp but no image, a warp's squares have no common
            part inside the image, or colours are asked of images that have none.
    """
    h, w, c = size
    sy, sx = h / drawn.size[0], w / drawn.size[1]
    if abs(math.log(sy / sx)) > _TOLERANCE:
        raise jgan.UserError(
            f"the edit's canvas of {drawn.size[0]} x {drawn.size[1]} pixels (height x width) has other "
            f"proportions than the generator's images of {h} x {w}."
        )
    scale, ground = math.sqrt(sy * sx), 1.0 if c == 1 else -1.0
    if image is not None:
        image = np.asarray(image, np.float64)
        rim = np.ones((h, w), bool)
        rim[1:-1, 1:-1] = False
        ground = 1.0 if np.mean(image[rim]) > 0 else -1.0
    colour, patches, lines = np.zeros(size), np.zeros(size), np.full(size, ground)
    colour_mask, patches_mask, taken_mask, lines_mask = np.zeros((4, h, w), bool)
    for number, stroke in enumerate(drawn.strokes, 1):
        if isinstance(stroke, document.Warp):
            seen = sources.get(number - 1, image)
            if seen is None:
                raise jgan.UserError(
                    f"stroke {number}: a warp takes its patch from an image, and there is none."
                )
            square, source, around, moved = _move(stroke, np.asarray(seen, np.float64), (sy, sx), scale)
            if not square.any():
                raise jgan.UserError(
                    f"stroke {number}: the squares around source and target have no common part inside the image."
                )
            colour[square], patches[square] = moved[square], moved[square]
            # The surroundings of a patch are no constraint, but cells at its rim extend beyond it; on a flat ground
            # they would contain the outline of the square.
            patches[around & ~patches_mask] = moved[around & ~patches_mask]
            colour_mask |= square
            patches_mask |= square
            taken_mask |= source
            continue
        mask = _line(tuple((x * sx, y * sy) for x, y in stroke.points), stroke.width * scale, h, w)
        if isinstance(stroke, document.Colour):
            colour[mask] = _values(stroke.colour, c)
            colour_mask |= mask
        else:
            lines[mask] = ground if stroke.erase else -ground
            lines_mask |= mask
    arrays = (colour, colour_mask, lines, lines_mask, patches, patches_mask, taken_mask)
    return _build(*(array.astype(np.float32) for array in arrays))


def mask(drawn: document.Document, size: tuple[int, int]) -> np.ndarray:
    """The mask [h, w] bool of a document whose strokes are all `document.Mask`, later ones over earlier ones.

    The canvas is scaled to the image, and lines cover pixels as in `draw`.
    """
    h, w = size
    sy, sx = h / drawn.size[0], w / drawn.size[1]
    made = np.zeros((h, w), bool)
    for stroke in drawn.strokes:
        points = tuple((x * sx, y * sy) for x, y in stroke.points)
        made[_line(points, stroke.width * math.sqrt(sy * sx), h, w)] = not stroke.erase
    return made


_build = jax.jit(constraints.build)


@functools.lru_cache(maxsize=1024)
def _line(points: tuple[document.Point, ...], width: float, h: int, w: int) -> np.ndarray:
    """The mask [h, w] of a line; cached, since an editor draws all strokes again whenever one is added."""
    radius = max(width, 1) / 2
    mask = np.zeros((h, w), bool)
    rows, columns = np.arange(h)[:, None] + 0.5, np.arange(w)[None] + 0.5
    for a, b in zip(points, points[1:] or points, strict=False):
        left, right = (int(f(a[0], b[0]) + d) for f, d in ((min, -radius - 1), (max, radius + 2)))
        top, bottom = (int(f(a[1], b[1]) + d) for f, d in ((min, -radius - 1), (max, radius + 2)))
        window = np.s_[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
        y, x = rows[window[0]] - a[1], columns[:, window[1]] - a[0]
        dx, dy = b[0] - a[0], b[1] - a[1]
        t = np.clip((x * dx + y * dy) / (dx * dx + dy * dy or 1.0), 0, 1)
        mask[window] |= (x - t * dx) ** 2 + (y - t * dy) ** 2 <= radius**2 + 1e-9
    for x, y in points:
        if 0 <= x <= w + 1e-6 and 0 <= y <= h + 1e-6:  # `framed` keeps points outside of a crop
            mask[min(int(y), h - 1), min(int(x), w - 1)] = True
    mask.flags.writeable = False  # the cache hands it out again
    return mask


def _move(
    warp: document.Warp, image: np.ndarray, factors: tuple[float, float], scale: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Masks of the target square, of the source square and of all pixels in the target's cells, and the moved image.

    The image is moved so that the source lies on the target.
    """
    side = max(1, round(warp.side * scale))
    masks, indices = [], []
    for axis in (0, 1):
        length = image.shape[axis]
        source, target = (
            math.floor(min(point[1 - axis] * factors[axis], length - 0.5) - side / 2 + 0.5)
            for point in (warp.source, warp.target)
        )
        at = np.arange(length)
        origin = at - (target - source)
        reach = 2 * hog.cell_of(image.shape[-1])
        inside = (at >= target) & (at < target + side) & (origin >= 0) & (origin < length)
        there = (at >= source) & (at < source + side)
        masks.append((inside, there, (at >= target - reach) & (at < target + side + reach)))
        indices.append(np.clip(origin, 0, length - 1))
    square, taken, around = (np.outer(rows, columns) for rows, columns in zip(*masks, strict=True))
    return square, taken, around, image[np.ix_(*indices)]


def _values(rgb: tuple[float, float, float], channels: int) -> np.ndarray:
    """The colour of a brush in [-1, 1], in the channels of an image."""
    if channels not in (1, 3):
        raise jgan.UserError(f"the brush colour is for images of 1 or 3 channels, these have {channels}.")
    values = np.asarray(rgb) / 127.5 - 1
    return values if channels == 3 else values @ [0.299, 0.587, 0.114]
