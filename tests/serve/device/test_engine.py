"""The engine: what is drawn is followed, by all sessions alike; what goes wrong with one stays with it."""

import collections
import dataclasses
import time

import numpy as np
import pytest

import jgan
from jgan.latent import candidates
from jgan.latent import constraints
from jgan.latent import document
from jgan.serve import session as sessions
from jgan.serve.device import engine as engine_lib
from jgan.serve.device import search
from jgan.serve.web import kept
from tests.serve import fakes
from tests.serve.device import pages


@pytest.fixture(scope="module")
def run(latent_run):
    return latent_run()


def test_the_engine_and_its_stand_in_are_what_the_server_uses(engine):
    assert isinstance(engine, kept.Engine) and isinstance(fakes.Engine(), kept.Engine)


def test_candidates_follow_a_stroke_and_come_to_rest(client):
    assert client.first.iteration == 0 and client.first.images.dtype == np.uint8
    client.do(pages.RED)
    rest = client.settled()
    assert rest.iteration == search.ITERATIONS and rest.images.shape[1:] == (16, 16, 3)
    total = [costs["total"] for costs in rest.costs]
    assert total == sorted(total) and len(set(rest.ids)) == len(rest.ids) == len(rest.images)
    np.testing.assert_array_equal(rest.pad, rest.images[0])

    def error(images):
        return np.mean(np.square(images[:, 6, 8] / 255 - [1, 0, 0]))

    assert error(rest.images) < error(client.first.images)
    # Nothing changes, nothing comes.
    time.sleep(0.2)
    assert client.frames.empty()


def test_what_is_not_shown_begins_anew_once(client, engine, monkeypatch):
    """Two that begin alike: one of them goes elsewhere, and its way is its own."""
    name, asked_for, seen = ("slice", 1, False), [], []
    made = engine.programs.get(name)

    def twins(weights, states, asked):
        if not asked_for:
            states = (dataclasses.replace(states[0], u=states[0].u.at[2].set(states[0].u[1])),)
        asked_for.append(bool(asked[0].refill.any()))
        result = made(weights, states, asked)
        seen.append(result[0][1].shown)
        return result

    monkeypatch.setitem(engine.programs._made, name, twins)
    client.do(pages.RED)
    client.settled()
    assert np.flatnonzero(asked_for) == [candidates.REFILL - 1] and len(asked_for) == search.ITERATIONS
    kept = np.asarray(candidates.shows(seen[candidates.REFILL - 1], 4))
    ages = engine.seen(client.key).sight.ages
    np.testing.assert_array_equal(
        ages, np.where(kept, search.ITERATIONS, search.ITERATIONS - candidates.REFILL)
    )
    assert kept.sum() > 0 and not kept[[1, 2]].all()
    gone = 1 if not kept[1] else 2
    path, sight = engine.seen(client.key).path(gone), engine.seen(client.key).sight
    np.testing.assert_array_equal(path[0], sight.begin[gone])
    assert len(path) < len(engine.seen(client.key).path(int(np.argmax(kept))))


def test_undo_of_the_only_stroke_shows_the_beginning_again(client):
    client.do(pages.RED)
    client.settled()
    client.do(sessions.Undo())
    again = client.settled()
    assert again.iteration == 0
    np.testing.assert_array_equal(again.pad, client.first.pad)
    client.do(sessions.Redo())
    assert client.settled().iteration == search.ITERATIONS


def test_looking_costs_no_iterations(client):
    client.do(pages.RED)
    rest = client.settled()
    other = rest.ids[-1]
    client.do(sessions.Look((("chosen", other),)))
    chosen = client.wait(lambda f: f.chosen == other)
    np.testing.assert_array_equal(chosen.pad, rest.images[-1])
    client.do(sessions.Look((("cursor", (3.0, 3.0)),)))  # of which nothing is to be seen
    client.do(sessions.Look((("slider", 0.0),)))
    begin = client.wait(lambda f: f.slider == 0.0)
    client.do(sessions.Look((("slider", 1.0),)))
    end = client.wait(lambda f: f.slider == 1.0)
    np.testing.assert_allclose(end.pad.astype(float), chosen.pad, atol=1)
    assert np.abs(begin.pad.astype(float) - end.pad).mean() > 1
    client.do(sessions.Look((("average", True), ("slider", None))))
    mean = client.wait(lambda f: f.slider is None)
    assert np.abs(mean.pad.astype(float) - rest.images.mean(0)).mean() < 40
    client.do(sessions.Look((("shadow", True), ("cursor", (0.0, 0.0)))))
    shadow = client.wait(lambda f: not np.array_equal(f.pad, mean.pad))
    assert shadow.pad[-4:, -4:].mean() > mean.pad[-4:, -4:].mean()  # white away from the pointer
    assert shadow.iteration == rest.iteration and not shadow.moving


def test_what_is_fixed_is_what_was_seen(client, engine):
    client.do(pages.RED)
    rest = client.settled()
    latent = engine.latent(client.key, rest.ids[1])
    client.do(engine_lib.session_file.Choice(rest.ids[1]))
    assert client.session.drawing.anchor == latent
    begun = client.wait(lambda f: f.ground == client.session.drawing.ground)
    if begun.iteration == 0:
        np.testing.assert_allclose(begun.pad.astype(float), rest.images[1], atol=1)
    client.settled()


def test_a_warp_keeps_the_patch_it_began_with(client, engine):
    client.do(pages.RED)
    client.settled()
    client.do(sessions.Look((("slider", 0.5),)))
    client.wait(lambda f: f.slider == 0.5)
    shown = engine.latent(client.key)
    warp = document.Warp((100.0, 100.0), (150.0, 100.0), 96.0)
    client.do(sessions.Live(sessions.Stroke(warp)))
    client.wait(lambda f: f.moving)
    client.do(sessions.Live(sessions.Stroke(warp._replace(target=(160.0, 100.0)))))
    client.do(sessions.Stroke(warp._replace(target=(170.0, 100.0))))
    assert client.session.drawing.strokes[-1][1].latent == shown
    client.settled()


def test_frames_wait_for_the_client_and_the_newest_wins(engine):
    client = pages.Client(engine, "slow", eager=False)
    client.wait(lambda f: True)
    client.do(pages.RED)
    engine.ready("slow")
    client.wait(lambda f: f.iteration > 0)
    end = time.monotonic() + pages.WAIT
    while engine._searches["slow"].left and time.monotonic() < end:
        time.sleep(0.01)
    assert client.frames.empty()
    engine.ready("slow")
    assert client.wait(lambda f: True).iteration == search.ITERATIONS
    # A client that comes back gets the present frame at once, of a session that went on.
    engine.detach("slow")
    again = pages.Client(engine, "slow", client.session)
    assert again.wait(lambda f: True).iteration == search.ITERATIONS
    engine.close("slow")


def test_sessions_are_followed_alike_and_as_if_alone(engine):
    """Three at once, two of them in one program: frames come to all, and each finds what it finds alone."""
    alone = pages.Client(engine, "alone")
    alone.wait(lambda f: True)
    alone.do(pages.RED)
    expected = alone.settled()
    engine.close("alone")
    clients = [pages.Client(engine, f"many{k}") for k in range(3)]
    for client in clients:
        client.wait(lambda f: True)
    for client in clients:
        client.do(pages.RED)
    counts = collections.Counter()
    for client in clients:
        while not (frame := client.frames.get(timeout=pages.WAIT)).iteration == search.ITERATIONS:
            counts[client.key] += 1
        np.testing.assert_allclose(frame.images[0].astype(float), expected.images[0], atol=3)
        engine.close(client.key)
    assert max(counts.values()) < 2 * min(counts.values())


def test_one_session_that_fails_begins_anew_and_others_go_on(engine, monkeypatch):
    bad, good = pages.Client(engine, "bad"), pages.Client(engine, "good")
    for client in (bad, good):
        client.wait(lambda f: True)
    ask = search.Search.ask

    def failing(self, *arguments):
        if self.taken is not None and pages.BLUE in sessions.strokes(self.taken):
            raise RuntimeError("a fault")
        ask(self, *arguments)

    monkeypatch.setattr(search.Search, "ask", failing)
    bad.do(pages.BLUE)
    good.do(pages.RED)
    good.settled()
    bad.do(sessions.Undo())
    bad.do(pages.RED)
    assert bad.settled().problem == ""
    engine.close("bad"), engine.close("good")


@pytest.mark.filterwarnings("ignore:overflow")
def test_costs_that_are_not_finite_are_not_shown(engine):
    client = pages.Client(engine, "infinite")
    client.wait(lambda f: True)
    client.do(sessions.Weigh(constraints.Weights(colour=float("1e39"))), pages.RED)  # beyond float32
    time.sleep(0.5)
    client.do(sessions.Weigh(constraints.Weights()))
    rest = client.settled()
    assert all(np.isfinite(costs["total"]) for costs in rest.costs)
    engine.close("infinite")


def test_a_stroke_that_cannot_be_is_named_and_left_out(client):
    far = sessions.Stroke(document.Warp((1.0, 1.0), (383.0, 383.0), 96.0))
    client.do(pages.RED, far)
    rest = client.settled()
    assert "no common part" in rest.problem and rest.iteration == search.ITERATIONS


def test_a_slider_moves_what_is_on_the_pad(run):
    """Of an engine that compiles nothing: the base is what was shown, and stays while sliders move."""
    along = np.float32([0, 0, 1, 0, 0])
    engine = engine_lib.Engine(run, candidates=4, lanes=(1,), directions={"up": along})
    engine.latent = lambda key, candidate=None: (0.5,) * 5
    session, ask = sessions.Session(), engine_lib.session_file.Steering
    for value, expected in ((0.25, 0.75), (-0.5, 0.0)):
        event = engine.complete("key", session, ask((("along_up", value),)))
        assert event.base == ((0.5,) * 5 if value == 0.25 else None)
        session = sessions.reduce(session, event)
        np.testing.assert_allclose(session.drawing.anchor, [0.5, 0.5, expected, 0.5, 0.5], atol=1e-6)
    with pytest.raises(jgan.UserError, match="no slider 'down'"):
        engine.complete("key", session, ask((("down", 1.0),)))
    engine.check(session)
    short = sessions.Steer((0.5,) * 5, (), (0.5,) * 4)
    with pytest.raises(jgan.UserError, match="a latent of 4 numbers"):
        engine.check(sessions.reduce(sessions.Session(), short))


def test_there_are_only_so_many_sessions_and_latents_have_to_fit(engine):
    other = sessions.reduce(sessions.Session(), sessions.Fix((0.0,) * 7))
    with pytest.raises(jgan.UserError, match="7 numbers; those of this run have 5"):
        engine.open("other", other, print)
    keys = [f"full{k}" for k in range(engine_lib.MAX_SESSIONS - len(engine._searches))]
    for key in keys:
        engine.open(key, sessions.Session(), lambda frame: None)
    with pytest.raises(jgan.UserError, match="try again later"):
        engine.open("one too many", sessions.Session(), print)
    for key in keys:
        engine.close(key)
    assert not any(key in engine._searches for key in keys)


def test_points_along_a_path_are_equal_distances_apart():
    path = np.float32([[0, 0], [3, 0], [3, 1]])
    np.testing.assert_allclose(search.along(path, [0, 0.5, 0.75, 1]), [[0, 0], [2, 0], [3, 0], [3, 1]])
    np.testing.assert_array_equal(search.along(path[[0, 0]], [0.3]), path[:1])
