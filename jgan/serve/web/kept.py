"""The interfaces between the parts of the server: the engine, the sessions that are kept, and their keeper.

`jgan.serve.device.engine` and `store` implement them; modules that use these interfaces need to import neither.
"""

import asyncio
from collections.abc import Callable
from collections.abc import Mapping
from concurrent import futures
from typing import Any
from typing import Protocol
from typing import runtime_checkable

from jgan import fields
from jgan import trained
from jgan.serve import session as sessions
from jgan.serve import session_file
from jgan.serve.device import search
from jgan.serve.device import steering
from jgan.serve.device import work


@runtime_checkable
class Engine(Protocol):
    """The engine as the server uses it; `jgan.serve.device.engine.Engine` describes the methods."""

    run: trained.Run
    space: str
    candidates: int
    controls: Mapping[str, fields.Field]
    sliders: steering.Steering

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def status(self) -> tuple[str, str]: ...
    def ways(self) -> list[dict[str, Any]]: ...
    def check(self, session: sessions.Session) -> None: ...
    def open(self, key: str, session: sessions.Session, deliver: Callable[[search.Frame], None]) -> None: ...
    def update(self, key: str, session: sessions.Session) -> None: ...
    def ready(self, key: str) -> None: ...
    def detach(self, key: str) -> None: ...
    def close(self, key: str) -> None: ...
    def complete(
        self,
        key: str,
        session: sessions.Session,
        event: sessions.Event | session_file.Choice | session_file.Steering,
    ) -> sessions.Event: ...
    def submit(
        self, job: work.Job, progress: Callable[[float], None] | None = None
    ) -> futures.Future[Any]: ...


class Task(Protocol):
    """A job of a session, as sockets report it to pages."""

    key: str

    def describe(self) -> dict[str, Any]: ...


class Entry(Protocol):
    """A session that is kept; `store.Entry` describes the attributes."""

    key: str
    session: sessions.Session
    tasks: Mapping[str, Task]

    def news(self, space: str) -> str: ...
    def photo(self, key: str) -> session_file.Photo: ...


class Keeper(Protocol):
    """The keeper of sessions, as sockets and jobs use it; `store.Keeper` describes the methods."""

    engine: Engine
    hands: asyncio.Semaphore

    def enter(self, entry: Any, socket: Any) -> None: ...
    def leave(self, entry: Any, socket: Any) -> None: ...
    def act(
        self, entry: Any, event: sessions.Event | session_file.Choice | session_file.Steering
    ) -> None: ...
    def put(self, entry: Any, session: sessions.Session) -> None: ...
    def keep_photo(self, entry: Any, photo: session_file.Photo) -> str: ...
