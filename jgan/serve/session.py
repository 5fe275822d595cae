"""A session of the editor as pure data: what was done, in order, and what is drawn by it.

A session is a list of operations and a cursor in it; its drawing is the fold of the operations before the cursor, so
undo reaches back to the first one and costs no memory. What is only looked at (which candidate, where the slider
stands) is no operation. `jgan.serve.session_file` reads and writes sessions and everything that a page says.

    session = reduce(session, event)
"""

import dataclasses
from typing import NamedTuple

import jgan
from jgan.latent import constraints
from jgan.latent import document

CANVAS = (384, 384)  # pixels, without a photo
MAX_WARPS = 100  # in a drawing: each remembers an image
MAX_OPERATIONS = 10_000  # of a session, those undone included
MAX_NUMBERS = 500_000  # in all of them together: coordinates, latents

Latent = tuple[float, ...]  # all numbers of a latent, leaf after leaf, in the order of the tree
# What is set of a control: the name of a class, an amount, or (name, number) of attributes.
Value = str | float | tuple[tuple[str, float], ...]
Given = tuple[tuple[str, Value], ...]  # (control, value), by name

# Operations: what `Session.operations` holds and undo undoes.


class Stroke(NamedTuple):
    """A stroke; a warp comes with the `latent` of the image that it takes its patch from."""

    stroke: document.Colour | document.Sketch | document.Warp
    latent: Latent | None = None


class Erase(NamedTuple):
    """Removes strokes by their numbers."""

    strokes: tuple[int, ...]


class Clear(NamedTuple):
    """Removes all strokes."""


class Weigh(NamedTuple):
    """Sets the weights of the terms."""

    weights: constraints.Weights


class Fix(NamedTuple):
    """Makes a latent the start and the anchor of all candidates; strokes stay."""

    latent: Latent


class Give(NamedTuple):
    """Sets a control of what is painted with, such as the class that is drawn; strokes and anchor stay."""

    name: str
    value: Value


class Restart(NamedTuple):
    """Begins anew without strokes: from the photo's projection where one is open, else from random starts."""

    seed: int


class Open(NamedTuple):
    """Begins at the projection of a photo, on a canvas of the photo's size.

    Attributes:
        photo: what the photo is kept under.
        name: of its file.
        size: height and width of the photo.
        box: top, left and side of the square that is seen of it, as in `jgan.data.framing`.
        latent: its projection.
        given: the values under which the projection was found; None: those that are set where it is opened, as in
            files of earlier versions.
    """

    photo: str
    name: str
    size: tuple[int, int]
    box: tuple[int, int, int]
    latent: Latent
    given: Given | None = None


class Close(NamedTuple):
    """Puts the photo away, and the strokes with it."""


Operation = Stroke | Erase | Clear | Weigh | Fix | Give | Restart | Open | Close
# Candidates begin anew after these.
GROUNDS = (Fix, Give, Restart, Open, Close)

# Events that are no operations.


class Undo(NamedTuple):
    """One operation back."""


class Redo(NamedTuple):
    """One operation on again."""


class Live(NamedTuple):
    """The stroke under the pen, whole, instead of the last one; None where it was given up."""

    stroke: Stroke | None


class Look(NamedTuple):
    """Changes what is looked at: values of fields of `View` by their names."""

    changes: tuple[tuple[str, object], ...]


Event = Operation | Undo | Redo | Live | Look


@dataclasses.dataclass(frozen=True)
class Drawing:
    """What a list of operations comes to.

    Attributes:
        strokes: (number, stroke), later ones over earlier ones; the number is the operation's place in the session.
        weights: of the terms.
        anchor: the latent that candidates begin around and stay near, or None: random starts.
        seed: of the starts.
        photo: the photo that is open.
        size: height and width of the canvas.
        given: what is set; other controls stand at their default.
        opened: what was set when the projection of the photo was found: it is a latent under these.
        since: how many operations there are up to the one that candidates began at; 0: the first start.
        version: another number after every change.
        ground: another number whenever candidates must begin anew.
    """

    strokes: tuple[tuple[int, Stroke], ...] = ()
    weights: constraints.Weights = constraints.Weights()
    anchor: Latent | None = None
    seed: int = 0
    photo: Open | None = None
    size: tuple[int, int] = CANVAS
    given: Given = ()
    opened: Given = ()
    since: int = 0
    # Two drawings are equal if they look equal, however they came about.
    version: int = dataclasses.field(default=0, compare=False)
    ground: int = dataclasses.field(default=0, compare=False)


class View(NamedTuple):
    """What is looked at.

    Attributes:
        chosen: a candidate, or None: the best.
        slider: from 0, where the candidate began, to 1; None: where it is now, also while it moves on.
        average: whether the pad shows the mean of the candidates.
        shadow: whether it fades away from the pointer.
        cursor: the pointer on the canvas.
    """

    chosen: int | None = None
    slider: float | None = None
    average: bool = False
    shadow: bool = False
    cursor: tuple[float, float] | None = None


@dataclasses.dataclass(frozen=True)
class Session:
    """All that a person did, and what it comes to.

    Attributes:
        operations: also those that were undone and may be redone.
        cursor: how many of them count.
        drawing: what these come to.
        view: what is looked at.
        live: the stroke under the pen, which counts as if it lay over all others.
    """

    operations: tuple[Operation, ...] = ()
    cursor: int = 0
    drawing: Drawing = Drawing()
    view: View = View()
    live: Stroke | None = None

    @property
    def can_undo(self) -> bool:
        return self.cursor > 0

    @property
    def can_redo(self) -> bool:
        return self.cursor < len(self.operations)


def reduce(session: Session, event: Event) -> Session:
    """The session after an event; the same one where the event says nothing new or came too late.

    Raises:
        jgan.UserError: the drawing or the session would be larger than a limit.
    """
    if isinstance(event, Undo | Redo):
        cursor = session.cursor + (1 if isinstance(event, Redo) else -1)
        return move(session, cursor) if 0 <= cursor <= len(session.operations) else session
    if isinstance(event, Live):
        if event.stroke is not None:
            _check_strokes((*session.drawing.strokes, (0, event.stroke)))
        return session if event.stroke == session.live else dataclasses.replace(session, live=event.stroke)
    if isinstance(event, Look):
        view = session.view._replace(**dict(event.changes))
        return session if view == session.view else dataclasses.replace(session, view=view)
    if _says_nothing(session.drawing, event):
        return session
    return append(session, event)


def append(session: Session, operation: Operation) -> Session:
    """The session with an operation after the cursor, whatever it says; those that were undone are gone."""
    operations = (*session.operations[: session.cursor], operation)
    _check_length(operations)
    drawing = draw(session.drawing, operation, session.cursor)
    _check_strokes(drawing.strokes)
    return _changed(session, operations, len(operations), drawing)


def restore(operations: tuple[Operation, ...], cursor: int) -> Session:
    """The session of operations that come from elsewhere, of which the first `cursor` count.

    Raises:
        jgan.UserError: it would be larger than a limit.
    """
    _check_length(operations)
    drawing = Drawing()
    for place, operation in enumerate(operations):
        drawing = draw(drawing, operation, place)
        if isinstance(operation, Stroke):
            _check_strokes(drawing.strokes)
    session = Session(operations, len(operations), drawing)
    return session if cursor == len(operations) else move(session, cursor)


def move(session: Session, cursor: int) -> Session:
    """The session with its cursor elsewhere among its operations."""
    drawing = fold(session.operations[:cursor])
    before = session.drawing
    # Numbers of versions only ever go up, those of grounds where another operation is the one that candidates begin at.
    drawing = dataclasses.replace(
        drawing,
        version=before.version + 1,
        ground=before.ground + (drawing.since != before.since),
    )
    return _changed(session, session.operations, cursor, drawing)


def fold(operations: tuple[Operation, ...]) -> Drawing:
    """What operations come to, one after another, from an empty canvas."""
    drawing = Drawing()
    for place, operation in enumerate(operations):
        drawing = draw(drawing, operation, place)
    return drawing


def draw(drawing: Drawing, operation: Operation, place: int) -> Drawing:
    """The drawing after one more operation, which is number `place` of its session."""
    changes = _changes(drawing, operation, place)
    if isinstance(operation, GROUNDS):
        changes |= {"since": place + 1, "ground": drawing.ground + 1}
    return dataclasses.replace(drawing, **changes, version=drawing.version + 1)


def strokes(session: Session) -> tuple[Stroke, ...]:
    """All strokes that count, the one under the pen last."""
    drawn = tuple(stroke for _, stroke in session.drawing.strokes)
    return drawn if session.live is None else (*drawn, session.live)


def _changes(drawing: Drawing, operation: Operation, place: int) -> dict[str, object]:
    match operation:
        case Stroke():
            return {"strokes": (*drawing.strokes, (place, operation))}
        case Erase(numbers):
            gone = set(numbers)
            return {"strokes": tuple(stroke for stroke in drawing.strokes if stroke[0] not in gone)}
        case Clear():
            return {"strokes": ()}
        case Weigh(weights):
            return {"weights": weights}
        case Fix(latent):
            return {"anchor": latent}
        case Give(name, value):
            return {"given": tuple(sorted({**dict(drawing.given), name: value}.items()))}
        case Restart(seed):
            return {"strokes": (), "seed": seed, "anchor": drawing.photo and drawing.photo.latent}
        case Open():
            opened = {"photo": operation, "anchor": operation.latent, "size": operation.size}
            found = drawing.given if operation.given is None else operation.given
            return {"strokes": (), **opened, "opened": found}
        case Close():
            return {"strokes": (), "photo": None, "anchor": None, "size": CANVAS, "opened": ()}


def _says_nothing(drawing: Drawing, operation: Operation) -> bool:
    match operation:
        case Erase(numbers):
            return not set(numbers) & {number for number, _ in drawing.strokes}
        case Clear():
            return not drawing.strokes
        case Weigh(weights):
            return weights == drawing.weights
        case Give(name, value):
            return (name, value) in drawing.given
        case Close():
            return drawing.photo is None
    return False


def _changed(session: Session, operations: tuple[Operation, ...], cursor: int, drawing: Drawing) -> Session:
    # New candidates have no choice among them yet, and whoever draws wants to see what comes of it.
    anew = drawing.ground != session.drawing.ground
    view = session.view._replace(slider=None, chosen=None if anew else session.view.chosen)
    return Session(operations, cursor, drawing, view)


def _check_length(operations: tuple[Operation, ...]) -> None:
    if len(operations) > MAX_OPERATIONS or sum(map(_numbers, operations)) > MAX_NUMBERS:
        raise jgan.UserError(
            f"a session holds at most {MAX_OPERATIONS} steps and {MAX_NUMBERS} numbers in them: "
            "save this one and begin another."
        )


def _check_strokes(drawn: tuple[tuple[int, Stroke], ...]) -> None:
    if len(drawn) > document.MAX_STROKES:
        raise jgan.UserError(f"a drawing has at most {document.MAX_STROKES} strokes.")
    if sum(isinstance(stroke.stroke, document.Warp) for _, stroke in drawn) > MAX_WARPS:
        raise jgan.UserError(f"a drawing has at most {MAX_WARPS} warps.")
    points = sum(len(getattr(stroke.stroke, "points", ())) for _, stroke in drawn)
    if points > document.MAX_POINTS:
        raise jgan.UserError(f"the strokes of a drawing have at most {document.MAX_POINTS} points together.")


def _numbers(operation: Operation) -> int:
    count = len(getattr(operation, "latent", None) or ())
    match operation:
        case Stroke(stroke):
            count += 2 * len(getattr(stroke, "points", ()))
        case Erase(numbers):
            count += len(numbers)
        case Give(_, value):
            count += _length(value)
        case Open(given=given):
            count += sum(_length(value) for _, value in given or ())
    return count


def _length(value: Value) -> int:
    return len(value) if isinstance(value, tuple) else 1
