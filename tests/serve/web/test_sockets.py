"""What a page says on its socket, and what it is told; no message does harm."""

import contextlib
import io
import json

import hypothesis
from hypothesis import strategies
from PIL import Image
import pytest
from starlette import websockets

from jgan.serve.web import access
from tests.serve import asking


def test_painting(client, engine):
    key = asking.create(client)
    with asking.socket(client, key) as page:
        first = asking.take(page, "session")
        assert not first["can_undo"] and first["drawing"]["strokes"] == []
        header, picture = asking.take(page, "frame")
        assert header["version"] == 0 and header["ids"] == [1, 0] and header["costs"][1]["colour"] is None
        assert Image.open(io.BytesIO(picture)).size == (24, 8)
        page.send_json(asking.PAINT)
        painted = asking.take(page, "session")
        assert painted["drawing"]["strokes"][0]["brush"] == "colour" and painted["can_undo"]
        page.send_json({"type": "ready"})
        assert asking.take(page, "frame")[0]["version"] == 1
        page.send_json({"type": "fix", "candidate": 1})
        fixed = asking.take(page, "session")
        assert (
            fixed["session"]["ops"][1] == {"op": "fix", "latent": [0.5, 1]} and fixed["drawing"]["anchored"]
        )
        page.send_json({"type": "undo"})
        assert asking.take(page, "session")["can_redo"]
        page.send_json({"type": "redo"})
        assert asking.take(page, "session")["session"] == fixed["session"]
        page.send_json({"type": "op", "op": {"op": "restart", "seed": 7}})
        assert asking.take(page, "session")["drawing"]["strokes"] == []
        page.send_json({"type": "view", "slider": 0.5})
        asking.until(lambda: engine.lives[key].session.view.slider == 0.5)


def test_frames_wait_for_the_page_and_the_newest_wins(client, engine):
    key = asking.create(client)
    with asking.socket(client, key) as page:
        asking.take(page, "frame")
        for _ in range(20):
            page.send_json(asking.PAINT)
        asking.until(lambda: len(engine.lives[key].session.operations) == 20)
        # The engine goes on however the page is: it is asked for a frame by every other page of the session.
        for _ in range(3):
            engine.ready(key)
        page.send_json({"type": "ready"})
        assert asking.take(page, "frame")[0]["version"] == 20


def test_a_session_is_found_again(client, engine):
    key = asking.create(client)
    with asking.socket(client, key) as page:
        page.send_json(asking.PAINT)
        asking.until(lambda: engine.lives[key].session.operations)
    asking.until(lambda: engine.lives[key].deliver is None)
    with asking.socket(client, key) as page:
        assert len(asking.take(page, "session")["drawing"]["strokes"]) == 1
        assert asking.take(page, "frame")[0]["version"] == 1


def test_a_wrong_message_is_told_and_the_next_is_taken(client):
    with asking.socket(client, asking.create(client)) as page:
        for wrong in (
            "",
            "[]",
            "{",
            '{"type": "?"}',
            json.dumps({**asking.PAINT, "x": 1}),
            '{"type": "live"}',
            "NaN",
        ):
            page.send_text(wrong)
            assert asking.take(page, "error")["error"].endswith(".")
        page.send_bytes(b"\0")
        assert "text" in asking.take(page, "error")["error"]
        for secret in ({"op": "fix", "latent": [0, 0]}, {"op": "open"}):
            page.send_json({"type": "op", "op": secret})
            asking.take(page, "error")
        page.send_json(asking.PAINT)
        assert asking.take(page, "session")["can_undo"]


def test_floods_and_giants_are_cut_off(client, engine):
    key = asking.create(client)
    with asking.socket(client, key) as page, pytest.raises(websockets.WebSocketDisconnect) as end:
        for _ in range(2 * access.MESSAGES):
            page.send_json({"type": "ping"})
        asking.take(page, "nothing")
    assert end.value.code == 1008
    with asking.socket(client, key) as page, pytest.raises(websockets.WebSocketDisconnect) as end:
        page.send_text(" " * (access.MESSAGE_BYTES + 1))
        asking.take(page, "nothing")
    assert end.value.code == 1008
    with asking.socket(client, "unknown") as page, pytest.raises(websockets.WebSocketDisconnect) as end:
        asking.take(page, "nothing")
    assert end.value.code == 4404


def test_the_newest_windows_of_a_session_stay(client):
    key = asking.create(client)
    with contextlib.ExitStack() as stack:
        pages = []
        for _ in range(access.SOCKETS + 1):
            pages.append(stack.enter_context(asking.socket(client, key)))
            asking.take(pages[-1], "frame")
        with pytest.raises(websockets.WebSocketDisconnect) as end:
            asking.take(pages[0], "nothing")
        assert end.value.code == 4409
        pages[1].send_json(asking.PAINT)
        for page in pages[1:]:
            while not asking.take(page, "session")["can_undo"]:
                pass


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
        lambda field, x: {**asking.PAINT, "op": {"op": "stroke", "stroke": {**asking.STROKE, field: x}}},
        strategies.sampled_from([*asking.STROKE, "erase"]),
        VALUES,
    ),
    strategies.builds(lambda x, y: {"type": "view", "slider": x, "cursor": y}, VALUES, VALUES),
    strategies.builds(lambda x: {"type": "fix", "candidate": x}, VALUES),
    VALUES,
)


def test_no_message_brings_a_socket_down(client, engine, monkeypatch):
    monkeypatch.setattr(access, "MESSAGES", 10**6)
    with asking.socket(client, asking.create(client)) as page:
        asking.take(page, "session")

        @asking.SETTINGS
        @hypothesis.given(message=MESSAGES | strategies.text(max_size=50))
        def run(message):
            page.send_text(message if isinstance(message, str) else json.dumps(message))

        run()
        page.send_json({"type": "op", "op": {"op": "restart", "seed": 11}})
        while asking.take(page, "session")["session"]["ops"][-1:] != [{"op": "restart", "seed": 11}]:
            pass
