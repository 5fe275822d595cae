"""The bodies of requests: files and JSON, in memory and within the limits of `access`."""

import json
from typing import Any
from typing import NamedTuple
from typing import NoReturn

import fastapi
from starlette import formparsers

import jgan
from jgan.serve.web import access

# The description, in /openapi.json, of a body in JSON that no model of FastAPI reads.
JSON = {"requestBody": {"content": {"application/json": {"schema": {"type": "object"}}}}}


class File(NamedTuple):
    """A file as it was sent; its name is only a label, and never used as a path."""

    name: str
    data: bytes


def describe(*files: str, texts: tuple[str, ...] = (), required: bool = True) -> dict[str, Any]:
    """The description of a multipart body with files and texts of these names."""
    fields = {name: {"type": "string", "format": "binary"} for name in files}
    fields |= {name: {"type": "string"} for name in texts}
    schema = {"type": "object", "properties": fields, "required": list(files) if required else []}
    return {"requestBody": {"content": {"multipart/form-data": {"schema": schema}}, "required": required}}


class _InMemory(formparsers.MultiPartParser):
    """A parser of forms that keeps all files in memory."""

    spool_max_size = access.SESSION_BYTES + 1  # above all limits, so that nothing is written to a disk


async def form(request: fastapi.Request) -> tuple[dict[str, File], dict[str, str]]:
    """(files, texts) of a multipart request by their names.

    Raises:
        jgan.UserError: the request is not multipart, cannot be read, or has a file that is too large.
    """
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise jgan.UserError("the request has to be multipart/form-data with a picture's file in it.")
    try:
        parser = _InMemory(
            request.headers, request.stream(), max_files=4, max_fields=8, max_part_size=access.JSON_BYTES
        )
        parsed = await parser.parse()
    except formparsers.MultiPartException as error:
        raise jgan.UserError(f"the form cannot be read: {error.message}") from None
    files, texts = {}, {}
    for name, value in parsed.multi_items():
        if isinstance(value, str):
            texts[name] = value
            continue
        data = value.file.read()
        await value.close()
        if len(data) > access.UPLOAD_BYTES:
            raise jgan.UserError(f"a file has at most {access.UPLOAD_BYTES >> 20} MiB.")
        files[name] = File(access.label(value.filename), data)
    return files, texts


async def file(request: fastapi.Request, name: str = "file") -> File:
    """The file of that name in a multipart request; raises a `jgan.UserError` if there is none."""
    files, _ = await form(request)
    return need(files, name)


def need(files: dict[str, File], name: str) -> File:
    """The file of that name; raises a `jgan.UserError` if there is none or it is empty."""
    if name not in files or not files[name].data:
        raise jgan.UserError(f"the form has no file {name!r}.")
    return files[name]


def tree(text: str | bytes) -> Any:
    """The value of a JSON text; raises a `jgan.UserError` if it is not JSON."""
    try:
        return json.loads(text, parse_constant=_constant)
    except (ValueError, RecursionError):
        raise jgan.UserError("the request is not a JSON document in UTF-8.") from None


def _constant(name: str) -> NoReturn:
    """Refuses NaN and infinity, which are not JSON."""
    raise ValueError(name)
