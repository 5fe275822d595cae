"""Masks, second photos and sliders: as operations, in files, over HTTP, and refused where they make no sense."""

import json

import pytest

import jgan
from jgan.latent import document
from jgan.latent import raster
from jgan.serve import session as sessions
from jgan.serve import session_file
from jgan.serve.device import work
from tests.serve import asking
from tests.serve import fakes

CENTRE = document.Mask(((100.0, 100.0), (200.0, 100.0)), 80.0)
SIZE, BOX = (300, 400), (-50, 0, 400)
FIRST = sessions.Open("1", "a.jpg", SIZE, BOX, (0.1, 0.2))
SECOND = sessions.Second("2", "b.jpg", (50, 50), (0, 0, 50), (0.7, 0.8))
RED = sessions.Stroke(document.Colour(((10.0, 10.0),), 8.0, (255.0, 0.0, 0.0)))
STEER = sessions.Steer((0.5, 0.5), (("truncation", 0.5),), (1.0, 1.0))


def after(*events):
    session = sessions.Session()
    for event in events:
        session = sessions.reduce(session, event)
    return session


def test_a_mask_is_a_stroke_that_asks_for_nothing():
    session = after(RED, sessions.Stroke(CENTRE))
    assert sessions.strokes(session) == (RED,)
    assert sessions.masked(session.drawing).strokes == (CENTRE,)
    assert sessions.strokes(after(sessions.Live(sessions.Stroke(CENTRE)))) == ()
    # It can be undone, erased and removed as any other.
    assert not sessions.masked(after(RED, sessions.Stroke(CENTRE), sessions.Undo()).drawing).strokes
    assert not sessions.masked(after(sessions.Stroke(CENTRE), sessions.Erase((0,))).drawing).strokes
    assert not sessions.masked(after(sessions.Stroke(CENTRE), sessions.Clear()).drawing).strokes


def test_a_second_photo_stays_beside_the_first_until_it_is_closed():
    session = after(FIRST, SECOND)
    assert session.drawing.photo == FIRST and session.drawing.anchor == FIRST.latent
    assert session.drawing.second == SECOND._replace(given=()) and session.drawing.size == SIZE
    assert session.drawing.ground == after(FIRST).drawing.ground  # candidates go on
    assert after(FIRST, SECOND, sessions.Close()).drawing.second is not None
    closed = after(FIRST, SECOND, sessions.Part())
    assert closed.drawing.second is None and after(FIRST, sessions.Part()).cursor == 1
    assert sessions.reduce(closed, sessions.Undo()).drawing.second is not None


def test_sliders_keep_their_base_until_something_else_begins_candidates_anew():
    further = sessions.Steer((0.2, 0.2), (("truncation", 0.2),))
    session = after(RED, STEER, further)
    assert session.drawing.anchor == (0.2, 0.2) and sessions.strokes(session) == (RED,)
    assert session.drawing.steered.base == (1.0, 1.0) and session.drawing.steered.values == further.values
    assert session.drawing.ground > after(RED, STEER).drawing.ground
    assert sessions.reduce(session, sessions.Undo()).drawing.anchor == STEER.latent
    assert sessions.reduce(session, further) is session
    for event in (sessions.Fix((0.3, 0.3)), sessions.Restart(1), FIRST):
        assert sessions.reduce(session, event).drawing.steered is None
    # In a file that begins in the middle the latent is the base.
    assert after(further).drawing.steered.base == further.latent


def test_a_file_gives_all_of_it_back():
    session = after(
        FIRST, SECOND, sessions.Stroke(CENTRE), STEER, STEER._replace(latent=(0.1, 0.0), base=None)
    )
    photos = {key: session_file.Photo(f"{key}.png", b"x") for key in "12"}
    text = json.dumps(session_file.dump(session, "w", photos))
    loaded, kept = session_file.parse(text, "w")
    assert loaded.operations == session.operations and loaded.drawing == session.drawing
    assert kept == photos
    told = session_file.describe(loaded.drawing)
    assert told["second"] == {"id": "2", "name": "b.jpg"} and told["steered"] == {"truncation": 0.5}
    assert told["strokes"][0]["brush"] == "mask"
    assert session_file.describe(sessions.Drawing())["second"] is None


@pytest.mark.parametrize(
    "tree, message",
    [
        ({"type": "steer", "values": 3}, "the sliders are 3"),
        ({"type": "steer", "values": {"a": "x"}}, "the slider 'a' is 'x'"),
        ({"type": "steer", "values": {"a": 1e300}}, "from -1e6 to 1e6"),
        ({"type": "steer", "values": {"": 1}}, "name of a slider"),
        ({"type": "steer", "values": {str(k): 0 for k in range(1001)}}, "an object of 1001 fields"),
        ({"type": "steer"}, "no field 'values'"),
        ({"type": "op", "op": {"op": "steer", "latent": [1], "values": {}}}, "from the server alone"),
        (
            {"type": "op", "op": {"op": "second", **SECOND._asdict(), "size": [50, 50], "box": [0, 0, 50],
                                  "latent": [1.0], "given": {}}},
            "from the server alone",
        ),
        ({"type": "op", "op": {"op": "stroke", "stroke": {"brush": "mask"}}}, "no field 'points'"),
        (
            {"type": "op", "op": {"op": "stroke", "stroke": {
                "brush": "mask", "points": [[1, 999]], "width": 3}}},
            "outside the canvas",
        ),
    ],
)  # fmt: skip
def test_messages_that_make_no_sense(tree, message):
    with pytest.raises(jgan.UserError, match=message):
        session_file.parse_event(tree, (300, 400))


def test_an_edit_document_has_no_masks():
    stroke = {"brush": "mask", "points": [[1, 1]], "width": 3}
    with pytest.raises(jgan.UserError, match="mask"):
        document.parse_stroke(stroke, "stroke 1", (9, 9))


def test_a_mask_covers_what_was_painted_less_what_was_erased():
    square = document.Document("", (64, 64), (document.Mask(((16.0, 32.0), (48.0, 32.0)), 20.0),))
    made = raster.mask(square, (32, 32))
    assert made[16, 8:24].all() and not made[:10].any() and not made[22:].any()
    assert not raster.mask(square._replace(strokes=()), (32, 32)).any()
    erased = square.strokes + (document.Mask(((16.0, 32.0), (48.0, 32.0)), 30.0, erase=True),)
    assert not raster.mask(square._replace(strokes=erased), (32, 32)).any()


def test_two_photos_over_http():
    engine = fakes.Engine()
    with asking.served(engine) as client:
        key = asking.create(client)
        with asking.socket(client, key) as page:

            def told(answer, *job):
                """The state of the session after a job or a message."""
                if job:
                    done = asking.done(client, answer)
                    assert done["state"] == "done", done
                return asking.take(page, "session")

            asking.take(page, "session")
            refused = client.post(f"/api/sessions/{key}/crossover")
            assert refused.status_code == 400 and "two photos" in refused.json()["error"]
            path = f"/api/sessions/{key}"
            told(client.post(f"{path}/photo", files=asking.photo()), 1)
            state = told(client.post(f"{path}/second", files=asking.photo(9, 6)), 1)
            assert state["drawing"]["second"]["name"] == "shoe.png"
            assert client.get(f"{path}/photo?second=true").headers["content-type"] == "image/png"
            refused = client.post(f"{path}/crossover")
            assert refused.status_code == 400 and "nothing is masked" in refused.json()["error"]
            stroke = {"brush": "mask", "points": [[2, 2], [4, 4]], "width": 2}
            page.send_json({"type": "op", "op": {"op": "stroke", "stroke": stroke}})
            asking.take(page, "session")
            ended = asking.done(client, client.post(f"{path}/crossover"))
            assert ended["state"] == "done" and len(ended["results"]) == 1
            assert client.get(ended["results"][0]).headers["content-type"] == "image/png"
            job = engine.jobs[-1]
            assert isinstance(job, work.Crossover) and [x.shape[:2] for x in job.photos] == [(6, 9), (9, 6)]
            assert asking.take(page, "session")["session"]["ops"][-1] == {"op": "fix", "latent": [0.75, 0.75]}
            page.send_json({"type": "steer", "values": {"along_smile": 1.5}})
            state = asking.take(page, "session")
            assert state["drawing"]["steered"] == {"along_smile": 1.5} and state["drawing"]["anchored"]
            page.send_json({"type": "steer", "values": {"along_smile": 2}})
            assert "base" not in asking.take(page, "session")["session"]["ops"][-1]
            page.send_json({"type": "op", "op": {"op": "part"}})
            assert asking.take(page, "session")["drawing"]["second"] is None
        # Both photos are in the saved session.
        saved = client.get(f"{path}?photos=1").json()
        assert len(saved["photos"]) == 2
        assert client.get(f"{path}/photo?second=true").status_code == 404
        again = asking.create(client, saved)
        assert client.get(f"/api/sessions/{again}").json()["ops"] == saved["ops"]
        sliders = client.get("/api/status").json()["sliders"]
        assert sliders["along_smile"] == {"kind": "amount", "low": -3.0, "high": 3.0, "default": 0.0}
