"""An engine of a conditional GAN: what a session gives to its controls, and that no value compiles anything."""

import queue
import time

import jax
import numpy as np
import pytest

from configs import cgan
from jgan import trained
from jgan.data import images
from jgan.latent import document
from jgan.serve import session as sessions
from jgan.serve.device import engine as engine_lib
from jgan.serve.device import work
from tests.initial_weights import quick_init

WAIT = 300  # seconds, for a machine that is busy
RED = sessions.Stroke(document.Colour(((100.0, 100.0), (300.0, 200.0)), 80.0, (255.0, 0.0, 0.0)))
SECOND = sessions.Give("label", "two")


@pytest.fixture(scope="module")
def run():
    config = cgan.get_config("tiny")
    config.data.channels, config.data.names = (3,), ("one", "two", "three")
    system = trained.SYSTEMS["cgan"](config)
    state = quick_init(system.init)(
        jax.random.key(0), {"images": np.zeros((2, 16, 16, 3), np.uint8), "label": np.zeros(2, np.int32)}
    )
    weights = jax.device_get(state.weights())
    # An untrained generator shows next to nothing; with larger kernels its images differ.
    weights["params"]["generator"] = jax.tree.map(
        lambda x: 20 * x if x.ndim > 1 else x, weights["params"]["generator"]
    )
    return trained.Run(config, config.steps, system, weights)


@pytest.fixture(scope="module")
def engine(run):
    engine = engine_lib.Engine(run, candidates=4, lanes=(1, 2))
    engine.start()
    yield engine
    engine.stop()


@pytest.fixture
def draw(run):
    """`(latent, **given) -> image` uint8 by the way itself, without the editor."""

    def image(latent, label=0, truncation=1.0):
        way = run.way()
        inputs = {
            "z": np.float32([latent]),
            "label": np.int32([label]),
            "truncation": np.float32([truncation]),
        }
        made = way.run(run.weights, inputs, jax.random.key(0), statistics="running")["output"][0]
        return np.clip(np.rint((np.asarray(made) + 1) * 127.5), 0, 255)

    return image


def until(true):
    end = time.monotonic() + WAIT
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


class Page:
    """A session and the frames that come of it."""

    def __init__(self, engine, key):
        self.engine, self.key, self.session = engine, key, sessions.Session()
        self.frames = queue.Queue()
        engine.open(key, self.session, self.deliver)

    def deliver(self, frame):
        self.frames.put(frame)
        self.engine.ready(self.key)

    def do(self, *events):
        for event in events:
            self.session = sessions.reduce(self.session, event)
        self.engine.update(self.key, self.session)

    def rest(self):
        """The frame at rest of the drawing as it is now, and the latents of its images."""
        while True:
            frame = self.frames.get(timeout=WAIT)
            if frame.version == self.session.drawing.version and not frame.moving:
                return frame, self.engine.seen(self.key).sight.latents[list(frame.ids)]


@pytest.fixture
def page(engine, request):
    page = Page(engine, request.node.name)
    yield page
    engine.close(page.key)


def test_candidates_are_of_the_class_that_is_given(page, draw):
    first, _ = page.rest()
    page.do(SECOND)
    given, latents = page.rest()
    assert given.iteration == 0 and given.ground != first.ground
    exported = page.engine.submit(work.Export(page.key)).result(WAIT)
    assert exported.given == {"label": "two", "truncation": 1.0}
    np.testing.assert_array_equal(exported.latents, latents)
    for image, latent in zip(given.images, latents, strict=True):
        np.testing.assert_allclose(image, draw(latent, 1), atol=1)
        assert np.abs(draw(latent, 1) - draw(latent, 0)).max() > 8
    page.do(RED, sessions.Give("truncation", 0.5))
    moved, latents = page.rest()
    np.testing.assert_allclose(moved.images[0], draw(latents[0], 1, 0.5), atol=1)
    page.do(sessions.Undo(), sessions.Undo(), sessions.Undo())
    again, latents = page.rest()
    np.testing.assert_array_equal(again.images, first.images)


def test_sessions_of_two_classes_share_a_program(engine, draw):
    """Each candidate of both is what the way draws of its latent under its own class."""
    until(lambda: engine.programs.get(("slice", 2, False)))
    begin, slices = engine.programs.get("start"), engine.programs.get(("slice", 2, False))
    given = [engine.under(()), engine.under((("label", "three"), ("truncation", 0.5)))]
    states = [begin(weights, np.uint32([k, 0])) for k, weights in enumerate(given)]
    asked = [engine.programs.nothing._replace(given=weights["given"]) for weights in given]
    made = slices(given[0], tuple(states), tuple(asked))
    for (_, sight), (label, truncation) in zip(made, [(0, 1.0), (2, 0.5)], strict=True):
        for image, latent in zip(sight.images, sight.latents, strict=True):
            np.testing.assert_allclose(image, draw(latent, label, truncation), atol=1)


def test_a_photo_is_projected_under_the_class_that_is_given(engine, draw):
    photo = np.random.default_rng(0).integers(0, 256, (20, 16, 3), np.uint8)
    found = engine.submit(work.Project(images.Picture(photo), given=(("label", "two"),))).result(WAIT)
    np.testing.assert_allclose(found.reconstruction, draw(found.latent, 1), atol=1)


def test_no_value_compiles_anything(engine, page):
    compiled = []

    def listen(name, *_, **__):
        if name.endswith("backend_compile_duration"):
            compiled.append(name)

    page.do(RED)
    page.rest()
    until(engine.programs.idle)
    page.do(SECOND)
    page.rest()
    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        for value in ("three", "one"):
            page.do(sessions.Give("label", value), sessions.Give("truncation", 0.25 if value == "one" else 1))
            page.rest()
        assert not compiled
        jax.jit(lambda x: x + len(compiled) + 0.125)(1.0)
        assert compiled  # they are counted
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
