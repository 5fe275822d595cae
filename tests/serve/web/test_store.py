"""How long a session is kept, and which one makes place for another."""

import contextlib

from jgan.serve.web import access
from tests.serve import asking


def test_the_session_nobody_looks_at_makes_place(client, engine):
    keys = [asking.create(client) for _ in range(access.SESSIONS)]
    with contextlib.ExitStack() as stack:
        for key in keys[1:]:
            asking.take(stack.enter_context(asking.socket(client, key)), "frame")
        last = asking.create(client)
        assert client.get(f"/api/sessions/{keys[0]}").status_code == 404
        asking.take(stack.enter_context(asking.socket(client, last)), "frame")
        full = client.post("/api/sessions", json={})
        assert full.status_code == 503 and "16 sessions" in full.json()["error"]
    assert len(engine.lives) == access.SESSIONS


def test_sessions_outlive_their_pages_for_a_while(client):
    now, keeper = [1000.0], client.service.keeper
    keeper._clock = lambda: now[0]

    def kept(*keys):
        client.portal.call(keeper.sweep)
        return [client.get(f"/api/sessions/{key}").status_code == 200 for key in keys]

    left, closed, held = asking.create(client), asking.create(client), asking.create(client)
    with asking.socket(client, held) as page:
        asking.take(page, "frame")
        assert client.post(f"/api/sessions/{closed}/close").status_code == 200
        assert kept(left, closed, held) == [True, True, True]
        now[0] += 6
        assert kept(left, closed, held) == [True, False, True]
        now[0] += access.SESSION_SECONDS - 7
        assert kept(left, held) == [True, True]
        now[0] += 2
        assert kept(left, held) == [False, True]
        # A page that is loaded anew says goodbye and comes back.
        client.post(f"/api/sessions/{held}/close")
    asking.until(lambda: not keeper.get(held).sockets)
    with asking.socket(client, held) as page:
        asking.take(page, "frame")
        now[0] += 60
        assert kept(held) == [True]
    asking.until(lambda: not keeper.get(held).sockets)
    now[0] += 60
    assert kept(held) == [True]
    now[0] += access.SESSION_SECONDS
    assert kept(held) == [False]
