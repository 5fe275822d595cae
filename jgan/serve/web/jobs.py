"""Jobs of a page, from the upload to the files with the results.

The engine does the computation (`jgan.serve.device.work`); this module begins it, follows its progress and writes its
results as files.
"""

import asyncio
from collections.abc import Callable
from collections.abc import Coroutine
import concurrent.futures
import logging
from typing import Any

import jgan
from jgan.data import images
from jgan.serve import session as sessions
from jgan.serve import session_file
from jgan.serve.device import work as work_lib
from jgan.serve.web import access
from jgan.serve.web import kept
from jgan.serve.web import pictures

FRAMES = 24  # of a film between photos

Results = dict[str, tuple[str, bytes]]  # {name: (media type, bytes)} of files


class Task:
    """A job of a session.

    Attributes:
        key: its key, by which a page asks for it.
        kind: project, second, apply, between or crossover.
        state: waiting, running, done or failed.
        done: the share that is done, from 0 to 1.
        message: what it does, or why it failed.
        results: {name: (media type, bytes)} of the files with its results.
        photo: the key of the photo of a projection in the session.
        ended: the time of its end by the clock of its keeper.
    """

    def __init__(self, key: str, kind: str, changed: Callable[["Task"], None]):
        """A job that has not begun; `changed` is called with it after each change of its state."""
        self.key, self.kind, self._changed = key, kind, changed
        self.state, self.done, self.message = "waiting", 0.0, ""
        self.results: Results = {}
        self.photo, self.ended = "", 0.0
        self._loop = asyncio.get_running_loop()
        self._running: asyncio.Task[None] | None = None

    @property
    def size(self) -> int:
        """The number of bytes of all results."""
        return sum(len(data) for _, data in self.results.values())

    @property
    def over(self) -> bool:
        """Whether it has ended, with or without an error."""
        return self.state in ("done", "failed")

    def start(self, work: "Work") -> None:
        """Begins the work."""
        self._running = self._loop.create_task(self._run(work))

    def cancel(self) -> None:
        """Ends it without a result."""
        if self._running is not None:
            self._running.cancel()

    def describe(self) -> dict[str, Any]:
        """The state of the job as JSON, for pages."""
        return {
            "job": self.key,
            "kind": self.kind,
            "state": self.state,
            "done": round(self.done, 3),
            "message": self.message,
            "results": [f"/api/jobs/{self.key}/{name}" for name in self.results],
        }

    def advance(self, state: str, done: float, message: str = "") -> None:
        """Sets the state of the job, and reports it."""
        self.state, self.done, self.message = state, min(max(done, 0.0), 1.0), message
        self._changed(self)

    async def ask(
        self, engine: kept.Engine, job: work_lib.Job, begin: float = 0.0, end: float = 1.0, message: str = ""
    ) -> Any:
        """The result of a job of the engine.

        Args:
            engine: the engine.
            job: its job.
            begin: the share of this job that is done before it.
            end: the share of this job that is done after it.
            message: what it does, as a page shows it.

        Raises:
            jgan.UserError: the job fails, or there are too many.
        """

        def progress(share: float) -> None:  # in the engine's thread
            at = begin + (end - begin) * share
            self._loop.call_soon_threadsafe(lambda: self.over or self.advance("running", at, message))

        self.advance("running", begin, message)
        return await result(engine.submit(job, progress))

    async def _run(self, work: "Work") -> None:
        """Does the work, and takes its results or its error."""
        try:
            self.results = await work(self)
            self.advance("done", 1.0, self.message)
        except asyncio.CancelledError:
            self.advance("failed", self.done, "it was given up.")
            raise
        except jgan.UserError as error:
            self.advance("failed", self.done, str(error))
        except MemoryError:
            self.advance("failed", self.done, "it does not fit in memory: a smaller photo would work.")
        except Exception:
            logging.exception("a job failed")
            self.advance("failed", self.done, "it could not be done; the server's log says more.")


Work = Callable[[Task], Coroutine[Any, Any, Results]]  # gives the results of a task


async def result(future: concurrent.futures.Future[Any]) -> Any:
    """The result of a future of another thread, which continues even if this coroutine is cancelled."""
    return await asyncio.shield(asyncio.wrap_future(future))


async def decode(photo: session_file.Photo) -> images.Picture:
    """The picture in the file of a photo; the caller must hold `Keeper.hands`. Errors are as in `access.picture`."""
    return await asyncio.to_thread(access.picture, photo.data, photo.name)


def project(
    keeper: kept.Keeper, entry: kept.Entry, photo: session_file.Photo, fit: str, second: bool = False
) -> Work:
    """The work that projects a photo and opens it in the session, as the second one if so; it has no files."""

    async def work(task: Task) -> Results:
        async with keeper.hands:
            picture = await decode(photo)
            given = entry.session.drawing.given  # another value may be set while the projection is found
            job = work_lib.Project(picture, fit, given=given)
            projected = await task.ask(keeper.engine, job, message="finding the photo's projection")
        task.photo = keeper.keep_photo(entry, photo)
        operation = (sessions.Second if second else sessions.Open)(
            task.photo, photo.name, projected.size, projected.box, projected.latent, given
        )
        keeper.put(entry, sessions.reduce(entry.session, operation))
        return {}

    return work


def apply(keeper: kept.Keeper, entry: kept.Entry, candidate: int | None) -> Work:
    """The work that transfers the edit of a session to its photo: photo.png, and the film photo.webp.

    Args:
        keeper: the keeper of the session.
        entry: the session.
        candidate: the number of the candidate with the edit; None: the one on the pad.

    Raises:
        jgan.UserError: no photo is open.
    """
    opened = entry.session.drawing.photo
    if opened is None:
        raise jgan.UserError("no photo is open: open one first.")
    photo = entry.photo(opened.photo)

    async def work(task: Task) -> Results:
        async with keeper.hands:
            job = work_lib.Transfer(entry.key, await decode(photo), candidate)
            made = await task.ask(keeper.engine, job, 0.0, 0.9, "doing the edit to the photo")
            del job  # with its photo, so that this memory is free
            still = await asyncio.to_thread(pictures.png, made.photo)
            moving = await asyncio.to_thread(pictures.film, made.film)
        return {"photo.png": ("image/png", still), "photo.webp": ("image/webp", moving)}

    return work


def crossover(keeper: kept.Keeper, entry: kept.Entry) -> Work:
    """The work that puts the masked part of the second photo into the first one, and fixes what comes of it.

    Its file pasted.png shows the paste before it became a picture of the generator.

    Raises:
        jgan.UserError: there are not two photos, or nothing is masked.
    """
    drawing = entry.session.drawing
    if drawing.photo is None or drawing.second is None:
        raise jgan.UserError("a crossover is of two photos: open a first and a second one.")
    if not sessions.masked(drawing).strokes:
        raise jgan.UserError("nothing is masked: paint with the mask where the second photo should be.")
    files = entry.photo(drawing.photo.photo), entry.photo(drawing.second.photo)

    async def work(task: Task) -> Results:
        async with keeper.hands:
            pictures_of = await decode(files[0]), await decode(files[1])
            made = await task.ask(
                keeper.engine, work_lib.Crossover(pictures_of, drawing), 0.0, 0.95, "joining both photos"
            )
        keeper.put(entry, sessions.reduce(entry.session, sessions.Fix(made.latent)))
        return {"pasted.png": ("image/png", await asyncio.to_thread(pictures.png, made.pasted))}

    return work


def between(
    keeper: kept.Keeper,
    ends: list[tuple[session_file.Photo, sessions.Latent | None]],
    given: sessions.Given = (),
) -> Work:
    """The work that draws a film from one photo to another: film.webp.

    Args:
        keeper: the keeper with the engine.
        ends: (photo, its latent, or None if it must be projected first) of both.
        given: the values of controls under which everything is drawn.
    """

    async def work(task: Task) -> Results:
        async with keeper.hands:
            return await held(task)

    async def held(task: Task) -> Results:
        latents, photos, count = [], [], sum(latent is None for _, latent in ends)
        share = 0.6 / max(count, 1)
        for photo, latent in ends:
            photos.append(await decode(photo))
            if latent is None:
                at = share * sum(known is None for _, known in ends[: len(latents)])
                projected = await task.ask(
                    keeper.engine,
                    work_lib.Project(photos[-1], given=given),
                    at,
                    at + share,
                    f"finding {photo.name}",
                )
                latent = projected.latent
            latents.append(latent)
        job = work_lib.Between(*latents, FRAMES, tuple(photos), given=given)
        begin = 0.6 if count else 0.0
        film = await task.ask(keeper.engine, job, begin, 0.95, "drawing what lies between")
        return {"film.webp": ("image/webp", await asyncio.to_thread(pictures.film, film))}

    return work
