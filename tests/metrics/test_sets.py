"""Sets that stream past: batches, parts and processes give what the whole gives."""

import numpy as np
import pytest

from jgan.metrics import colour
from jgan.metrics import sets


def described(features, pictures, numbers, batch):
    found = sets.Described.empty(features.shape[1])
    for k in range(0, len(numbers), batch):
        part = numbers[k : k + batch]
        found = found.add(part, features[part], [pictures[i] for i in part])
    return found


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    # A mean far from 0, where a difference of sums of squares would have no digits left.
    return rng.standard_normal((50, 4)) + 1e3, rng.integers(0, 256, (50, 5, 6, 3), dtype=np.uint8)


def same(a, b):
    assert a.moments.count == b.moments.count
    np.testing.assert_allclose(a.moments.mean, b.moments.mean, rtol=1e-13)
    np.testing.assert_allclose(a.moments.covariance, b.moments.covariance, rtol=1e-9)
    for name in ("numbers", "rows", "colours"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


def test_a_stream_is_the_whole(data):
    features, pictures = data
    whole = described(features, pictures, np.arange(50), 50)
    np.testing.assert_allclose(whole.moments.covariance, np.cov(features.astype(np.float32).T), rtol=1e-4)
    assert whole.colours.sum() == 3 * 50 * 5 * 6
    same(described(features, pictures, np.arange(50), 7), whole)


def test_two_processes_have_what_one_has(data):
    whole = described(*data, np.arange(50), 8)
    parts = [described(*data, np.arange(k, 50, 2), 8) for k in range(2)]
    carried = [sets.Described.load(part.dump()) for part in parts]
    same(carried[0], parts[0])
    for a, b in (carried, carried[::-1]):
        same(a.merge(b), whole)
    same(sets.Described.empty(4).merge(whole), whole)


def test_the_features_of_the_first_examples_are_kept_whoever_has_seen_them(data, monkeypatch):
    monkeypatch.setattr(sets, "KEPT", 9)
    merged = described(*data, np.arange(1, 50, 2), 4).merge(described(*data, np.arange(0, 50, 2), 4))
    np.testing.assert_array_equal(merged.numbers, np.arange(9))
    np.testing.assert_array_equal(merged.rows, data[0][:9].astype(np.float32))
    assert merged.moments.count == 50


def test_grey_pictures_have_no_colours():
    found = sets.Described.empty(2).add([0], np.zeros((1, 2)), [np.zeros((3, 3, 1), np.uint8)])
    assert found.colours.shape == colour.SHAPE and not found.colours.any()
