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
from jgan.serve import guard
from jgan.serve import live
from jgan.serve import session as sessions
from jgan.serve import session_file
from jgan.serve import sockets as socket_lib
from jgan.serve import tasks as task_lib

_CLOSED_SECONDS = 5.0  # after a page said goodbye; a page that is loaded anew says so too


class Unknown(jgan.UserError):
    """There is nothing of that name."""


class Full(jgan.UserError):
    """The server has no room."""


class Busy(jgan.UserError):
    """It has to wait for something else."""


@dataclasses.dataclass(eq=False)
class Room:
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
    tasks: dict[str, task_lib.Task] = dataclasses.field(default_factory=dict)
    sockets: list[socket_lib.Socket] = dataclasses.field(default_factory=list)
    frame: live.Frame | None = None
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


class Rooms:
    """All sessions of a server, at most `guard.SESSIONS`.

    Attributes:
        engine: that moves them on.
        hands: to be held by whoever holds a decoded photo, which may take hundreds of megabytes.
    """

    def __init__(self, engine: Any, clock: Callable[[], float] = time.monotonic):
        self.engine, self._clock = engine, clock
        self._rooms: dict[str, Room] = {}
        self._loop = asyncio.get_running_loop()
        self.hands = asyncio.Semaphore(guard.PHOTOS_AT_ONCE)
        self._keeper = self._loop.create_task(self._keep())

    def __len__(self) -> int:
        return len(self._rooms)

    def add(self, session: sessions.Session, photos: dict[str, session_file.Photo]) -> Room:
        """A new room; the one that has been without a page for longest makes place for it.

        Raises:
            Full: every room has its page.
            jgan.UserError: photos of too many bytes, or a session of another run.
        """
        _check_photos(photos)
        self.engine.check(session)
        if len(self._rooms) >= guard.SESSIONS:
            left = [room for room in self._rooms.values() if room.expires is not None]
            if not left:
                raise Full(f"{guard.SESSIONS} sessions are open, which is the most: try again later.")
            self.close(min(left, key=lambda room: room.expires))
        room = Room(secrets.token_hex(16), session, dict(photos))
        room.expires = self._clock() + guard.SESSION_SECONDS
        self._rooms[room.key] = room
        try:
            self.engine.open(room.key, session, self._deliver(room))
        except jgan.UserError as error:
            del self._rooms[room.key]
            raise Full(str(error)) from None
        return room

    def get(self, key: str) -> Room:
        """The room of that key, or `Unknown`."""
        if key not in self._rooms:
            raise Unknown("there is no such session: it was closed, or the server was started anew.")
        return self._rooms[key]

    def close(self, room: Room) -> None:
        """Forgets a room and all that is in it."""
        if self._rooms.pop(room.key, None) is not None:
            self.engine.close(room.key)
            for task in room.tasks.values():
                task.cancel()
            for socket in list(room.sockets):
                socket.leave(socket_lib.UNKNOWN, "the session was closed")

    def bid_farewell(self, room: Room) -> None:
        """A page said that it goes: the room is forgotten soon, unless a page comes (back) before."""
        room.closing = True
        if not room.sockets:
            room.expires = min(room.expires, self._clock() + _CLOSED_SECONDS)

    def enter(self, room: Room, socket: socket_lib.Socket) -> None:
        """A page holds the room; of more than `guard.SOCKETS` the first leaves. Frames begin with the present one."""
        while len(room.sockets) >= guard.SOCKETS:
            room.sockets.pop(0).leave(socket_lib.REPLACED, "the session was opened elsewhere")
        room.sockets.append(socket)
        room.expires, room.closing = None, False
        with contextlib.suppress(jgan.UserError):  # it is open already
            self.engine.open(room.key, room.session, self._deliver(room))

    def leave(self, room: Room, socket: socket_lib.Socket) -> None:
        """A page is gone; the room waits for it."""
        if socket in room.sockets:
            room.sockets.remove(socket)
        if not room.sockets and room.key in self._rooms:
            room.expires = self._clock() + (_CLOSED_SECONDS if room.closing else guard.SESSION_SECONDS)
            self.engine.detach(room.key)

    def act(self, room: Room, event: Any) -> None:
        """Takes an event into the session; a `jgan.UserError` leaves it as it is."""
        event = self.engine.complete(room.key, room.session, event)
        self.put(room, sessions.reduce(room.session, event))

    def put(self, room: Room, session: sessions.Session) -> None:
        """Makes this the session's state, and tells its pages where more than the view changed."""
        before, room.session = room.session, session
        if session is before:
            return
        self.engine.update(room.key, session)
        if (session.operations, session.cursor) != (before.operations, before.cursor):
            for socket in room.sockets:
                socket.tell_session()

    def keep_photo(self, room: Room, photo: session_file.Photo) -> str:
        """The key of a photo in the room; those that no step of the session shows any more make place for it."""
        used = {x.photo for x in room.session.operations if isinstance(x, sessions.Open)}
        kept = {key: value for key, value in room.photos.items() if key in used}
        key = secrets.token_hex(8)
        kept[key] = photo
        _check_photos(kept)
        room.photos = kept
        return key

    def task(self, key: str) -> task_lib.Task:
        """The task of that key, or `Unknown`."""
        for room in self._rooms.values():
            if key in room.tasks:
                return room.tasks[key]
        raise Unknown("there is no such job: it was done long ago, or its session was closed.")

    def begin(self, room: Room, kind: str, work: Callable[[task_lib.Task], Any]) -> task_lib.Task:
        """A task of the room that has begun: `work(task)` is a coroutine that gives its results.

        Raises:
            Busy: as many as may be are under way.
        """
        if sum(not task.over for task in room.tasks.values()) >= guard.JOBS:
            raise Busy(f"{guard.JOBS} jobs of this session are under way: wait for one of them.")

        def told(task: task_lib.Task) -> None:
            if task.over:
                task.ended = self._clock()
                self._forget(room)
            for socket in room.sockets:
                socket.tell_task(task)

        task = task_lib.Task(secrets.token_hex(16), kind, told)
        room.tasks[task.key] = task
        task.start(work)
        return task

    async def stop(self) -> None:
        """Forgets all."""
        self._keeper.cancel()
        for room in list(self._rooms.values()):
            self.close(room)

    def _forget(self, room: Room) -> None:
        # The files of earlier tasks, as far as there are too many: of the room, and of all rooms together.
        over = [task for task in room.tasks.values() if task.over]
        while len(over) > 1 and (len(over) > guard.RESULTS or _size(over) > guard.RESULT_BYTES):
            del room.tasks[over.pop(0).key]
        rooms = {task: room for room in self._rooms.values() for task in room.tasks.values() if task.over}
        over = sorted(rooms, key=lambda task: task.ended)
        while len(over) > 1 and _size(over) > guard.ALL_RESULT_BYTES:
            oldest = over.pop(0)
            del rooms[oldest].tasks[oldest.key]

    def _deliver(self, room: Room) -> Callable[[live.Frame], None]:
        # What the engine's thread calls: it only puts the frame down and wakes the loop.
        def wake() -> None:
            for socket in room.sockets:
                socket.tell_frame(room.frame)

        def deliver(frame: live.Frame) -> None:
            room.frame = frame
            with contextlib.suppress(RuntimeError):  # the loop is gone
                self._loop.call_soon_threadsafe(wake)

        return deliver

    def sweep(self) -> None:
        """Forgets the rooms that nobody came back to."""
        now = self._clock()
        for room in list(self._rooms.values()):
            if room.expires is not None and room.expires <= now:
                self.close(room)

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(1)
            self.sweep()


def _check_photos(photos: dict[str, session_file.Photo]) -> None:
    if sum(len(photo.data) for photo in photos.values()) > guard.PHOTO_BYTES:
        raise jgan.UserError(
            f"the photos of a session have at most {guard.PHOTO_BYTES >> 20} MiB together: begin another session."
        )


def _size(tasks: list[task_lib.Task]) -> int:
    return sum(task.size for task in tasks)
