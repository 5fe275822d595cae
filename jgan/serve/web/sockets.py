"""The WebSocket of a page: it receives its messages, and sends the newest states as fast as the page takes them.

There is no queue of states: a new frame, or a new state of the session or of a job, replaces an older one that was not
sent yet, so that a slow page gets fewer messages, and none of them is outdated.
"""

import asyncio
from collections import deque
import contextlib
import json
import logging
import time

import fastapi
from starlette import websockets

import jgan
from jgan.serve import session_file
from jgan.serve.device import search
from jgan.serve.web import access
from jgan.serve.web import frames
from jgan.serve.web import kept
from jgan.serve.web import uploads

REFUSED, FAILED, UNKNOWN, REPLACED = 1008, 1011, 4404, 4409
_GONE = (fastapi.WebSocketDisconnect, RuntimeError, OSError)


class Socket:
    """The connection of one page to its session."""

    def __init__(self, websocket: fastapi.WebSocket, keeper: kept.Keeper, entry: kept.Entry):
        """The connection of an accepted WebSocket to a session of the keeper."""
        self._websocket, self._keeper, self._entry = websocket, keeper, entry
        self._news = asyncio.Event()
        self._over: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()
        self._session = True  # whether the state of the session is to be sent
        self._tasks: dict[str, kept.Task] = {}
        self._errors: deque[str] = deque(maxlen=16)
        self._frame: search.Frame | None = None
        self._free = True  # whether the page has shown the last frame
        self._times: deque[float] = deque(maxlen=access.MESSAGES + 1)

    def report_session(self) -> None:
        """Makes the socket send the state of the session, which has changed."""
        self._session = True
        self._news.set()

    def report_task(self, task: kept.Task) -> None:
        """Makes the socket send the state of a job, which has changed."""
        self._tasks[task.key] = task
        self._news.set()

    def report_error(self, sentence: str) -> None:
        """Makes the socket send a sentence about a message that was refused."""
        self._errors.append(sentence)
        self._news.set()

    def report_frame(self, frame: search.Frame) -> None:
        """Makes the socket send a new frame."""
        self._frame = frame
        self._news.set()

    def leave(self, code: int, reason: str) -> None:
        """Makes the connection close."""
        if not self._over.done():
            self._over.set_result((code, reason))

    async def run(self) -> None:
        """Serves the connection, and returns when it has ended."""
        for task in self._entry.tasks.values():  # some may have ended while no page was there
            self.report_task(task)
        self._keeper.enter(self._entry, self)
        parts = [asyncio.ensure_future(part) for part in (self._receive(), self._send())]
        try:
            await asyncio.wait([*parts, self._over], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._keeper.leave(self._entry, self)
            for part in parts:
                part.cancel()
            ended, _ = await asyncio.wait(parts)
            for error in [part.exception() for part in ended if not part.cancelled()]:
                if error is not None:
                    logging.error("a socket failed", exc_info=error)
                    self.leave(FAILED, "the server's log says more")
            if self._over.done():
                with contextlib.suppress(*_GONE, TimeoutError):
                    async with asyncio.timeout(1):
                        await self._websocket.close(*self._over.result())
            self._over.cancel()

    async def _receive(self) -> None:
        """Takes messages until the connection ends or the page exceeds a limit."""
        while True:
            try:
                message = await self._websocket.receive()
            except _GONE:
                return
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text")
            if not self._calm():
                self.leave(REFUSED, f"more than {access.MESSAGES} messages in a second")
                return
            if len(text or message.get("bytes") or "") > access.MESSAGE_BYTES:
                self.leave(REFUSED, f"a message of more than {access.MESSAGE_BYTES} bytes")
                return
            try:
                self._take(text)
            except jgan.UserError as error:
                self.report_error(str(error))

    def _take(self, text: str | None) -> None:
        """Does what a message asks for."""
        if text is None:
            raise jgan.UserError("messages have to be text in JSON.")
        entry = self._entry
        controls = self._keeper.engine.controls
        event = session_file.parse_event(uploads.tree(text), entry.session.drawing.size, controls)
        if isinstance(event, session_file.Ready):
            self._free = True
            self._news.set()
            self._keeper.engine.ready(entry.key)
        elif not isinstance(event, session_file.Ping):
            self._keeper.act(entry, event)

    def _calm(self) -> bool:
        """Counts a message; returns whether there are not too many in a second."""
        now = time.monotonic()
        self._times.append(now)
        return len(self._times) <= access.MESSAGES or now - self._times[0] >= 1

    async def _send(self) -> None:
        """Sends what has changed until the connection ends."""
        with contextlib.suppress(*_GONE):
            while self._websocket.client_state != websockets.WebSocketState.DISCONNECTED:
                self._news.clear()
                await self._send_news()
                await self._news.wait()

    async def _send_news(self) -> None:
        """Sends what has changed since the last call."""
        if self._session:
            self._session = False
            space = self._keeper.engine.space
            await self._websocket.send_text(await asyncio.to_thread(self._entry.news, space))
        while self._tasks:
            task = self._tasks.pop(next(iter(self._tasks)))
            await self._websocket.send_text(json.dumps({"type": "job", **task.describe()}))
        while self._errors:
            await self._websocket.send_text(json.dumps({"type": "error", "error": self._errors.popleft()}))
        if self._free and self._frame is not None:
            frame, self._frame, self._free = self._frame, None, False
            await self._websocket.send_bytes(await asyncio.to_thread(frames.encode, frame))
