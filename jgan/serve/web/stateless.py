"""The API without a session: a photo's projection, an edit by a document, a translation, each in one request."""

import asyncio
from collections.abc import AsyncIterator
import contextlib
from typing import Any

import fastapi
from fastapi import responses
import numpy as np
import pydantic

import jgan
from jgan import pictures as pictures_lib
from jgan.latent import document
from jgan.serve import session_file
from jgan.serve.device import work
from jgan.serve.web import jobs as jobs_lib
from jgan.serve.web import photos
from jgan.serve.web import pictures
from jgan.serve.web import service as service_lib
from jgan.serve.web import store
from jgan.serve.web import uploads

_AT_ONCE = 4  # projections and edits that run or wait


class Code(pydantic.BaseModel):
    """The code of a picture."""

    control: str
    code: list[float]


def add(app: fastapi.FastAPI, service: service_lib.Service) -> None:
    """Adds the paths of this module to an application."""
    running = 0

    @contextlib.asynccontextmanager
    async def turn(keeper: store.Keeper) -> AsyncIterator[None]:
        """Waits until a photo may be decoded; raises `store.Full` if too many requests wait."""
        nonlocal running
        if running >= _AT_ONCE:
            raise store.Full("the server is busy with other photos: try again later.")
        running += 1
        try:
            async with keeper.hands:
                yield
        finally:
            running -= 1

    @app.post("/api/project", openapi_extra=uploads.describe("file", texts=("set",)))
    async def project(request: fastapi.Request, fit: str = "letterbox", seed: int = 0) -> dict[str, Any]:
        """Projects a photo under the controls in `set`: {"latent", "cost", "space", "reconstruction": a data URI}."""
        keeper = service.need_keeper()
        engine = keeper.engine
        photos.check_fit(fit)
        files, texts = await uploads.form(request)
        given = session_file.given(uploads.tree(texts.get("set") or "{}"), engine.controls)
        file = uploads.need(files, "file")
        async with turn(keeper):
            picture = await jobs_lib.decode(session_file.Photo(*file))
            projected = await jobs_lib.result(engine.submit(work.Project(picture, fit, seed % 2**32, given)))
        return {
            "latent": list(projected.latent),
            "cost": projected.cost,
            "space": engine.space,
            "reconstruction": pictures_lib.data_uri(projected.reconstruction),
        }

    edit_body = uploads.describe("file", texts=("edit", "set"), required=False)

    @app.post("/api/edit", openapi_extra=edit_body)
    async def edit(request: fastapi.Request, fit: str = "letterbox", seed: int = 0) -> dict[str, Any]:
        """Edits a photo, or random starts, by a document: {"space", "candidates": [{"image", "cost", "latent"}]}."""
        keeper = service.need_keeper()
        engine = keeper.engine
        photos.check_fit(fit)
        files, texts = await uploads.form(request)
        text = texts.get("edit") or (files["edit"].data if "edit" in files else "")
        if not text:
            raise jgan.UserError("the form has no 'edit', an edit document in JSON.")
        drawn = document.without_recipe(document.parse(text, engine.space))
        given = session_file.given(uploads.tree(texts.get("set") or "{}"), engine.controls)
        async with turn(keeper):
            picture = None
            if "file" in files:
                picture = await jobs_lib.decode(session_file.Photo(*files["file"]))
            result = await jobs_lib.result(engine.submit(work.Edit(drawn, picture, fit, seed % 2**32, given)))
        shown = zip(result.images, result.costs, result.latents, strict=True)
        return {
            "space": engine.space,
            "candidates": [
                {
                    "image": pictures_lib.data_uri(image),
                    "cost": float(cost) if np.isfinite(cost) else None,
                    "latent": np.ravel(latent).tolist(),
                }
                for image, cost, latent in shown
            ],
        }

    @app.post(
        "/api/translate",
        response_class=responses.Response,
        responses=photos.PNG,
        openapi_extra=uploads.describe("file", texts=("set",)),
    )
    async def translate(request: fastapi.Request, way: str = "", photo: bool = False) -> fastapi.Response:
        """The translation of a picture, as PNG of the same size.

        The input of a run on made pairs (edges) is the picture, or, with `photo`, is made from it. `set` is a JSON
        object {control: value} of controls in `status`: the name of a class, {attribute: number}, an amount; a code is
        a seed, a list of numbers, or {"between": [A, B], "share": 0 to 1} of two of these. Controls that are not set
        have their default: the first class, attributes as they are, the code of seed 0.
        """
        translation = service.need_translation()
        files, texts = await uploads.form(request)
        tree = uploads.tree(texts.get("set") or "{}")
        file = uploads.need(files, "file")
        made = await jobs_lib.result(translation.submit(file.data, file.name, way, photo, tree))
        return photos.png(await asyncio.to_thread(pictures.png, made))

    @app.post("/api/encode", openapi_extra=uploads.describe("file"))
    async def encode(request: fastapi.Request, way: str = "", control: str = "") -> Code:
        """The code of a picture like those of a way, its style; `control` is by default the first code of the way."""
        translation = service.need_translation()
        file = await uploads.file(request)
        name, vector = await jobs_lib.result(translation.encode(file.data, file.name, way, control))
        return Code(control=name, code=vector)
