"""What the server keeps of each session: its state, its photos, its jobs, and the sockets its pages hold.

All of it is done in the event loop; only `deliver` is called by the engine's thread.
"""

import asyncio
from collections.abc import Callable
import contextlib
import dataclasses
import json
import secrets
import time
from typing import Any

import jgan
from jgan.serve import session as sessions
from jgan.serve import session_file
from jgan.serve.device import search
from jgan.serve.web import access
from jgan.serve.web import jobs
from jgan.serve.web import kept
from jgan.serve.web import sockets as socket_lib

_CLOSED_SECONDS = 5.0  # after a page said goodbye; a page that is loaded anew says so too


class Unknown(jgan.UserError):
    """There is nothing of that name."""


class Full(jgan.UserError):
    """The server has no room."""


class Busy(jgan.UserError):
    """It has to wait for something else."""


@dataclasses.dataclass(eq=False)
class Entry:
    """A session and its pages.

    Attributes:
        key: what it is known by; who knows it may use it.
        session: its newest state.
        photos: by what `Open` calls them.
        tasks: by their keys, oldest first.
        sockets: oldest first.
        frame: the newest.
        expires: when it is forgotten, by the clock; None while a page holds it.
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
        """The message that tells a page of the session."""
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
        """The file of a photo."""
        if key not in self.photos:
            raise Unknown("that photo is not here: open its file again.")
        return self.photos[key]


class Keeper:
    """All sessions of a server, at most `guard.SESSIONS`.

    Attributes:
        engine: that moves them on.
        hands: to be held by whoever holds a decoded photo, which may take hundreds of megabytes.
    """

    def __init__(self, engine: kept.Engine, clock: Callable[[], float] = time.monotonic):
        self.engine, self._clock = engine, clock
        self._entries: dict[str, Entry] = {}
        self._loop = asyncio.get_running_loop()
        self.hands = asyncio.Semaphore(access.PHOTOS_AT_ONCE)
        self._sweeping = self._loop.create_task(self._sweep_on())

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, session: sessions.Session, photos: dict[str, session_file.Photo]) -> Entry:
        """The entry of a new session; the one that has been without a page for longest makes place for it.

        Raises:
            Full: every session has its page.
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
        """The entry of that key, or `Unknown`."""
        if key not in self._entries:
            raise Unknown("there is no such session: it was closed, or the server was started anew.")
        return self._entries[key]

    def close(self, entry: Entry) -> None:
        """Forgets an entry and all that is in it."""
        if self._entries.pop(entry.key, None) is not None:
            self.engine.close(entry.key)
            for task in entry.tasks.values():
                task.cancel()
            for socket in list(entry.sockets):
                socket.leave(socket_lib.UNKNOWN, "the session was closed")

    def bid_farewell(self, entry: Entry) -> None:
        """A page said that it goes: the session is forgotten soon, unless a page comes (back) before."""
        entry.closing = True
        if not entry.sockets:
            entry.expires = min(entry.expires, self._clock() + _CLOSED_SECONDS)

    def enter(self, entry: Entry, socket: socket_lib.Socket) -> None:
        """A page holds the session; of more than `guard.SOCKETS` the first leaves. Frames begin with the present."""
        while len(entry.sockets) >= access.SOCKETS:
            entry.sockets.pop(0).leave(socket_lib.REPLACED, "the session was opened elsewhere")
        entry.sockets.append(socket)
        entry.expires, entry.closing = None, False
        with contextlib.suppress(jgan.UserError):  # it is open already
            self.engine.open(entry.key, entry.session, self._deliver(entry))

    def leave(self, entry: Entry, socket: socket_lib.Socket) -> None:
        """A page is gone; the session waits for it."""
        if socket in entry.sockets:
            entry.sockets.remove(socket)
        if not entry.sockets and entry.key in self._entries:
            entry.expires = self._clock() + (_CLOSED_SECONDS if entry.closing else access.SESSION_SECONDS)
            self.engine.detach(entry.key)

    def act(self, entry: Entry, event: Any) -> None:
        """Takes an event into the session; a `jgan.UserError` leaves it as it is."""
        event = self.engine.complete(entry.key, entry.session, event)
        self.put(entry, sessions.reduce(entry.session, event))

    def put(self, entry: Entry, session: sessions.Session) -> None:
        """Makes this the session's state, and tells its pages where more than the view changed."""
        before, entry.session = entry.session, session
        if session is before:
            return
        self.engine.update(entry.key, session)
        if (session.operations, session.cursor) != (before.operations, before.cursor):
            for socket in entry.sockets:
                socket.tell_session()

    def keep_photo(self, entry: Entry, photo: session_file.Photo) -> str:
        """The key of a photo that is kept; those that no step of the session shows any more make place for it."""
        used = {x.photo for x in entry.session.operations if isinstance(x, sessions.Open)}
        kept = {key: value for key, value in entry.photos.items() if key in used}
        key = secrets.token_hex(8)
        kept[key] = photo
        _check_photos(kept)
        entry.photos = kept
        return key

    def task(self, key: str) -> jobs.Task:
        """The task of that key, or `Unknown`."""
        for entry in self._entries.values():
            if key in entry.tasks:
                return entry.tasks[key]
        raise Unknown("there is no such job: it was done long ago, or its session was closed.")

    def begin(self, entry: Entry, kind: str, work: Callable[[jobs.Task], Any]) -> jobs.Task:
        """A task of the session that has begun: `work(task)` is a coroutine that gives its results.

        Raises:
            Busy: as many as may be are under way.
        """
        if sum(not task.over for task in entry.tasks.values()) >= access.JOBS:
            raise Busy(f"{access.JOBS} jobs of this session are under way: wait for one of them.")

        def told(task: jobs.Task) -> None:
            if task.over:
                task.ended = self._clock()
                self._forget(entry)
            for socket in entry.sockets:
                socket.tell_task(task)

        task = jobs.Task(secrets.token_hex(16), kind, told)
        entry.tasks[task.key] = task
        task.start(work)
        return task

    async def stop(self) -> None:
        """Forgets all."""
        self._sweeping.cancel()
        for entry in list(self._entries.values()):
            self.close(entry)

    def _forget(self, entry: Entry) -> None:
        # The files of earlier tasks, as far as there are too many: of this session, and of all together.
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
        # What the engine's thread calls: it only puts the frame down and wakes the loop.
        def wake() -> None:
            for socket in entry.sockets:
                socket.tell_frame(entry.frame)

        def deliver(frame: search.Frame) -> None:
            entry.frame = frame
            with contextlib.suppress(RuntimeError):  # the loop is gone
                self._loop.call_soon_threadsafe(wake)

        return deliver

    def sweep(self) -> None:
        """Forgets the sessions that nobody came back to."""
        now = self._clock()
        for entry in list(self._entries.values()):
            if entry.expires is not None and entry.expires <= now:
                self.close(entry)

    async def _sweep_on(self) -> None:
        while True:
            await asyncio.sleep(1)
            self.sweep()


def _check_photos(photos: dict[str, session_file.Photo]) -> None:
    if sum(len(photo.data) for photo in photos.values()) > access.PHOTO_BYTES:
        raise jgan.UserError(
            f"the photos of a session have at most {access.PHOTO_BYTES >> 20} MiB together: begin another session."
        )


def _size(tasks: list[jobs.Task]) -> int:
    return sum(task.size for task in tasks)
