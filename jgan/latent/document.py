"""The edit document: strokes as a small JSON file that a person, a program and the editor share.

    {"format": "jgan-edit", "version": 1, "space": "z", "size": [64, 64],
     "strokes": [
       {"brush": "colour", "points": [[20.5, 31], [40, 30.25]], "width": 2, "colour": [255, 0, 0]},
       {"brush": "sketch", "points": [[5, 5], [30, 50]], "width": 1, "erase": false},
       {"brush": "warp", "source": [20, 20], "target": [28, 20], "side": 24}],
     "weights": {"colour": 1, "sketch": 0.2, "realism": 0, "smoothness": 2, "preservation": 0.3}}

`size` is the height and width of the canvas; all points are [x, y] in its pixels, x to the right and y down from the
top left corner, so that the first pixel's centre is [0.5, 0.5]; widths and sides are in the same pixels. A `sketch`
stroke with `erase` asks for no edges where it passes. A `warp` asks that the square of that side around `target` look
like the square around `source` now. `erase`, `weights` and each single weight may be left out. Later strokes lie over
earlier ones, and all strokes have the same weight: masks are joined by their maximum.

With a `recipe` the edit is one of Image2StyleGAN++'s (`jgan.latent.embedding`), of a photo and its mask:

    {"format": "jgan-edit", "version": 1, "space": "w_plus_noise", "size": [64, 64], "recipe": "inpaint",
     "strokes": [{"brush": "mask", "points": [[20, 30], [40, 30]], "width": 12}]}

    crossover     the mask is where a second photo is put into the first one, as on the editor's page
    inpaint       the mask is the hole that the generator fills
    scribble      its strokes are of colours: what was scribbled, and where they lie is the mask
    local_style   the mask is where the photo takes the style of a second one
    attributes    the mask is where a second photo's activations are taken, after the block of `resolution` pixels a
                  side: 4, 8 and so on to the generator's own; left out it is 16, or the generator's own if that is less

So a mask is always where something changes; functions of `embedding` have the part that stays in some recipes, and
`jgan.programs.recipes` turns it round for them. A `mask` stroke with `erase` takes from the mask where it passes. A
recipe has no `weights`.
"""

from collections.abc import Sequence
import json
import math
import pathlib
from typing import Any
from typing import NamedTuple

import jgan
from jgan import paths
from jgan.latent import constraints

FORMAT, VERSION = "jgan-edit", 1
MAX_BYTES = 4 * 2**20
MAX_SIDE = 16384  # of the canvas
MAX_STROKES = 1000
MAX_POINTS = 20_000  # of all strokes together
MAX_WEIGHT = 1e6

Point = tuple[float, float]


class Colour(NamedTuple):
    """A line of one colour, r, g and b from 0 to 255."""

    points: tuple[Point, ...]
    width: float
    colour: tuple[float, float, float]


class Sketch(NamedTuple):
    """A line at which the image should have an edge, or with `erase` should have none."""

    points: tuple[Point, ...]
    width: float
    erase: bool = False


class Warp(NamedTuple):
    """A square, given by its centre and side, that should appear around another centre."""

    source: Point
    target: Point
    side: float


class Mask(NamedTuple):
    """A line of the mask of two photos in a session of the editor; with `erase` one that is no longer part of it."""

    points: tuple[Point, ...]
    width: float
    erase: bool = False


Stroke = Colour | Sketch | Warp


class Recipe(NamedTuple):
    """What a recipe is made of.

    Attributes:
        stroke: the kind of all its strokes.
        second: whether it is of two photos.
        projected: whether it begins at the latent of the photo, and not at the mean style.
    """

    stroke: type[Colour] | type[Mask]
    second: bool
    projected: bool


RECIPES = {
    "crossover": Recipe(Mask, True, False),
    "inpaint": Recipe(Mask, False, False),
    "scribble": Recipe(Colour, False, True),
    "local_style": Recipe(Mask, True, False),
    "attributes": Recipe(Mask, True, True),
}


class Document(NamedTuple):
    """An edit: the strokes on a canvas of `size` (height, width) for latents of the space of that name.

    Attributes:
        space: the name of the space.
        size: of the canvas.
        strokes: of a recipe, all of its kind; otherwise of any kind but masks.
        weights: of an edit without a recipe.
        recipe: one of `RECIPES`; empty: candidates follow the strokes.
        resolution: of the recipe `attributes`; 0: the default one.
    """

    space: str
    size: tuple[int, int]
    strokes: tuple[Stroke | Mask, ...]
    weights: constraints.Weights = constraints.Weights()
    recipe: str = ""
    resolution: int = 0


def read(path: str | pathlib.Path, space: str | None = None) -> Document:
    """The document in a file; raises the errors of `parse`, and a `jgan.UserError` if the file cannot be read."""
    try:
        with paths.of(path).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise jgan.UserError(f"the edit {path} cannot be read: {error.strerror}.") from None
    return parse(data, space)


def parse(text: str | bytes, space: str | None = None) -> Document:
    """The document in a JSON text, with all values checked.

    Args:
        text: of any origin; nothing in it is trusted.
        space: the name of the space in which the edit will be used, which has to be the document's; None: any space.

    Raises:
        jgan.UserError: the text is not an edit, or one of a later version or another space; a value is not a number or
            is out of range; a brush, a field or a recipe is unknown, or one goes not with the other; a point lies
            outside the canvas; or there is no stroke.
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
    recipe, resolution, optional = _recipe(tree)
    check_fields(tree, "the edit", {"format", "version", "space", "size", "strokes"}, optional)
    name = tree["space"]
    if not isinstance(name, str) or not 0 < len(name) <= 100:
        raise jgan.UserError(f"the edit's space is {show(name)}, it has to be a name such as 'z'.")
    if space is not None and name != space:
        raise jgan.UserError(
            f"the edit is for the space {show(name)}, not for {space!r}: where the run has that one, --space would "
            "name it."
        )
    size = tree["size"]
    if not isinstance(size, list) or len(size) != 2 or not all(_is_side(side) for side in size):
        raise jgan.UserError(
            f"the edit's size is {show(size)}, it has to be [height, width], whole numbers from 1 to {MAX_SIDE}."
        )
    strokes = tree["strokes"]
    if not isinstance(strokes, list) or not 1 <= len(strokes) <= MAX_STROKES:
        count = f"{len(strokes)} strokes" if isinstance(strokes, list) else f"{show(strokes)} for strokes"
        raise jgan.UserError(f"the edit has {count}, it has to be a list of 1 to {MAX_STROKES}.")
    strokes = tuple(_stroke(stroke, f"stroke {i}", size, recipe) for i, stroke in enumerate(strokes, 1))
    count = sum(len(stroke.points) for stroke in strokes if not isinstance(stroke, Warp))
    if count > MAX_POINTS:
        raise jgan.UserError(f"the strokes have {count} points together, {MAX_POINTS} are the most.")
    weights = parse_weights(tree.get("weights", {}))
    return Document(name, (size[0], size[1]), strokes, weights, recipe, resolution)


def without_recipe(drawn: Document) -> Document:
    """The document, refused with a `jgan.UserError` if it has a recipe, where only strokes can be followed."""
    if drawn.recipe:
        raise jgan.UserError(
            f"the edit has the recipe {drawn.recipe}, which launch.edit carries out: here an edit has none."
        )
    return drawn


def dump(document: Document) -> str:
    """The JSON text of a document, from which `parse` makes the same document."""
    strokes = [json.dumps(stroke_fields(stroke), allow_nan=False) for stroke in document.strokes]
    recipe = {name: getattr(document, name) for name in ("recipe", "resolution") if getattr(document, name)}
    head = json.dumps(
        {"format": FORMAT, "version": VERSION, "space": document.space, "size": list(document.size), **recipe}
    )
    weights = json.dumps(document.weights._asdict(), allow_nan=False)
    end = "]}\n" if recipe else '],\n "weights": ' + weights + "}\n"
    # One stroke per line, so that two edits can be compared by eye and by diff.
    return head[:-1] + ',\n "strokes": [\n  ' + ",\n  ".join(strokes) + end


def stroke_fields(stroke: Stroke | Mask) -> dict[str, Any]:
    """The fields of a stroke in the JSON text, from which `parse_stroke` makes the same stroke."""
    return {"brush": _BRUSHES[type(stroke)], **stroke._asdict()}


_BRUSHES = {Colour: "colour", Sketch: "sketch", Warp: "warp", Mask: "mask"}


def parse_stroke(tree: Any, where: str, size: Sequence[int], masks: bool = False) -> Stroke | Mask:
    """The stroke in a JSON object, with all values checked.

    Args:
        tree: of any origin.
        where: names it in error messages.
        size: height and width of the canvas.
        masks: whether it may be one of a mask.

    Raises:
        jgan.UserError: it is no stroke, or a value of it is wrong.
    """
    if not isinstance(tree, dict):
        raise jgan.UserError(f"{where} is {show(tree)}, it has to be a JSON object.")
    brush = tree.get("brush")
    if brush == "colour":
        check_fields(tree, where, {"brush", "points", "width", "colour"})
        return Colour(_points(tree, where, size), _extent(tree, "width", where, size), _rgb(tree, where))
    if brush == "sketch" or (masks and brush == "mask"):
        check_fields(tree, where, {"brush", "points", "width"}, {"erase"})
        erase = tree.get("erase", False)
        if not isinstance(erase, bool):
            raise jgan.UserError(f"{where}: erase is {show(erase)}, it has to be true or false.")
        kind = Sketch if brush == "sketch" else Mask
        return kind(_points(tree, where, size), _extent(tree, "width", where, size), erase)
    if brush == "warp":
        check_fields(tree, where, {"brush", "source", "target", "side"})
        source, target = (_point(tree[name], f"{where}: {name}", size) for name in ("source", "target"))
        return Warp(source, target, _extent(tree, "side", where, size))
    if brush == "mask":
        raise jgan.UserError(f"{where} has the brush 'mask', which goes with a recipe alone.")
    raise jgan.UserError(f"{where} has the brush {show(brush)}; there are {', '.join(_BRUSHES.values())}.")


def parse_weights(tree: Any) -> constraints.Weights:
    """The weights in a JSON object; a weight that is left out has its default."""
    if not isinstance(tree, dict):
        raise jgan.UserError(f"the edit's weights are {show(tree)}, they have to be a JSON object.")
    check_fields(tree, "the edit's weights", set(), set(constraints.Weights._fields))
    for name, value in tree.items():
        if not is_number(value) or not 0 <= value <= MAX_WEIGHT:
            raise jgan.UserError(f"the weight {name} is {show(value)}, it has to be 0 to {MAX_WEIGHT:g}.")
    return constraints.Weights(**{name: float(value) for name, value in tree.items()})


def _recipe(tree: dict[str, Any]) -> tuple[str, int, set[str]]:
    """(recipe, resolution, names of the optional fields) of an edit; an empty name and 0 where there is none."""
    name, resolution = tree.get("recipe", ""), tree.get("resolution", 0)
    if "recipe" in tree and (not isinstance(name, str) or name not in RECIPES):
        raise jgan.UserError(f"the edit's recipe is {show(name)}; there are {', '.join(RECIPES)}.")
    if name and "weights" in tree:
        raise jgan.UserError(f"the edit has weights, which have no effect with the recipe {name}.")
    if "resolution" in tree and name != "attributes":
        raise jgan.UserError("the edit has a resolution, which goes with the recipe attributes alone.")
    if "resolution" in tree and not (
        _is_side(resolution) and resolution >= 4 and resolution.bit_count() == 1
    ):
        raise jgan.UserError(
            f"the edit's resolution is {show(resolution)}, it has to be 4, 8, 16 and so on, at most the generator's."
        )
    return name, resolution, {"recipe", "resolution"} if name else {"weights"}


def _stroke(tree: Any, where: str, size: Sequence[int], recipe: str) -> Stroke | Mask:
    """The stroke in a JSON object, of the kind of a recipe if there is one."""
    stroke = parse_stroke(tree, where, size, masks=bool(recipe))
    if recipe and not isinstance(stroke, RECIPES[recipe].stroke):
        raise jgan.UserError(
            f"{where} has the brush {_BRUSHES[type(stroke)]!r}; strokes of the recipe {recipe} have the brush "
            f"{_BRUSHES[RECIPES[recipe].stroke]!r} alone."
        )
    return stroke


def _points(tree: dict[str, Any], where: str, size: Sequence[int]) -> tuple[Point, ...]:
    """The points of a line."""
    points = tree["points"]
    if not isinstance(points, list) or not 1 <= len(points) <= MAX_POINTS:
        count = f"{len(points)} points" if isinstance(points, list) else f"{show(points)} for points"
        raise jgan.UserError(f"{where} has {count}, it has to be a list of 1 to {MAX_POINTS}.")
    return tuple(_point(point, f"{where}: a point", size) for point in points)


def _point(value: Any, what: str, size: Sequence[int]) -> Point:
    """A point inside the canvas; `what` names it in error messages."""
    if not isinstance(value, list) or len(value) != 2 or not all(map(is_number, value)):
        raise jgan.UserError(f"{what} is {show(value)}, it has to be [x, y], two numbers.")
    (x, y), (h, w) = value, size
    if not (0 <= x <= w and 0 <= y <= h):
        raise jgan.UserError(
            f"{what} is {show(value)}, outside the canvas of {w} x {h} pixels (width x height)."
        )
    return float(x), float(y)


def _extent(tree: dict[str, Any], name: str, where: str, size: Sequence[int]) -> float:
    """A width or a side."""
    value = tree[name]
    if not is_number(value) or not 0 < value <= max(size):
        raise jgan.UserError(
            f"{where}: {name} is {show(value)}, it has to be above 0 and at most {max(size)} pixels."
        )
    return float(value)


def _rgb(tree: dict[str, Any], where: str) -> tuple[float, float, float]:
    """The colour of a line."""
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
    """Refuses an object that lacks one of the fields it needs, or that has an unknown field."""
    for name in sorted(needed - tree.keys()):
        raise jgan.UserError(f"{where} has no field {name!r}.")
    for name in tree.keys() - needed - optional:
        known = ", ".join(sorted(needed | optional))
        raise jgan.UserError(f"{where} has an unknown field {show(name)}; there are {known}.")


def _is_side(value: Any) -> bool:
    """Whether a value of JSON can be a side of the canvas."""
    return type(value) is int and 1 <= value <= MAX_SIDE


def is_number(value: Any) -> bool:
    """Whether a value of JSON is a finite number."""
    # Whole numbers of JSON have no bound; those that are too large for a float count as infinite.
    return (type(value) is int and abs(value) < 2**63) or (type(value) is float and math.isfinite(value))


def _no_constant(name: str) -> None:
    """Refuses NaN and Infinity, which JSON of Python would allow."""
    raise jgan.UserError(f"the edit contains {name}, numbers have to be finite.")


def show(value: Any) -> str:
    """The text of a received value: on one line, printable and short enough for a sentence."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**63:
        return "a number beyond 2^63"
    if isinstance(value, list | dict) and len(value) > 4:
        return f"a list of {len(value)}" if isinstance(value, list) else f"an object of {len(value)} fields"
    try:
        text = ascii(value)
    except RecursionError:
        return "a nest of lists"
    return text if len(text) <= 60 else text[:57] + "..."
