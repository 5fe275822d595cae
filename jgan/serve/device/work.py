"""Jobs, of which a person waits for the result: a projection, a film, an edit that is transferred to the photo.

A job is done in parts in the engine's thread, between slices, so that painting goes on: `parts(engine)` is a generator
that yields the share that is done (None: the job waits for something) and returns the result.
"""

from collections.abc import Callable
from collections.abc import Generator
import dataclasses
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
from jgan.latent import embedding
from jgan.latent import raster
from jgan.latent import transfer
from jgan.programs import photos
from jgan.serve import session as sessions
from jgan.serve.device import finding
from jgan.serve.device import programs as programs_lib
from jgan.serve.device import search

FRAMES = 16  # of a film
_MORPH = 256  # pixels, the side of a film from one photo to another

Photo = image_files.Picture | np.ndarray  # [h, w, c] of any type
Parts = Generator[float | None, None, Any]


class Device(Protocol):
    """The part of the engine that jobs use, in its thread; `jgan.serve.device.engine.Engine` describes the methods."""

    programs: programs_lib.Programs

    def under(self, given: sessions.Given) -> dict[str, Any]: ...
    def values(self, given: sessions.Given) -> dict[str, Any]: ...
    def seen(self, key: str) -> search.Seen: ...
    def drawing(self, key: str) -> sessions.Drawing: ...
    def aside(self, function: Callable[..., Any], *arguments: Any) -> Generator[None, None, Any]: ...
    def program(self, name: programs_lib.Name) -> Generator[None, None, Callable[..., Any]]: ...
    def open(self, key: str, session: sessions.Session, deliver: Callable[[search.Frame], None]) -> None: ...
    def ready(self, key: str) -> None: ...
    def close(self, key: str) -> None: ...


class Job(Protocol):
    """A job for `Engine.submit`; `parts` does one part of it at each step, and returns its result."""

    def parts(self, engine: Device) -> Parts: ...


class Projected(NamedTuple):
    """The projection of a photo: the values for `session.Open`, its cost, and the image of the latent in uint8."""

    latent: sessions.Latent
    size: tuple[int, int]
    box: tuple[int, int, int]
    cost: float
    reconstruction: np.ndarray


class Transferred(NamedTuple):
    """A photo after an edit, in its own size, type and opacity, and the film from the photo to it.

    The film is [n, h, w, c] uint8.
    """

    photo: np.ndarray
    film: np.ndarray


class Exported(NamedTuple):
    """The candidates that are shown, best first: numbers [k], images [k, h, w, c] uint8, latents [k, d], costs [k].

    `given` are the values of all controls under which they were drawn, as JSON has them.
    """

    ids: np.ndarray
    images: np.ndarray
    latents: np.ndarray
    costs: np.ndarray
    given: dict[str, Any]


class Crossed(NamedTuple):
    """Two photos in one picture: its latent and image, and what was put together before, both uint8."""

    latent: sessions.Latent
    image: np.ndarray
    pasted: np.ndarray


@dataclasses.dataclass(frozen=True)
class Project:
    """The job that projects a photo [h, w, c] of any type; the result is `Projected`.

    Attributes:
        photo: the photo.
        fit: as in `framing.fit`.
        seed: the seed of the starts.
        given: the values of controls under which the photo is projected, as a drawing has them.
    """

    photo: Photo
    fit: str = "letterbox"
    seed: int = 0
    given: sessions.Given = ()

    def parts(self, engine: Device) -> Parts:
        size, _, channels = engine.programs.image
        framed = yield from engine.aside(_frame, self.photo, size, channels, self.fit, engine.programs.bits)
        pair = framed.image, framed.mask
        latent, cost, made = yield from finding.found(engine, "project", (pair,), self.seed, self.given)
        box = framed.top, framed.left, framed.side
        return Projected(latent, self.photo.shape[:2], box, cost, made)


@dataclasses.dataclass(frozen=True)
class Crossover:
    """The job that puts the masked part of a second photo into the first one; the result is `Crossed`.

    It is Image2StyleGAN++'s (`jgan.latent.embedding`): one latent is searched for whose image is near the second photo
    under the mask, whose border is blurred, and near the first one beside it; maps of noise follow, in a space of them.
    In that module the mask is where the first photo is, here where the second one is put.

    Attributes:
        photos: the first and the second.
        drawing: of the session: the mask on the canvas of the first photo, and the values of its controls.
        fit: of the second photo, as in `framing.fit`.
    """

    photos: tuple[Photo, Photo]
    drawing: sessions.Drawing
    fit: str = "letterbox"

    def parts(self, engine: Device) -> Parts:
        size, _, channels = engine.programs.image
        opened, masked = self.drawing.photo, sessions.masked(self.drawing)
        if opened is None or self.drawing.second is None:
            raise jgan.UserError("a crossover is of two photos: open a first and a second one.")
        masked = raster.framed(masked, opened.size, opened.box)
        mask = raster.mask(masked, (size, size))
        if not mask.any():
            raise jgan.UserError("nothing is masked: paint with the mask where the second photo should be.")
        fit = "letterbox" if opened.box[2] == max(opened.size) else "crop"
        framed = []
        for photo, how in zip(self.photos, (fit, self.fit), strict=True):
            framed.append((yield from engine.aside(_frame, photo, size, channels, how, engine.programs.bits)))
        a, b = framed
        share = np.asarray((yield from engine.aside(_blurred, mask.astype(np.float32))))
        pairs = (a.image, (1 - share) * a.mask), (b.image, share * b.mask)
        latent, _, made = yield from finding.found(engine, "cross", pairs, 0, self.drawing.given)
        pasted = (1 - share[..., None]) * a.image + share[..., None] * b.image
        return Crossed(latent, made, _bytes(pasted))


@dataclasses.dataclass(frozen=True)
class Film:
    """The job that draws the path of a candidate (None: the one on the pad); the result is [frames, h, w, c] uint8."""

    key: str
    candidate: int | None = None
    frames: int = FRAMES

    def parts(self, engine: Device) -> Parts:
        seen = engine.seen(self.key)
        path, weights = seen.path(self.candidate), engine.under(seen.given)
        return (yield from _drawn(engine, weights, search.along(path, np.linspace(0, 1, self.frames)), 1))


@dataclasses.dataclass(frozen=True)
class Between:
    """The job that draws a film from one latent to another; the result is [frames, h, w, c] uint8.

    With two `photos` it shows these instead, whose shapes and colours follow the film of the latents; they are seen as
    `fit` says, by 256 pixels.
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
    """The job that transfers the edit of a session to its photo; the result is `Transferred`.

    The edit is that of a candidate, by its number; None: of the picture on the pad.
    """

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
        # Candidates that were fixed meanwhile belong to the edit, so the path begins at the projection of the photo.
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
    """The job that reads the candidates of a session that are shown; the result is `Exported`."""

    key: str

    def parts(self, engine: Device) -> Parts:
        yield 0.0
        return _exported(engine, self.key)


@dataclasses.dataclass(frozen=True)
class Edit:
    """The job that follows the strokes of a document, on a photo or from random starts; the result is `Exported`.

    Its candidates take part in slices as those of a session do.
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
            projected = yield from _half(Project(self.photo, self.fit, self.seed, self.given).parts(engine))
            photo = sessions.Open("photo", "photo", projected.size, projected.box, projected.latent)
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
_blurred = jax.jit(embedding.blurred)


def _morph(a: np.ndarray, b: np.ndarray, film: np.ndarray) -> np.ndarray:
    """The film from photo `a` to photo `b` that moves as a generated film does; all are in [-1, 1]."""
    return np.asarray(_transformation(a, b, film))


def _frame(photo: Photo, size: int, channels: int, fit: str, bits: int) -> framing.Framed:
    """The square view of a photo; raises a `jgan.UserError` if nothing of it would be visible."""
    taken = framing.adapt(photo, channels, bits)
    framed = framing.fit(taken.pixels, size, fit)
    if not framed.mask.any():
        raise jgan.UserError(
            f"{taken.name} of {photo.shape[0]} x {photo.shape[1]} pixels (height x width) is too narrow: crop it first."
        )
    return framed


def _drawn(engine: Device, weights: dict[str, Any], latents: np.ndarray, which: int) -> Parts:
    """The images of latents [n, d], drawn one at a time: in [-1, 1] if `which` is 0, in uint8 if it is 1."""
    draw = yield from engine.program("draw")
    made = []
    for k, latent in enumerate(latents):
        made.append(np.asarray(draw(weights, np.float32(latent))[which]))
        yield k / len(latents)
    return np.stack(made)


def _half(parts: Parts) -> Parts:
    """The parts of a job that is the first half of another one."""
    while True:
        try:
            share = next(parts)
        except StopIteration as end:
            return end.value
        yield None if share is None else share / 2


def _scaled(
    drawn: document.Document, size: tuple[int, int]
) -> list[document.Colour | document.Sketch | document.Warp]:
    """The strokes of a document, moved to a canvas of another size."""
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
    """The candidates that a session shows, and the values under which they were drawn."""
    seen = engine.seen(key)
    sight, given = seen.sight, engine.values(seen.given)
    ids = sight.shown.indices[sight.shown.mask]
    return Exported(ids, sight.images[ids], sight.latents[ids], sight.costs["total"][ids], given)


def _bytes(images: np.ndarray) -> np.ndarray:
    """Images in [-1, 1] as uint8."""
    return np.rint((np.clip(images, -1, 1) + 1) * 127.5).astype(np.uint8)
