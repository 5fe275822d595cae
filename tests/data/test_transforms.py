"""Geometry is the same for every plane, and resizing is Pillow's in every type."""

import numpy as np
from PIL import Image
import pytest

from jgan import fields
from jgan.data import transforms


def coordinates(height=9, width=7):
    y, x = np.mgrid[:height, :width]
    return np.stack([y, x], axis=-1).astype(np.uint8)


def crop(example, flip, seed):
    """The values of a random crop of 4 pixels a side."""
    of = dict.fromkeys(example, fields.Picture())
    return transforms.random_crop(example, of, 4, flip, np.random.default_rng(seed)).values()


def test_both_halves_get_the_same_crop_and_flip():
    a = coordinates()
    b = np.concatenate([a, a, a], axis=-1).astype(np.uint16) * 5
    seen = set()
    for seed in range(400):
        cut_a, cut_b = crop({"a": a, "b": b}, True, seed)
        np.testing.assert_array_equal(cut_b[..., :2], cut_a.astype(np.uint16) * 5)
        assert cut_a.shape == (4, 4, 2)
        mirrored = bool(cut_a[0, 0, 1] > cut_a[0, -1, 1])
        seen.add((int(cut_a[0, 0, 0]), int(cut_a[..., 1].min()), mirrored))
    # Every offset 0..5 and 0..3, ends included, plain and mirrored. The chance that 400 draws miss
    # one of the 48 is below 1 %; the seeds are fixed.
    assert seen == {(y, x, m) for y in range(6) for x in range(4) for m in (False, True)}


def test_without_flip_the_crops_stay_the_same_and_none_is_mirrored():
    for seed in range(20):
        (plain,) = crop({"a": coordinates()}, False, seed)
        (other,) = crop({"a": coordinates()}, True, seed)
        assert plain[0, 0, 1] < plain[0, -1, 1]
        assert np.array_equal(other, plain) or np.array_equal(other, plain[:, ::-1])


@pytest.mark.parametrize("size", [(11, 6), (40, 50)])
def test_eight_bits_are_resized_as_pillow_does(size):
    x = np.random.default_rng(0).integers(0, 256, (20, 25, 3)).astype(np.uint8)
    wanted = Image.fromarray(x).resize(size[::-1], Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(transforms.resize(x, size), wanted)
    for c in (1, 2, 4, 5):  # any number of channels, each by itself
        many = np.stack([x[..., i % 3] for i in range(c)], axis=-1)
        each = np.stack([np.asarray(wanted)[..., i % 3] for i in range(c)], axis=-1)
        np.testing.assert_array_equal(transforms.resize(many, size), each)


def test_wider_types_agree_with_eight_bits():
    x = np.random.default_rng(0).integers(0, 256, (20, 25, 3)).astype(np.uint8)
    low = transforms.resize(x, (9, 12)).astype(float)
    high = transforms.resize(x.astype(np.uint16) * 257, (9, 12))
    real = transforms.resize(x.astype(np.float32) / 127.5 - 1, (9, 12))
    assert high.dtype == np.uint16 and real.dtype == np.float32
    # Pillow rounds 8 bits after each of its two passes: at most one level and a half apart.
    assert np.abs(high / 257 - low).max() <= 1.5
    assert np.abs((real + 1) * 127.5 - low).max() <= 1.5
    assert real.min() >= -1 and real.max() <= 1


def test_overshoot_is_clipped_not_wrapped():
    step = np.zeros((8, 8, 2), np.uint16)
    step[:, 4:] = 65535
    grown = transforms.resize(step, (32, 32)).astype(int)
    assert (np.diff(grown[0, 8:24, 0]) >= 0).all() and grown[0, 0, 0] == 0 and grown[0, -1, 0] == 65535


@pytest.mark.parametrize("size", [(5, 9), (16, 3), (24, 24), (1, 1)])
def test_nearest_takes_the_values_pillow_takes(size):
    image = np.random.default_rng(0).integers(0, 256, (11, 13, 3), np.uint8)
    expected = Image.fromarray(image).resize(size[::-1], Image.Resampling.NEAREST)
    np.testing.assert_array_equal(transforms.nearest(image, size), expected)
    wide = transforms.nearest(image.astype(np.uint16) * 257, size)
    np.testing.assert_array_equal(wide, np.asarray(expected).astype(np.uint16) * 257)


def test_labels_pass_through_all_geometry_and_maps_get_no_new_value():
    rng = np.random.default_rng(0)
    example = {
        "a": rng.integers(0, 256, (12, 20, 3), np.uint8),
        "b": rng.integers(0, 2, (12, 20, 3), np.uint8) * np.uint8(255),
        "class": np.int32(3),
        "attributes": np.array([0, np.nan, 1], np.float32),
    }
    of = {
        "a": fields.Picture(3),
        "b": fields.Picture(3, plain=True),
        "class": fields.Label(("x",) * 4),
        "attributes": fields.Attributes(("p", "q", "r")),
    }
    for to in (7, transforms.Fit(16), transforms.Fit(7, 7), None):
        made = transforms.random_crop(transforms.resized(example, of, to), of, 6, True, rng)
        assert made["a"].shape == made["b"].shape == (6, 6, 3)
        assert set(np.unique(made["b"])) <= {0, 255}
        assert made["class"] == 3 and made["class"].dtype == np.int32
        np.testing.assert_array_equal(made["attributes"], example["attributes"])
    assert len(np.unique(transforms.resized(example, of, 7)["a"])) > 50
