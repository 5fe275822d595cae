"""What a page asks for once and waits for, from the upload to the files that come of it.

The engine does the work (`jobs`); here it is begun, followed and put into files.
"""

import asyncio
from collections.abc import Awaitable
from collections.abc import Callable
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


class Task:
    """A job as a page sees it.

    Attributes:
        key: what it is known by.
        kind: project, apply or between.
        results: {name: (media type, bytes)} of the files that came of it.
        photo: what the photo of a projection is kept under.
        ended: when it was over, by the clock of who keeps it.
    """

    def __init__(self, key: str, kind: str, told: Callable[["Task"], None]):
        self.key, self.kind, self._told = key, kind, told
        self.state, self.done, self.message = "waiting", 0.0, ""
        self.results: dict[str, tuple[str, bytes]] = {}
        self.photo, self.ended = "", 0.0
        self._loop = asyncio.get_running_loop()
        self._running: asyncio.Task | None = None

    @property
    def size(self) -> int:
        """Bytes of all results."""
        return sum(len(data) for _, data in self.results.values())

    @property
    def over(self) -> bool:
        return self.state in ("done", "failed")

    def start(self, work: Callable[["Task"], Awaitable[dict[str, tuple[str, bytes]]]]) -> None:
        """Begins the work."""
        self._running = self._loop.create_task(self._run(work))

    def cancel(self) -> None:
        """Ends it, for nobody waits any more."""
        if self._running is not None:
            self._running.cancel()

    def describe(self) -> dict[str, Any]:
        """What a page is told."""
        return {
            "job": self.key,
            "kind": self.kind,
            "state": self.state,
            "done": round(self.done, 3),
            "message": self.message,
            "results": [f"/api/jobs/{self.key}/{name}" for name in self.results],
        }

    def advance(self, state: str, done: float, message: str = "") -> None:
        """Tells how far it is."""
        self.state, self.done, self.message = state, min(max(done, 0.0), 1.0), message
        self._told(self)

    async def ask(
        self, engine: kept.Engine, job: work_lib.Job, begin: float = 0.0, end: float = 1.0, message: str = ""
    ) -> Any:
        """The result of a job of the engine, which is the part of this one from `begin` to `end`."""

        def told(share: float) -> None:  # in the engine's thread
            at = begin + (end - begin) * share
            self._loop.call_soon_threadsafe(lambda: self.over or self.advance("running", at, message))

        self.advance("running", begin, message)
        return await result(engine.submit(job, told))

    async def _run(self, work: Callable[["Task"], Awaitable[dict[str, tuple[str, bytes]]]]) -> None:
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


async def result(future: concurrent.futures.Future) -> Any:
    """The result of a future of another thread, which goes on when nobody waits any more."""
    return await asyncio.shield(asyncio.wrap_future(future))


async def decode(photo: session_file.Photo) -> images.Picture:
    """The picture of a photo's file, for whoever has `Keeper.hands`; errors as for `access.picture`."""
    return await asyncio.to_thread(access.picture, photo.data, photo.name)


def project(
    keeper: kept.Keeper, entry: kept.Entry, photo: session_file.Photo, fit: str
) -> Callable[[Task], Any]:
    """Work that projects a photo and opens it in the session."""

    async def work(task: Task) -> dict[str, tuple[str, bytes]]:
        async with keeper.hands:
            picture = await decode(photo)
            given = entry.session.drawing.given  # another value may be set while the projection is found
            job = work_lib.Project(picture, fit, given=given)
            found = await task.ask(keeper.engine, job, message="finding the photo's projection")
        task.photo = keeper.keep_photo(entry, photo)
        operation = sessions.Open(task.photo, photo.name, found.size, found.box, found.latent, given)
        keeper.put(entry, sessions.reduce(entry.session, operation))
        return {}

    return work


def apply(keeper: kept.Keeper, entry: kept.Entry, candidate: int | None) -> Callable[[Task], Any]:
    """Work that does the edit of a session to its photo: photo.png and photo.webp, its way there."""
    opened = entry.session.drawing.photo
    if opened is None:
        raise jgan.UserError("no photo is open: open one first.")
    photo = entry.photo(opened.photo)

    async def work(task: Task) -> dict[str, tuple[str, bytes]]:
        async with keeper.hands:
            job = work_lib.Transfer(entry.key, await decode(photo), candidate)
            made = await task.ask(keeper.engine, job, 0.0, 0.9, "doing the edit to the photo")
            del job  # and the photo with it
            still = await asyncio.to_thread(pictures.png, made.photo)
            moving = await asyncio.to_thread(pictures.film, made.film)
        return {"photo.png": ("image/png", still), "photo.webp": ("image/webp", moving)}

    return work


def between(
    keeper: kept.Keeper, ends: list[tuple[Any, Any]], given: sessions.Given = ()
) -> Callable[[Task], Any]:
    """Work that goes from one photo to another: film.webp.

    Args:
        keeper: whose engine is asked.
        ends: (photo, its latent or None where it is to be projected first) of both.
        given: what is set of controls, under which all of it is drawn.
    """

    async def work(task: Task) -> dict[str, tuple[str, bytes]]:
        async with keeper.hands:
            return await held(task)

    async def held(task: Task) -> dict[str, tuple[str, bytes]]:
        latents, photos, count = [], [], sum(latent is None for _, latent in ends)
        share = 0.6 / max(count, 1)
        for photo, latent in ends:
            photos.append(await decode(photo))
            if latent is None:
                at = share * sum(known is None for _, known in ends[: len(latents)])
                found = await task.ask(
                    keeper.engine,
                    work_lib.Project(photos[-1], given=given),
                    at,
                    at + share,
                    f"finding {photo.name}",
                )
                latent = found.latent
            latents.append(latent)
        job = work_lib.Between(*latents, FRAMES, tuple(photos), given=given)
        begin = 0.6 if count else 0.0
        film = await task.ask(keeper.engine, job, begin, 0.95, "drawing what lies between")
        return {"film.webp": ("image/webp", await asyncio.to_thread(pictures.film, film))}

    return work
