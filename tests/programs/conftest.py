"""What the tests of programs share."""

import pytest


@pytest.fixture(scope="module", autouse=True)
def quick(quick_convolutions):
    """All of these tests compile far more than they compute."""
