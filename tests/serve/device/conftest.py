"""The engine that tests of its searches and of its jobs share, and a page of it."""

import pytest

from jgan.serve.device import engine as engine_lib
from tests.serve.device import pages


@pytest.fixture(scope="module")
def engine(latent_run):
    """The engine of a run without a predictor."""
    engine = engine_lib.Engine(latent_run(), candidates=4, lanes=(1, 2))
    engine.start()
    yield engine
    engine.stop()


@pytest.fixture
def client(engine, request):
    """A page of it, after its first frame."""
    client = pages.Client(engine, request.node.name)
    client.first = client.wait(lambda f: True)
    yield client
    engine.close(client.key)
