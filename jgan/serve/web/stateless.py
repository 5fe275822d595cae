"""The API without a session: a photo's projection, an edit by a document, a translation, each in one request."""

import asyncio
from collections.abc import AsyncIterator
import contextlib
from typing import Any

import fastapi
from fastapi import responses
import numpy as np

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

_AT_ONCE = 4  # projections and edits


def add(app: fastapi.FastAPI, service: service_lib.Service) -> None:
    """Adds the paths to an application."""
    running = 0

    @contextlib.asynccontextmanager
    async def turn(keeper: store.Keeper) -> AsyncIterator[None]:
        nonlocal running
        if running >= _AT_ONCE:
            raise store.Full("the server is busy with other photos: try again later.")
        running += 1
        try:
            async with keeper.hands:
                yield
        finally:
            running -= 1

    @app.post("/api/project", openapi_extra=uploads.describe("file"))
    async def project(request: fastapi.Request, fit: str = "letterbox", seed: int = 0) -> dict[str, Any]:
        """Projects a photo: {"latent", "cost", "space", "reconstruction": a data URI}."""
        keeper = service.need_keeper()
        engine = keeper.engine
        photos.check_fit(fit)
        file = await uploads.file(request)
        async with turn(keeper):
            picture = await jobs_lib.decode(session_file.Photo(*file))
            found = await jobs_lib.result(engine.submit(work.Project(picture, fit, seed % 2**32)))
        return {
            "latent": list(found.latent),
            "cost": found.cost,
            "space": engine.space,
            "reconstruction": pictures_lib.data_uri(found.reconstruction),
        }

    edit_body = uploads.describe("file", texts=("edit",), required=False)

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
        drawn = document.parse(text, engine.space)
        async with turn(keeper):
            picture = None
            if "file" in files:
                picture = await jobs_lib.decode(session_file.Photo(*files["file"]))
            found = await jobs_lib.result(engine.submit(work.Edit(drawn, picture, fit, seed % 2**32)))
        shown = zip(found.images, found.costs, found.latents, strict=True)
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
        openapi_extra=uploads.describe("file"),
    )
    async def translate(
        request: fastapi.Request, direction: str = "", photo: bool = False
    ) -> fastapi.Response:
        """The translation of a picture, as PNG of the same size.

        A run on made pairs (edges) takes the picture for its input, or, with `photo`, makes its input from it.
        """
        translation = service.need_translation()
        file = await uploads.file(request)
        made = await jobs_lib.result(translation.submit(file.data, file.name, direction, photo))
        return photos.png(await asyncio.to_thread(pictures.png, made))
