"""Sessions as pure data: operations fold, undo and redo lead back, JSON keeps all, nothing else gets in."""

import json

import hypothesis
from hypothesis import strategies as st
import pytest

import jgan
from jgan import fields
from jgan.latent import constraints
from jgan.latent import document
from jgan.serve import session as sessions
from jgan.serve import session_file

QUICK = hypothesis.settings(max_examples=60, deadline=None, derandomize=True)

share = st.floats(0, 1).map(lambda x: round(x, 3))
latents = st.lists(st.floats(-1, 1), min_size=2, max_size=2).map(tuple)
points = st.tuples(share, share).map(lambda p: (384 * p[0], 384 * p[1]))
lines = st.lists(points, min_size=1, max_size=3).map(tuple)
strokes = st.one_of(
    st.builds(
        document.Colour, lines, st.floats(0.5, 20), st.tuples(*[st.integers(0, 255).map(float)] * 3)
    ).map(sessions.Stroke),
    st.builds(document.Sketch, lines, st.floats(0.5, 20), st.booleans()).map(sessions.Stroke),
    st.builds(sessions.Stroke, st.builds(document.Warp, points, points, st.floats(1, 99)), latents),
)
found_under = st.sampled_from(
    [None, (), (("label", "dog"),), (("look", (("striped", 0.25),)), ("truncation", 0.5))]
)
photos = st.tuples(st.integers(384, 500), st.integers(384, 500), st.booleans(), latents, found_under).map(
    lambda x: sessions.Open("p1", "a.png", x[:2], box(x[0], x[1], (max if x[2] else min)(x[:2])), x[3], x[4])
)
CONTROLS = {
    "label": fields.Label(("cat", "dog")),
    "look": fields.Attributes(("red", "blue", "striped"), exclusive=("red", "blue")),
    "truncation": fields.Amount(0.1, 1.0, 1.0),
}
gifts = st.one_of(
    st.sampled_from(["cat", "dog"]).map(lambda x: sessions.Give("label", x)),
    st.floats(0.1, 1).map(lambda x: sessions.Give("truncation", x)),
    st.sampled_from([(), (("striped", 0.25),), (("red", 1.0), ("blue", 0.0))]).map(
        lambda x: sessions.Give("look", x)
    ),
)
operations = st.one_of(
    strokes,
    strokes,
    gifts,
    st.lists(st.integers(0, 12), min_size=1, max_size=3).map(tuple).map(sessions.Erase),
    st.just(sessions.Clear()),
    st.builds(constraints.Weights, *[st.floats(0, 9)] * 5).map(sessions.Weigh),
    latents.map(sessions.Fix),
    st.integers(0, 2**32 - 1).map(sessions.Restart),
    photos,
    st.just(sessions.Close()),
)
events = st.one_of(operations, operations, st.sampled_from([sessions.Undo(), sessions.Redo()]))


def box(height, width, side):
    return -((side - height) // 2), -((side - width) // 2), side


def after(events, session=None):
    session = session or sessions.Session()
    for event in events:
        session = sessions.reduce(session, event)
    return session


RED = sessions.Stroke(document.Colour(((1.0, 2.0),), 3.0, (255.0, 0.0, 0.0)))
LINE = sessions.Stroke(document.Sketch(((5.0, 5.0), (9.0, 9.0)), 1.0))


@QUICK
@hypothesis.given(st.lists(events, max_size=12))
def test_the_drawing_is_the_fold_of_the_operations_before_the_cursor(events):
    session = after(events)
    assert session.drawing == sessions.fold(session.operations[: session.cursor])
    numbers = [number for number, _ in session.drawing.strokes]
    assert numbers == sorted(set(numbers))
    assert all(session.operations[number] == stroke for number, stroke in session.drawing.strokes)


@QUICK
@hypothesis.given(st.lists(events, max_size=12), st.integers(1, 12))
def test_undo_then_redo_is_the_identity(events, times):
    session = after(events)
    times = min(times, session.cursor)
    back = after([sessions.Undo()] * times, session)
    assert back.cursor == session.cursor - times
    again = after([sessions.Redo()] * times, back)
    assert (again.operations, again.cursor, again.drawing) == (
        session.operations,
        session.cursor,
        session.drawing,
    )
    # Someone who watches sees a change wherever there is one, and new candidates wherever they begin elsewhere.
    assert again.drawing.version == session.drawing.version + 2 * times
    if back.drawing.since != session.drawing.since:
        assert len({session.drawing.ground, back.drawing.ground, again.drawing.ground}) == 3


@QUICK
@hypothesis.given(st.lists(events, max_size=12), operations)
def test_an_operation_changes_the_drawing_or_nothing(events, operation):
    before = after(events)
    session = sessions.reduce(before, operation)
    if session is not before:
        assert session.drawing.version > before.drawing.version and not session.can_redo
        assert (session.drawing.ground > before.drawing.ground) == isinstance(operation, sessions.GROUNDS)


@QUICK
@hypothesis.given(st.lists(events, max_size=12))
def test_a_session_and_its_json_are_the_same(events):
    session = after(events)
    kept = {"p1": session_file.Photo("a.png", b"\x00\xff")}
    text = json.dumps(session_file.dump(session, "z", kept), allow_nan=False)
    assert session_file.parse(text, "z", CONTROLS)[0] == session_file.parse(text, "z")[0]
    found, photos = session_file.parse(text, "z", CONTROLS)
    assert (found.operations, found.cursor, found.drawing) == (
        session.operations,
        session.cursor,
        session.drawing,
    )
    assert photos == kept and json.dumps(session_file.dump(found, "z", photos)) == text


values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=5),
        st.sampled_from(["z", "stroke", "colour", "fix"]),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@hypothesis.settings(max_examples=150, deadline=None, derandomize=True)
@hypothesis.given(st.lists(operations, min_size=1, max_size=4), st.data())
def test_a_hostile_session_is_valid_or_refused(operations, data):
    """Somewhere in a good session a value is replaced by anything, taken out or added."""
    tree = json.loads(json.dumps(session_file.dump(after(operations), "z")))
    at = tree
    while True:
        keys = list(at.keys()) if isinstance(at, dict) else list(range(len(at)))
        if not keys:
            break
        key = data.draw(st.sampled_from(keys))
        if isinstance(at[key], dict | list) and at[key] and data.draw(st.integers(0, 3)):
            at = at[key]
            continue
        at[key] = data.draw(values)
        break
    for controls in (None, CONTROLS):
        try:
            session, _ = session_file.load(tree, "z", controls)
        except jgan.UserError as error:
            assert "\n" not in str(error) and len(str(error)) < 300
            continue
        again = json.loads(json.dumps(session_file.dump(session, "z")))
        assert session_file.load(again, "z", controls)[0] == session
        assert session.drawing == sessions.fold(session.operations[: session.cursor])


@hypothesis.settings(max_examples=150, deadline=None, derandomize=True)
@hypothesis.given(
    st.dictionaries(
        st.sampled_from(
            [
                "type",
                "op",
                "stroke",
                "candidate",
                "chosen",
                "slider",
                "average",
                "shadow",
                "cursor",
                "strokes",
                "seed",
                "latent",
            ]
        ),
        values
        | st.sampled_from(["live", "op", "fix", "view", "undo", "redo", "ready", "ping"])
        | st.fixed_dictionaries({"op": st.sampled_from(["erase", "clear", "restart", "close", "open"])})
        | st.fixed_dictionaries(
            {"op": st.just("give"), "name": st.sampled_from([*CONTROLS]), "value": values}
        ),
    )
    | values
)
def test_any_message_is_an_event_or_refused(tree):
    try:
        event = session_file.parse_event(tree, (384, 384), CONTROLS)
    except jgan.UserError:
        return
    if not isinstance(event, session_file.Choice | session_file.Ready | session_file.Ping):
        after([event], after([RED]))


@pytest.mark.parametrize(
    "tree, event",
    [
        (
            {
                "type": "op",
                "op": {
                    "op": "stroke",
                    "stroke": {"brush": "sketch", "points": [[5, 5], [9, 9]], "width": 1},
                },
            },
            LINE,
        ),
        (
            {
                "type": "live",
                "stroke": {"brush": "colour", "points": [[1, 2]], "width": 3, "colour": [255, 0, 0]},
            },
            sessions.Live(RED),
        ),
        ({"type": "live", "stroke": None}, sessions.Live(None)),
        ({"type": "op", "op": {"op": "erase", "strokes": [3]}}, sessions.Erase((3,))),
        ({"type": "op", "op": {"op": "restart", "seed": 7}}, sessions.Restart(7)),
        ({"type": "op", "op": {"op": "close"}}, sessions.Close()),
        (
            {"type": "op", "op": {"op": "weights", "weights": {"colour": 2}}},
            sessions.Weigh(constraints.Weights(2.0)),
        ),
        ({"type": "fix", "candidate": None}, session_file.Choice(None)),
        ({"type": "undo"}, sessions.Undo()),
        (
            {"type": "view", "slider": 0.5, "chosen": None},
            sessions.Look((("chosen", None), ("slider", 0.5))),
        ),
        ({"type": "view", "cursor": [-3, 999]}, sessions.Look((("cursor", (0.0, 384.0)),))),
        ({"type": "ready"}, session_file.Ready()),
    ],
)
def test_what_messages_mean(tree, event):
    assert session_file.parse_event(tree, (384, 384)) == event


@pytest.mark.parametrize(
    "tree, sentence",
    [
        ({"type": "op", "op": {"op": "fix", "latent": [1]}}, "the server alone"),
        (
            {
                "type": "op",
                "op": {
                    "op": "stroke",
                    "latent": [1],
                    "stroke": {"brush": "warp", "source": [1, 1], "target": [2, 2], "side": 3},
                },
            },
            "the server alone",
        ),
        ({"type": "view", "slider": 1.5}, "0 to 1"),
        ({"type": "view", "zoom": 2}, "unknown field 'zoom'"),
        (
            {
                "type": "live",
                "stroke": {"brush": "colour", "points": [[1, 400]], "width": 3, "colour": [0, 0, 0]},
            },
            "outside the canvas",
        ),
        ({"type": "dance"}, "there are live, op"),
        ([], "JSON object"),
    ],
)
def test_messages_that_are_refused(tree, sentence):
    with pytest.raises(jgan.UserError, match=sentence):
        session_file.parse_event(tree, (384, 384))


def test_what_came_too_late_changes_nothing():
    session = after([RED])
    for event in (
        sessions.Erase((5,)),
        sessions.Close(),
        sessions.Redo(),
        sessions.Weigh(constraints.Weights()),
    ):
        assert sessions.reduce(session, event) is session
    empty = sessions.Session()
    assert (
        sessions.reduce(empty, sessions.Undo()) is empty and sessions.reduce(empty, sessions.Clear()) is empty
    )


def test_what_begins_where():
    """A photo stays through restart and is where candidates begin again; fixing keeps strokes; closing lets go."""
    photo = sessions.Open("p1", "a.png", (20, 30), box(20, 30, 30), (0.5, 0.5))
    session = after([RED, photo])
    assert session.drawing.strokes == () and session.drawing.size == (20, 30)
    session = after([RED, sessions.Fix((0.1, 0.2))], session)
    assert session.drawing.anchor == (0.1, 0.2) and len(session.drawing.strokes) == 1
    session = after([sessions.Restart(9)], session)
    assert (
        session.drawing.anchor == (0.5, 0.5)
        and session.drawing.photo == photo
        and not session.drawing.strokes
    )
    session = after([sessions.Close()], session)
    assert session.drawing.anchor is None and session.drawing.size == sessions.CANVAS


def test_what_is_given_stays_and_can_be_undone():
    """A value begins candidates anew around the same start; strokes stay, and so does it through restart and photo."""
    give = sessions.Give("label", "dog")
    session = after([RED, sessions.Fix((0.1, 0.2))])
    given = after([give], session)
    assert given.drawing.given == (("label", "dog"),) and given.drawing.ground > session.drawing.ground
    assert given.drawing.strokes == session.drawing.strokes and given.drawing.anchor == (0.1, 0.2)
    assert after([give], given) is given
    photo = sessions.Open("p1", "a.png", (20, 30), box(20, 30, 30), (0.5, 0.5))
    later = after([sessions.Restart(3), photo, sessions.Give("label", "cat")], given)
    assert later.drawing.given == (("label", "cat"),) and later.drawing.opened == (("label", "dog"),)
    # Another value was set while the projection was found.
    late = after([photo._replace(given=())], given)
    assert late.drawing.given == (("label", "dog"),) and late.drawing.opened == ()
    back = after([sessions.Undo()], given)
    assert back.drawing == session.drawing and back.drawing.ground > given.drawing.ground


@pytest.mark.parametrize(
    "name, value, sentence",
    [
        ("label", "cow", "'cow' is none of the classes: cat, dog would work"),
        ("label", 2, "cat, dog would work"),
        ("label", None, "cat, dog would work"),
        ("look", {"green": 1}, "red, blue, striped would work"),
        ("look", {"red": 2}, "0 to 1 would work"),
        ("look", [1], "{name: number}"),
        ("truncation", 1.5, "0.1 to 1 would work"),
        ("truncation", True, "no number"),
        ("zoom", 1, "label, look, truncation can be set"),
        ("", 1, "1 to 100 characters"),
    ],
)
def test_values_that_are_refused_in_messages_and_sessions(name, value, sentence):
    operation = {"op": "give", "name": name, "value": value}
    with pytest.raises(jgan.UserError, match=sentence):
        session_file.parse_event({"type": "op", "op": operation}, (384, 384), CONTROLS)
    tree = session_file.dump(sessions.Session(), "z") | {"ops": [operation]}
    with pytest.raises(jgan.UserError, match=sentence):
        session_file.load(tree, "z", CONTROLS)
    opened = {"op": "open", "photo": "p1", "name": "a.png", "size": [2, 2], "box": [0, 0, 2], "latent": [1]}
    tree["ops"] = [opened | {"given": {name: value}}]
    with pytest.raises(jgan.UserError, match=sentence if name else "can be set"):
        session_file.load(tree, "z", CONTROLS)


def test_looking_is_no_operation_and_drawing_leads_the_slider_back():
    session = after([RED, sessions.Look((("slider", 0.2), ("chosen", 3)))])
    assert len(session.operations) == 1
    assert after([LINE], session).view == sessions.View(chosen=3)
    assert after([sessions.Restart(1)], session).view == sessions.View()


def test_the_stroke_under_the_pen_lies_on_top_until_it_is_done():
    session = after([RED, sessions.Live(LINE)])
    assert sessions.strokes(session) == (RED, LINE) and session.cursor == 1
    assert sessions.strokes(after([LINE], session)) == (RED, LINE)
    assert sessions.strokes(after([sessions.Live(None)], session)) == (RED,)


def test_sessions_have_limits(monkeypatch):
    warp = sessions.Stroke(document.Warp((1.0, 1.0), (2.0, 2.0), 3.0))
    monkeypatch.setattr(sessions, "MAX_WARPS", 2)
    with pytest.raises(jgan.UserError, match="at most 2 warps"):
        after([warp] * 3)
    monkeypatch.setattr(sessions, "MAX_OPERATIONS", 3)
    with pytest.raises(jgan.UserError, match="at most 3 steps"):
        after([RED] * 4)
    monkeypatch.setattr(sessions, "MAX_NUMBERS", 5)
    with pytest.raises(jgan.UserError, match="5 numbers"):
        after([LINE] * 2)
    monkeypatch.setattr(document, "MAX_POINTS", 1)
    with pytest.raises(jgan.UserError, match="1 points"):
        after([sessions.Live(LINE)])


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({"format": "other"}, "no session"),
        ({"version": 2}, "version 2"),
        ({"space": "w_plus"}, "the editor works in 'z'"),
        ({"cursor": 2}, "from 0 to 1"),
        ({"extra": 1}, "unknown field"),
        (
            {
                "ops": [
                    {
                        "op": "open",
                        "photo": "../x",
                        "name": "a",
                        "size": [2, 2],
                        "box": [0, 0, 2],
                        "latent": [1],
                    }
                ]
            },
            "letters, digits",
        ),
        (
            {
                "ops": [
                    {
                        "op": "open",
                        "photo": "x",
                        "name": "a",
                        "size": [2, 4],
                        "box": [0, 0, 2],
                        "latent": [1],
                    }
                ]
            },
            "no view of a photo",
        ),
        ({"photos": {"a": {"name": "a", "data": "*"}}}, "base64"),
    ],
)
def test_sessions_that_are_refused(changes, sentence):
    tree = json.loads(json.dumps(session_file.dump(after([RED]), "z"))) | changes
    with pytest.raises(jgan.UserError, match=sentence):
        session_file.load(tree, "z")


@pytest.mark.parametrize(
    "text", ["{", b"\xff", "[" * 100_000, '{"format": "jgan-session", "version": 1e999}']
)
def test_texts_that_are_no_session(text):
    with pytest.raises(jgan.UserError):
        session_file.parse(text)
