"""The page while the rest of the server is imported, because jax and the modules that use it take seconds to import.

Until then the page is served, with the status that the server is starting; all other requests wait. So this module
imports little.
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
from starlette import types as asgi

from jgan.serve.web import access

_STATIC = pathlib.Path(__file__).parent.parent / "static"


class Front:
    """An application that answers while the real one is being made."""

    def __init__(self, door: access.Door, make: Callable[[], fastapi.FastAPI]):
        """The front of a server.

        Args:
            door: who may use it.
            make: makes the application; it is called in a thread when the server begins.
        """
        self._make = make
        self._page = self._small(door)
        self._early = access.Guard(self._page_or_wait, door)
        self._app: fastapi.FastAPI | None = None
        self._failed = False
        self._made: asyncio.Future[None] | None = None

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        """Answers a request, as ASGI wants it."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            await (self._app or self._early)(scope, receive, send)

    async def _live(self, receive: asgi.Receive, send: asgi.Send) -> None:
        """Makes the application when the server starts, and ends it when the server stops."""
        async with contextlib.AsyncExitStack() as stack:
            await receive()
            self._made = asyncio.ensure_future(self._begin(stack))
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await self._made  # a thread that imports cannot be ended
        await send({"type": "lifespan.shutdown.complete"})

    async def _begin(self, stack: contextlib.AsyncExitStack) -> None:
        """Makes the application, and starts it."""
        try:
            app = await asyncio.to_thread(self._make)
            await stack.enter_async_context(app.router.lifespan_context(app))
            self._app = app
        except Exception:
            logging.exception("the server could not be started")
            self._failed = True

    def _small(self, door: access.Door) -> fastapi.FastAPI:
        """The application that has only the page and its status."""
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

    async def _page_or_wait(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        """Answers requests for the page at once, and all others when the application is made."""
        if scope["path"] not in ("/", "/api/status") and not scope["path"].startswith("/static/"):
            await asyncio.shield(self._made)
            if self._failed and scope["type"] == "http":
                mistake = {"error": "the server could not be started; its log says more."}
                await responses.JSONResponse(mistake, 503)(scope, receive, send)
                return
        await (self._app or self._page)(scope, receive, send)


def add_page(app: fastapi.FastAPI, door: access.Door) -> None:
    """Adds the page and its static files to an application."""

    @app.get("/", include_in_schema=False)
    async def page(request: fastapi.Request) -> fastapi.Response:
        if door.token and door.opens(request.scope):
            # From now on the browser sends the token as a cookie, and it disappears from the address.
            answer = responses.RedirectResponse("/", 303)
            answer.set_cookie(door.cookie, door.token, httponly=True, samesite="lax", max_age=30 * 24 * 3600)
            return answer
        return responses.FileResponse(_STATIC / "index.html")

    app.mount("/static", staticfiles.StaticFiles(directory=_STATIC), name="static")
