"""A server on an engine that needs no device."""

import pytest

from tests.serve import asking
from tests.serve import fakes


@pytest.fixture(scope="module", autouse=True)
def quick(quick_convolutions):
    """Engines compile far more than they compute."""


@pytest.fixture
def engine():
    return fakes.Engine()


@pytest.fixture
def client(engine):
    with asking.served(engine) as client:
        asking.until(lambda: client.get("/api/status").json()["state"] == "ready")
        yield client
