"""Lab and its histograms: against scikit-image, and by hand."""

import numpy as np
import pytest

import jgan
from jgan.metrics import colour

skimage = pytest.importorskip("skimage.color", reason="requirements-test.txt has scikit-image")


def test_lab_is_that_of_another_library():
    image = np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)
    image[0, :3] = [[0, 0, 0], [255, 255, 255], [3, 3, 3]]
    found = colour.lab(image)
    np.testing.assert_allclose(found, skimage.rgb2lab(image), atol=1e-3)
    np.testing.assert_allclose(colour.lab(image.astype(np.float32) / 127.5 - 1), found, atol=1e-3)
    np.testing.assert_allclose(found[0, 1], [100, 0, 0], atol=0.01)


def test_the_intersection_is_the_share_that_two_sets_have_in_common():
    black, white = (np.full((4, 4, 3), value, np.uint8) for value in (0, 255))
    half = np.concatenate([black, white])
    a, b, both = map(colour.histogram, (black, white, half))
    assert both[0, 0] == both[0, 99] == 16 and both.sum() == 3 * 32
    assert colour.intersection(both, both) == {"L": 1, "a": 1, "b": 1}
    assert colour.intersection(a, b)["L"] == 0
    assert colour.intersection(a, both)["L"] == 0.5  # shares, not numbers of pixels


def test_a_picture_without_colours_is_refused():
    with pytest.raises(jgan.UserError, match="Lab is of colour images"):
        colour.lab(np.zeros((2, 2, 1)))
