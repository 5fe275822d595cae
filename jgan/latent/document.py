"""The edit document: strokes as a small JSON file that a person, a program and the editor share.

    {"format": "jgan-edit", "version": 1, "space": "z", "size": [64, 64],
     "strokes": [
       {"brush": "colour", "points": [[20.5, 31], [40, 30.25]], "width": 2, "colour": [255, 0, 0]},
       {"brush": "sketch", "points": [[5, 5], [30, 50]], "width": 1, "erase": false},
       {"brush": "warp", "source": [20, 20], "target": [28, 20], "side": 24}],
     "weights": {"colour": 1, "sketch": 0.2, "realism": 0, "smoothness": 5}}

`size` is the height and width of the canvas; all points are [x, y] in its pixels, x to the right and y down from the
top left corner, so that the first pixel's centre is [0.5, 0.5]; widths and sides are in the same pixels. A `sketch`
stroke with `erase` asks for no edges where it passes. A `warp` asks that the square of that side around `target` look
like the one around `source` does now. `erase`, `weights` and each of them may be left out. Later strokes lie over
earlier ones, and every stroke asks for as much as any other: masks join by their maximum.
"""

from collections.abc import Mapping
from collections.abc import Sequence
import functools
import json
import math
import pathlib
import types
from typing import Any
from typing import NamedTuple

import jax
import numpy as np

import jgan
from jgan.latent import constraints
from jgan.ops import hog

FORMAT, VERSION = "jgan-edit", 1
MAX_BYTES = 4 * 2**20
MAX_SIDE = 16384  # of the canvas
MAX_STROKES = 1000
MAX_POINTS = 20_000  # of all strokes together
MAX_WEIGHT = 1e6
_TOLERANCE = 0.02  # of proportions, which whole numbers of pixels seldom keep

Point = tuple[float, float]


class Colour(NamedTuple):
    """A line of one colour, r, g and b from 0 to 255."""

    points: tuple[Point, ...]
    width: float
    colour: tuple[float, float, float]


class Sketch(NamedTuple):
    """A line at which the image shall have an edge, or none where `erase`."""

    points: tuple[Point, ...]
    width: float
    erase: bool = False


class Warp(NamedTuple):
    """A square, by its centre and side, that shall appear around another centre."""

    source: Point
    target: Point
    side: float


class Document(NamedTuple):
    """An edit: the strokes on a canvas of `size` (height, width) for latents of the space of that name."""

    space: str
    size: tuple[int, int]
    strokes: tuple[Colour | Sketch | Warp, ...]
    weights: constraints.Weights = constraints.Weights()


def read(path: str | pathlib.Path, space: str | None = None) -> Document:
    """The document in a file; `parse` says what is refused."""
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise jgan.UserError(f"the edit {path} cannot be read: {error.strerror}.") from None
    return parse(data, space)


def parse(text: str | bytes, space: str | None = None) -> Document:
    """The document in a JSON text, every value of it checked.

    Args:
        text: from anyone; nothing in it is trusted.
        space: the name of the space the edit is meant for, which has to be the document's; None takes any.

    Raises:
        jgan.UserError: it is no edit, of a later version or another space, a number is not one or out of range, a
            brush or a field is unknown, a point lies outside the canvas, or there is no stroke.
    """
    if len(text) > MAX_BYTES:
        raise jgan.UserError(f"an edit has at most {MAX_BYTES} bytes, this one is longer.")
    try:
        tree = json.loads(text, parse_constant=_no_constant)
    except jgan.UserError:
        raise
    except (ValueError, RecursionError):
        raise jgan.UserError("the edit is not a JSON document in UTF-8.") from None
    if not isinstance(tree, dict) or tree.get("format") != FORMAT:
        raise jgan.UserError(f'this is no edit: an edit is a JSON object with "format": "{FORMAT}".')
    version = tree.get("version")
    if type(version) is not int or version != VERSION:
        raise jgan.UserError(f"the edit has version {show(version)}; this program reads version {VERSION}.")
    check_fields(tree, "the edit", {"format", "version", "space", "size", "strokes"}, {"weights"})
    name = tree["space"]
    if not isinstance(name, str) or not 0 < len(name) <= 100:
        raise jgan.UserError(f"the edit's space is {show(name)}, it has to be a name such as 'z'.")
    if space is not None and name != space:
        raise jgan.UserError(f"the edit is for the space {show(name)}, this generator has {space!r}.")
    size = tree["size"]
    if not isinstance(size, list) or len(size) != 2 or not all(_is_side(side) for side in size):
        raise jgan.UserError(
            f"the edit's size is {show(size)}, it has to be [height, width], whole numbers from 1 to {MAX_SIDE}."
        )
    strokes = tree["strokes"]
    if not isinstance(strokes, list) or not 1 <= len(strokes) <= MAX_STROKES:
        found = f"{len(strokes)} strokes" if isinstance(strokes, list) else f"{show(strokes)} for strokes"
        raise jgan.UserError(f"the edit has {found}, it has to be a list of 1 to {MAX_STROKES}.")
    strokes = tuple(parse_stroke(stroke, f"stroke {i}", size) for i, stroke in enumerate(strokes, 1))
    count = sum(len(stroke.points) for stroke in strokes if not isinstance(stroke, Warp))
    if count > MAX_POINTS:
        raise jgan.UserError(f"the strokes have {count} points together, {MAX_POINTS} are the most.")
    return Document(name, (size[0], size[1]), strokes, parse_weights(tree.get("weights", {})))


def dump(document: Document) -> str:
    """The JSON text of a document; `parse` gives the same document back."""
    strokes = [json.dumps(stroke_fields(stroke), allow_nan=False) for stroke in document.strokes]
    head = json.dumps(
        {"format": FORMAT, "version": VERSION, "space": document.space, "size": list(document.size)}
    )
    weights = json.dumps(document.weights._asdict(), allow_nan=False)
    # One stroke per line, so that two edits can be compared by eye and by diff.
    return head[:-1] + ',\n "strokes": [\n  ' + ",\n  ".join(strokes) + '],\n "weights": ' + weights + "}\n"


def stroke_fields(stroke: Colour | Sketch | Warp) -> dict[str, Any]:
    """The fields of a stroke as they stand in the JSON text; `parse_stroke` gives the same stroke back."""
    return {"brush": _BRUSHES[type(stroke)], **stroke._asdict()}


def framed(document: Document, photo: tuple[int, int], square: tuple[int, int, int]) -> Document:
    """The document as it lies in a square view of a photo: its canvas is then the square, in the photo's pixels.

    Points may now lie outside the canvas, where a crop hides part of the photo; `rasterise` draws what is inside. A
    square canvas for a photo that is not square is taken for the view itself and stays as it is.

    Args:
        document: drawn on the photo, at any scale, or on a square.
        photo: height and width in pixels.
        square: top, left and side of the view, as `jgan.data.framing` has them: top and left are below 0 where it
            begins beyond the photo.

    Raises:
        jgan.UserError: the canvas has neither the photo's proportions nor those of a square.
    """
    (height, width), (top, left, side) = document.size, square
    sy, sx = photo[0] / height, photo[1] / width
    if abs(math.log(sy / sx)) > _TOLERANCE:
        if abs(math.log(height / width)) <= _TOLERANCE:
            return document
        raise jgan.UserError(
            f"the edit's canvas of {height} x {width} pixels (height x width) has neither the proportions of the photo "
            f"of {photo[0]} x {photo[1]} nor those of a square."
        )
    scale = math.sqrt(sy * sx)

    def move(point: Point) -> Point:
        return point[0] * sx - left, point[1] * sy - top

    def seen(stroke: Colour | Sketch | Warp) -> Colour | Sketch | Warp:
        if isinstance(stroke, Warp):
            return Warp(move(stroke.source), move(stroke.target), stroke.side * scale)
        return stroke._replace(points=tuple(map(move, stroke.points)), width=stroke.width * scale)

    return document._replace(size=(side, side), strokes=tuple(map(seen, document.strokes)))


def rasterise(
    document: Document,
    size: tuple[int, int, int],
    image: np.ndarray | None = None,
    sources: Mapping[int, np.ndarray] = types.MappingProxyType({}),
) -> constraints.Constraints:
    """The constraints that the strokes put on images of `size` (h, w, c), drawn without antialiasing.

    The canvas is scaled to the image. A line covers the pixels whose centres lie within half its width, which counts
    as one pixel where it is less, and those its points lie in. For images of one channel colours become luma (Rec.
    601).

    Sketches are white on black, or black on white where the image's border is bright: to `hog` that is the same but
    along the border, beyond which it sees black. On the other ground a bright image could never do what is asked of
    its outer cells. Without an image they are white on black, as in iGAN, and in one channel black on white.

    Args:
        document: as `parse` gives it.
        size: of the generator's images.
        image: [h, w, c] in [-1, 1], the current one (of many any), from which warps take their patches.
        sources: instead, for strokes by their position from 0 on, images that were there when they were made.

    Raises:
        jgan.UserError: the canvas has other proportions, there is a warp but no image, a warp's squares have no part
            inside the image in common, or colours are asked of images that have none.
    """
    h, w, c = size
    sy, sx = h / document.size[0], w / document.size[1]
    if abs(math.log(sy / sx)) > _TOLERANCE:
        raise jgan.UserError(
            f"the edit's canvas of {document.size[0]} x {document.size[1]} pixels (height x width) has other "
            f"proportions than the generator's images of {h} x {w}."
        )
    scale, ground = math.sqrt(sy * sx), 1.0 if c == 1 else -1.0
    if image is not None:
        image = np.asarray(image, np.float64)
        rim = np.ones((h, w), bool)
        rim[1:-1, 1:-1] = False
        ground = 1.0 if np.mean(image[rim]) > 0 else -1.0
    colour, patches, lines = np.zeros(size), np.zeros(size), np.full(size, ground)
    colour_mask, patches_mask, lines_mask = np.zeros((3, h, w), bool)
    for number, stroke in enumerate(document.strokes, 1):
        if isinstance(stroke, Warp):
            seen = sources.get(number - 1, image)
            if seen is None:
                raise jgan.UserError(
                    f"stroke {number}: a warp takes its patch from an image, and there is none."
                )
            square, around, moved = _move(stroke, np.asarray(seen, np.float64), (sy, sx), scale)
            if not square.any():
                raise jgan.UserError(
                    f"stroke {number}: the squares around source and target have no common part inside the image."
                )
            colour[square], patches[square] = moved[square], moved[square]
            # What surrounds a patch is no constraint, but cells at its rim look beyond it; on a flat ground they
            # would see the outline of the square.
            patches[around & ~patches_mask] = moved[around & ~patches_mask]
            colour_mask |= square
            patches_mask |= square
            continue
        mask = _line(tuple((x * sx, y * sy) for x, y in stroke.points), stroke.width * scale, h, w)
        if isinstance(stroke, Colour):
            colour[mask] = _values(stroke.colour, c)
            colour_mask |= mask
        else:
            lines[mask] = ground if stroke.erase else -ground
            lines_mask |= mask
    drawn = (colour, colour_mask, lines, lines_mask, patches, patches_mask)
    return _build(*(array.astype(np.float32) for array in drawn))


_build = jax.jit(constraints.build)
_BRUSHES = {Colour: "colour", Sketch: "sketch", Warp: "warp"}


# An editor draws all strokes again with every one that is added.
@functools.lru_cache(maxsize=1024)
def _line(points: tuple[Point, ...], width: float, h: int, w: int) -> np.ndarray:
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
        if 0 <= x <= w + 1e-6 and 0 <= y <= h + 1e-6:  # `framed` leaves points beyond what a crop shows
            mask[min(int(y), h - 1), min(int(x), w - 1)] = True
    mask.flags.writeable = False  # it is remembered
    return mask


def _move(
    warp: Warp, image: np.ndarray, factors: tuple[float, float], scale: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    # Masks of the square and of all that its cells see, and the image moved so that the source lies on the target.
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
        masks.append((inside, (at >= target - reach) & (at < target + side + reach)))
        indices.append(np.clip(origin, 0, length - 1))
    square, around = (np.outer(rows, columns) for rows, columns in zip(*masks, strict=True))
    return square, around, image[np.ix_(*indices)]


def _values(rgb: tuple[float, float, float], channels: int) -> np.ndarray:
    if channels not in (1, 3):
        raise jgan.UserError(f"the brush colour is for images of 1 or 3 channels, these have {channels}.")
    values = np.asarray(rgb) / 127.5 - 1
    return values if channels == 3 else values @ [0.299, 0.587, 0.114]


def parse_stroke(tree: Any, where: str, size: Sequence[int]) -> Colour | Sketch | Warp:
    """The stroke in a JSON object, every value of it checked; `where` names it in the sentence of a mistake."""
    if not isinstance(tree, dict):
        raise jgan.UserError(f"{where} is {show(tree)}, it has to be a JSON object.")
    brush = tree.get("brush")
    if brush == "colour":
        check_fields(tree, where, {"brush", "points", "width", "colour"})
        return Colour(_points(tree, where, size), _extent(tree, "width", where, size), _rgb(tree, where))
    if brush == "sketch":
        check_fields(tree, where, {"brush", "points", "width"}, {"erase"})
        erase = tree.get("erase", False)
        if not isinstance(erase, bool):
            raise jgan.UserError(f"{where}: erase is {show(erase)}, it has to be true or false.")
        return Sketch(_points(tree, where, size), _extent(tree, "width", where, size), erase)
    if brush == "warp":
        check_fields(tree, where, {"brush", "source", "target", "side"})
        source, target = (_point(tree[name], f"{where}: {name}", size) for name in ("source", "target"))
        return Warp(source, target, _extent(tree, "side", where, size))
    raise jgan.UserError(f"{where} has the brush {show(brush)}; there are {', '.join(_BRUSHES.values())}.")


def parse_weights(tree: Any) -> constraints.Weights:
    """The weights in a JSON object, those that are left out by their defaults."""
    if not isinstance(tree, dict):
        raise jgan.UserError(f"the edit's weights are {show(tree)}, they have to be a JSON object.")
    check_fields(tree, "the edit's weights", set(), set(constraints.Weights._fields))
    for name, value in tree.items():
        if not is_number(value) or not 0 <= value <= MAX_WEIGHT:
            raise jgan.UserError(f"the weight {name} is {show(value)}, it has to be 0 to {MAX_WEIGHT:g}.")
    return constraints.Weights(**{name: float(value) for name, value in tree.items()})


def _points(tree: dict[str, Any], where: str, size: Sequence[int]) -> tuple[Point, ...]:
    points = tree["points"]
    if not isinstance(points, list) or not 1 <= len(points) <= MAX_POINTS:
        found = f"{len(points)} points" if isinstance(points, list) else f"{show(points)} for points"
        raise jgan.UserError(f"{where} has {found}, it has to be a list of 1 to {MAX_POINTS}.")
    return tuple(_point(point, f"{where}: a point", size) for point in points)


def _point(value: Any, what: str, size: Sequence[int]) -> Point:
    if not isinstance(value, list) or len(value) != 2 or not all(map(is_number, value)):
        raise jgan.UserError(f"{what} is {show(value)}, it has to be [x, y], two numbers.")
    (x, y), (h, w) = value, size
    if not (0 <= x <= w and 0 <= y <= h):
        raise jgan.UserError(
            f"{what} is {show(value)}, outside the canvas of {w} x {h} pixels (width x height)."
        )
    return float(x), float(y)


def _extent(tree: dict[str, Any], name: str, where: str, size: Sequence[int]) -> float:
    value = tree[name]
    if not is_number(value) or not 0 < value <= max(size):
        raise jgan.UserError(
            f"{where}: {name} is {show(value)}, it has to be above 0 and at most {max(size)} pixels."
        )
    return float(value)


def _rgb(tree: dict[str, Any], where: str) -> tuple[float, float, float]:
    value = tree["colour"]
    if (
        not isinstance(value, list)
        or len(value) != 3
        or not all(is_number(x) and 0 <= x <= 255 for x in value)
    ):
        raise jgan.UserError(f"{where}: colour is {show(value)}, it has to be [r, g, b], each 0 to 255.")
    return tuple(float(x) for x in value)


def check_fields(
    tree: dict[str, Any], where: str, needed: set[str], optional: set[str] = frozenset()
) -> None:
    """Refuses an object without one of the fields it needs, or with one that is unknown."""
    for name in sorted(needed - tree.keys()):
        raise jgan.UserError(f"{where} has no field {name!r}.")
    for name in tree.keys() - needed - optional:
        known = ", ".join(sorted(needed | optional))
        raise jgan.UserError(f"{where} has an unknown field {show(name)}; there are {known}.")


def _is_side(value: Any) -> bool:
    return type(value) is int and 1 <= value <= MAX_SIDE


def is_number(value: Any) -> bool:
    """Whether a value of JSON is a finite number."""
    # Whole numbers of JSON have no bound; those that no float can hold are as good as infinite.
    return (type(value) is int and abs(value) < 2**63) or (type(value) is float and math.isfinite(value))


def _no_constant(name: str) -> None:
    raise jgan.UserError(f"the edit contains {name}, numbers have to be finite.")


def show(value: Any) -> str:
    """What was received, short enough for a sentence, on one line and printable anywhere."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**63:
        return "a number beyond 2^63"
    if isinstance(value, list | dict) and len(value) > 4:
        return f"a list of {len(value)}" if isinstance(value, list) else f"an object of {len(value)} fields"
    try:
        text = ascii(value)
    except RecursionError:
        return "a nest of lists"
    return text if len(text) <= 60 else text[:57] + "..."
