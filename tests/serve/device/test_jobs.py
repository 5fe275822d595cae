"""The engine's jobs: photos, films and edits beside the painting, and programs that are there or not."""

import dataclasses
import threading
import time

import numpy as np
import pytest

import jgan
from jgan.data import images
from jgan.latent import constraints
from jgan.latent import document
from jgan.serve import session as sessions
from jgan.serve.device import engine as engine_lib
from jgan.serve.device import work
from tests.serve.device import pages


@pytest.fixture(scope="module")
def run(latent_run):
    return latent_run()


def photo():
    return np.random.default_rng(0).integers(0, 256, (20, 30, 3)).astype(np.uint8)


def opened(engine, client):
    """A client with a photo open, and what is known of the photo."""
    told = []
    found = engine.submit(work.Project(photo()), told.append).result(pages.WAIT)
    assert told == sorted(told) and told[-1] == 1.0 and len(told) > 3
    client.do(sessions.Open("p", "photo.png", found.size, found.box, found.latent))
    return found


def test_a_photo_is_projected_opened_edited_and_given_back(client, engine):
    found = opened(engine, client)
    frame = client.wait(lambda f: f.ground == client.session.drawing.ground)
    np.testing.assert_allclose(frame.pad.astype(float), found.reconstruction, atol=2)
    client.do(sessions.Stroke(document.Colour(((15.0, 10.0),), 8.0, (255.0, 0.0, 0.0))))
    rest = client.settled()
    film = engine.submit(work.Film(client.key, frames=4)).result(pages.WAIT)
    np.testing.assert_allclose(film[0].astype(float), found.reconstruction, atol=2)
    np.testing.assert_allclose(film[-1].astype(float), rest.pad, atol=1)
    exported = engine.submit(work.Export(client.key)).result(pages.WAIT)
    np.testing.assert_array_equal(exported.images, rest.images)
    assert exported.latents.shape == (len(rest.ids), 5) and exported.given == {}


def test_a_second_photo_is_put_in_where_the_mask_is(client, engine):
    """The paste is one photo outside of the mask and the other inside, and what is found is near it."""
    found = opened(engine, client)
    other = np.full((20, 20, 3), (20, 200, 40), np.uint8)
    second = engine.submit(work.Project(other)).result(pages.WAIT)
    client.do(sessions.Second("q", "green.png", second.size, second.box, second.latent))
    # The right half of the photo: its square view is the whole width.
    client.do(sessions.Stroke(document.Mask(((24.0, 0.0), (24.0, 20.0)), 12.0)))
    assert not sessions.strokes(client.session)
    assert engine.programs.get("cross") is None  # nobody waits for it at the opening of a page
    made = engine.submit(work.Crossover((photo(), other), client.session.drawing)).result(pages.WAIT)
    compiled = engine.programs.get("cross")
    pasted = made.pasted.astype(float)
    assert pasted.shape == (16, 16, 3) and len(made.latent) == 5
    np.testing.assert_allclose(pasted[6:10, 13:], np.broadcast_to((20, 200, 40), (4, 3, 3)), atol=2)
    alone = sessions.Drawing(photo=client.session.drawing.photo, second=client.session.drawing.second)
    corner = dataclasses.replace(
        alone, size=(20, 30), strokes=((0, sessions.Stroke(document.Mask(((30.0, 20.0),), 1.0))),)
    )
    nearly = engine.submit(work.Crossover((photo(), other), corner)).result(pages.WAIT)
    assert engine.programs.get("cross") is compiled is not None
    framed = nearly.pasted.astype(float)
    np.testing.assert_allclose(pasted[6:10, :6], framed[6:10, :6], atol=2)
    with pytest.raises(jgan.UserError, match="nothing is masked"):
        engine.submit(work.Crossover((photo(), other), dataclasses.replace(alone, size=(20, 30)))).result(
            pages.WAIT
        )
    with pytest.raises(jgan.UserError, match="a first and a second"):
        engine.submit(work.Crossover((photo(), other), sessions.Drawing())).result(pages.WAIT)
    # What is found is drawn as the latent's image, and a slider goes on from there.
    client.do(sessions.Fix(made.latent))
    frame = client.wait(lambda f: f.ground == client.session.drawing.ground)
    np.testing.assert_allclose(frame.pad.astype(float), made.image, atol=2)
    assert found.latent != made.latent


@pytest.mark.slow
def test_an_edit_is_done_to_the_photo(client, engine):
    opened(engine, client)
    client.do(sessions.Stroke(document.Colour(((15.0, 10.0),), 8.0, (255.0, 0.0, 0.0))))
    client.settled()
    alpha = np.full((20, 30, 1), 255, np.uint8)
    alpha[:3] = 90
    given = images.Picture(photo(), alpha)
    made = engine.submit(work.Transfer(client.key, given, frames=3)).result(10 * pages.WAIT)
    np.testing.assert_array_equal(made.photo[..., 3:], alpha)
    assert made.photo.shape == (20, 30, 4) and made.photo.dtype == np.uint8 and len(made.film) == 3
    before, after = (x[8:12, 13:17, 0].astype(float).mean() for x in (photo(), made.photo))
    assert after > before


def test_a_film_between_two_latents(engine):
    film = engine.submit(work.Between((0.5,) * 5, (-0.5,) * 5, 3)).result(pages.WAIT)
    assert film.shape == (3, 16, 16, 3) and np.abs(film[0].astype(float) - film[2]).mean() > 1


def test_an_edit_without_a_session(engine):
    drawn = document.Document("z", (16, 16), (document.Colour(((8.0, 8.0),), 6.0, (255.0, 0.0, 0.0)),))
    made = engine.submit(work.Edit(drawn, seed=3)).result(pages.WAIT)
    assert np.all(np.diff(made.costs) >= 0) and len(made.images) == len(made.latents)
    assert not any(key.startswith("edit-") for key in engine._searches)
    wide = engine.submit(work.Edit(drawn._replace(size=(16, 32))))
    with pytest.raises(jgan.UserError, match="proportions"):
        wide.result(pages.WAIT)


def test_jobs_that_fail_say_so_and_the_engine_goes_on(engine, client):
    class Wrong:
        def parts(self, engine):
            yield 0.5
            raise RuntimeError("a fault")

    with pytest.raises(jgan.UserError, match="the job failed"):
        engine.submit(Wrong()).result(pages.WAIT)
    with pytest.raises(jgan.UserError, match="nothing has been shown"):
        engine.submit(work.Film("nobody")).result(pages.WAIT)
    with pytest.raises(jgan.UserError, match="no photo is open"):
        engine.submit(work.Transfer(client.key, photo())).result(pages.WAIT)
    with pytest.raises(jgan.UserError, match="x.png of 1 x 900 pixels .* too narrow"):
        narrow = images.Picture(np.zeros((1, 900, 3), np.uint8), name="x.png")
        engine.submit(work.Project(narrow)).result(pages.WAIT)
    with pytest.raises(jgan.UserError, match="x.tif has 6 channels and the run takes 3"):
        bands = images.Picture(np.zeros((20, 30, 6), np.uint8), name="x.tif")
        engine.submit(work.Project(bands)).result(pages.WAIT)
    client.do(pages.RED)
    client.settled()


def test_painting_goes_on_beside_a_job(engine, client):
    halt = threading.Event()

    class Long:
        def parts(self, engine):
            while not halt.is_set():
                time.sleep(0.01)
                yield 0.5

    future = engine.submit(Long())
    client.do(pages.RED)
    client.settled()
    assert not future.done()
    halt.set()
    future.result(pages.WAIT)


@pytest.mark.slow
def test_realism_is_asked_for_once_it_is_compiled(client):
    client.do(sessions.Weigh(constraints.Weights(realism=1.0)), pages.RED)
    frame = client.wait(lambda f: f.costs[0]["realism"] > 0)
    costs = frame.costs[0]
    total = costs["colour"] + 0.2 * costs["sketch"] + costs["realism"]
    np.testing.assert_allclose(costs["total"], total, rtol=1e-3)


def test_a_program_that_cannot_be_compiled_is_tried_once(run, monkeypatch, caplog):
    engine = engine_lib.Engine(run, candidates=2, lanes=(1,))
    tries = []

    def broken():
        tries.append(1)
        raise RuntimeError("no memory")

    monkeypatch.setitem(engine.programs._sources, "project", broken)
    monkeypatch.setattr(engine.programs, "_queue", ["project"])
    engine.programs.start()
    end = time.monotonic() + pages.WAIT
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
        future.result(pages.WAIT)
    assert not engine._thread.is_alive()
