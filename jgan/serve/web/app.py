"""The server's HTTP and WebSocket: the page and its API, described at /openapi.json.

The answer to every mistake is {"error": a sentence}. `access` has checked each request before it arrives here.
"""

import asyncio
from collections.abc import AsyncIterator
import contextlib
import json
from typing import Any

import fastapi
from fastapi import exceptions
from fastapi import responses
import pydantic
from starlette import exceptions as starlette_exceptions

import jgan
from jgan.serve import session as sessions
from jgan.serve import session_file
from jgan.serve.web import access
from jgan.serve.web import photos
from jgan.serve.web import service as service_lib
from jgan.serve.web import sockets
from jgan.serve.web import startup
from jgan.serve.web import stateless
from jgan.serve.web import store
from jgan.serve.web import uploads

_STATUS = {store.Unknown: 404, store.Busy: 409, store.Full: 503}


class Error(pydantic.BaseModel):
    """The answer to a mistake."""

    error: str


_ERRORS = {status: {"model": Error} for status in (400, 401, 403, 404, 408, 409, 413, 422, 503)}


def build(service: service_lib.Service, door: access.Door) -> fastapi.FastAPI:
    """The application of a service, for all requests that a door admits."""

    @contextlib.asynccontextmanager
    async def lifespan(_: fastapi.FastAPI) -> AsyncIterator[None]:
        await service.start()
        try:
            yield
        finally:
            await service.stop()

    app = fastapi.FastAPI(
        title="jgan editor",
        version=jgan.__version__,
        description="Paint on a photo, the manifold answers. Mistakes come back as {error: sentence}.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        responses=_ERRORS,
    )
    app.add_middleware(access.Guard, door=door)
    app.add_exception_handler(jgan.UserError, _mistake)
    app.add_exception_handler(exceptions.RequestValidationError, _invalid)
    app.add_exception_handler(starlette_exceptions.HTTPException, _http)
    startup.add_page(app, door)
    _status(app, service)
    _sessions(app, service)
    photos.add(app, service)
    stateless.add(app, service)
    return app


def _status(app: fastapi.FastAPI, service: service_lib.Service) -> None:
    """Adds the paths about the server and its runs."""

    @app.get("/api/status")
    async def status() -> dict[str, Any]:
        """The state of the server, and its runs."""
        return await asyncio.to_thread(service.status)

    @app.get("/api/palette")
    async def palette() -> list[dict[str, Any]] | None:
        """The colours of drawings for the translator: [{"name", "colour"}]; null: black on white."""
        return await asyncio.to_thread(service.palette)

    @app.get("/api/training/{name}", response_class=responses.Response, responses=photos.PNG)
    async def sample(name: str) -> fastapi.Response:
        """A sample picture of the run in training, by its name in `status`."""
        return photos.png(await asyncio.to_thread(service.picture, name))


def _sessions(app: fastapi.FastAPI, service: service_lib.Service) -> None:
    """Adds the paths of sessions."""

    @app.post("/api/sessions", openapi_extra=uploads.JSON)
    async def create(request: fastapi.Request) -> fastapi.Response:
        """A new session, empty ({}) or from the JSON of a session: {"id", "session"}."""
        keeper = service.need_keeper()
        tree = await asyncio.to_thread(uploads.tree, await request.body() or b"{}")
        session, photos = sessions.Session(), {}
        if tree != {}:
            engine = keeper.engine
            session, photos = await asyncio.to_thread(session_file.load, tree, engine.space, engine.controls)
        entry = keeper.add(session, photos)
        made = await asyncio.to_thread(session_file.dump, entry.session, keeper.engine.space)
        return responses.JSONResponse({"id": entry.key, "session": made}, 201)

    @app.get("/api/sessions/{key}")
    async def read(key: str, photos: bool = False) -> fastapi.Response:
        """The JSON of the session, with its photos if `photos` is true."""
        keeper = service.need_keeper()
        entry = keeper.get(key)
        used = {
            x.photo
            for x in entry.session.operations
            if photos and isinstance(x, sessions.Open | sessions.Second)
        }
        kept = {name: photo for name, photo in entry.photos.items() if name in used}

        def dump() -> str:
            return json.dumps(session_file.dump(entry.session, keeper.engine.space, kept))

        return responses.Response(await asyncio.to_thread(dump), media_type="application/json")

    @app.delete("/api/sessions/{key}")
    async def delete(key: str) -> dict[str, bool]:
        """Closes the session."""
        keeper = service.need_keeper()
        keeper.close(keeper.get(key))
        return {"closed": True}

    @app.post("/api/sessions/{key}/close")
    async def close(key: str) -> dict[str, bool]:
        """Closes the session in a few seconds, unless its socket is opened again; for a page that is being left."""
        keeper = service.need_keeper()
        keeper.close_soon(keeper.get(key))
        return {"closed": True}

    @app.websocket("/api/sessions/{key}/socket")
    async def socket(websocket: fastapi.WebSocket, key: str) -> None:
        # It is accepted first, because browsers hide the code of a connection that is refused from the page.
        await websocket.accept()
        try:
            keeper = service.need_keeper()
            entry = keeper.get(key)
        except jgan.UserError as error:
            await websocket.close(sockets.UNKNOWN, str(error)[:100])
            return
        await sockets.Socket(websocket, keeper, entry).run()


async def _mistake(_: fastapi.Request, error: jgan.UserError) -> fastapi.Response:
    """The answer to a mistake of the user."""
    return responses.JSONResponse({"error": str(error)}, _STATUS.get(type(error), 400))


async def _invalid(_: fastapi.Request, error: exceptions.RequestValidationError) -> fastapi.Response:
    """The answer to a request with a wrong value."""
    first = error.errors()[0]
    where = ".".join(str(part)[:40] for part in first["loc"]) or "the request"
    return responses.JSONResponse({"error": f"{where}: {first['msg']}."}, 422)


async def _http(_: fastapi.Request, error: starlette_exceptions.HTTPException) -> fastapi.Response:
    """The answer to errors of HTTP, such as an unknown path."""
    detail = str(error.detail)
    sentence = detail if detail.endswith(".") else f"{detail}."
    return responses.JSONResponse({"error": sentence}, error.status_code, headers=error.headers)
