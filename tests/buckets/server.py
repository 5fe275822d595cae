"""The part of Google's HTTP interface to objects that TensorStore (of Orbax) and ArrayRecord use, on this machine.

It serves the same objects as `gcsfs` here. `started` gives the environment in which these libraries find it.
"""

import contextlib
import http.server
import json
import os
import secrets
import threading
import urllib.parse


@contextlib.contextmanager
def started(folder):
    """The variables for processes that use the buckets of a folder, until the server stops."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.folder = os.path.join(folder, "gs")
    os.makedirs(server.folder, exist_ok=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield {
            "JGAN_TEST_BUCKETS": str(folder),
            "TENSORSTORE_GCS_HTTP_URL": address,
            "CLOUD_STORAGE_EMULATOR_ENDPOINT": address,  # for the library of ArrayRecord
            "GOOGLE_AUTH_TOKEN_FOR_TESTING": "none",
        }
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        bucket, name, asked = self._asked()
        if name is None:
            top = os.path.join(self.server.folder, bucket)
            places = (os.path.join(where, file) for where, _, files in os.walk(top) for file in files)
            names = sorted(os.path.relpath(place, top) for place in places)
            items = [self._told(bucket, name) for name in names if name.startswith(asked.get("prefix", ""))]
            return self._answer(200, json.dumps({"items": items}).encode())
        place = os.path.join(self.server.folder, bucket, name)
        if not os.path.isfile(place):
            return self._answer(404)
        told = self._told(bucket, name)
        if asked.get("ifGenerationNotMatch") == told["generation"]:
            return self._answer(304)
        if asked.get("ifGenerationMatch", told["generation"]) != told["generation"]:
            return self._answer(412)
        if asked.get("alt") != "media":
            return self._answer(200, json.dumps(told).encode())
        with open(place, "rb") as file:
            data = file.read()
        head = {"x-goog-generation": told["generation"]}
        first, dash, last = self.headers.get("Range", "").removeprefix("bytes=").partition("-")
        if not dash:
            return self._answer(200, data, head)
        start = int(first) if first else max(0, len(data) - int(last))
        part = data[start : int(last) + 1 if first and last else None]
        head["Content-Range"] = f"bytes {start}-{start + len(part) - 1}/{len(data)}"
        return self._answer(206, part, head)

    def do_POST(self):
        bucket, name, asked = self._asked()
        data = self.rfile.read(int(self.headers["Content-Length"]))
        place = os.path.join(self.server.folder, bucket, asked["name"])
        if "ifGenerationMatch" in asked:
            there = self._told(bucket, asked["name"])["generation"] if os.path.isfile(place) else "0"
            if there != asked["ifGenerationMatch"]:
                return self._answer(412)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        draft = os.path.join(os.path.dirname(self.server.folder), secrets.token_hex(8))
        with open(draft, "xb") as file:
            file.write(data)
        os.replace(draft, place)
        return self._answer(200, json.dumps(self._told(bucket, asked["name"])).encode())

    def do_DELETE(self):
        bucket, name, _ = self._asked()
        try:
            os.remove(os.path.join(self.server.folder, bucket, name))
        except FileNotFoundError:
            return self._answer(404)
        return self._answer(204)

    def _asked(self):
        """(bucket, name of the object or None, {parameter: value}) of a request."""
        url = urllib.parse.urlsplit(self.path)
        parts = url.path.partition("/b/")[2].split("/")
        name = urllib.parse.unquote(parts[2]) if len(parts) > 2 else None
        return parts[0], name, dict(urllib.parse.parse_qsl(url.query))

    def _told(self, bucket, name):
        status = os.stat(os.path.join(self.server.folder, bucket, name))
        times = dict.fromkeys(("updated", "timeCreated"), "2026-01-01T00:00:00.000Z")
        generation = str(status.st_mtime_ns // 1000)
        return {
            "name": name,
            "bucket": bucket,
            "size": str(status.st_size),
            "generation": generation,
            **times,
        }

    def _answer(self, status, body=b"", head=None):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(head or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
