"""Sessions and the messages of a page, from and to JSON; every value that comes in is checked.

{"format": "jgan-session", "version": 1, "space": "z", "cursor": 2,
 "ops": [{"op": "open", "photo": "1", "name": "shoe.jpg", "size": [480, 640], "box": [-80, 0, 640],
              "latent": [0.1, ...], "given": {"label": "shoe"}},
         {"op": "stroke", "stroke": {"brush": "colour", ...}}],
 "photos": {"1": {"name": "shoe.jpg", "data": "the file in base64"}}}
"""

import base64
import binascii
from collections.abc import Mapping
import json
from typing import Any
from typing import NamedTuple

import jgan
from jgan import fields as fields_lib
from jgan.latent import document
from jgan.serve import session as sessions
from jgan.serve import values

FORMAT, VERSION = "jgan-session", 1
MAX_BYTES = 64 * 2**20
MAX_ATTRIBUTES = 1000  # in the value of a control
_check, _show = document.check_fields, document.show
Controls = Mapping[str, fields_lib.Field]  # the controls of a run that can be set, by their names


class Photo(NamedTuple):
    """The file of a photo as it was uploaded."""

    name: str
    data: bytes


class Choice(NamedTuple):
    """Asks to fix a candidate, or the one on the pad if it is None; `Engine.complete` makes a `Fix` of it."""

    candidate: int | None


class Steering(NamedTuple):
    """Asks for the values of sliders, {name: number}; `Engine.complete` makes a `Steer` of it."""

    values: tuple[tuple[str, float], ...]


class Ready(NamedTuple):
    """Reports that the page has shown the last frame."""


class Ping(NamedTuple):
    """Changes nothing, and shows only that the page is still there."""


def parse_event(
    tree: Any, size: tuple[int, int], controls: Controls | None = None
) -> sessions.Event | Choice | Steering | Ready | Ping:
    """The event in a message of a page.

    Args:
        tree: the message as JSON; anyone may have sent it, so that nothing in it is trusted.
        size: height and width of the canvas of the session (`session.drawing.size`).
        controls: the controls of the run; None: all names are allowed, and all values that have the form of one.

    Raises:
        jgan.UserError: there is no such message, a field is missing or unknown, or a value is out of range.
    """
    kind = values.kind(tree, "type", "the message")
    match kind:
        case "live":
            _check(tree, "the message", {"type", "stroke"})
            if tree["stroke"] is None:
                return sessions.Live(None)
            stroke = document.parse_stroke(tree["stroke"], "the stroke", size, masks=True)
            return sessions.Live(sessions.Stroke(stroke))
        case "op":
            _check(tree, "the message", {"type", "op"})
            operation = parse_operation(tree["op"], size, controls)
            if getattr(operation, "latent", None):
                raise jgan.UserError("a latent comes from the server alone.")
            return operation
        case "fix":
            _check(tree, "the message", {"type"}, {"candidate"})
            return Choice(values.candidate(tree.get("candidate"), "candidate"))
        case "steer":
            _check(tree, "the message", {"type", "values"})
            return Steering(_steered(tree["values"]))
        case "view":
            return _look(tree, size)
        case "undo" | "redo" | "ready" | "ping":
            _check(tree, "the message", {"type"})
            names = {"undo": sessions.Undo, "redo": sessions.Redo, "ready": Ready, "ping": Ping}
            return names[kind]()
    raise jgan.UserError(
        f"the message has the type {_show(kind)}; there are live, op, fix, steer, undo, redo, view, ready and "
        "ping."
    )


def parse_operation(tree: Any, size: tuple[int, int], controls: Controls | None = None) -> sessions.Operation:
    """The operation in a JSON object.

    Args:
        tree: as in `parse_event`.
        size: height and width of the canvas before the operation.
        controls: as in `parse_event`.

    Raises:
        jgan.UserError: as in `parse_event`.
    """
    kind = values.kind(tree, "op", "the operation")
    where = f"the operation {kind}"
    match kind:
        case "stroke":
            _check(tree, where, {"op", "stroke"}, {"latent"})
            stroke = document.parse_stroke(tree["stroke"], "the stroke", size, masks=True)
            latent = None if tree.get("latent") is None else values.latent(tree["latent"])
            if latent and not isinstance(stroke, document.Warp):
                raise jgan.UserError("a stroke that is no warp takes its patch from no latent.")
            return sessions.Stroke(stroke, latent)
        case "erase":
            _check(tree, where, {"op", "strokes"})
            numbers = tree["strokes"]
            if not isinstance(numbers, list) or not 1 <= len(numbers) <= document.MAX_STROKES:
                raise jgan.UserError(
                    f"strokes is {_show(numbers)}, it has to be a list of 1 to {document.MAX_STROKES}."
                )
            return sessions.Erase(
                tuple(values.whole(x, "a stroke's number", 0, sessions.MAX_OPERATIONS) for x in numbers)
            )
        case "weights":
            _check(tree, where, {"op", "weights"})
            return sessions.Weigh(document.parse_weights(tree["weights"]))
        case "fix":
            _check(tree, where, {"op", "latent"})
            return sessions.Fix(values.latent(tree["latent"]))
        case "give":
            _check(tree, where, {"op", "name", "value"})
            name = values.text(tree["name"], "the control's name", 100)
            return sessions.Give(name, _value(name, tree["value"], controls))
        case "restart":
            _check(tree, where, {"op", "seed"})
            return sessions.Restart(values.whole(tree["seed"], "seed", 0, 2**32 - 1))
        case "steer":
            _check(tree, where, {"op", "latent", "values"}, {"base"})
            base = None if tree.get("base") is None else values.latent(tree["base"])
            return sessions.Steer(values.latent(tree["latent"]), _steered(tree["values"]), base)
        case "open" | "second":
            return _open(tree, where, controls)
        case "clear" | "close" | "part":
            _check(tree, where, {"op"})
            return {"clear": sessions.Clear, "close": sessions.Close, "part": sessions.Part}[kind]()
    raise jgan.UserError(
        f"the operation is {_show(kind)}; there are stroke, erase, clear, weights, fix, give, steer, restart, "
        "open, close, second and part."
    )


def operation_fields(operation: sessions.Operation) -> dict[str, Any]:
    """The JSON object of an operation, of which `parse_operation` gives the same operation again."""
    match operation:
        case sessions.Stroke(stroke, latent):
            fields = {"op": "stroke", "stroke": document.stroke_fields(stroke)}
            return fields if latent is None else fields | {"latent": latent}
        case sessions.Weigh(weights):
            return {"op": "weights", "weights": weights._asdict()}
        case sessions.Give(name, value):
            return {"op": "give", "name": name, "value": plain(value)}
        case sessions.Steer(_, steered, base):
            fields = {"op": "steer", **operation._asdict(), "values": dict(steered)}
            return fields if base is not None else {k: x for k, x in fields.items() if k != "base"}
        case sessions.Open(given=given) | sessions.Second(given=given):
            fields = {"op": type(operation).__name__.lower(), **operation._asdict()}
            del fields["given"]
            return fields if given is None else fields | {"given": {name: plain(x) for name, x in given}}
    return {"op": type(operation).__name__.lower(), **operation._asdict()}


def plain(value: sessions.Value) -> Any:
    """The value of a control in JSON, for `check` of its field: a name, a number, or {name: number}."""
    return dict(value) if isinstance(value, tuple) else value


def given(tree: Any, controls: Controls | None) -> sessions.Given:
    """The values in a JSON object {control: value}; raises a `jgan.UserError` if a control does not take its value."""
    if controls is not None:
        fields_lib.check(controls, tree)
    elif not isinstance(tree, dict) or len(tree) > MAX_ATTRIBUTES:
        raise jgan.UserError(f"what is set is {_show(tree)}, it has to be an object {{name: value}}.")
    else:
        for name in tree:
            values.text(name, "the control's name", 100)
    return tuple(sorted((name, _value(name, value, controls)) for name, value in tree.items()))


def checked(given: sessions.Given, controls: Controls) -> dict[str, Any]:
    """{control: value} as the fields of the controls give it; raises a `jgan.UserError` if one refuses its value."""
    return fields_lib.check(controls, {name: plain(value) for name, value in given})


def parse(
    text: str | bytes, space: str | None = None, controls: Controls | None = None
) -> tuple[sessions.Session, dict[str, Photo]]:
    """(the session in a JSON text, the photos in it by their keys); arguments and errors are as in `load`."""
    if len(text) > MAX_BYTES:
        raise jgan.UserError(f"a session has at most {MAX_BYTES} bytes, this one is longer.")
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError):
        raise jgan.UserError("the session is not a JSON document in UTF-8.") from None
    return load(tree, space, controls)


def load(
    tree: Any, space: str | None = None, controls: Controls | None = None
) -> tuple[sessions.Session, dict[str, Photo]]:
    """(the session in a JSON object, the photos in it by their keys).

    Args:
        tree: anyone may have sent it, so that nothing in it is trusted.
        space: the name of the space to which the latents must belong; None: any space.
        controls: as in `parse_event`.

    Raises:
        jgan.UserError: it is not a session, it is of a later version or another space, or a value in it is wrong.
    """
    if not isinstance(tree, dict) or tree.get("format") != FORMAT:
        raise jgan.UserError(f'this is no session: a session is a JSON object with "format": "{FORMAT}".')
    version = tree.get("version")
    if type(version) is not int or version != VERSION:
        raise jgan.UserError(
            f"the session has version {_show(version)}; this program reads version {VERSION}."
        )
    _check(tree, "the session", {"format", "version", "space", "ops", "cursor"}, {"photos"})
    name = values.text(tree["space"], "the session's space", 100)
    if space is not None and name != space:
        raise jgan.UserError(
            f"the session is for the space {_show(name)}, and the editor works in {space!r}: where the run has that "
            "one, --space would name it."
        )
    listed = tree["ops"]
    if not isinstance(listed, list) or len(listed) > sessions.MAX_OPERATIONS:
        raise jgan.UserError(
            f"ops is {_show(listed)}, it has to be a list of at most {sessions.MAX_OPERATIONS}."
        )
    operations, size = [], sessions.CANVAS
    for value in listed:
        operation = parse_operation(value, size, controls)
        if isinstance(operation, sessions.Open | sessions.Close):
            size = getattr(operation, "size", sessions.CANVAS)
        operations.append(operation)
    cursor = values.whole(tree["cursor"], "cursor", 0, len(operations))
    return sessions.restore(tuple(operations), cursor), _photos(tree.get("photos", {}))


def dump(session: sessions.Session, space: str, photos: dict[str, Photo] | None = None) -> dict[str, Any]:
    """The JSON object of a session, for `load`, with these photos in it."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "space": space,
        "ops": [operation_fields(operation) for operation in session.operations],
        "cursor": session.cursor,
        "photos": {
            key: {"name": photo.name, "data": base64.b64encode(photo.data).decode()}
            for key, photo in (photos or {}).items()
        },
    }


def describe(drawing: sessions.Drawing) -> dict[str, Any]:
    """The JSON object by which a page shows a drawing."""
    photo = drawing.photo
    return {
        "strokes": [
            {"id": number, **document.stroke_fields(stroke.stroke)} for number, stroke in drawing.strokes
        ],
        "weights": drawing.weights._asdict(),
        "size": drawing.size,
        "photo": photo and {"id": photo.photo, "name": photo.name, "box": photo.box},
        "second": drawing.second and {"id": drawing.second.photo, "name": drawing.second.name},
        "steered": dict(drawing.steered.values) if drawing.steered else {},
        "anchored": drawing.anchor is not None,
        "given": {name: plain(value) for name, value in drawing.given},
        "version": drawing.version,
        "ground": drawing.ground,
    }


def _value(name: str, value: Any, controls: Controls | None) -> sessions.Value:
    """The value of a control for a `Give`, checked by the field of the control if the controls are known."""
    if controls is not None:
        parsed = fields_lib.check(controls, {name: value})[name]
        match controls[name]:
            case fields_lib.Label(names):
                return names[int(parsed)]
            case fields_lib.Amount():
                return float(value)
            case fields_lib.Attributes(names, low):
                # The attributes that were set, and those that follow from them; all others are NaN and stay unset.
                known = zip(names, parsed, strict=True)
                return tuple((name, float(value.get(name, low))) for name, x in known if x == x)
    if isinstance(value, dict) and len(value) <= MAX_ATTRIBUTES:
        if all(1 <= len(x) <= 100 and document.is_number(value[x]) for x in value):
            return tuple((x, float(number)) for x, number in value.items())
    elif document.is_number(value):
        return value
    elif isinstance(value, str):
        return values.text(value, name, 1000)
    raise jgan.UserError(f"{_show(name)} is {_show(value)}: a name, a number or {{name: number}} would work.")


def _look(tree: dict[str, Any], size: tuple[int, int]) -> sessions.Look:
    """The change of the view in a message."""
    _check(tree, "the message", {"type"}, set(sessions.View._fields))
    changes = {name: value for name, value in tree.items() if name != "type"}
    for name, value in changes.items():
        if name in ("average", "shadow"):
            if not isinstance(value, bool):
                raise jgan.UserError(f"{name} is {_show(value)}, it has to be true or false.")
        elif value is None:
            continue
        elif name == "chosen":
            values.candidate(value, name)
        elif name == "slider":
            if not document.is_number(value) or not 0 <= value <= 1:
                raise jgan.UserError(f"slider is {_show(value)}, it has to be 0 to 1.")
        elif name == "cursor":
            if not isinstance(value, list) or len(value) != 2 or not all(map(document.is_number, value)):
                raise jgan.UserError(f"cursor is {_show(value)}, it has to be [x, y], two numbers.")
            (x, y), (height, width) = value, size
            changes[name] = min(max(float(x), 0.0), float(width)), min(max(float(y), 0.0), float(height))
    return sessions.Look(tuple(sorted(changes.items())))


def _open(tree: dict[str, Any], where: str, controls: Controls | None) -> sessions.Open | sessions.Second:
    """The operation that opens a photo, the first or the second; `where` is its name in error messages."""
    _check(tree, where, {"op", "photo", "name", "size", "box", "latent"}, {"given"})
    photo, size, box = values.photo_key(tree["photo"]), tree["size"], tree["box"]
    if not isinstance(size, list) or len(size) != 2:
        raise jgan.UserError(f"the photo's size is {_show(size)}, it has to be [height, width].")
    height, width = (values.whole(side, "a side of the photo", 1, document.MAX_SIDE) for side in size)
    if not isinstance(box, list) or len(box) != 3:
        raise jgan.UserError(f"the photo's box is {_show(box)}, it has to be [top, left, side].")
    most = document.MAX_SIDE
    top, left, side = (values.whole(x, "a number of the box", -most, most) for x in box)
    # The two squares of `jgan.data.framing`: one around the whole photo, or one in the middle of it.
    sides = max(height, width), min(height, width)
    if side not in sides or (top, left) != (-((side - height) // 2), -((side - width) // 2)):
        raise jgan.UserError(f"the box {_show(box)} is no view of a photo of {height} x {width} pixels.")
    name = values.text(tree["name"], "the photo's name", 200)
    found = given(tree["given"], controls) if "given" in tree else None
    made = sessions.Open if tree["op"] == "open" else sessions.Second
    return made(photo, name, (height, width), (top, left, side), values.latent(tree["latent"]), found)


def _steered(tree: Any) -> tuple[tuple[str, float], ...]:
    """The values of sliders in a JSON object."""
    if not isinstance(tree, dict) or len(tree) > MAX_ATTRIBUTES:
        raise jgan.UserError(f"the sliders are {_show(tree)}, they have to be an object {{name: number}}.")
    for name, value in tree.items():
        values.text(name, "the name of a slider", 200)
        if not document.is_number(value) or abs(value) > 1e6:
            raise jgan.UserError(
                f"the slider {_show(name)} is {_show(value)}, it has to be a number from -1e6 to 1e6."
            )
    return tuple(sorted((name, float(value)) for name, value in tree.items()))


def _photos(tree: Any) -> dict[str, Photo]:
    """The photos in the JSON object of a session, by their keys."""
    if not isinstance(tree, dict) or len(tree) > 1000:
        raise jgan.UserError(f"photos is {_show(tree)}, it has to be an object.")
    photos = {}
    for key, value in tree.items():
        if not isinstance(value, dict):
            raise jgan.UserError(f"a photo is {_show(value)}, it has to be an object.")
        _check(value, "a photo", {"name", "data"})
        if not isinstance(value["data"], str):
            raise jgan.UserError("a photo's data have to be text in base64.")
        try:
            data = base64.b64decode(value["data"], validate=True)
        except (binascii.Error, ValueError):
            raise jgan.UserError("a photo's data are not base64.") from None
        photos[values.photo_key(key)] = Photo(values.text(value["name"], "a photo's name", 200), data)
    return photos
