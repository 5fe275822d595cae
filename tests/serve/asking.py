"""What tests ask of a server in their own process, and how they wait for its answers."""

import io
import json
import struct
import time

from fastapi import testclient
import hypothesis
from hypothesis import strategies
import numpy as np
from PIL import Image
from starlette import websockets

from jgan.serve.web import access
from jgan.serve.web import app
from jgan.serve.web import service as service_lib

STROKE = {"brush": "colour", "points": [[6, 6], [20, 12]], "width": 4, "colour": [255, 0, 0]}
PAINT = {"type": "op", "op": {"op": "stroke", "stroke": STROKE}}
# Of what a program makes up to ask: many and quick, and nothing is made smaller when it fails.
SETTINGS = hypothesis.settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=list(hypothesis.HealthCheck),
    database=None,
    phases=[hypothesis.Phase.generate],
)


def served(engine, door=None, **kwargs):
    """A client of a server whose engine is there."""
    return client_of(service_lib.Service("run", make_engine=lambda *_: engine, **kwargs), door)


def client_of(service, door=None):
    """A client of a server of a service."""
    door = door or access.Door()
    client = testclient.TestClient(
        app.build(service, door), base_url=f"http://127.0.0.1:{door.port}", raise_server_exceptions=False
    )
    client.service = service
    return client


def until(true, tries=500):
    for _ in range(tries):
        if true():
            return
        time.sleep(0.01)
    raise AssertionError("it never came about")


def create(client, tree=None):
    answer = client.post("/api/sessions", json=tree or {})
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def socket(client, key):
    return client.websocket_connect(f"ws://127.0.0.1:8000/api/sessions/{key}/socket")


def take(page, *kinds):
    """The next message of one of these kinds; frames as (header, picture)."""
    while True:
        message = page.receive()
        if message["type"] == "websocket.close":
            raise websockets.WebSocketDisconnect(message["code"])
        if message.get("bytes"):
            if "frame" in kinds:
                length = struct.unpack(">I", message["bytes"][:4])[0]
                return json.loads(message["bytes"][4 : 4 + length]), message["bytes"][4 + length :]
        elif (told := json.loads(message["text"]))["type"] in kinds:
            return told


def photo(height=6, width=9, form="PNG"):
    file = io.BytesIO()
    Image.fromarray(np.full((height, width, 3), 90, np.uint8)).save(file, form)
    return {"file": ("../shoe.png", file.getvalue(), "image/png")}


def done(client, answer):
    """The job of an answer, when it is over."""
    assert answer.status_code == 202, answer.text
    key = answer.json()["job"]
    until(lambda: client.get(f"/api/jobs/{key}").json()["state"] in ("done", "failed"))
    return client.get(f"/api/jobs/{key}").json()


def fuzz(client, least, adapt=lambda case: None):
    """Requests by the server's own description, right and wrong ones: each has an answer that is no fault of ours."""
    import requests
    import schemathesis

    schema = schemathesis.openapi.from_dict(client.get("/openapi.json").json())
    modes = [schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE]
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) > least
    cases = strategies.one_of(
        [operation.as_strategy(generation_mode=mode) for operation in operations for mode in modes]
    )
    count = 0

    @SETTINGS
    @hypothesis.given(case=cases, real=strategies.booleans())
    def run(case, real):
        nonlocal count
        if real:
            adapt(case)
        asked = case.as_transport_kwargs(base_url="http://127.0.0.1:8000")
        made = requests.Request(**asked).prepare()  # in whose words the arguments are
        answer = client.request(made.method, made.url, content=made.body or b"", headers=dict(made.headers))
        count += 1
        assert answer.status_code < 500, (made.method, made.url, made.body, answer.text)
        if answer.status_code >= 400:
            assert isinstance(answer.json()["error"], str)

    run()
    assert count >= 200 and client.get("/api/status").json()["state"] == "ready"
