"""HTTP and WebSocket on an engine that needs no device: what pages may ask, and that no input does harm."""

import contextlib
import io
import json
import struct
import time
import zipfile

from fastapi import testclient
import hypothesis
from hypothesis import strategies
import numpy as np
from PIL import Image
import pytest
from starlette import websockets

import jgan
from jgan.serve import app
from jgan.serve import guard
from jgan.serve import service as service_lib
from tests.serve import fakes

STROKE = {"brush": "colour", "points": [[6, 6], [20, 12]], "width": 4, "colour": [255, 0, 0]}
PAINT = {"type": "op", "op": {"op": "stroke", "stroke": STROKE}}
SETTINGS = hypothesis.settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=list(hypothesis.HealthCheck),
    database=None,
    phases=[hypothesis.Phase.generate],
)


def served(engine, door=None, **kwargs):
    """A client of a server whose engine is there."""
    service, door = service_lib.Service("run", make_engine=lambda _: engine, **kwargs), door or guard.Door()
    client = testclient.TestClient(
        app.build(service, door), base_url=f"http://127.0.0.1:{door.port}", raise_server_exceptions=False
    )
    client.service = service
    return client


@pytest.fixture
def engine():
    return fakes.Engine()


@pytest.fixture
def client(engine):
    with served(engine) as client:
        until(lambda: client.get("/api/status").json()["state"] == "ready")
        yield client


def until(true):
    for _ in range(500):
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


def take(page, kind):
    """The next message of a kind; frames as (header, picture)."""
    while True:
        message = page.receive()
        if message["type"] == "websocket.close":
            raise websockets.WebSocketDisconnect(message["code"])
        if message.get("bytes"):
            if kind == "frame":
                length = struct.unpack(">I", message["bytes"][:4])[0]
                return json.loads(message["bytes"][4 : 4 + length]), message["bytes"][4 + length :]
        elif (told := json.loads(message["text"]))["type"] == kind:
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


def test_status_says_what_there_is(client):
    status = client.get("/api/status").json()
    assert status["state"] == "ready" and status["system"] == "dcgan" and status["space"] == "z"
    assert status["image"] == {"size": 8, "channels": 3} and status["brushes"] == ["colour", "sketch", "warp"]
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
    key = create(client)
    with pytest.raises(websockets.WebSocketDisconnect):
        address = f"ws://127.0.0.1:8000/api/sessions/{key}/socket"
        with client.websocket_connect(address, headers={"origin": "http://evil.example"}):
            pass


def test_the_token_of_the_address_becomes_a_cookie(engine):
    with served(engine, guard.Door(token="a-secret-word")) as client:
        assert client.get("/api/status").status_code == 401
        answer = client.get("/?token=a-secret-word", follow_redirects=False)
        assert answer.status_code == 303 and answer.headers["location"] == "/"
        assert "HttpOnly" in answer.headers["set-cookie"]
        assert client.get("/api/status").status_code == 200


def test_a_session_is_made_read_and_freed(client, engine):
    key = create(client)
    assert len(key) == 32 and key in engine.lives
    read = client.get(f"/api/sessions/{key}").json()
    assert read["format"] == "jgan-session" and read["ops"] == []
    other = create(client, read)
    assert other != key
    assert client.delete(f"/api/sessions/{key}").json() == {"closed": True}
    assert client.get(f"/api/sessions/{key}").status_code == 404 and key not in engine.lives
    assert client.post("/api/sessions", json={"format": "else"}).status_code == 400
    assert client.post("/api/sessions", content=b"[" * 10**5).status_code == 400
    assert client.post("/api/sessions", content=b"\xff").status_code == 400


def test_painting(client, engine):
    key = create(client)
    with socket(client, key) as page:
        first = take(page, "session")
        assert not first["can_undo"] and first["drawing"]["strokes"] == []
        header, picture = take(page, "frame")
        assert header["version"] == 0 and header["ids"] == [1, 0] and header["costs"][1]["colour"] is None
        assert Image.open(io.BytesIO(picture)).size == (24, 8)
        page.send_json(PAINT)
        painted = take(page, "session")
        assert painted["drawing"]["strokes"][0]["brush"] == "colour" and painted["can_undo"]
        page.send_json({"type": "ready"})
        assert take(page, "frame")[0]["version"] == 1
        page.send_json({"type": "fix", "candidate": 1})
        fixed = take(page, "session")
        assert (
            fixed["session"]["ops"][1] == {"op": "fix", "latent": [0.5, 1]} and fixed["drawing"]["anchored"]
        )
        page.send_json({"type": "undo"})
        assert take(page, "session")["can_redo"]
        page.send_json({"type": "redo"})
        assert take(page, "session")["session"] == fixed["session"]
        page.send_json({"type": "op", "op": {"op": "restart", "seed": 7}})
        assert take(page, "session")["drawing"]["strokes"] == []
        page.send_json({"type": "view", "slider": 0.5})
        until(lambda: engine.lives[key].session.view.slider == 0.5)


def test_frames_wait_for_the_page_and_the_newest_wins(client, engine):
    key = create(client)
    with socket(client, key) as page:
        take(page, "frame")
        for _ in range(20):
            page.send_json(PAINT)
        until(lambda: len(engine.lives[key].session.operations) == 20)
        # The engine goes on however the page is: it is asked for a frame by every other page of the session.
        for _ in range(3):
            engine.ready(key)
        page.send_json({"type": "ready"})
        assert take(page, "frame")[0]["version"] == 20


def test_a_session_is_found_again(client, engine):
    key = create(client)
    with socket(client, key) as page:
        page.send_json(PAINT)
        until(lambda: engine.lives[key].session.operations)
    until(lambda: engine.lives[key].deliver is None)
    with socket(client, key) as page:
        assert len(take(page, "session")["drawing"]["strokes"]) == 1
        assert take(page, "frame")[0]["version"] == 1


def test_a_wrong_message_is_told_and_the_next_is_taken(client):
    with socket(client, create(client)) as page:
        for wrong in (
            "",
            "[]",
            "{",
            '{"type": "?"}',
            json.dumps({**PAINT, "x": 1}),
            '{"type": "live"}',
            "NaN",
        ):
            page.send_text(wrong)
            assert take(page, "error")["error"].endswith(".")
        page.send_bytes(b"\0")
        assert "text" in take(page, "error")["error"]
        for secret in ({"op": "fix", "latent": [0, 0]}, {"op": "open"}):
            page.send_json({"type": "op", "op": secret})
            take(page, "error")
        page.send_json(PAINT)
        assert take(page, "session")["can_undo"]


def test_floods_and_giants_are_cut_off(client, engine):
    key = create(client)
    with socket(client, key) as page, pytest.raises(websockets.WebSocketDisconnect) as end:
        for _ in range(2 * guard.MESSAGES):
            page.send_json({"type": "ping"})
        take(page, "nothing")
    assert end.value.code == 1008
    with socket(client, key) as page, pytest.raises(websockets.WebSocketDisconnect) as end:
        page.send_text(" " * (guard.MESSAGE_BYTES + 1))
        take(page, "nothing")
    assert end.value.code == 1008
    with socket(client, "unknown") as page, pytest.raises(websockets.WebSocketDisconnect) as end:
        take(page, "nothing")
    assert end.value.code == 4404


def test_the_newest_windows_of_a_session_stay(client):
    key = create(client)
    with contextlib.ExitStack() as stack:
        pages = []
        for _ in range(guard.SOCKETS + 1):
            pages.append(stack.enter_context(socket(client, key)))
            take(pages[-1], "frame")
        with pytest.raises(websockets.WebSocketDisconnect) as end:
            take(pages[0], "nothing")
        assert end.value.code == 4409
        pages[1].send_json(PAINT)
        for page in pages[1:]:
            while not take(page, "session")["can_undo"]:
                pass


def test_the_session_nobody_looks_at_makes_place(client, engine):
    keys = [create(client) for _ in range(guard.SESSIONS)]
    with contextlib.ExitStack() as stack:
        for key in keys[1:]:
            take(stack.enter_context(socket(client, key)), "frame")
        last = create(client)
        assert client.get(f"/api/sessions/{keys[0]}").status_code == 404
        take(stack.enter_context(socket(client, last)), "frame")
        full = client.post("/api/sessions", json={})
        assert full.status_code == 503 and "16 sessions" in full.json()["error"]
    assert len(engine.lives) == guard.SESSIONS


def test_sessions_outlive_their_pages_for_a_while(client):
    now, keeper = [1000.0], client.service.keeper
    keeper._clock = lambda: now[0]

    def kept(*keys):
        client.portal.call(keeper.sweep)
        return [client.get(f"/api/sessions/{key}").status_code == 200 for key in keys]

    left, closed, held = create(client), create(client), create(client)
    with socket(client, held) as page:
        take(page, "frame")
        assert client.post(f"/api/sessions/{closed}/close").status_code == 200
        assert kept(left, closed, held) == [True, True, True]
        now[0] += 6
        assert kept(left, closed, held) == [True, False, True]
        now[0] += guard.SESSION_SECONDS - 7
        assert kept(left, held) == [True, True]
        now[0] += 2
        assert kept(left, held) == [False, True]
        # A page that is loaded anew says goodbye and comes back.
        client.post(f"/api/sessions/{held}/close")
    until(lambda: not keeper.get(held).sockets)
    with socket(client, held) as page:
        take(page, "frame")
        now[0] += 60
        assert kept(held) == [True]
    until(lambda: not keeper.get(held).sockets)
    now[0] += 60
    assert kept(held) == [True]
    now[0] += guard.SESSION_SECONDS
    assert kept(held) == [False]


def test_a_photo_from_its_file_to_its_edit(client, engine):
    key = create(client)
    assert client.post(f"/api/sessions/{key}/apply", json={}).status_code == 400  # of no photo
    with socket(client, key) as page:
        assert done(client, client.post(f"/api/sessions/{key}/photo", files=photo()))["state"] == "done"
        told = [take(page, "job") for _ in range(1)]
        assert told[0]["kind"] == "project"
        opened = take(page, "session")["drawing"]
        assert opened["size"] == [6, 9] and opened["photo"]["name"] == "shoe.png" and opened["anchored"]
    assert Image.open(io.BytesIO(client.get(f"/api/sessions/{key}/photo").content)).size == (9, 6)
    job = done(client, client.post(f"/api/sessions/{key}/apply", json={"candidate": 1}))
    assert [x.rsplit("/")[-1] for x in job["results"]] == ["photo.png", "photo.webp"]
    still, moving = (client.get(x) for x in job["results"])
    assert np.asarray(Image.open(io.BytesIO(still.content)))[0, 0].tolist() == [90, 90, 90]
    assert (
        Image.open(io.BytesIO(moving.content)).n_frames >= 1
        and moving.headers["content-type"] == "image/webp"
    )
    assert client.get(f"/api/jobs/{job['job']}/../x").status_code == 404
    # As one file, and back.
    saved = client.get(f"/api/sessions/{key}", params={"photos": True}).json()
    other = create(client, saved)
    assert client.get(f"/api/sessions/{other}/photo").status_code == 200
    name = saved["ops"][0]["photo"]
    between = client.post(f"/api/sessions/{other}/between", json={"a": name, "b": name})
    assert done(client, between)["results"][0].endswith("film.webp")
    assert client.post(f"/api/sessions/{key}/between", json={"a": "x", "b": name}).status_code == 404
    assert client.post(f"/api/sessions/{key}/between", json={"a": 1}).status_code == 422
    files = {"a": photo()["file"], "b": photo()["file"]}
    assert done(client, client.post(f"/api/sessions/{other}/between", files=files))["state"] == "done"


def test_jobs_that_fail_say_why(client):
    key = create(client)
    address = f"/api/sessions/{key}/photo"
    assert "bad luck" in done(client, client.post(address, files=photo(13)))["message"]
    assert "log says more" in done(client, client.post(address, files=photo(14)))["message"]
    broken = {"file": ("x.png", b"PK\3\4 no picture", "image/png")}
    assert "no picture" in done(client, client.post(address, files=broken))["message"]
    assert client.post(address, files=photo(), params={"fit": "x"}).status_code == 400
    assert client.post(address, json={}).status_code == 400


def test_jobs_of_a_session_are_few(client, engine):
    key, other = create(client), create(client)
    engine.free.clear()
    begun = [client.post(f"/api/sessions/{key}/photo", files=photo()) for _ in range(guard.JOBS)]
    third = client.post(f"/api/sessions/{key}/photo", files=photo())
    assert third.status_code == 409 and third.json()["error"]
    begun.append(client.post(f"/api/sessions/{other}/photo", files=photo()))
    engine.free.set()
    assert [done(client, answer)["state"] for answer in begun] == ["done"] * 3
    for _ in range(6):
        done(client, client.post(f"/api/sessions/{key}/photo", files=photo()))
    assert len(client.service.keeper.get(key).tasks) == guard.RESULTS
    assert len(client.service.keeper.get(key).photos) == 6 + guard.JOBS


def test_results_of_all_sessions_are_bounded(client, monkeypatch):
    """The oldest go first, whosoever they are; the newest stays however large it is."""
    monkeypatch.setattr(guard, "ALL_RESULT_BYTES", 3)
    keys = [create(client) for _ in range(3)]
    jobs = []
    for key in keys:
        assert done(client, client.post(f"/api/sessions/{key}/photo", files=photo()))["state"] == "done"
        jobs.append(done(client, client.post(f"/api/sessions/{key}/apply", json={}))["job"])
    assert [client.get(f"/api/jobs/{job}").status_code for job in jobs] == [404, 404, 200]
    assert client.get(f"/api/jobs/{jobs[2]}/photo.png").status_code == 200


def test_photos_of_a_session_are_bounded(client, monkeypatch):
    monkeypatch.setattr(guard, "PHOTO_BYTES", 2 * len(photo()["file"][1]))
    key = create(client)
    states = [done(client, client.post(f"/api/sessions/{key}/photo", files=photo())) for _ in range(3)]
    assert [state["state"] for state in states] == ["done", "done", "failed"] and "MiB" in states[2][
        "message"
    ]
    with socket(client, key) as page:
        for _ in range(2):
            page.send_json({"type": "undo"})
        until(lambda: client.service.keeper.get(key).session.cursor == 0)
        page.send_json(PAINT)  # now nothing leads back to the photos
        until(lambda: len(client.service.keeper.get(key).session.operations) == 1)
    assert done(client, client.post(f"/api/sessions/{key}/photo", files=photo()))["state"] == "done"


def test_candidates_and_their_way(client):
    key = create(client)
    with zipfile.ZipFile(io.BytesIO(client.get(f"/api/sessions/{key}/candidates.zip").content)) as file:
        assert file.namelist() == ["candidate_01.png", "candidate_02.png", "candidates.json"]
        assert json.loads(file.read("candidates.json"))["candidates"][1]["cost"] is None
    assert client.get(f"/api/sessions/{key}/candidate/1.png").headers["content-type"] == "image/png"
    assert client.get(f"/api/sessions/{key}/candidate/9.png").status_code == 404
    assert client.get(f"/api/sessions/{key}/path.webp", params={"frames": 3}).status_code == 200
    assert client.get(f"/api/sessions/{key}/path.webp", params={"frames": 10**6}).status_code == 422


def test_without_a_session(client):
    projected = client.post("/api/project", files=photo()).json()
    assert projected["latent"] == [0.25, -0.25] and projected["reconstruction"].startswith("data:image/png")
    assert "bad luck" in client.post("/api/project", files=photo(13)).json()["error"]
    document = {"format": "jgan-edit", "version": 1, "space": "z", "size": [20, 30], "strokes": [STROKE]}
    found = client.post("/api/edit", files={**photo(), "edit": (None, json.dumps(document))}).json()
    assert len(found["candidates"]) == 2 and found["candidates"][1]["cost"] is None
    assert client.post("/api/edit", files=photo()).status_code == 400
    assert client.post("/api/translate", files=photo()).status_code == 409


def test_before_the_run_is_there(engine):
    class Training:
        def __init__(self):
            self.wait, self.stop = engine.free.wait, engine.free.set

        def progress(self):
            return {"step": 3, "steps": 9, "seconds_left": 1.5, "samples": ["000003.png"]}

        def picture(self, name):
            return b"png" if name == "000003.png" else None

    engine.free.clear()
    with served(engine, training=Training()) as client:
        status = client.get("/api/status").json()
        assert status["state"] == "training" and status["step"] == 3 and status["system"] is None
        assert client.get(status["samples"][0]).content == b"png"
        assert client.get("/api/training/..%2F..%2Fetc%2Fpasswd").status_code == 404
        early = client.post("/api/sessions", json={})
        assert early.status_code == 409 and "training" in early.json()["error"]
        engine.free.set()
        until(lambda: client.get("/api/status").json()["state"] == "ready")


def test_a_run_that_cannot_be_read_is_told():
    def make(_):
        raise jgan.UserError("there is no checkpoint.")

    service = service_lib.Service("run", make_engine=make)
    with testclient.TestClient(app.build(service, guard.Door()), base_url="http://127.0.0.1:8000") as client:
        until(lambda: client.get("/api/status").json()["state"] == "failed")
        assert client.get("/api/status").json()["message"] == "there is no checkpoint."


@pytest.mark.slow
def test_nothing_a_program_makes_up_brings_the_server_down(client):
    """Requests by the server's own description, right and wrong ones: each has an answer that is no fault of ours."""
    import requests
    import schemathesis

    schema = schemathesis.openapi.from_dict(client.get("/openapi.json").json())
    modes = [schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE]
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) > 15
    cases = strategies.one_of(
        [operation.as_strategy(generation_mode=mode) for operation in operations for mode in modes]
    )
    known, count = create(client), 0

    @SETTINGS
    @hypothesis.given(case=cases, real=strategies.booleans())
    def run(case, real):
        nonlocal known, count
        if real and "key" in case.path_parameters:
            if client.get(f"/api/sessions/{known}").status_code == 404:
                known = create(client)
            case.path_parameters["key"] = known
        asked = case.as_transport_kwargs(base_url="http://127.0.0.1:8000")
        made = requests.Request(**asked).prepare()  # in whose words the arguments are
        answer = client.request(made.method, made.url, content=made.body or b"", headers=dict(made.headers))
        count += 1
        assert answer.status_code < 500, (made.method, made.url, made.body, answer.text)
        if answer.status_code >= 400:
            assert isinstance(answer.json()["error"], str)

    run()
    assert count >= 200 and client.get("/api/status").json()["state"] == "ready"


VALUES = strategies.recursive(
    strategies.none()
    | strategies.booleans()
    | strategies.integers()
    | strategies.floats()
    | strategies.text(max_size=20)
    | strategies.sampled_from(
        ["colour", "sketch", "warp", "stroke", "erase", "weights", "restart", "live", "view"]
    ),
    lambda inner: (
        strategies.lists(inner, max_size=4)
        | strategies.dictionaries(
            strategies.sampled_from(
                ["type", "op", "stroke", "brush", "points", "width", "seed", "slider", "chosen", "x"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)
MESSAGES = strategies.one_of(
    strategies.builds(
        lambda kind, rest: {**rest, "type": kind}, VALUES, strategies.dictionaries(strategies.text(), VALUES)
    ),
    strategies.builds(lambda op: {"type": "op", "op": op}, VALUES),
    strategies.builds(
        lambda field, x: {**PAINT, "op": {"op": "stroke", "stroke": {**STROKE, field: x}}},
        strategies.sampled_from([*STROKE, "erase"]),
        VALUES,
    ),
    strategies.builds(lambda x, y: {"type": "view", "slider": x, "cursor": y}, VALUES, VALUES),
    strategies.builds(lambda x: {"type": "fix", "candidate": x}, VALUES),
    VALUES,
)


def test_no_message_brings_a_socket_down(client, engine, monkeypatch):
    monkeypatch.setattr(guard, "MESSAGES", 10**6)
    with socket(client, create(client)) as page:
        take(page, "session")

        @SETTINGS
        @hypothesis.given(message=MESSAGES | strategies.text(max_size=50))
        def run(message):
            page.send_text(message if isinstance(message, str) else json.dumps(message))

        run()
        page.send_json({"type": "op", "op": {"op": "restart", "seed": 11}})
        while take(page, "session")["session"]["ops"][-1:] != [{"op": "restart", "seed": 11}]:
            pass
