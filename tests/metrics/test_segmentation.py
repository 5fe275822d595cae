"""Scores of label maps: counted by hand on small maps, and invariant to what must not matter."""

import json

import numpy as np
import pytest

import jgan
from jgan.metrics import segmentation

PALETTE = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "never": (250, 250, 250)}
COLOURS = np.array(list(PALETTE.values()), np.uint8)


def scores(output, target):
    confusion = segmentation.Confusion(PALETTE)
    confusion.add(COLOURS[np.array(output)], COLOURS[np.array(target)])
    return confusion.scores()


def test_equal_maps_score_one():
    result = scores([[0, 1], [2, 1]], [[0, 1], [2, 1]])
    assert result["pixel_accuracy"] == result["class_accuracy"] == result["mean_iou"] == 1
    assert result["iou"] == {"red": 1, "green": 1, "blue": 1, "never": None}


def test_counted_by_hand():
    # target: 4 red, 3 green, 1 blue; output: 3 of red right, 1 of green, none of blue.
    target = [[0, 0, 0, 0, 1, 1, 1, 2]]
    output = [[0, 0, 0, 1, 1, 0, 3, 1]]
    result = scores(output, target)
    assert result["pixel_accuracy"] == 4 / 8
    assert result["class_accuracy"] == pytest.approx((3 / 4 + 1 / 3 + 0) / 3)
    # intersection over union: red 3 / (4 + 4 - 3), green 1 / (3 + 3 - 1), blue 0 / 1.
    assert result["iou"] == {"red": 3 / 5, "green": 1 / 5, "blue": 0, "never": None}
    assert result["mean_iou"] == pytest.approx((3 / 5 + 1 / 5 + 0) / 3)  # over classes in the targets
    json.dumps(result)  # a program prints it


def test_one_matrix_over_the_split():
    """Images one by one, in any order or side by side are the same; a mean over images would not be."""
    rng = np.random.default_rng(0)
    output, target = COLOURS[rng.integers(0, 4, (2, 6, 5, 8))]
    whole, single = segmentation.Confusion(PALETTE), segmentation.Confusion(PALETTE)
    whole.add(output.reshape(30, 8, 3), target.reshape(30, 8, 3))
    for k in reversed(range(6)):
        single.add(output[k], target[k])
    np.testing.assert_array_equal(whole.matrix, single.matrix)
    assert whole.matrix.sum() == 240
    assert whole.scores() == single.scores()


def test_constant_output():
    result = scores(np.zeros((4, 6), int), np.arange(24).reshape(4, 6) % 3)
    assert result["iou"] == {"red": 1 / 3, "green": 0, "blue": 0, "never": None}
    assert (result["pixel_accuracy"], result["class_accuracy"], result["mean_iou"]) == pytest.approx(
        (1 / 3, 1 / 3, 1 / 9)
    )


def test_nearest_is_the_smallest_distance():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (9, 7, 3)).astype(np.uint8)
    expected = np.argmin(((image[..., None, :].astype(float) - COLOURS.astype(float)) ** 2).sum(-1), -1)
    np.testing.assert_array_equal(segmentation.nearest(image, PALETTE), expected)
    np.testing.assert_array_equal(segmentation.nearest(image / 127.5 - 1, PALETTE), expected)


def test_every_colour_of_a_palette_is_its_own_class():
    colours = {"a": (0, 0, 0), "b": (1, 0, 0), "c": (254, 254, 254), "d": (255, 254, 254)}
    image = np.array([list(colours.values())], np.uint8)
    np.testing.assert_array_equal(segmentation.nearest(image, colours), [[0, 1, 2, 3]])


def test_scores_are_those_of_another_library():
    sklearn = pytest.importorskip("sklearn.metrics", reason="requirements-test.txt has scikit-learn")
    rng = np.random.default_rng(0)
    colours = np.array(list(PALETTE.values()), np.uint8)
    named = rng.integers(0, len(colours), (2, 4, 9, 7))
    named[1] = np.where(rng.random(named[1].shape) < 0.5, named[0], named[1])  # half of it is right
    confusion = segmentation.Confusion(PALETTE)
    for output, target in zip(*named, strict=True):
        confusion.add(colours[output], colours[target])
    output, target = (x.ravel() for x in named)
    np.testing.assert_array_equal(confusion.matrix, sklearn.confusion_matrix(target, output))
    scores = confusion.scores()
    assert scores["pixel_accuracy"] == pytest.approx(sklearn.accuracy_score(target, output))
    assert scores["class_accuracy"] == pytest.approx(sklearn.balanced_accuracy_score(target, output))
    each = sklearn.jaccard_score(target, output, average=None)
    assert list(scores["iou"].values()) == pytest.approx(list(each))
    assert scores["mean_iou"] == pytest.approx(each.mean())


def test_pictures_without_colour_are_refused():
    with pytest.raises(jgan.UserError, match=r"\[h, w, 3\], not \[4, 4, 1\]"):
        segmentation.nearest(np.zeros((4, 4, 1), np.uint8), PALETTE)


def test_a_palette_comes_back_in_order(tmp_path):
    path = tmp_path / "palette.json"
    path.write_text(json.dumps(PALETTE))
    assert segmentation.load_palette(path) == PALETTE
    assert list(segmentation.load_palette(path)) == list(PALETTE)


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("{", "is not JSON like"),
        ("[1, 2]", "at least two classes"),
        ('{"a": [1, 2, 3]}', "at least two classes"),
        ('{"a": [1, 2, 3], "b": [1, 2]}', r'gives "b" the colour \[1, 2\] instead'),
        ('{"a": [1, 2, 3], "b": [1, 2, 256]}', "0 to 255"),
        ('{"a": [1, 2, 3], "b": [1, 2, 0.5]}', "whole numbers"),
        ('{"a": [1, 2, 3], "b": "#fff"}', "#fff"),
        ('{"a": [1, 2, 3], "b": [1, 2, 3]}', '"a" and "b" the same colour'),
        ('{"a": [1, 2, 3], "a": [3, 2, 1]}', '"a" appears twice'),
    ],
)
def test_a_palette_that_cannot_be_used_is_refused(tmp_path, text, sentence):
    path = tmp_path / "palette.json"
    path.write_text(text)
    with pytest.raises(jgan.UserError, match=sentence):
        segmentation.load_palette(path)
    with pytest.raises(jgan.UserError, match="cannot be read: No such file"):
        segmentation.load_palette(tmp_path / "none.json")
