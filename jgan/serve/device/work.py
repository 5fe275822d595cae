"""What a person asks for once and waits for: a projection, a film, an edit done to the photo.

A job is done in parts in the engine's thread, between slices, so that painting goes on: `parts(engine)` is a generator
of the share that is done (None: it waits for something) that returns the result.
"""

from collections.abc import Callable
from collections.abc import Generator
from collections.abc import Iterator
import dataclasses
import time
from typing import Any
from typing import NamedTuple
from typing import Protocol
import uuid

import jax
import numpy as np

import jgan
from jgan.data import framing
from jgan.data import images as image_files
from jgan.latent import document
from jgan.latent import transfer
from jgan.programs import photos
from jgan.serve import session as sessions
from jgan.serve.device import programs as programs_lib
from jgan.serve.device import search

FRAMES = 16
_PART = 0.1  # seconds that a part should take
_MOST = 32  # evaluations in a part
_MORPH = 256  # pixels: the side of a film from one photo to another

Photo = image_files.Picture | np.ndarray  # [h, w, c] of any type
Parts = Generator[float | None, None, Any]


class Device(Protocol):
    """What jobs use of the engine, in its thread; `jgan.serve.device.engine.Engine` says what each does."""

    programs: programs_lib.Programs

    def under(self, given: sessions.Given) -> dict[str, Any]: ...
    def told(self, given: sessions.Given) -> dict[str, Any]: ...
    def seen(self, key: str) -> search.Seen: ...
    def drawing(self, key: str) -> sessions.Drawing: ...
    def aside(self, function: Callable[..., Any], *arguments: Any) -> Iterator[None]: ...
    def program(self, name: Any) -> Iterator[None]: ...
    def open(self, key: str, session: sessions.Session, deliver: Callable[[search.Frame], None]) -> None: ...
    def ready(self, key: str) -> None: ...
    def close(self, key: str) -> None: ...


class Job(Protocol):
    """What `Engine.submit` takes."""

    def parts(self, engine: Device) -> Parts: ...


class Projected(NamedTuple):
    """A photo's projection: what `session.Open` needs, its cost, and the image of the latent uint8."""

    latent: sessions.Latent
    size: tuple[int, int]
    box: tuple[int, int, int]
    cost: float
    reconstruction: np.ndarray


class Transferred(NamedTuple):
    """A photo as an edit has it, in its own size, type and opacity, and the film of its way there.

    The film is uint8 [n, h, w, c].
    """

    photo: np.ndarray
    film: np.ndarray


class Exported(NamedTuple):
    """Candidates that are shown, best first: numbers [k], images uint8 [k, h, w, c], latents [k, d], costs [k].

    `given` are the values of all controls under which they were drawn, as JSON has them.
    """

    ids: np.ndarray
    images: np.ndarray
    latents: np.ndarray
    costs: np.ndarray
    given: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Project:
    """The projection of a photo [h, w, c] of any type: `Projected`. `fit` as in `framing.fit`.

    The latent is found under what is `given`, as a drawing has it.
    """

    photo: Photo
    fit: str = "letterbox"
    seed: int = 0
    given: sessions.Given = ()

    def parts(self, engine: Device) -> Parts:
        size, _, channels = engine.programs.image
        framed = yield from engine.aside(_frame, self.photo, size, channels, self.fit, engine.programs.bits)
        begin = yield from engine.program("project")
        on = yield from engine.program("project_on")
        weights = engine.under(self.given)
        square = weights, framed.image, framed.mask
        carry = begin(*square, np.uint32([self.seed % 2**32, 0]))
        done, until, count = False, 0, 1
        while not done and until < programs_lib.PROJECTION.evaluations:
            until += count
            begun = time.perf_counter()
            carry, found = on(*square, carry, np.int32(until))
            latent, cost, done = jax.device_get(found)
            count = min(max(1, int(count * _PART / (time.perf_counter() - begun))), 2 * count, _MOST)
            yield min(1.0, until / programs_lib.PROJECTION.evaluations)
        if not np.isfinite(cost):
            raise jgan.UserError("the photo could not be projected: no start has a finite cost.")
        return Projected(
            tuple(map(float, latent)),
            self.photo.shape[:2],
            (framed.top, framed.left, framed.side),
            float(cost),
            np.asarray(engine.programs.get("draw")(weights, latent)[1]),
        )


@dataclasses.dataclass(frozen=True)
class Film:
    """The way of a candidate (None: the one on the pad) from where it began: uint8 [frames, h, w, c]."""

    key: str
    candidate: int | None = None
    frames: int = FRAMES

    def parts(self, engine: Device) -> Parts:
        seen = engine.seen(self.key)
        path, weights = seen.path(self.candidate), engine.under(seen.given)
        return (yield from _drawn(engine, weights, search.along(path, np.linspace(0, 1, self.frames)), 1))


@dataclasses.dataclass(frozen=True)
class Between:
    """A film from one latent to another; of two photos, if they are given, as they take the film's shape and colours.

    uint8 [frames, h, w, c]; photos are seen as `fit` says, by 256 pixels.
    """

    a: sessions.Latent
    b: sessions.Latent
    frames: int = FRAMES
    photos: tuple[Photo, Photo] | None = None
    fit: str = "letterbox"
    given: sessions.Given = ()

    def parts(self, engine: Device) -> Parts:
        weights = engine.under(self.given)
        latents = search.along(np.float32([self.a, self.b]), np.linspace(0, 1, self.frames))
        if self.photos is None:
            return (yield from _drawn(engine, weights, latents, 1))
        film = yield from _drawn(engine, weights, latents, 0)
        channels = engine.programs.image[-1]
        seen = []
        for photo in self.photos:
            framed = yield from engine.aside(_frame, photo, _MORPH, channels, self.fit, engine.programs.bits)
            seen.append(framed.image)
        return _bytes((yield from engine.aside(_morph, *seen, film)))


@dataclasses.dataclass(frozen=True)
class Transfer:
    """A session's edit done to its photo: `Transferred`; what is on the pad, or a candidate of that number."""

    key: str
    photo: Photo
    candidate: int | None = None
    frames: int = 8

    def parts(self, engine: Device) -> Parts:
        seen, drawing = engine.seen(self.key), engine.drawing(self.key)
        if drawing.photo is None:
            raise jgan.UserError("no photo is open: open one first.")
        if self.photo.shape[:2] != tuple(drawing.photo.size):
            raise jgan.UserError("the photo has another size than the one that is open.")
        path = seen.path(self.candidate)
        end = 1.0 if seen.view.slider is None else seen.view.slider
        path = search.along(path, np.linspace(0, end, 64))
        # What was fixed on the way counts as well: the photo is where the projection is.
        path = np.concatenate([np.float32([drawing.photo.latent]), path])
        weights = engine.under(seen.given)
        film = yield from _drawn(engine, weights, search.along(path, np.linspace(0, 1, self.frames)), 0)
        if drawing.opened != seen.given:
            # The photo looks like its projection under the values with which that was found.
            before = engine.under(drawing.opened)
            film[:1] = yield from _drawn(engine, before, path[:1], 0)
        fit = "letterbox" if drawing.photo.box[2] == max(drawing.photo.size) else "crop"
        taken = framing.adapt(self.photo, engine.programs.image[-1], engine.programs.bits)
        made, moving = yield from engine.aside(photos.carry, taken.pixels, film, fit)
        edited = taken._replace(pixels=framing.shrink(made, engine.programs.bits))
        return Transferred(edited.joined(), _bytes(moving))


@dataclasses.dataclass(frozen=True)
class Export:
    """The candidates of a session that are shown: `Exported`."""

    key: str

    def parts(self, engine: Device) -> Parts:
        yield 0.0
        return _exported(engine, self.key)


@dataclasses.dataclass(frozen=True)
class Edit:
    """What candidates find under the strokes of a document, on a photo or from random starts: `Exported`.

    It takes part in slices as a session does.
    """

    drawn: document.Document
    photo: Photo | None = None
    fit: str = "letterbox"
    seed: int = 0
    given: sessions.Given = ()

    def parts(self, engine: Device) -> Parts:
        session = sessions.reduce(sessions.Session(), sessions.Restart(self.seed % 2**32))
        for name, value in self.given:
            session = sessions.reduce(session, sessions.Give(name, value))
        if self.photo is not None:
            found = yield from _half(Project(self.photo, self.fit, self.seed, self.given).parts(engine))
            photo = sessions.Open("photo", "photo", found.size, found.box, found.latent)
            session = sessions.reduce(session, photo)
        size = session.drawing.size
        if abs(np.log(size[0] / size[1] * self.drawn.size[1] / self.drawn.size[0])) > 0.02:
            raise jgan.UserError(
                f"the edit's canvas of {self.drawn.size[0]} x {self.drawn.size[1]} pixels (height x width) has not "
                f"the proportions of {size[0]} x {size[1]}."
            )
        session = sessions.reduce(session, sessions.Weigh(self.drawn.weights))
        for stroke in _scaled(self.drawn, size):
            session = sessions.reduce(session, sessions.Stroke(stroke))
        key, shown = f"edit-{uuid.uuid4()}", []

        def deliver(frame: search.Frame) -> None:
            shown.append(frame)
            engine.ready(key)

        engine.open(key, session, deliver)
        try:
            while not shown or shown[-1].moving or shown[-1].iteration == 0:
                yield None if not shown else min(0.99, 0.5 + shown[-1].iteration / search.ITERATIONS / 2)
                if shown and shown[-1].problem:
                    raise jgan.UserError(shown[-1].problem)
                del shown[:-1]
            return _exported(engine, key)
        finally:
            engine.close(key)


_transformation = jax.jit(transfer.generative_transformation)


def _morph(a: np.ndarray, b: np.ndarray, film: np.ndarray) -> np.ndarray:
    return np.asarray(_transformation(a, b, film))


def _frame(photo: Photo, size: int, channels: int, fit: str, bits: int) -> framing.Framed:
    taken = framing.adapt(photo, channels, bits)
    framed = framing.fit(taken.pixels, size, fit)
    if not framed.mask.any():
        raise jgan.UserError(
            f"{taken.name} of {photo.shape[0]} x {photo.shape[1]} pixels (height x width) is too narrow: crop it first."
        )
    return framed


def _drawn(engine: Device, weights: Any, latents: np.ndarray, which: int) -> Parts:
    """The images of latents [n, d] under weights: in [-1, 1] (`which` 0) or uint8 (1)."""
    draw: Callable[..., Any] = yield from engine.program("draw")
    made = []
    for k, latent in enumerate(latents):
        made.append(np.asarray(draw(weights, np.float32(latent))[which]))
        yield k / len(latents)
    return np.stack(made)


def _half(parts: Parts) -> Parts:
    """Parts that are the first half of something."""
    while True:
        try:
            told = next(parts)
        except StopIteration as end:
            return end.value
        yield None if told is None else told / 2


def _scaled(drawn: document.Document, size: tuple[int, int]) -> list[Any]:
    ratios = size[1] / drawn.size[1], size[0] / drawn.size[0]

    def move(point: document.Point) -> document.Point:
        return point[0] * ratios[0], point[1] * ratios[1]

    made = []
    for stroke in drawn.strokes:
        if isinstance(stroke, document.Warp):
            made.append(document.Warp(move(stroke.source), move(stroke.target), stroke.side * ratios[0]))
        else:
            points = tuple(map(move, stroke.points))
            made.append(stroke._replace(points=points, width=stroke.width * ratios[0]))
    return made


def _exported(engine: Device, key: str) -> Exported:
    seen = engine.seen(key)
    sight, given = seen.sight, engine.told(seen.given)
    ids = sight.shown.indices[sight.shown.mask]
    return Exported(ids, sight.images[ids], sight.latents[ids], sight.costs["total"][ids], given)


def _bytes(images: np.ndarray) -> np.ndarray:
    return np.rint((np.clip(images, -1, 1) + 1) * 127.5).astype(np.uint8)
