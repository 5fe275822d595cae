"""Access to the server: all limits, and a check of every request before any other part of the server reads it.

A page of another site can make a browser send requests to this server, also under a name that the other site chose
(DNS rebinding). So the Host must be a name of this server, and the Origin, which browsers add to all requests that
could do harm, must be the same.
"""

import asyncio
import hmac
import http.cookies
import io
import ipaddress
import json
import re
from typing import NamedTuple
import urllib.parse
import warnings

import fastapi
from PIL import Image
from starlette import types as asgi

import jgan
from jgan.data import images
from jgan.data import tiff

UPLOAD_BYTES = 32 * 2**20  # of the file of a picture
PHOTO_BYTES = 40 * 2**20  # of all photos of a session, so that they fit into its file in base64
SESSION_BYTES = 64 * 2**20  # of the file of a session
JSON_BYTES = 2**20  # of any other request
PIXELS = 100_000_000  # of a picture
SIDE = 16_384  # pixels of a side of a picture
TRANSLATED_PIXELS = 2048**2  # of a picture that is translated whole
SESSIONS = 16
SESSION_SECONDS = 600.0  # for which a session without a page is kept
SOCKETS = 4  # of a session; the newest ones stay
MESSAGE_BYTES = 256 * 2**10  # of a message of a socket
MESSAGES = 200  # of a socket in one second
JOBS = 2  # of a session that are not done
RESULTS = 4  # jobs of a session whose results are kept
RESULT_BYTES = 128 * 2**20  # of these results, except for the newest
ALL_RESULT_BYTES = 2**30  # of the results of all sessions, except for the newest
PHOTOS_AT_ONCE = 2  # decoded photos in memory, of all sessions together
LARGE_REQUESTS = 4  # that are read at the same time
BODY_SECONDS = 120.0  # in which a request must arrive

_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "PPM", "GIF")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_TWO_PICTURES = 2 * UPLOAD_BYTES + JSON_BYTES
_LIMITS = (
    (re.compile(r"/api/sessions"), SESSION_BYTES),
    (re.compile(r"/api/sessions/[^/]*/between"), _TWO_PICTURES),
    (re.compile(r"/api/(sessions/[^/]*/photo|project|edit|translate|encode)"), UPLOAD_BYTES + JSON_BYTES),
)
_HEADERS = {
    "content-security-policy": "default-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}

# `picture` has its own limits of the number of pixels.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


class Door(NamedTuple):
    """The address of the server, and the check of who may use it.

    Attributes:
        hosts: the address at which the server listens, and its other names.
        port: the port at which it listens.
        token: the secret that every request must contain; empty: none is needed.
    """

    hosts: tuple[str, ...] = ("127.0.0.1",)
    port: int = 8000
    token: str = ""

    @property
    def cookie(self) -> str:
        """The name of the cookie with the token; it has the port, because the ports of a host share their cookies."""
        return f"jgan_token_{self.port}"

    def check(self) -> None:
        """Raises a `jgan.UserError` if strangers could use the server."""
        if self.token and not re.fullmatch(r"[A-Za-z0-9._~-]{8,200}", self.token):
            raise jgan.UserError("--token has to have 8 to 200 letters, digits and . _ ~ -")
        if not self.token and not is_loopback(self.hosts[0]):
            raise jgan.UserError(
                f"--host={self.hosts[0]} can be reached from other machines, so it needs --token=SECRET as well."
            )

    def refusal(self, scope: asgi.Scope) -> tuple[int, str] | None:
        """(status, sentence) if a request is refused, else None."""
        headers: dict[str, list[str]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
        hosts = headers.get("host", [])
        if len(hosts) != 1 or not self._knows(hosts[0]):
            return 403, f"this server is not known as {_quoted(' '.join(hosts))}: open {self.address()}"
        for origin in headers.get("origin", []):
            parts = _split(origin)
            if (
                parts is None
                or parts.scheme not in ("http", "https")
                or parts.netloc.lower() != hosts[0].lower()
            ):
                return 403, f"pages of {_quoted(origin)} may not use this server."
        site = headers.get("sec-fetch-site", ["none"])[0]
        # A link on another site may lead to the page: that site cannot read the answer.
        follows = scope.get("path") == "/" and headers.get("sec-fetch-mode") == ["navigate"]
        if site not in ("none", "same-origin") and not follows:
            return 403, "pages of other sites may not use this server."
        if self.token and not self._has_token(headers, scope):
            return 401, f"this server needs its token: open {self.address()}?token=..."
        return None

    def address(self) -> str:
        """The address of the page."""
        host = self.hosts[0]
        if _is_any(host):
            host = self.hosts[1] if len(self.hosts) > 1 else "127.0.0.1"
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}/"

    def opens(self, scope: asgi.Scope) -> bool:
        """Whether a request is for the page and has the token in its address."""
        query = urllib.parse.parse_qs(scope.get("query_string", b"").decode("latin-1"))
        return scope.get("path") == "/" and any(map(self._same, query.get("token", [])))

    def _knows(self, host: str) -> bool:
        """Whether a Host is a name of this server."""
        parts = _split(f"//{host}")
        if parts is None or parts.netloc != host or "@" in host or not parts.hostname:
            return False
        if (80 if parts.port is None else parts.port) != self.port:
            return False
        if parts.hostname in {*_LOOPBACK, *(name.lower() for name in self.hosts)}:
            return True
        # The name of another site is never an address in numbers.
        return _is_any(self.hosts[0]) and _is_address(parts.hostname)

    def _has_token(self, headers: dict[str, list[str]], scope: asgi.Scope) -> bool:
        """Whether a request has the token in a header, a cookie, or the address of the page."""
        given = [x[7:].strip() for x in headers.get("authorization", []) if x[:7].lower() == "bearer "]
        for line in headers.get("cookie", []):
            try:
                cookies = http.cookies.SimpleCookie(line)
            except http.cookies.CookieError:
                continue
            given += [cookies[self.cookie].value] if self.cookie in cookies else []
        return any(map(self._same, given)) or (scope["type"] == "http" and self.opens(scope))

    def _same(self, given: str) -> bool:
        """Whether a text is the token, in a time that does not depend on how much of it is right."""
        return hmac.compare_digest(given.encode(), self.token.encode())


class Guard:
    """An application behind a door: requests that are refused or too large do not reach it."""

    def __init__(self, app: asgi.ASGIApp, door: Door):
        """The guard of an application."""
        self.app, self.door = app, door
        self._large = asyncio.Semaphore(LARGE_REQUESTS)

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        """Passes a request on or refuses it, as ASGI wants it."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        refusal = self.door.refusal(scope)
        if scope["type"] == "websocket":
            if refusal:
                await receive()
                await send({"type": "websocket.close", "code": 1008, "reason": refusal[1][:100]})
            else:
                await self.app(scope, receive, send)
            return
        send = _with_headers(send)
        limit = next((n for path, n in _LIMITS if path.fullmatch(scope["path"])), JSON_BYTES)
        claimed = dict(scope["headers"]).get(b"content-length", b"0")
        refusal = refusal or (_too_large(limit) if not claimed.isdigit() or int(claimed) > limit else None)
        if refusal:
            await _answer(send, *refusal, plain=scope["path"] == "/")  # a person reads this one
        elif limit == JSON_BYTES or scope["method"] in ("GET", "HEAD", "DELETE"):
            await self.app(scope, _limited(receive, limit), send)
        else:
            try:
                async with asyncio.timeout(BODY_SECONDS):
                    await self._large.acquire()
            except TimeoutError:
                await _answer(send, 503, "too many pictures are on their way: try again later.")
                return
            try:
                await self.app(scope, _limited(receive, limit), send)
            finally:
                self._large.release()


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine only."""
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def label(name: str | None) -> str:
    """The name of a file as a text to show; it is never used as a path."""
    text = "".join(c for c in re.split(r"[/\\]", str(name or ""))[-1] if c.isprintable())
    return text.strip(". ")[:100] or "picture"


def picture(data: bytes, name: str, pixels: int = PIXELS) -> images.Picture:
    """The picture in the bytes of a file, whose size is checked before it is decoded.

    Args:
        data: anyone may have sent it, so that nothing in it is trusted.
        name: the name of the file in error messages.
        pixels: the largest number of pixels.

    Raises:
        jgan.UserError: it is too large, or not a picture.
    """
    name = label(name)
    if len(data) > UPLOAD_BYTES:
        raise jgan.UserError(f"{name} is larger than {UPLOAD_BYTES >> 20} MiB, which is the most.")
    try:
        if tiff.begins(data):
            height, width = tiff.size(io.BytesIO(data))
        else:
            with Image.open(io.BytesIO(data), formats=_FORMATS) as opened:
                width, height = opened.size
    except Image.DecompressionBombError:
        width = height = SIDE + 1
    except Exception:  # decoders raise errors of many types
        raise jgan.UserError(
            f"{name} is no picture this server reads: PNG, JPEG, WebP, TIFF, BMP, PPM or GIF would work."
        ) from None
    if max(width, height) > SIDE or width * height > pixels:
        raise jgan.UserError(
            f"{name} has too many pixels: at most {SIDE:,} a side and {pixels:,} in all would work."
        )
    return images.parse(data, name)


def _limited(receive: asgi.Receive, limit: int) -> asgi.Receive:
    """`receive` for a body of at most `limit` bytes that arrives in `BODY_SECONDS`."""
    # An exception of FastAPI passes through the function that reads the body, and becomes the answer.
    count, ended = 0, False
    deadline = asyncio.get_running_loop().time() + BODY_SECONDS

    async def limited() -> asgi.Message:
        nonlocal count, ended
        if ended:
            return await receive()
        try:
            async with asyncio.timeout_at(deadline):
                message = await receive()
        except TimeoutError:
            raise fastapi.HTTPException(408, "the request took too long to arrive.") from None
        count += len(message.get("body", b""))
        ended = not message.get("more_body", False)
        if count > limit:
            raise fastapi.HTTPException(*_too_large(limit))
        return message

    return limited


def _too_large(limit: int) -> tuple[int, str]:
    """The refusal of a body of more bytes than `limit`."""
    return 413, f"the request is too large: at most {limit >> 20} MiB would work."


def _with_headers(send: asgi.Send) -> asgi.Send:
    """`send` with the headers of every answer."""

    async def sending(message: asgi.Message) -> None:
        if message["type"] == "http.response.start":
            have = {name for name, _ in message["headers"]}
            extra = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]
            if b"cache-control" not in have:
                extra.append((b"cache-control", b"no-cache"))
            message = {**message, "headers": [*message["headers"], *extra]}
        await send(message)

    return sending


async def _answer(send: asgi.Send, status: int, sentence: str, plain: bool = False) -> None:
    """Answers by a sentence, in JSON or as plain text."""
    body = (sentence if plain else json.dumps({"error": sentence})).encode()
    # The connection is closed, because the rest of the request is not read.
    headers = [
        (b"content-type", b"text/plain; charset=utf-8" if plain else b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _split(address: str) -> urllib.parse.SplitResult | None:
    """The parts of an address; None if it is not valid."""
    try:
        parts = urllib.parse.urlsplit(address)
        _ = parts.port, parts.hostname
    except ValueError:
        return None
    return parts


def _is_address(host: str) -> bool:
    """Whether a host is an address in numbers."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_any(host: str) -> bool:
    """Whether a host stands for all addresses of the machine."""
    return _is_address(host) and ipaddress.ip_address(host).is_unspecified


def _quoted(text: str) -> str:
    """The beginning of a text from outside, in quotes and ASCII."""
    return ascii(text[:60])
