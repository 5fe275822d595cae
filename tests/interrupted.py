"""Trainings that are told to stop in the middle, for tests of how they go on."""

import contextlib
import signal

import pytest

from jgan import output


@contextlib.contextmanager
def sigterm_after(steps):
    """A training within gets SIGTERM after so many of its steps; never, of 0."""
    original = output.progress

    class Interrupting:
        def __init__(self, *arguments):
            self.inner, self.left = original(*arguments), steps

        def update(self, n):
            self.inner.update(n)
            self.left -= n
            if self.left == 0:
                signal.raise_signal(signal.SIGTERM)

        def unpause(self):
            self.inner.unpause()

        def close(self):
            self.inner.close()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(output, "progress", Interrupting)
        yield
