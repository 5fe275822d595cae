"""A page of the engine, as tests play it."""

import queue
import time

from jgan.latent import document
from jgan.serve import session as sessions

WAIT = 300  # seconds, for a machine that is busy

RED = sessions.Stroke(document.Colour(((100.0, 100.0), (300.0, 200.0)), 80.0, (255.0, 0.0, 0.0)))
BLUE = sessions.Stroke(document.Colour(((200.0, 300.0),), 90.0, (0.0, 0.0, 255.0)))


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
