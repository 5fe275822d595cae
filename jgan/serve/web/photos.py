"""The API of the photo of a session, of jobs and their results, and of the candidates as files."""

import asyncio

import fastapi
from fastapi import exceptions
from fastapi import responses
import numpy as np
import pydantic

import jgan
from jgan.data import framing
from jgan.serve import session as sessions
from jgan.serve import session_file
from jgan.serve.device import work
from jgan.serve.web import jobs as jobs_lib
from jgan.serve.web import pictures
from jgan.serve.web import service as service_lib
from jgan.serve.web import store
from jgan.serve.web import uploads

PNG = {200: {"content": {"image/png": {}}}}
_MOST_FRAMES = 120  # of a film


class Apply(pydantic.BaseModel):
    """The candidate whose edit is transferred; null: the one on the pad."""

    candidate: int | None = pydantic.Field(None, ge=0, le=10_000)


class Between(pydantic.BaseModel):
    """The two photos of a film."""

    a: str = pydantic.Field(max_length=64, description="a photo of the session, or the job that projected it")
    b: str = pydantic.Field(max_length=64)


class Job(pydantic.BaseModel):
    """The state of a job."""

    job: str
    kind: str
    state: str
    done: float
    message: str
    results: list[str]


def add(app: fastapi.FastAPI, service: service_lib.Service) -> None:
    """Adds the paths of this module to an application."""

    @app.post("/api/sessions/{key}/photo", status_code=202, openapi_extra=uploads.describe("file"))
    async def open_photo(request: fastapi.Request, key: str, fit: str = "letterbox") -> Job:
        """Projects a photo and opens it in the session; `fit` is letterbox or crop."""
        keeper = service.need_keeper()
        entry = keeper.get(key)
        check_fit(fit)
        photo = session_file.Photo(*await uploads.file(request))
        return _job(keeper.begin(entry, "project", jobs_lib.project(keeper, entry, photo, fit)))

    @app.post("/api/sessions/{key}/second", status_code=202, openapi_extra=uploads.describe("file"))
    async def open_second(request: fastapi.Request, key: str) -> Job:
        """Projects a photo and opens it beside the first one, for mixing styles and for a crossover."""
        keeper = service.need_keeper()
        entry = keeper.get(key)
        photo = session_file.Photo(*await uploads.file(request))
        work = jobs_lib.project(keeper, entry, photo, "letterbox", second=True)
        return _job(keeper.begin(entry, "second", work))

    @app.post("/api/sessions/{key}/crossover", status_code=202)
    async def crossover(key: str) -> Job:
        """Puts the second photo where the mask is, in the first one, and fixes what comes of it."""
        keeper = service.need_keeper()
        entry = keeper.get(key)
        return _job(keeper.begin(entry, "crossover", jobs_lib.crossover(keeper, entry)))

    @app.get("/api/sessions/{key}/photo", response_class=responses.Response, responses=PNG)
    async def photo(key: str, second: bool = False) -> fastapi.Response:
        """The open photo, or the second one, with its longer side reduced to at most 2048 pixels."""
        keeper = service.need_keeper()
        entry = keeper.get(key)
        drawing = entry.session.drawing
        opened = drawing.second if second else drawing.photo
        if opened is None:
            raise store.Unknown("no photo is open.")
        file = entry.photo(opened.photo)
        async with keeper.hands:
            return png(await asyncio.to_thread(pictures.shown, (await jobs_lib.decode(file)).on_white()))

    @app.post("/api/sessions/{key}/apply", status_code=202)
    async def apply(key: str, asked: Apply) -> Job:
        """Transfers the edit to the photo at its own size: photo.png and photo.webp."""
        keeper = service.need_keeper()
        entry = keeper.get(key)
        return _job(keeper.begin(entry, "apply", jobs_lib.apply(keeper, entry, asked.candidate)))

    between_body = {
        "requestBody": {
            "content": {
                "application/json": {"schema": Between.model_json_schema()},
                **uploads.describe("a", "b")["requestBody"]["content"],
            }
        }
    }

    @app.post("/api/sessions/{key}/between", status_code=202, openapi_extra=between_body)
    async def between(request: fastapi.Request, key: str) -> Job:
        """Draws a film from one photo to another, film.webp: photos of the session by key, or two files a and b."""
        keeper = service.need_keeper()
        entry = keeper.get(key)
        if request.headers.get("content-type", "").lower().startswith("multipart/"):
            files, _ = await uploads.form(request)
            ends = [(session_file.Photo(*uploads.need(files, name)), None) for name in "ab"]
        else:
            try:
                asked = Between.model_validate(uploads.tree(await request.body()))
            except pydantic.ValidationError as error:
                raise exceptions.RequestValidationError(error.errors()) from None
            ends = [_end(entry, name) for name in (asked.a, asked.b)]
        given = entry.session.drawing.given
        return _job(keeper.begin(entry, "between", jobs_lib.between(keeper, ends, given)))

    @app.get("/api/jobs/{job}")
    async def job(job: str) -> Job:
        """The state of a job, and the addresses of its results."""
        return _job(service.need_keeper().task(job))

    @app.get("/api/jobs/{job}/{name}", response_class=responses.Response)
    async def outcome(job: str, name: str) -> fastapi.Response:
        """A result of a job."""
        file = service.need_keeper().task(job).results.get(name)
        if file is None:
            raise store.Unknown("the job has no such result.")
        return responses.Response(file[1], media_type=file[0])

    @app.get("/api/sessions/{key}/candidates.zip", response_class=responses.Response)
    async def candidates(key: str) -> fastapi.Response:
        """The candidates as PNG, with their costs and latents."""
        keeper = service.need_keeper()
        made = await jobs_lib.result(keeper.engine.submit(work.Export(keeper.get(key).key)))
        data = await asyncio.to_thread(pictures.archive, made, keeper.engine.space)
        return responses.Response(data, media_type="application/zip")

    @app.get("/api/sessions/{key}/candidate/{number}.png", response_class=responses.Response, responses=PNG)
    async def candidate(key: str, number: int) -> fastapi.Response:
        """The picture of a candidate that is shown, by its number."""
        frame = service.need_keeper().get(key).frame
        if frame is None or number not in frame.ids:
            raise store.Unknown("that candidate is not shown.")
        return png(pictures.png(np.asarray(frame.images[list(frame.ids).index(number)])))

    @app.get("/api/sessions/{key}/path.webp", response_class=responses.Response)
    async def path(
        key: str,
        candidate: int | None = fastapi.Query(None, ge=0, le=10_000),
        frames: int = fastapi.Query(16, ge=2, le=_MOST_FRAMES),
    ) -> fastapi.Response:
        """The path of a candidate from its beginning, as an animated WebP."""
        keeper = service.need_keeper()
        made = await jobs_lib.result(keeper.engine.submit(work.Film(keeper.get(key).key, candidate, frames)))
        return responses.Response(await asyncio.to_thread(pictures.film, made), media_type="image/webp")


def _end(entry: store.Entry, name: str) -> tuple[session_file.Photo, sessions.Latent | None]:
    """(photo, its latent if it is known) by the key of the photo or of the job that projected it.

    A latent that was found under other values than those that are set now is another picture under these.
    """
    name = entry.tasks[name].photo if name in entry.tasks else name
    photo, operations = entry.photo(name), entry.session.operations
    second = entry.session.drawing.second
    if second is not None and second.photo == name:
        return photo, second.latent if second.given == entry.session.drawing.given else None
    opened = [k for k, x in enumerate(operations) if isinstance(x, sessions.Open) and x.photo == name]
    if not opened:
        return photo, None
    drawing = sessions.fold(operations[: opened[-1] + 1])
    return photo, drawing.anchor if drawing.opened == entry.session.drawing.given else None


def _job(task: jobs_lib.Task) -> Job:
    """The answer with the state of a job."""
    return Job(**task.describe())


def png(data: bytes) -> fastapi.Response:
    """The answer with the bytes of a PNG."""
    return responses.Response(data, media_type="image/png")


def check_fit(fit: str) -> None:
    """Raises a `jgan.UserError` if `fit` is none of `framing.FITS`."""
    if fit not in framing.FITS:
        raise jgan.UserError(f"fit has to be one of {', '.join(framing.FITS)}.")
