"""The store of sessions: the state of each one, its photos, its jobs, and the sockets of its pages.

All of it runs in the event loop, except for `deliver`, which the engine's thread calls.
"""

import asyncio
from collections.abc import Callable
import contextlib
import dataclasses
import json
import secrets
import time

import jgan
from jgan.serve import session as sessions
from jgan.serve import session_file
from jgan.serve.device import search
from jgan.serve.web import access
from jgan.serve.web import jobs
from jgan.serve.web import kept
from jgan.serve.web import sockets as socket_lib

_CLOSED_SECONDS = 5.0  # after a page was left, because a page that is reloaded is left as well


class Unknown(jgan.UserError):
    """There is no such session, photo, job or picture."""


class Full(jgan.UserError):
    """The server has no capacity for another one."""


class Busy(jgan.UserError):
    """Something else must end first."""


@dataclasses.dataclass(eq=False)
class Entry:
    """A session and its pages.

    Attributes:
        key: its key; everyone who knows it may use the session.
        session: its newest state.
        photos: its photos by their keys, as in `Open`.
        tasks: its jobs by their keys, oldest first.
        sockets: the sockets of its pages, oldest first.
        frame: its newest frame.
        expires: the time at which it is closed; None while it has a page.
        closing: whether its page was left.
    """

    key: str
    session: sessions.Session
    photos: dict[str, session_file.Photo] = dataclasses.field(default_factory=dict)
    tasks: dict[str, jobs.Task] = dataclasses.field(default_factory=dict)
    sockets: list[socket_lib.Socket] = dataclasses.field(default_factory=list)
    frame: search.Frame | None = None
    expires: float | None = None
    closing: bool = False

    def news(self, space: str) -> str:
        """The message with the state of the session, for pages."""
        session = self.session
        return json.dumps(
            {
                "type": "session",
                "session": session_file.dump(session, space),
                "drawing": session_file.describe(session.drawing),
                "can_undo": session.can_undo,
                "can_redo": session.can_redo,
            }
        )

    def photo(self, key: str) -> session_file.Photo:
        """The file of a photo, by its key.

        Raises:
            Unknown: there is no such photo.
        """
        if key not in self.photos:
            raise Unknown("that photo is not here: open its file again.")
        return self.photos[key]


class Keeper:
    """All sessions of a server, at most `access.SESSIONS`.

    Attributes:
        engine: the engine that moves their candidates.
        hands: a semaphore to be held by code that has a decoded photo, which may take hundreds of megabytes.
    """

    def __init__(self, engine: kept.Engine, clock: Callable[[], float] = time.monotonic):
        """A keeper without sessions, to be made in the event loop."""
        self.engine, self._clock = engine, clock
        self._entries: dict[str, Entry] = {}
        self._loop = asyncio.get_running_loop()
        self.hands = asyncio.Semaphore(access.PHOTOS_AT_ONCE)
        self._sweeping = self._loop.create_task(self._sweep_on())

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, session: sessions.Session, photos: dict[str, session_file.Photo]) -> Entry:
        """The entry of a new session; if there are too many, the one without a page for the longest time is closed.

        Args:
            session: its state.
            photos: its photos by their keys.

        Raises:
            Full: there are too many sessions, and each of them has a page.
            jgan.UserError: photos of too many bytes, or a session of another run.
        """
        _check_photos(photos)
        self.engine.check(session)
        if len(self._entries) >= access.SESSIONS:
            left = [entry for entry in self._entries.values() if entry.expires is not None]
            if not left:
                raise Full(f"{access.SESSIONS} sessions are open, which is the most: try again later.")
            self.close(min(left, key=lambda entry: entry.expires))
        entry = Entry(secrets.token_hex(16), session, dict(photos))
        entry.expires = self._clock() + access.SESSION_SECONDS
        self._entries[entry.key] = entry
        try:
            self.engine.open(entry.key, session, self._deliver(entry))
        except jgan.UserError as error:
            del self._entries[entry.key]
            raise Full(str(error)) from None
        return entry

    def get(self, key: str) -> Entry:
        """The entry of a key.

        Raises:
            Unknown: there is no such session.
        """
        if key not in self._entries:
            raise Unknown("there is no such session: it was closed, or the server was started anew.")
        return self._entries[key]

    def close(self, entry: Entry) -> None:
        """Closes a session, and removes all that is kept of it."""
        if self._entries.pop(entry.key, None) is not None:
            self.engine.close(entry.key)
            for task in entry.tasks.values():
                task.cancel()
            for socket in list(entry.sockets):
                socket.leave(socket_lib.UNKNOWN, "the session was closed")

    def close_soon(self, entry: Entry) -> None:
        """Closes a session whose page is being left in a few seconds, unless it has a page again by then."""
        entry.closing = True
        if not entry.sockets:
            entry.expires = min(entry.expires, self._clock() + _CLOSED_SECONDS)

    def enter(self, entry: Entry, socket: socket_lib.Socket) -> None:
        """Adds a page to a session and sends it the present frame; of more than `access.SOCKETS`, the oldest leaves."""
        while len(entry.sockets) >= access.SOCKETS:
            entry.sockets.pop(0).leave(socket_lib.REPLACED, "the session was opened elsewhere")
        entry.sockets.append(socket)
        entry.expires, entry.closing = None, False
        with contextlib.suppress(jgan.UserError):  # the session is open there already
            self.engine.open(entry.key, entry.session, self._deliver(entry))

    def leave(self, entry: Entry, socket: socket_lib.Socket) -> None:
        """Removes a page from a session, which then waits for it to come again."""
        if socket in entry.sockets:
            entry.sockets.remove(socket)
        if not entry.sockets and entry.key in self._entries:
            entry.expires = self._clock() + (_CLOSED_SECONDS if entry.closing else access.SESSION_SECONDS)
            self.engine.detach(entry.key)

    def act(self, entry: Entry, event: sessions.Event | session_file.Choice | session_file.Steering) -> None:
        """Changes a session by an event.

        Raises:
            jgan.UserError: the event is refused, and the session stays as it is.
        """
        event = self.engine.complete(entry.key, entry.session, event)
        self.put(entry, sessions.reduce(entry.session, event))

    def put(self, entry: Entry, session: sessions.Session) -> None:
        """Sets the state of a session, and reports it to its pages if more than the view has changed."""
        before, entry.session = entry.session, session
        if session is before:
            return
        self.engine.update(entry.key, session)
        if (session.operations, session.cursor) != (before.operations, before.cursor):
            for socket in entry.sockets:
                socket.report_session()

    def keep_photo(self, entry: Entry, photo: session_file.Photo) -> str:
        """Keeps a photo and returns its key; photos that no operation of the session opens are removed.

        Raises:
            jgan.UserError: the photos have too many bytes.
        """
        used = {x.photo for x in entry.session.operations if isinstance(x, sessions.Open | sessions.Second)}
        kept = {key: value for key, value in entry.photos.items() if key in used}
        key = secrets.token_hex(8)
        kept[key] = photo
        _check_photos(kept)
        entry.photos = kept
        return key

    def task(self, key: str) -> jobs.Task:
        """The job of a key.

        Raises:
            Unknown: there is no such job.
        """
        for entry in self._entries.values():
            if key in entry.tasks:
                return entry.tasks[key]
        raise Unknown("there is no such job: it was done long ago, or its session was closed.")

    def begin(self, entry: Entry, kind: str, work: jobs.Work) -> jobs.Task:
        """A new job of a session, which has begun.

        Args:
            entry: the session.
            kind: as in `jobs.Task`.
            work: the coroutine function that gives its results.

        Raises:
            Busy: too many jobs of the session are not done.
        """
        if sum(not task.over for task in entry.tasks.values()) >= access.JOBS:
            raise Busy(f"{access.JOBS} jobs of this session are under way: wait for one of them.")

        def changed(task: jobs.Task) -> None:
            if task.over:
                task.ended = self._clock()
                self._forget(entry)
            for socket in entry.sockets:
                socket.report_task(task)

        task = jobs.Task(secrets.token_hex(16), kind, changed)
        entry.tasks[task.key] = task
        task.start(work)
        return task

    async def stop(self) -> None:
        """Closes all sessions."""
        self._sweeping.cancel()
        for entry in list(self._entries.values()):
            self.close(entry)

    def _forget(self, entry: Entry) -> None:
        """Removes the oldest jobs if their results are too many: of this session, and then of all sessions."""
        over = [task for task in entry.tasks.values() if task.over]
        while len(over) > 1 and (len(over) > access.RESULTS or _size(over) > access.RESULT_BYTES):
            del entry.tasks[over.pop(0).key]
        entries = {
            task: entry for entry in self._entries.values() for task in entry.tasks.values() if task.over
        }
        over = sorted(entries, key=lambda task: task.ended)
        while len(over) > 1 and _size(over) > access.ALL_RESULT_BYTES:
            oldest = over.pop(0)
            del entries[oldest].tasks[oldest.key]

    def _deliver(self, entry: Entry) -> Callable[[search.Frame], None]:
        """The function that the engine's thread calls with the frames of a session."""

        def wake() -> None:
            for socket in entry.sockets:
                socket.report_frame(entry.frame)

        def deliver(frame: search.Frame) -> None:
            entry.frame = frame
            with contextlib.suppress(RuntimeError):  # the event loop has ended
                self._loop.call_soon_threadsafe(wake)

        return deliver

    def sweep(self) -> None:
        """Closes the sessions that have been without a page for too long."""
        now = self._clock()
        for entry in list(self._entries.values()):
            if entry.expires is not None and entry.expires <= now:
                self.close(entry)

    async def _sweep_on(self) -> None:
        """Calls `sweep` every second."""
        while True:
            await asyncio.sleep(1)
            self.sweep()


def _check_photos(photos: dict[str, session_file.Photo]) -> None:
    """Raises a `jgan.UserError` if photos have too many bytes for one session."""
    if sum(len(photo.data) for photo in photos.values()) > access.PHOTO_BYTES:
        raise jgan.UserError(
            f"the photos of a session have at most {access.PHOTO_BYTES >> 20} MiB together: begin another session."
        )


def _size(tasks: list[jobs.Task]) -> int:
    """The number of bytes of the results of jobs."""
    return sum(task.size for task in tasks)
