"""HTTP on an engine that needs no device: what pages may ask, and that no request does harm."""

import io
import json
import zipfile

from fastapi import testclient
import pytest
from starlette import websockets

import jgan
from jgan.serve.web import access
from jgan.serve.web import app
from jgan.serve.web import service as service_lib
from tests.serve import asking

EDIT = json.dumps(
    {"format": "jgan-edit", "version": 1, "space": "z", "size": [20, 30], "strokes": [asking.STROKE]}
)


def test_status_says_what_there_is(client):
    status = client.get("/api/status").json()
    assert status["state"] == "ready" and status["system"] == "dcgan" and status["space"] == "z"
    assert status["image"] == {"size": 8, "channels": 3} and status["brushes"] == [
        "colour",
        "sketch",
        "warp",
        "mask",
    ]
    assert status["translations"] == [] and status["palette"] is None
    assert status["limits"]["upload_bytes"] == 32 * 2**20


def test_answers_carry_what_protects_the_page(client):
    for path in ("/api/status", "/openapi.json", "/nothing"):
        headers = client.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'self'")
        assert headers["referrer-policy"] == "no-referrer" and headers["x-content-type-options"] == "nosniff"
    assert client.get("/docs").status_code == 404
    assert client.get("/nothing").json() == {"error": "Not Found."}


def test_strangers_are_refused(client):
    assert client.get("/api/status", headers={"host": "evil.example"}).status_code == 403
    refused = client.post("/api/sessions", json={}, headers={"origin": "http://evil.example"})
    assert refused.status_code == 403 and "evil.example" in refused.json()["error"]
    key = asking.create(client)
    with pytest.raises(websockets.WebSocketDisconnect):
        address = f"ws://127.0.0.1:8000/api/sessions/{key}/socket"
        with client.websocket_connect(address, headers={"origin": "http://evil.example"}):
            pass


def test_the_token_of_the_address_becomes_a_cookie(engine):
    with asking.served(engine, access.Door(token="a-secret-word")) as client:
        assert client.get("/api/status").status_code == 401
        answer = client.get("/?token=a-secret-word", follow_redirects=False)
        assert answer.status_code == 303 and answer.headers["location"] == "/"
        assert "HttpOnly" in answer.headers["set-cookie"]
        assert client.get("/api/status").status_code == 200


def test_a_session_is_made_read_and_freed(client, engine):
    key = asking.create(client)
    assert len(key) == 32 and key in engine.lives
    read = client.get(f"/api/sessions/{key}").json()
    assert read["format"] == "jgan-session" and read["ops"] == []
    other = asking.create(client, read)
    assert other != key
    assert client.delete(f"/api/sessions/{key}").json() == {"closed": True}
    assert client.get(f"/api/sessions/{key}").status_code == 404 and key not in engine.lives
    assert client.post("/api/sessions", json={"format": "else"}).status_code == 400
    assert client.post("/api/sessions", content=b"[" * 10**5).status_code == 400
    assert client.post("/api/sessions", content=b"\xff").status_code == 400


def test_what_is_set_over_http(client, engine):
    way = client.get("/api/status").json()["ways"][0]
    assert way["of"] == "painting" and way["controls"]["label"] == {"kind": "label", "names": ["cat", "dog"]}
    key = asking.create(client)
    with asking.socket(client, key) as page:
        asking.take(page, "session")
        page.send_json({"type": "op", "op": {"op": "give", "name": "label", "value": "dog"}})
        told = asking.take(page, "session")
        assert told["drawing"]["given"] == {"label": "dog"} and told["can_undo"]
        page.send_json({"type": "op", "op": {"op": "give", "name": "label", "value": "cow"}})
        assert "cat, dog" in asking.take(page, "error")["error"]
    kept = client.get(f"/api/sessions/{key}").json()
    assert kept["ops"] == [{"op": "give", "name": "label", "value": "dog"}]
    again = asking.create(client, kept)
    assert engine.lives[again].session.drawing.given == (("label", "dog"),)
    kept["ops"][0]["value"] = "cow"
    assert client.post("/api/sessions", json=kept).status_code == 400
    for path in ("project", "edit"):
        wrong = client.post(
            f"/api/{path}", files=asking.photo(), data={"set": '{"label": "cow"}', "edit": EDIT}
        )
        assert wrong.status_code == 400 and "cat, dog" in wrong.json()["error"]
        good = {"set": '{"label": "dog", "look": {"red": 1}}', "edit": EDIT}
        assert client.post(f"/api/{path}", files=asking.photo(), data=good).status_code == 200
        given = dict(engine.jobs[-1].given)
        assert given == {"label": "dog", "look": (("red", 1.0), ("blue", 0.0))}
    client.post(f"/api/sessions/{again}/photo", files=asking.photo())
    asking.until(lambda: engine.jobs[-1].given == (("label", "dog"),))


def test_candidates_and_their_way(client):
    key = asking.create(client)
    with zipfile.ZipFile(io.BytesIO(client.get(f"/api/sessions/{key}/candidates.zip").content)) as file:
        assert file.namelist() == ["candidate_01.png", "candidate_02.png", "candidates.json"]
        told = json.loads(file.read("candidates.json"))
        assert told["candidates"][1]["cost"] is None and "given" not in told
    with asking.socket(client, key) as page:
        page.send_json({"type": "op", "op": {"op": "give", "name": "label", "value": "dog"}})
        asking.until(lambda: client.service.keeper.get(key).session.drawing.given)
    with zipfile.ZipFile(io.BytesIO(client.get(f"/api/sessions/{key}/candidates.zip").content)) as file:
        assert json.loads(file.read("candidates.json"))["given"] == {"label": "dog"}
    assert client.get(f"/api/sessions/{key}/candidate/1.png").headers["content-type"] == "image/png"
    assert client.get(f"/api/sessions/{key}/candidate/9.png").status_code == 404
    assert client.get(f"/api/sessions/{key}/path.webp", params={"frames": 3}).status_code == 200
    assert client.get(f"/api/sessions/{key}/path.webp", params={"frames": 10**6}).status_code == 422


def test_without_a_session(client):
    projected = client.post("/api/project", files=asking.photo()).json()
    assert projected["latent"] == [0.25, -0.25] and projected["reconstruction"].startswith("data:image/png")
    assert "bad luck" in client.post("/api/project", files=asking.photo(13)).json()["error"]
    found = client.post("/api/edit", files={**asking.photo(), "edit": (None, EDIT)}).json()
    assert len(found["candidates"]) == 2 and found["candidates"][1]["cost"] is None
    assert client.post("/api/edit", files=asking.photo()).status_code == 400
    mask = {"brush": "mask", "points": [[9, 9]], "width": 4}
    recipe = json.dumps({**json.loads(EDIT), "recipe": "inpaint", "strokes": [mask]})
    refused = client.post("/api/edit", files={**asking.photo(), "edit": (None, recipe)})
    assert refused.status_code == 400 and "which launch.edit carries out" in refused.json()["error"]
    assert client.post("/api/translate", files=asking.photo()).status_code == 409


def test_before_the_run_is_there(engine):
    class Training:
        def __init__(self):
            self.wait, self.stop = engine.free.wait, engine.free.set

        def progress(self):
            return {"step": 3, "steps": 9, "seconds_left": 1.5, "samples": ["000003.png"]}

        def picture(self, name):
            return b"png" if name == "000003.png" else None

    engine.free.clear()
    with asking.served(engine, training=Training()) as client:
        status = client.get("/api/status").json()
        assert status["state"] == "training" and status["step"] == 3 and status["system"] is None
        assert client.get(status["samples"][0]).content == b"png"
        assert client.get("/api/training/..%2F..%2Fetc%2Fpasswd").status_code == 404
        early = client.post("/api/sessions", json={})
        assert early.status_code == 409 and "training" in early.json()["error"]
        engine.free.set()
        asking.until(lambda: client.get("/api/status").json()["state"] == "ready")


def test_a_run_that_cannot_be_read_is_told():
    def make(*_):
        raise jgan.UserError("there is no checkpoint.")

    service = service_lib.Service("run", make_engine=make)
    with testclient.TestClient(app.build(service, access.Door()), base_url="http://127.0.0.1:8000") as client:
        asking.until(lambda: client.get("/api/status").json()["state"] == "failed")
        assert client.get("/api/status").json()["message"] == "there is no checkpoint."


@pytest.mark.slow
def test_nothing_a_program_makes_up_brings_the_server_down(client):
    known = asking.create(client)

    def adapt(case):
        nonlocal known
        if "key" in case.path_parameters:
            if client.get(f"/api/sessions/{known}").status_code == 404:
                known = asking.create(client)
            case.path_parameters["key"] = known

    asking.fuzz(client, 15, adapt)
