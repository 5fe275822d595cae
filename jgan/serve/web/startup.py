"""The page before there is a server behind it: jax and what stands on it take seconds to import, and nobody waits.

Until then the page is shown and told that the server is starting; what else is asked for waits. It imports little.
"""

import asyncio
from collections.abc import Callable
import contextlib
import logging
import pathlib
from typing import Any

import fastapi
from fastapi import responses
from fastapi import staticfiles

from jgan.serve.web import access

_STATIC = pathlib.Path(__file__).parent.parent / "static"


class Front:
    """An application that is made while it is served already."""

    def __init__(self, door: access.Door, make: Callable[[], Any]):
        """Of a function that makes the application, called in a thread of its own when the server begins."""
        self._make = make
        self._page = self._small(door)
        self._early = access.Guard(self._page_or_wait, door)
        self._app: Any = None
        self._failed = False
        self._made: asyncio.Future | None = None

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            await (self._app or self._early)(scope, receive, send)

    async def _live(self, receive: Any, send: Any) -> None:
        async with contextlib.AsyncExitStack() as stack:
            await receive()
            self._made = asyncio.ensure_future(self._begin(stack))
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await self._made  # a thread that imports cannot be ended
        await send({"type": "lifespan.shutdown.complete"})

    async def _begin(self, stack: contextlib.AsyncExitStack) -> None:
        try:
            app = await asyncio.to_thread(self._make)
            await stack.enter_async_context(app.router.lifespan_context(app))
            self._app = app
        except Exception:
            logging.exception("the server could not be started")
            self._failed = True

    def _small(self, door: access.Door) -> fastapi.FastAPI:
        app = fastapi.FastAPI(openapi_url=None)
        add_page(app, door)

        @app.get("/api/status")
        async def status() -> dict[str, Any]:
            state, message = "starting", ""
            if self._failed:
                state, message = "failed", "the server could not be started; its log says more."
            nothing = {"step": None, "steps": None, "seconds_left": None, "samples": [], "space": None}
            return {"state": state, "message": message, **nothing, "ways": [], "translations": []}

        return app

    async def _page_or_wait(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["path"] not in ("/", "/api/status") and not scope["path"].startswith("/static/"):
            await asyncio.shield(self._made)
            if self._failed and scope["type"] == "http":
                told = {"error": "the server could not be started; its log says more."}
                await responses.JSONResponse(told, 503)(scope, receive, send)
                return
        await (self._app or self._page)(scope, receive, send)


def add_page(app: fastapi.FastAPI, door: access.Door) -> None:
    """Adds the page and its parts to an application."""

    @app.get("/", include_in_schema=False)
    async def page(request: fastapi.Request) -> fastapi.Response:
        if door.token and door.opens(request.scope):
            # From now on the browser shows it by itself, and it leaves the address.
            answer = responses.RedirectResponse("/", 303)
            answer.set_cookie(door.cookie, door.token, httponly=True, samesite="lax", max_age=30 * 24 * 3600)
            return answer
        return responses.FileResponse(_STATIC / "index.html")

    app.mount("/static", staticfiles.StaticFiles(directory=_STATIC), name="static")
