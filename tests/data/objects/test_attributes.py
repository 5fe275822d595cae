"""Attributes of drawn objects say what the picture shows, with a gap between present and absent."""

import colorsys
import itertools
import pickle

import numpy as np
import pytest

import jgan
from jgan.data import objects
from jgan.data.objects import attributes

NAMES = ("red", "green", "blue", "height")


@pytest.fixture(scope="module")
def source():
    return attributes.Attributed(48, 120, 0, ("mug",), NAMES, NAMES[:3])


def test_a_factor_is_high_where_its_attribute_is_present_and_low_where_not(source):
    told = np.array([source.attributes(i) for i in range(120)])
    height = np.array([source.factors(i)["height"] for i in range(120)])
    assert height[told[:, 3] == 1].min() >= 0.7 and height[told[:, 3] == 0].max() <= 0.3
    assert 40 < told[:, 3].sum() < 80


def test_exactly_one_of_exclusive_attributes_is_present_each_as_often(source):
    told = np.array([source.attributes(i) for i in range(120)])[:, :3]
    assert (told.sum(1) == 1).all() and told.sum(0).min() > 25


def test_pictures_have_the_colours_that_are_told(source):
    """By the hue of HSV, of the most vivid pixels: 0 is red, 120 green, 240 degrees blue."""
    places = {"red": 0, "green": 120, "blue": 225}
    for i in range(40):
        pixels = source[i].reshape(-1, 3) / 255
        vivid = pixels[np.argsort(np.ptp(pixels, 1))[-100:]].mean(0)
        hue = 360 * colorsys.rgb_to_hsv(*vivid)[0]
        name = NAMES[source.attributes(i).index(1)]
        apart = {other: abs((hue - place + 180) % 360 - 180) for other, place in places.items()}
        assert min(apart, key=apart.get) == name and apart[name] < 35


def test_windows_of_colours_and_what_lies_beside_them_are_apart():
    for (_, high), (low, _) in itertools.pairwise(attributes.COLOURS.values()):
        assert low - high > 0.2
    alone = attributes.Attributed(16, 200, 1, ("hat",), ("green",))
    low, high = attributes.COLOURS["green"]
    hues = {v: [alone.factors(i)["hue"] for i in range(200) if alone.attributes(i)[0] == v] for v in (0, 1)}
    assert all(low <= hue <= high for hue in hues[1]) and all(0 <= hue < 1 for hue in hues[0])
    assert not any(low - 0.06 < hue < high + 0.06 for hue in hues[0])
    assert min(hues[0]) < 0.05 and max(hues[0]) > 0.95  # all around


def test_factors_without_an_attribute_stay_as_they_are_drawn(source):
    plain = objects.Objects(48, 120, 0, ("mug",))
    for i in range(20):
        named = {"height", "hue", "chroma", "tone"}
        one, other = plain.factors(i), source.factors(i)
        assert {k: v for k, v in one.items() if k not in named} == {
            k: v for k, v in other.items() if k not in named
        }


def test_an_object_is_the_same_wherever_it_is_drawn(source):
    travelled = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal(travelled[3], source[3])
    assert travelled.attributes(3) == source.attributes(3) and str(travelled) == str(source)
    assert str(source) != str(attributes.Attributed(48, 120, 0, ("mug",), NAMES[:3], NAMES[:3]))


def test_some_families_are_drawn_in_equal_shares():
    some = objects.Objects(16, 30, 2, ("hat", "mug", "bag"))
    drawn = [some.factors(i)["family"] for i in range(30)]
    assert all(sorted(drawn[i : i + 3]) == ["bag", "hat", "mug"] for i in range(0, 30, 3))
    assert str(objects.Objects(16, 30, 2)) == "Objects(16, 30, seed=2)" != str(some)


@pytest.mark.parametrize(
    ("families", "names", "exclusive", "match"),
    [
        (("mug", "hat"), ("fill",), (), "'fill' is no attribute of mug and hat: red, green, blue, .*hue"),
        (("mug",), ("red", "tone"), (), "red and tone contradict each other"),
        (("mug",), ("red", "blue"), ("red",), "only one colour at a time: red,blue among them"),
        (("mug", "mug"), ("red",), (), "families are mug,mug: each of them once"),
        (("cup",), ("red",), (), "no family 'cup': shoe, bag"),
    ],
)
def test_what_cannot_be_drawn_is_refused(families, names, exclusive, match):
    with pytest.raises(jgan.UserError, match=match):
        attributes.Attributed(16, 4, 0, families, names, exclusive)
