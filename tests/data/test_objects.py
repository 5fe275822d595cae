"""Laws of the drawn objects: reproducible, the same at every size, moved continuously by every factor."""

import pickle

import numpy as np
import pytest

import jgan
from jgan.data import objects
from jgan.data.objects import colours
from jgan.data.objects import shapes


@pytest.fixture(scope="module")
def source():
    return objects.Objects(64, 48, seed=3)


@pytest.fixture(scope="module")
def sample(source):
    return [source[i] for i in range(len(source))]


@pytest.mark.parametrize("size", [16, 32, 50, 97, 330])
def test_any_size_gives_bytes(size):
    picture = objects.Objects(size, 2, seed=1)[1]
    assert picture.shape == (size, size, 3) and picture.dtype == np.uint8


def test_a_picture_depends_on_seed_and_index_only():
    few, many = objects.Objects(32, 5, seed=7), objects.Objects(32, 500, seed=7)
    few[0], few[3]
    travelled = pickle.loads(pickle.dumps(many))
    assert few.factors(4) == many.factors(4) == travelled.factors(4)
    np.testing.assert_array_equal(few[4], many[4])
    np.testing.assert_array_equal(few[4], travelled[4])
    in_turn = list(few)
    for i in reversed(range(5)):
        np.testing.assert_array_equal(few[i], in_turn[i])


def test_pixels_are_the_same_on_every_machine():
    # Known means: the drawing is an implicit data set, and a silent change of it makes runs incomparable.
    found = [objects.draw(64, family).mean() for family in objects.FAMILIES]
    np.testing.assert_allclose(found, MEANS, atol=0.1)


MEANS = (225.77, 219.05, 232.33, 213.72, 226.79, 241.32, 204.87, 222.3)


def test_the_factors_draw_the_picture(source, sample):
    for i in (0, 5, 11):
        factors = source.factors(i)
        assert set(factors) == {"family", *objects.FACTORS[factors["family"]]}
        np.testing.assert_array_equal(objects.draw(64, **factors), sample[i])


def test_families_have_equal_shares_in_another_order_each_time(source):
    named = [source.factors(i)["family"] for i in range(len(source))]
    blocks = [tuple(named[i : i + 8]) for i in range(0, len(named), 8)]
    assert all(sorted(block) == sorted(objects.FAMILIES) for block in blocks)
    assert len(set(blocks)) == len(blocks)


def test_factors_are_uniform_and_independent():
    source = objects.Objects(16, 8 * 400)
    found = [source.factors(i) for i in range(len(source))]
    for family in objects.FAMILIES:
        table = np.array(
            [[one[name] for name in objects.FACTORS[family]] for one in found if one["family"] == family]
        )
        ordered = np.sort(table, axis=0)
        # Kolmogorov and Smirnov: 1.95 / sqrt(n) is passed once in a thousand; there are 95 factors.
        gap = np.abs(ordered - (np.arange(400)[:, None] + 0.5) / 400).max()
        assert 0 <= table.min() and table.max() < 1 and gap < 2.4 / 20
        related = np.corrcoef(table.T) - np.eye(table.shape[1])
        assert np.abs(related).max() < 0.25  # five deviations


def test_other_seeds_and_indices_give_other_objects():
    pictures = [objects.Objects(32, 3, seed=s)[i].astype(int) for s in (0, 1, -1) for i in range(3)]
    for i, a in enumerate(pictures):
        for b in pictures[:i]:
            assert np.abs(a - b).mean() > 2


@pytest.mark.parametrize("family", objects.FAMILIES)
def test_every_factor_moves_the_picture_and_continuously(family):
    middle = objects.draw(32, family).astype(int)
    for name in objects.FACTORS[family]:
        near, far = (np.abs(objects.draw(32, family, **{name: v}) - middle) for v in (0.502, 1.0))
        # A five-hundredth of the range: the jump of one pixel's edge would be 100 levels and more.
        assert near.max() <= 14, name
        assert far.max() > 20, name


@pytest.mark.parametrize("family", objects.FAMILIES)
def test_the_ground_is_white_and_the_object_inside(family):
    rng = np.random.default_rng(0)
    for _ in range(12):  # at the ends of the ranges
        picture = objects.draw(
            32, family, **{name: float(rng.integers(2)) for name in objects.FACTORS[family]}
        )
        border = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
        assert border.min() == 255


def test_objects_are_centred_and_of_similar_scale(sample):
    for picture in sample:
        rows, columns = np.nonzero(picture.min(-1) < 190)
        high, wide = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert 0.6 * 64 < max(high, wide) < 0.98 * 64
        for low, span in ((rows.min(), high), (columns.min(), wide)):
            assert abs(low + span / 2 - 32) < 5.5


@pytest.fixture(scope="module")
def large():
    return list(objects.Objects(192, 8, seed=5))


@pytest.mark.parametrize("small", [16, 32, 48, 64, 96])
def test_sizes_agree_after_a_box_filter(small, large):
    one, k = objects.Objects(small, 8, seed=5), 192 // small
    for i in range(8):
        boxed = large[i].reshape(small, k, small, k, 3).mean((1, 3))
        # Different objects differ by 20 and more.
        assert np.abs(boxed - one[i]).mean() < 1.2


def test_colours_follow_the_hue_and_close_the_circle():
    for family in objects.FAMILIES:
        ends = [objects.draw(32, family, hue=hue).astype(int) for hue in (0.0, 1.0, 0.5)]
        assert np.abs(ends[0] - ends[1]).max() <= 1
        assert np.abs(ends[0] - ends[2]).max() > 40


def test_things_are_lit_from_the_upper_left():
    # On a round body, here of pale glass: the left half is the brighter one.
    picture = objects.draw(64, "bottle", chroma=0.0, trim=0.0, label=0.0).astype(float).mean(-1)
    middle = picture[38:46]
    columns = np.nonzero(middle.mean(0) < 235)[0]
    left, right = np.array_split(middle.mean(0)[columns[0] + 1 : columns[-1]], 2)
    assert left.mean() > right.mean() + 5


def test_known_colours_of_oklab():
    # Ottosson's white and black, and the mid grey whose lightness is the cube root of its linear value.
    for lightness, linear in ((1.0, 1.0), (0.0, 0.0), (0.5, 0.125)):
        encoded = 1.055 * linear ** (1 / 2.4) - 0.055 if linear else 0.0
        np.testing.assert_allclose(colours.lch(lightness, 0.0, 1.0), [encoded**2] * 3, atol=2e-3)
    red = colours.lch(0.62796, 0.25768, np.deg2rad(29.2339))
    np.testing.assert_allclose(red, (1, 0, 0), atol=2e-3)


def grid(n=200):
    at = (np.arange(n, dtype=np.float32) + 0.5) / n
    return at[None], at[:, None]


def test_distances_of_known_shapes():
    x, y = grid()
    circle = shapes.ellipse(x, y, 0.5, 0.4, 0.2, 0.2)
    true = np.hypot(x - 0.5, y - 0.4) - 0.2
    near = np.abs(true) < 0.02
    np.testing.assert_allclose(circle[near], true[near], atol=2e-3)
    square = shapes.polygon(x, y, [(0.3, 0.3), (0.7, 0.3), (0.7, 0.6), (0.3, 0.6)])
    dx, dy = np.abs(x - 0.5) - 0.2, np.abs(y - 0.45) - 0.15
    true = np.hypot(np.maximum(dx, 0), np.maximum(dy, 0)) + np.minimum(np.maximum(dx, dy), 0)
    np.testing.assert_allclose(square, true, atol=1e-5)
    rod = shapes.stroke(x, y, [(0.3, 0.5), (0.7, 0.5)], 0.05, 0.05)
    true = np.hypot(x - np.clip(x, 0.3, 0.7), y - 0.5) - 0.05
    np.testing.assert_allclose(rod, true, atol=1e-5)
    assert (shapes.cut(circle, square) >= np.maximum(circle, square)).all()
    np.testing.assert_array_equal(shapes.join(circle, square), np.minimum(circle, square))


def test_a_turned_cylinder_is_a_box_between_two_discs():
    x, y = grid()
    body = shapes.turned(x, y, 0.5, [(0.3, 0.2), (0.7, 0.2)], tilt=0.25)
    box = (np.abs(x - 0.5) < 0.2) & (y > 0.3) & (y < 0.7)
    discs = [((x - 0.5) / 0.2) ** 2 + ((y - at) / 0.05) ** 2 < 1 for at in (0.3, 0.7)]
    assert ((body.distance < 0) != (box | discs[0] | discs[1])).mean() < 1e-3
    np.testing.assert_allclose(body.across[100, 100:140], (x[0, 100:140] - 0.5) / 0.2, atol=1e-5)
    # The front of the foot belongs to the ring at 0.7, half the disc's height lower.
    assert body.level[149, 100] == pytest.approx(0.6975, abs=1e-3) and body.level[149, 100] < y[149, 0]


def test_curves_pass_their_points_and_do_not_overshoot():
    points = [(0.1, 0.2), (0.3, 0.2), (0.4, 0.7), (0.8, 0.9), (0.9, 0.1)]
    t, value = np.transpose(points)
    np.testing.assert_allclose(shapes.curve(points, t), value)
    fine = np.linspace(0, 1, 501)
    for low, high, a, b in zip(t[:-1], t[1:], value[:-1], value[1:], strict=True):
        part = shapes.curve(points, fine[(fine >= low) & (fine <= high)])
        assert part.min() >= min(a, b) - 1e-9 and part.max() <= max(a, b) + 1e-9
    assert shapes.curve(points, np.array([0.0, 1.0])).tolist() == pytest.approx([0.2, 0.1])


def test_it_is_a_sequence():
    source = objects.Objects(16, 3)
    assert len(source) == 3 and len(list(source)) == 3
    for index in (3, -1):
        with pytest.raises(IndexError, match=str(index)):
            source[index]


@pytest.mark.parametrize(("arguments", "word"), [((8, 3), "8 pixels"), ((64, 0), "at least 1")])
def test_mistakes_are_told_in_one_sentence(arguments, word):
    with pytest.raises(jgan.UserError, match=word):
        objects.Objects(*arguments)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"family": "sofa"}, "no family 'sofa': shoe, bag"),
        ({"family": "mug", "brim": 0.5}, "a mug has no factor 'brim': it has height"),
        ({"family": "mug", "height": 1.5}, "height of a mug is 1.5: 0 to 1"),
    ],
)
def test_only_what_there_is_can_be_drawn(arguments, match):
    with pytest.raises(jgan.UserError, match=match):
        objects.draw(32, **arguments)
