"""A session of the editor as pure data: its operations in their order, and the drawing that they give.

A session is a list of operations and a cursor in it; its drawing is the fold of the operations before the cursor, so
that all operations can be undone, back to the first one, and undo needs no memory of its own. What a person only looks
at (which candidate, the position of the slider) is not an operation. `jgan.serve.session_file` reads and writes
sessions and all messages of a page.

    session = reduce(session, event)
"""

import dataclasses
from typing import NamedTuple

import jgan
from jgan.latent import constraints
from jgan.latent import document
from jgan.serve import operations as operations_lib

CANVAS = (384, 384)  # height and width in pixels if no photo is open
MAX_WARPS = 100  # of a drawing, because each keeps an image in memory
MAX_OPERATIONS = 10_000  # of a session, including those that were undone
MAX_NUMBERS = 500_000  # of all operations together: coordinates and latents

# Operations: these are kept in `Session.operations` and can be undone.
Latent, Value, Given = operations_lib.Latent, operations_lib.Value, operations_lib.Given
Stroke, Erase, Clear, Weigh = (
    operations_lib.Stroke,
    operations_lib.Erase,
    operations_lib.Clear,
    operations_lib.Weigh,
)
Fix, Give, Restart, Steer = (
    operations_lib.Fix,
    operations_lib.Give,
    operations_lib.Restart,
    operations_lib.Steer,
)
Open, Close, Second, Part = (
    operations_lib.Open,
    operations_lib.Close,
    operations_lib.Second,
    operations_lib.Part,
)
Operation, GROUNDS = operations_lib.Operation, operations_lib.GROUNDS

# Events that are not operations.


class Undo(NamedTuple):
    """Undoes the last operation before the cursor."""


class Redo(NamedTuple):
    """Repeats the operation after the cursor."""


class Live(NamedTuple):
    """Replaces the stroke under the pen by a newer state of it; None: the stroke was cancelled."""

    stroke: Stroke | None


class Look(NamedTuple):
    """Changes the view: new values for fields of `View`, by their names."""

    changes: tuple[tuple[str, object], ...]


Event = Operation | Undo | Redo | Live | Look


@dataclasses.dataclass(frozen=True)
class Drawing:
    """The drawing that a list of operations gives.

    Attributes:
        strokes: (number, stroke), later ones over earlier ones; the number is the operation's place in the session.
        weights: those of the terms.
        anchor: the latent around which candidates begin and near which they stay; None: random starts.
        seed: the seed of the starts.
        photo: the operation that opened the photo; None: no photo is open.
        size: height and width of the canvas.
        given: the controls that were set; all others have their default.
        opened: what was set when the projection of the photo was found: it is a latent under these values.
        second: the operation that opened the second photo; None: none is open.
        steered: the last `Steer`, with its base, if nothing else has begun candidates anew since.
        since: the number of operations up to the last one after which candidates began anew; 0: there was none.
        version: a number that differs after every change.
        ground: a number that differs whenever candidates must begin anew.
    """

    strokes: tuple[tuple[int, Stroke], ...] = ()
    weights: constraints.Weights = constraints.Weights()
    anchor: Latent | None = None
    seed: int = 0
    photo: Open | None = None
    size: tuple[int, int] = CANVAS
    given: Given = ()
    opened: Given = ()
    second: Second | None = None
    steered: Steer | None = None
    since: int = 0
    # Two drawings are equal if they look equal, whatever their history is.
    version: int = dataclasses.field(default=0, compare=False)
    ground: int = dataclasses.field(default=0, compare=False)


class View(NamedTuple):
    """What a person looks at.

    Attributes:
        chosen: the number of a candidate; None: the best one.
        slider: a position on the path of the candidate, from its beginning (0) to its end (1); None: its present state,
            also while it still changes.
        average: whether the pad shows the mean of the candidates.
        shadow: whether the picture on the pad fades with the distance from the pointer.
        cursor: the position (x, y) of the pointer on the canvas.
    """

    chosen: int | None = None
    slider: float | None = None
    average: bool = False
    shadow: bool = False
    cursor: tuple[float, float] | None = None


@dataclasses.dataclass(frozen=True)
class Session:
    """All operations of a person, and the drawing that they give.

    Attributes:
        operations: all of them, including those that were undone and may be repeated.
        cursor: the number of operations that count.
        drawing: the drawing that these give.
        view: what the person looks at.
        live: the stroke under the pen, which counts as if it lay over all others.
    """

    operations: tuple[Operation, ...] = ()
    cursor: int = 0
    drawing: Drawing = Drawing()
    view: View = View()
    live: Stroke | None = None

    @property
    def can_undo(self) -> bool:
        """Whether there is an operation before the cursor."""
        return self.cursor > 0

    @property
    def can_redo(self) -> bool:
        """Whether there is an operation after the cursor."""
        return self.cursor < len(self.operations)


def reduce(session: Session, event: Event) -> Session:
    """The session after an event; the same object if the event changes nothing or came too late.

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
    if _changes_nothing(session.drawing, event):
        return session
    return append(session, event)


def append(session: Session, operation: Operation) -> Session:
    """The session with one more operation, even if it changes nothing; those that were undone are removed.

    Raises:
        jgan.UserError: as in `reduce`.
    """
    operations = (*session.operations[: session.cursor], operation)
    _check_length(operations)
    drawing = draw(session.drawing, operation, session.cursor)
    _check_strokes(drawing.strokes)
    return _changed(session, operations, len(operations), drawing)


def restore(operations: tuple[Operation, ...], cursor: int) -> Session:
    """The session of operations that were read, of which the first `cursor` count.

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
    """The session with its cursor moved to another place among its operations."""
    drawing = fold(session.operations[:cursor])
    before = session.drawing
    # Versions always increase. Grounds increase if candidates now begin after another operation.
    drawing = dataclasses.replace(
        drawing,
        version=before.version + 1,
        ground=before.ground + (drawing.since != before.since),
    )
    return _changed(session, session.operations, cursor, drawing)


def fold(operations: tuple[Operation, ...]) -> Drawing:
    """The drawing that operations give on an empty canvas."""
    drawing = Drawing()
    for place, operation in enumerate(operations):
        drawing = draw(drawing, operation, place)
    return drawing


def draw(drawing: Drawing, operation: Operation, place: int) -> Drawing:
    """The drawing after one more operation, which has the index `place` in its session."""
    changes = _changes(drawing, operation, place)
    if isinstance(operation, GROUNDS):
        changes = {"steered": None, **changes}
        changes |= {"since": place + 1, "ground": drawing.ground + 1}
    return dataclasses.replace(drawing, **changes, version=drawing.version + 1)


def strokes(session: Session) -> tuple[Stroke, ...]:
    """All strokes that ask for something, the one under the pen last."""
    drawn = [stroke for _, stroke in session.drawing.strokes] + [session.live] * (session.live is not None)
    return tuple(stroke for stroke in drawn if not isinstance(stroke.stroke, document.Mask))


def masked(drawing: Drawing) -> document.Document:
    """The strokes of the mask, on the canvas of a drawing."""
    drawn = tuple(x.stroke for _, x in drawing.strokes if isinstance(x.stroke, document.Mask))
    return document.Document("", drawing.size, drawn)


def _changes(drawing: Drawing, operation: Operation, place: int) -> dict[str, object]:
    """The fields of a drawing that an operation changes, with their new values."""
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
        case Steer(latent, base=base):
            before = drawing.steered
            base = base or (latent if before is None else before.base)
            return {"anchor": latent, "steered": operation._replace(base=base)}
        case Second(given=given):
            return {"second": operation._replace(given=drawing.given if given is None else given)}
        case Part():
            return {"second": None}
        case Close():
            return {"strokes": (), "photo": None, "anchor": None, "size": CANVAS, "opened": ()}


def _changes_nothing(drawing: Drawing, operation: Operation) -> bool:
    """Whether a drawing would be the same after an operation."""
    match operation:
        case Erase(numbers):
            return not set(numbers) & {number for number, _ in drawing.strokes}
        case Clear():
            return not drawing.strokes
        case Weigh(weights):
            return weights == drawing.weights
        case Give(name, value):
            return (name, value) in drawing.given
        case Steer(latent, values):
            return drawing.steered is not None and drawing.steered[:2] == (latent, values)
        case Part():
            return drawing.second is None
        case Close():
            return drawing.photo is None
    return False


def _changed(session: Session, operations: tuple[Operation, ...], cursor: int, drawing: Drawing) -> Session:
    """The session with other operations and the drawing that they give."""
    # None of the new candidates has been chosen yet; and a person who draws wants to see the result, not an earlier
    # point of the path.
    anew = drawing.ground != session.drawing.ground
    view = session.view._replace(slider=None, chosen=None if anew else session.view.chosen)
    return Session(operations, cursor, drawing, view)


def _check_length(operations: tuple[Operation, ...]) -> None:
    """Raises a `jgan.UserError` if a session would have too many operations, or too many numbers in them."""
    if len(operations) > MAX_OPERATIONS or sum(map(_numbers, operations)) > MAX_NUMBERS:
        raise jgan.UserError(
            f"a session holds at most {MAX_OPERATIONS} steps and {MAX_NUMBERS} numbers in them: "
            "save this one and begin another."
        )


def _check_strokes(drawn: tuple[tuple[int, Stroke], ...]) -> None:
    """Raises a `jgan.UserError` if a drawing would have too many strokes, warps or points."""
    if len(drawn) > document.MAX_STROKES:
        raise jgan.UserError(f"a drawing has at most {document.MAX_STROKES} strokes.")
    if sum(isinstance(stroke.stroke, document.Warp) for _, stroke in drawn) > MAX_WARPS:
        raise jgan.UserError(f"a drawing has at most {MAX_WARPS} warps.")
    points = sum(len(getattr(stroke.stroke, "points", ())) for _, stroke in drawn)
    if points > document.MAX_POINTS:
        raise jgan.UserError(f"the strokes of a drawing have at most {document.MAX_POINTS} points together.")


def _numbers(operation: Operation) -> int:
    """How many numbers an operation keeps."""
    count = len(getattr(operation, "latent", None) or ())
    match operation:
        case Stroke(stroke):
            count += 2 * len(getattr(stroke, "points", ()))
        case Erase(numbers):
            count += len(numbers)
        case Give(_, value):
            count += _length(value)
        case Steer(values=values, base=base):
            count += len(values) + len(base or ())
        case Open(given=given) | Second(given=given):
            count += sum(_length(value) for _, value in given or ())
    return count


def _length(value: Value) -> int:
    return len(value) if isinstance(value, tuple) else 1
