"""The page before the server behind it is there."""

import contextlib
import threading
import time

import fastapi
from fastapi import testclient
import pytest

from jgan.serve.web import access
from jgan.serve.web import startup


def behind(lifespan=None):
    app = fastapi.FastAPI(lifespan=lifespan)

    @app.get("/api/status")
    async def status() -> dict[str, str]:
        return {"state": "ready"}

    @app.post("/api/work")
    async def work() -> str:
        return "done"

    return app


@pytest.fixture
def free():
    event = threading.Event()
    yield event
    event.set()


def served(make, door=None):
    door = door or access.Door()
    return testclient.TestClient(startup.Front(door, make), base_url=f"http://127.0.0.1:{door.port}")


def test_the_page_is_there_at_once_and_the_rest_waits(free):
    def make():
        free.wait(20)
        return behind()

    with served(make) as client:
        assert client.get("/").headers["content-type"].startswith("text/html")
        assert client.get("/static/main.js").status_code == 200
        assert client.get("/api/status").json()["state"] == "starting"
        assert client.get("/", headers={"host": "evil.example"}).status_code == 403
        answers = []
        asking = threading.Thread(target=lambda: answers.append(client.post("/api/work").json()))
        asking.start()
        time.sleep(0.2)
        assert not answers and asking.is_alive()
        free.set()
        asking.join(20)
        assert answers == ["done"]
        assert client.get("/api/status").json() == {"state": "ready"}


def test_what_stands_behind_begins_and_ends_with_the_server():
    seen = []

    @contextlib.asynccontextmanager
    async def lifespan(_):
        seen.append("begun")
        yield
        seen.append("ended")

    with served(lambda: behind(lifespan)) as client:
        assert client.post("/api/work").json() == "done" and seen == ["begun"]
    assert seen == ["begun", "ended"]


def test_a_server_that_cannot_be_made_is_told():
    def make():
        raise ZeroDivisionError

    with served(make) as client:
        assert client.post("/api/work").status_code == 503
        status = client.get("/api/status").json()
        assert status["state"] == "failed" and "log says more" in status["message"]


def test_the_token_is_asked_for_from_the_beginning(free):
    def make():
        free.wait(20)
        return behind()

    with served(make, access.Door(token="long-secret")) as client:
        assert client.get("/").status_code == client.get("/api/status").status_code == 401
        assert client.get("/static/main.js").status_code == 401
        assert client.get("/?token=long-secret").status_code == 200  # by way of a cookie
        assert client.get("/api/status").json()["state"] == "starting"
        free.set()  # leaving waits for what is being made
