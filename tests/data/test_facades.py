"""Laws of the drawn facades: reproducible, the same building at every size, not determined by labels."""

import pickle

import numpy as np
import pytest

import jgan
from jgan.data import facades

COLOURS = np.asarray(list(facades.PALETTE.values()), np.uint8)


def classes(labels):
    """Index of each pixel's palette colour, -1 where it is none."""
    same = (labels[..., None, :] == COLOURS).all(-1)
    return np.where(same.any(-1), same.argmax(-1), -1)


@pytest.fixture(scope="module")
def sample():
    source = facades.Facades(64, 50, seed=3)
    return [source[i] for i in range(50)]


def test_palette_colours_are_far_enough_apart_for_the_nearest_to_be_recognised():
    distance = np.abs(COLOURS[:, None].astype(int) - COLOURS[None]).sum(-1)
    distance[np.arange(len(COLOURS)), np.arange(len(COLOURS))] = 999
    assert distance.min() >= 60


@pytest.mark.parametrize("size", [32, 50, 97, 330])
def test_any_size_gives_bytes_and_palette_colours_only(size):
    example = facades.Facades(size, 2, seed=1)[1]
    for image in example.values():
        assert image.shape == (size, size, 3) and image.dtype == np.uint8
    assert classes(example["labels"]).min() >= 0


def test_labels_hold_palette_colours_only(sample):
    assert min(classes(example["labels"]).min() for example in sample) >= 0


def test_every_class_appears_in_fifty_examples(sample):
    seen = set().union(*(np.unique(classes(example["labels"])) for example in sample))
    missing = [name for i, name in enumerate(facades.PALETTE) if i not in seen]
    assert not missing


def test_an_example_depends_on_seed_and_index_only():
    few, many = facades.Facades(48, 5, seed=7), facades.Facades(48, 500, seed=7)
    few[0], few[3]
    travelled = pickle.loads(pickle.dumps(many))
    for key in ("labels", "photo"):
        np.testing.assert_array_equal(few[4][key], many[4][key])
        np.testing.assert_array_equal(few[4][key], travelled[4][key])


def test_pixels_are_the_same_on_every_machine():
    # Known sums: the drawing is an implicit data set, and a silent change of it makes runs incomparable.
    # Labels are exact; light is float32, whose last bits may differ between processors.
    example = facades.Facades(64, 3)[2]
    counts = [346, 702, 1148, 873, 40, 253, 99, 17, 24, 0, 0, 0, 50, 447, 97]
    assert np.bincount(classes(example["labels"]).ravel(), minlength=15).tolist() == counts
    np.testing.assert_allclose(example["photo"].mean((0, 1)), (166.36, 164.97, 157.97), atol=0.1)


def test_other_seeds_and_indices_give_other_buildings():
    images = [facades.Facades(32, 3, seed=s)[i]["labels"] for s in (0, 1, -1) for i in range(3)]
    for i, a in enumerate(images):
        for b in images[:i]:
            assert (a != b).any(-1).mean() > 0.05


def test_the_building_is_the_same_at_every_size():
    small, large = facades.Facades(64, 8, seed=5), facades.Facades(192, 8, seed=5)
    for i in range(8):
        # 192 = 3 * 64: the centre pixel of each 3 x 3 block lies where the small pixel's centre does.
        agree = classes(small[i]["labels"]) == classes(large[i]["labels"])[1::3, 1::3]
        assert agree.mean() > 0.995
        photo = large[i]["photo"].reshape(64, 3, 64, 3, 3).mean((1, 3))
        difference = np.abs(photo - small[i]["photo"]).mean()
        # Grain and the thinnest parts differ; another building differs by 40 and more.
        assert difference < 14


def test_even_factors_agree_but_for_borders():
    small, large = facades.Facades(64, 4, seed=5), facades.Facades(128, 4, seed=5)
    agree = [(classes(small[i]["labels"]) == classes(large[i]["labels"])[::2, ::2]).mean() for i in range(4)]
    assert min(agree) > 0.85


def test_photo_colours_are_not_determined_by_labels(sample):
    # The mean colour of a class in one picture, over pictures: a model that knew only the label would
    # predict its mean over the set, and this is the error left.
    for name, least in (("wall", 20), ("window", 12), ("roof", 15), ("sky", 15)):
        means = []
        for example in sample:
            where = classes(example["labels"]) == list(facades.PALETTE).index(name)
            if where.sum() > 20:
                means.append(example["photo"][where].mean(0))
        assert len(means) > 10
        assert np.std(means, axis=0).mean() > least, name


def means(photos, name):
    """The mean colours of a class in pictures, [n, 3], where it is large enough to have one."""
    found = []
    for example in photos:
        where = classes(example["labels"]) == list(facades.PALETTE).index(name)
        if where.sum() > 20:
            found.append(example["photo"][where].mean(0))
    return np.array(found)


def test_other_photos_of_a_label_map_show_the_same_building():
    for index in range(6):
        (first, _), *others = (facades.draw(32, 5, index, photo=k) for k in range(4))
        for labels, _ in others:
            np.testing.assert_array_equal(labels, first)
    again = facades.Facades(32, 6, seed=5)[5]
    np.testing.assert_array_equal(facades.draw(32, 5, 5)[1], again["photo"])


def test_other_photos_of_a_label_map_differ_as_those_of_other_buildings_do(sample):
    # What a class looks like is spread as widely among photos of one map as from map to map.
    drawn = [
        [
            dict(zip(("labels", "photo"), facades.draw(64, 3, index, photo=k), strict=True))
            for k in range(1, 9)
        ]
        for index in range(4)
    ]
    for name, least in (("wall", 0.6), ("window", 0.6), ("sky", 0.6)):
        within = [np.std(means(photos, name), axis=0).mean() for photos in drawn if len(means(photos, name))]
        assert np.mean(within) > least * np.std(means(sample, name), axis=0).mean(), name


def test_photos_have_texture_within_a_class(sample):
    deviations = []
    for example in sample:
        where = classes(example["labels"]) == list(facades.PALETTE).index("wall")
        if where.sum() > 100:
            deviations.append(example["photo"][where].astype(float).std(0).mean())
    assert np.median(deviations) > 12


def test_photos_show_the_labels(sample):
    # Borders of the label map carry edges of the photo: gradients there exceed those elsewhere.
    ratios = []
    for example in sample:
        labels, photo = classes(example["labels"]), example["photo"].astype(float).mean(-1)
        border = labels[:, 1:] != labels[:, :-1]
        step = np.abs(np.diff(photo, axis=1))
        ratios.append(step[border].mean() / step[~border].mean())
    assert np.median(ratios) > 1.8


def test_dusk_shows_the_same_building_in_less_light():
    day, dusk = facades.Facades(64, 6, seed=2), facades.Facades(64, 6, seed=2, style="dusk")
    for i in range(6):
        np.testing.assert_array_equal(day[i]["labels"], dusk[i]["labels"])
    assert np.mean([dusk[i]["photo"].mean() for i in range(6)]) < 0.75 * np.mean(
        [day[i]["photo"].mean() for i in range(6)]
    )


def test_it_is_a_sequence():
    source = facades.Facades(16, 3)
    assert len(source) == 3
    assert len(list(source)) == 3
    for index in (3, -1):
        with pytest.raises(IndexError, match=str(index)):
            source[index]


@pytest.mark.parametrize(
    "arguments, word",
    [((8, 3), "8 pixels"), ((64, 0), "at least 1"), ((64, 3, 0, "noon"), "noon")],
)
def test_mistakes_are_told_in_one_sentence(arguments, word):
    with pytest.raises(jgan.UserError, match=word):
        facades.Facades(*arguments)
