"""The door and the limits: who is let in, and that nothing too large is ever held, decoded or written."""

import asyncio
import io
import json
import struct
import tracemalloc
import zipfile
import zlib

import numpy as np
from PIL import Image
import pytest

import jgan
from jgan.serve.web import access
from jgan.serve.web import uploads

OPEN = access.Door()
LOCKED = access.Door(token="a-secret-word")


def refused(door, path="/api/status", query=b"", kind="http", **headers):
    found = {"host": "127.0.0.1:8000", **{k.replace("_", "-"): v for k, v in headers.items()}}
    raw = [(k.encode(), v.encode("latin-1")) for k, v in found.items() if v is not None]
    refusal = door.refusal({"type": kind, "path": path, "query_string": query, "headers": raw})
    return refusal and refusal[0]


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:8000", "[::1]:8000", "LOCALHOST:8000"])
def test_own_names_are_let_in(host):
    assert refused(OPEN, host=host) is None


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example:8000", "evil.example", "127.0.0.1", "127.0.0.1:8001", "localhost:8000.evil.example"),
        *("evil@127.0.0.1:8000", "127.0.0.1:8000/", "127.0.0.1:x", "", "[::1", "192.168.0.1:8000", None),
    ],
)
def test_other_names_are_not(host):
    assert refused(OPEN, host=host) == 403


def test_a_second_host_is_not_overlooked():
    headers = [(b"host", b"127.0.0.1:8000"), (b"host", b"evil.example")]
    assert OPEN.refusal({"type": "http", "path": "/", "headers": headers})[0] == 403


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_pages_of_other_origins_are_not_let_in(kind):
    assert refused(OPEN, kind=kind, origin="http://127.0.0.1:8000") is None
    others = [
        "http://evil.example",
        "http://127.0.0.1:8001",
        "null",
        "file://",
        "http://localhost:8000",
        "http://[x",
    ]
    for origin in others:
        assert refused(OPEN, kind=kind, origin=origin) == 403, origin


def test_other_sites_may_only_link_to_the_page():
    assert refused(OPEN, sec_fetch_site="same-origin") is None
    assert refused(OPEN, sec_fetch_site="cross-site") == 403
    assert refused(OPEN, sec_fetch_site="same-site") == 403  # another port of this machine
    assert refused(OPEN, path="/", sec_fetch_site="cross-site", sec_fetch_mode="navigate") is None
    assert refused(OPEN, path="/", sec_fetch_site="cross-site", sec_fetch_mode="no-cors") == 403


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_a_token_is_asked_for_everywhere(kind):
    assert refused(LOCKED, kind=kind) == 401
    assert refused(LOCKED, kind=kind, authorization="Bearer a-secret-word") is None
    assert refused(LOCKED, kind=kind, authorization="Bearer a-secret-wore") == 401
    assert refused(LOCKED, kind=kind, authorization="Basic a-secret-word") == 401
    assert refused(LOCKED, kind=kind, cookie="x=y; jgan_token_8000=a-secret-word") is None
    assert refused(LOCKED, kind=kind, cookie="jgan_token_8000=\xff") == 401
    assert refused(LOCKED, kind=kind, path="/static/editor.js") == 401
    assert refused(LOCKED, kind=kind, query=b"token=a-secret-word") == 401  # only of the page itself


def test_the_page_takes_the_token_from_its_address():
    assert refused(LOCKED, path="/", query=b"token=a-secret-word") is None
    assert refused(LOCKED, path="/", query=b"token=%FF") == 401
    # An empty token is no token, and not one that everybody knows.
    assert refused(LOCKED, path="/", query=b"token=") == 401


def test_strangers_need_a_token():
    for host in ("127.0.0.1", "localhost", "::1"):
        access.Door((host,)).check()
    for host in ("0.0.0.0", "::", "192.168.0.1", "mybox.example"):
        with pytest.raises(jgan.UserError, match="needs --token"):
            access.Door((host,)).check()
        access.Door((host,), token="long-enough").check()
    for token in ("short", "a secret;word", "x" * 300):
        with pytest.raises(jgan.UserError, match="8 to 200"):
            access.Door(token=token).check()


def test_at_any_address_names_have_to_be_listed():
    door = access.Door(("0.0.0.0", "mybox.example"), token="long-enough")
    shown = {"authorization": "Bearer long-enough"}
    assert refused(door, host="192.168.0.1:8000", **shown) is None
    assert refused(door, host="mybox.example:8000", **shown) is None
    assert refused(door, host="evil.example:8000", **shown) == 403


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        *(("../../etc/passwd", "passwd"), ("C:\\x\\shoe.png", "shoe.png"), ("a\0\nb.png", "ab.png")),
        *(("..", "picture"), (None, "picture"), ("x" * 500, "x" * 100), ("\u202e.png", "png")),
    ],
)
def test_names_are_labels(given, shown):
    assert access.label(given) == shown


def png(width, height):
    """The beginning of a PNG that claims a size."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + head
    body = zlib.compress(bytes(1000))
    parts = [struct.pack(">I", len(head)) + chunk + struct.pack(">I", zlib.crc32(chunk))]
    parts.append(
        struct.pack(">I", len(body)) + b"IDAT" + body + struct.pack(">I", zlib.crc32(b"IDAT" + body))
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize("size", [(30_000, 30_000), (16_385, 1), (12_000, 12_000), (2**31 - 1, 2**31 - 1)])
def test_bombs_are_refused_before_they_are_decoded(size):
    tracemalloc.start()
    with pytest.raises(jgan.UserError, match="too many pixels|no picture"):
        access.picture(png(*size), "bomb.png")
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_a_zip_is_no_picture_whatever_it_is_called():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("../x", "y")
    with pytest.raises(jgan.UserError, match=r"^photo.png is no picture"):
        access.picture(file.getvalue(), "../photo.png")
    with pytest.raises(jgan.UserError, match="MiB"):
        access.picture(bytes(access.UPLOAD_BYTES + 1), "x")


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF"])
def test_pictures_are_read(form):
    file = io.BytesIO()
    Image.new("RGB", (5, 4), (200, 10, 20)).save(file, form)
    assert access.picture(file.getvalue(), "x").shape == (4, 5, 3)
    with pytest.raises(jgan.UserError):  # half of it
        access.picture(file.getvalue()[: len(file.getvalue()) // 4], "x")
    with pytest.raises(jgan.UserError, match="too many pixels"):
        access.picture(file.getvalue(), "x", pixels=19)


class Asked:
    """A request of an ASGI server's; counts what is taken of its body."""

    def __init__(self, path, chunks, method="POST", **headers):
        named = {"host": "127.0.0.1:8000", **{k.replace("_", "-"): v for k, v in headers.items()}}
        raw = [(k.encode(), v.encode()) for k, v in named.items()]
        self.scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": raw}
        self.chunks, self.taken, self.sent = iter(chunks), 0, []

    async def receive(self):
        chunk = next(self.chunks, None)
        self.taken += len(chunk or b"")
        return {"type": "http.request", "body": chunk or b"", "more_body": chunk is not None}

    async def send(self, message):
        self.sent.append(message)

    def answer(self, app):
        asyncio.run(access.Guard(app, OPEN)(self.scope, self.receive, self.send))
        return self.sent[0]["status"], json.loads(self.sent[1]["body"]), dict(self.sent[0]["headers"])


async def never(scope, receive, send):
    raise AssertionError("it was let in")


def test_what_claims_too_much_is_refused_unread():
    asked = Asked("/api/project", [b"x" * 1000], content_length=str(2**30))
    status, told, headers = asked.answer(never)
    assert status == 413 and "33 MiB" in told["error"] and asked.taken == 0
    assert (
        headers[b"x-content-type-options"] == b"nosniff"
        and b"frame-ancestors 'none'" in headers[b"content-security-policy"]
    )
    assert Asked("/api/status", [], method="GET", content_length="x").answer(never)[0] == 413


def test_what_goes_on_without_end_is_cut_off():
    import fastapi
    from starlette import requests

    async def app(scope, receive, send):
        with pytest.raises(fastapi.HTTPException) as error:
            await requests.Request(scope, receive).body()
        await access._answer(send, error.value.status_code, error.value.detail)

    for path, limit in (
        ("/api/sessions/x/apply", access.JSON_BYTES),
        ("/api/sessions", access.SESSION_BYTES),
    ):
        asked = Asked(path, (b"x" * 2**18 for _ in range(10**6)), transfer_encoding="chunked")
        assert asked.answer(app)[0] == 413
        assert limit < asked.taken <= limit + 2**18


def test_uploads_touch_no_disk(monkeypatch):
    import tempfile

    import fastapi

    monkeypatch.setattr(tempfile, "TemporaryFile", None)
    monkeypatch.setattr(tempfile.SpooledTemporaryFile, "rollover", None)
    data = np.random.default_rng(0).bytes(3 * 2**20)
    head = b'--b\r\ncontent-disposition: form-data; name="file"; filename="../../x.png"\r\n\r\n'
    body = head + data + b"\r\n--b--\r\n"
    asked = Asked("/api/project", [body], content_type="multipart/form-data; boundary=b")
    found = asyncio.run(uploads.file(fastapi.Request(asked.scope, asked.receive)))
    assert found == ("x.png", data)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        *(
            ("application/json", b"{}"),
            ("multipart/form-data", b"x"),
            ("multipart/form-data; boundary=b", b"x"),
        ),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\ncontent-disposition: form-data; name="file"\r\n\r\nx\r\n--b--\r\n',
        ),
        ("multipart/form-data; boundary=b", b"--b\r\nx\r\n\r\nx\r\n--b--\r\n"),
    ],
)
def test_forms_that_are_none_are_told(kind, body):
    import fastapi

    asked = Asked("/api/project", [body], content_type=kind)
    with pytest.raises(jgan.UserError):
        asyncio.run(uploads.file(fastapi.Request(asked.scope, asked.receive)))
