"""The engine: what is drawn is followed, by all sessions alike; what goes wrong with one stays with it."""

import collections
import dataclasses
import queue
import threading
import time

import numpy as np
import pytest

import jgan
from jgan.data import images
from jgan.latent import candidates
from jgan.latent import constraints
from jgan.latent import document
from jgan.serve import session as sessions
from jgan.serve.device import engine as engine_lib
from jgan.serve.device import search
from jgan.serve.device import work
from jgan.serve.web import kept
from tests.serve import fakes

WAIT = 300  # seconds, for a machine that is busy

RED = sessions.Stroke(document.Colour(((100.0, 100.0), (300.0, 200.0)), 80.0, (255.0, 0.0, 0.0)))
BLUE = sessions.Stroke(document.Colour(((200.0, 300.0),), 90.0, (0.0, 0.0, 255.0)))


@pytest.fixture(scope="module")
def run(latent_run):
    return latent_run()


@pytest.fixture(scope="module")
def engine(run):
    engine = engine_lib.Engine(run, candidates=4, lanes=(1, 2))
    engine.start()
    yield engine
    engine.stop()


class Client:
    """A page that takes frames as fast as they come, unless it is told not to."""

    def __init__(self, engine, key, session=None, eager=True):
        self.engine, self.key, self.eager = engine, key, eager
        self.session = session or sessions.Session()
        self.frames = queue.Queue()
        engine.open(key, self.session, self.deliver)

    def deliver(self, frame):
        self.frames.put(frame)
        if self.eager:
            self.engine.ready(self.key)

    def do(self, *events):
        for event in events:
            self.session = sessions.reduce(self.session, self.engine.complete(self.key, self.session, event))
        self.engine.update(self.key, self.session)

    def wait(self, true):
        """The first frame for which something is true."""
        end = time.monotonic() + WAIT
        while True:
            frame = self.frames.get(timeout=max(0.01, end - time.monotonic()))
            if true(frame):
                return frame

    def settled(self):
        """The frame at rest of the drawing as it is now."""
        return self.wait(lambda f: f.version == self.session.drawing.version and not f.moving)


@pytest.fixture
def client(engine, request):
    client = Client(engine, request.node.name)
    client.first = client.wait(lambda f: True)
    yield client
    engine.close(client.key)


def test_the_engine_and_its_stand_in_are_what_the_server_uses(engine):
    assert isinstance(engine, kept.Engine) and isinstance(fakes.Engine(), kept.Engine)


def test_candidates_follow_a_stroke_and_come_to_rest(client):
    assert client.first.iteration == 0 and client.first.images.dtype == np.uint8
    client.do(RED)
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
    client.do(RED)
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
    client.do(RED)
    client.settled()
    client.do(sessions.Undo())
    again = client.settled()
    assert again.iteration == 0
    np.testing.assert_array_equal(again.pad, client.first.pad)
    client.do(sessions.Redo())
    assert client.settled().iteration == search.ITERATIONS


def test_looking_costs_no_iterations(client):
    client.do(RED)
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
    client.do(RED)
    rest = client.settled()
    latent = engine.latent(client.key, rest.ids[1])
    client.do(engine_lib.session_file.Choice(rest.ids[1]))
    assert client.session.drawing.anchor == latent
    begun = client.wait(lambda f: f.ground == client.session.drawing.ground)
    if begun.iteration == 0:
        np.testing.assert_allclose(begun.pad.astype(float), rest.images[1], atol=1)
    client.settled()


def test_a_warp_keeps_the_patch_it_began_with(client, engine):
    client.do(RED)
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
    client = Client(engine, "slow", eager=False)
    client.wait(lambda f: True)
    client.do(RED)
    engine.ready("slow")
    client.wait(lambda f: f.iteration > 0)
    end = time.monotonic() + WAIT
    while engine._searches["slow"].left and time.monotonic() < end:
        time.sleep(0.01)
    assert client.frames.empty()
    engine.ready("slow")
    assert client.wait(lambda f: True).iteration == search.ITERATIONS
    # A client that comes back gets the present frame at once, of a session that went on.
    engine.detach("slow")
    again = Client(engine, "slow", client.session)
    assert again.wait(lambda f: True).iteration == search.ITERATIONS
    engine.close("slow")


def test_sessions_are_followed_alike_and_as_if_alone(engine):
    """Three at once, two of them in one program: frames come to all, and each finds what it finds alone."""
    alone = Client(engine, "alone")
    alone.wait(lambda f: True)
    alone.do(RED)
    expected = alone.settled()
    engine.close("alone")
    clients = [Client(engine, f"many{k}") for k in range(3)]
    for client in clients:
        client.wait(lambda f: True)
    for client in clients:
        client.do(RED)
    counts = collections.Counter()
    for client in clients:
        while not (frame := client.frames.get(timeout=WAIT)).iteration == search.ITERATIONS:
            counts[client.key] += 1
        np.testing.assert_allclose(frame.images[0].astype(float), expected.images[0], atol=3)
        engine.close(client.key)
    assert max(counts.values()) < 2 * min(counts.values())


def test_one_session_that_fails_begins_anew_and_others_go_on(engine, monkeypatch):
    bad, good = Client(engine, "bad"), Client(engine, "good")
    for client in (bad, good):
        client.wait(lambda f: True)
    ask = search.Search.ask

    def failing(self, *arguments):
        if self.taken is not None and BLUE in sessions.strokes(self.taken):
            raise RuntimeError("a fault")
        ask(self, *arguments)

    monkeypatch.setattr(search.Search, "ask", failing)
    bad.do(BLUE)
    good.do(RED)
    good.settled()
    bad.do(sessions.Undo())
    bad.do(RED)
    assert bad.settled().problem == ""
    engine.close("bad"), engine.close("good")


@pytest.mark.filterwarnings("ignore:overflow")
def test_costs_that_are_not_finite_are_not_shown(engine):
    client = Client(engine, "infinite")
    client.wait(lambda f: True)
    client.do(sessions.Weigh(constraints.Weights(colour=float("1e39"))), RED)  # beyond float32
    time.sleep(0.5)
    client.do(sessions.Weigh(constraints.Weights()))
    rest = client.settled()
    assert all(np.isfinite(costs["total"]) for costs in rest.costs)
    engine.close("infinite")


def test_a_stroke_that_cannot_be_is_named_and_left_out(client):
    far = sessions.Stroke(document.Warp((1.0, 1.0), (383.0, 383.0), 96.0))
    client.do(RED, far)
    rest = client.settled()
    assert "no common part" in rest.problem and rest.iteration == search.ITERATIONS


@pytest.mark.slow
def test_realism_is_asked_for_once_it_is_compiled(client):
    client.do(sessions.Weigh(constraints.Weights(realism=1.0)), RED)
    frame = client.wait(lambda f: f.costs[0]["realism"] > 0)
    costs = frame.costs[0]
    total = costs["colour"] + 0.2 * costs["sketch"] + costs["realism"]
    np.testing.assert_allclose(costs["total"], total, rtol=1e-3)


def photo():
    return np.random.default_rng(0).integers(0, 256, (20, 30, 3)).astype(np.uint8)


def opened(engine, client):
    """A client with a photo open, and what is known of the photo."""
    told = []
    found = engine.submit(work.Project(photo()), told.append).result(WAIT)
    assert told == sorted(told) and told[-1] == 1.0 and len(told) > 3
    client.do(sessions.Open("p", "photo.png", found.size, found.box, found.latent))
    return found


def test_a_photo_is_projected_opened_edited_and_given_back(client, engine):
    found = opened(engine, client)
    frame = client.wait(lambda f: f.ground == client.session.drawing.ground)
    np.testing.assert_allclose(frame.pad.astype(float), found.reconstruction, atol=2)
    client.do(sessions.Stroke(document.Colour(((15.0, 10.0),), 8.0, (255.0, 0.0, 0.0))))
    rest = client.settled()
    film = engine.submit(work.Film(client.key, frames=4)).result(WAIT)
    np.testing.assert_allclose(film[0].astype(float), found.reconstruction, atol=2)
    np.testing.assert_allclose(film[-1].astype(float), rest.pad, atol=1)
    exported = engine.submit(work.Export(client.key)).result(WAIT)
    np.testing.assert_array_equal(exported.images, rest.images)
    assert exported.latents.shape == (len(rest.ids), 5) and exported.given == {}


def test_a_second_photo_is_put_in_where_the_mask_is(client, engine):
    """The paste is one photo outside of the mask and the other inside, and what is found is near it."""
    found = opened(engine, client)
    other = np.full((20, 20, 3), (20, 200, 40), np.uint8)
    second = engine.submit(work.Project(other)).result(WAIT)
    client.do(sessions.Second("q", "green.png", second.size, second.box, second.latent))
    # The right half of the photo: its square view is the whole width.
    client.do(sessions.Stroke(document.Mask(((24.0, 0.0), (24.0, 20.0)), 12.0)))
    assert not sessions.strokes(client.session)
    assert engine.programs.get("cross") is None  # nobody waits for it at the opening of a page
    made = engine.submit(work.Crossover((photo(), other), client.session.drawing)).result(WAIT)
    compiled = engine.programs.get("cross")
    pasted = made.pasted.astype(float)
    assert pasted.shape == (16, 16, 3) and len(made.latent) == 5
    np.testing.assert_allclose(pasted[6:10, 13:], np.broadcast_to((20, 200, 40), (4, 3, 3)), atol=2)
    alone = sessions.Drawing(photo=client.session.drawing.photo, second=client.session.drawing.second)
    corner = dataclasses.replace(
        alone, size=(20, 30), strokes=((0, sessions.Stroke(document.Mask(((30.0, 20.0),), 1.0))),)
    )
    nearly = engine.submit(work.Crossover((photo(), other), corner)).result(WAIT)
    assert engine.programs.get("cross") is compiled is not None
    framed = nearly.pasted.astype(float)
    np.testing.assert_allclose(pasted[6:10, :6], framed[6:10, :6], atol=2)
    with pytest.raises(jgan.UserError, match="nothing is masked"):
        engine.submit(work.Crossover((photo(), other), dataclasses.replace(alone, size=(20, 30)))).result(
            WAIT
        )
    with pytest.raises(jgan.UserError, match="a first and a second"):
        engine.submit(work.Crossover((photo(), other), sessions.Drawing())).result(WAIT)
    # What is found is drawn as the latent's image, and a slider goes on from there.
    client.do(sessions.Fix(made.latent))
    frame = client.wait(lambda f: f.ground == client.session.drawing.ground)
    np.testing.assert_allclose(frame.pad.astype(float), made.image, atol=2)
    assert found.latent != made.latent


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


@pytest.mark.slow
def test_an_edit_is_done_to_the_photo(client, engine):
    opened(engine, client)
    client.do(sessions.Stroke(document.Colour(((15.0, 10.0),), 8.0, (255.0, 0.0, 0.0))))
    client.settled()
    alpha = np.full((20, 30, 1), 255, np.uint8)
    alpha[:3] = 90
    given = images.Picture(photo(), alpha)
    made = engine.submit(work.Transfer(client.key, given, frames=3)).result(10 * WAIT)
    np.testing.assert_array_equal(made.photo[..., 3:], alpha)
    assert made.photo.shape == (20, 30, 4) and made.photo.dtype == np.uint8 and len(made.film) == 3
    before, after = (x[8:12, 13:17, 0].astype(float).mean() for x in (photo(), made.photo))
    assert after > before


def test_a_film_between_two_latents(engine):
    film = engine.submit(work.Between((0.5,) * 5, (-0.5,) * 5, 3)).result(WAIT)
    assert film.shape == (3, 16, 16, 3) and np.abs(film[0].astype(float) - film[2]).mean() > 1


def test_an_edit_without_a_session(engine):
    drawn = document.Document("z", (16, 16), (document.Colour(((8.0, 8.0),), 6.0, (255.0, 0.0, 0.0)),))
    made = engine.submit(work.Edit(drawn, seed=3)).result(WAIT)
    assert np.all(np.diff(made.costs) >= 0) and len(made.images) == len(made.latents)
    assert not any(key.startswith("edit-") for key in engine._searches)
    wide = engine.submit(work.Edit(drawn._replace(size=(16, 32))))
    with pytest.raises(jgan.UserError, match="proportions"):
        wide.result(WAIT)


def test_jobs_that_fail_say_so_and_the_engine_goes_on(engine, client):
    class Wrong:
        def parts(self, engine):
            yield 0.5
            raise RuntimeError("a fault")

    with pytest.raises(jgan.UserError, match="the job failed"):
        engine.submit(Wrong()).result(WAIT)
    with pytest.raises(jgan.UserError, match="nothing has been shown"):
        engine.submit(work.Film("nobody")).result(WAIT)
    with pytest.raises(jgan.UserError, match="no photo is open"):
        engine.submit(work.Transfer(client.key, photo())).result(WAIT)
    with pytest.raises(jgan.UserError, match="x.png of 1 x 900 pixels .* too narrow"):
        narrow = images.Picture(np.zeros((1, 900, 3), np.uint8), name="x.png")
        engine.submit(work.Project(narrow)).result(WAIT)
    with pytest.raises(jgan.UserError, match="x.tif has 6 channels and the run takes 3"):
        bands = images.Picture(np.zeros((20, 30, 6), np.uint8), name="x.tif")
        engine.submit(work.Project(bands)).result(WAIT)
    client.do(RED)
    client.settled()


def test_painting_goes_on_beside_a_job(engine, client):
    halt = threading.Event()

    class Long:
        def parts(self, engine):
            while not halt.is_set():
                time.sleep(0.01)
                yield 0.5

    future = engine.submit(Long())
    client.do(RED)
    client.settled()
    assert not future.done()
    halt.set()
    future.result(WAIT)


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


def test_a_program_that_cannot_be_compiled_is_tried_once(run, monkeypatch, caplog):
    engine = engine_lib.Engine(run, candidates=2, lanes=(1,))
    tries = []

    def broken():
        tries.append(1)
        raise RuntimeError("no memory")

    monkeypatch.setitem(engine.programs._sources, "project", broken)
    monkeypatch.setattr(engine.programs, "_queue", ["project"])
    engine.programs.start()
    end = time.monotonic() + WAIT
    while "project" not in engine.programs.failed and time.monotonic() < end:
        time.sleep(0.01)
    with pytest.raises(jgan.UserError, match="could not be compiled"):
        next(engine.program("project"))
    engine.programs.stop()
    assert len(tries) == 1 and engine.status().state == "loading"


def test_an_engine_that_is_stopped_leaves_no_thread_and_no_promise(run):
    engine = engine_lib.Engine(run, candidates=2, lanes=(1,))
    engine.start()
    future = engine.submit(work.Project(photo()))
    engine.stop()
    with pytest.raises(jgan.UserError, match="shut down"):
        future.result(WAIT)
    assert not engine._thread.is_alive()


def test_points_along_a_path_are_equal_distances_apart():
    path = np.float32([[0, 0], [3, 0], [3, 1]])
    np.testing.assert_allclose(search.along(path, [0, 0.5, 0.75, 1]), [[0, 0], [2, 0], [3, 0], [3, 1]])
    np.testing.assert_array_equal(search.along(path[[0, 0]], [0.3]), path[:1])
