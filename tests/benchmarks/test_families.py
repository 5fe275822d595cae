"""The family classifier: what it reads, what it reports, and that it learns."""

import json

import jax
import numpy as np
import pytest

from benchmarks import families
from configs import cgan
from configs import pix2pix
import jgan
from jgan import trained
from jgan.data import images
from jgan.data import objects
from jgan.systems import SYSTEMS


def named(counts):
    return np.repeat(np.arange(8), counts), np.full(sum(counts), 0.95)


def test_even_shares_meet_the_bar():
    found = families.report(*named([10] * 8), 0.99)
    assert found["number"] == 80 and found["least"] == 1 and found["passed"] and found["sure"] == 1
    assert found["shares"] == dict.fromkeys(objects.FAMILIES, 0.125)


@pytest.mark.parametrize(
    ("fewest", "accuracy", "passed"), [(4, 0.98, True), (4, 0.97, False), (3, 1.0, False), (0, 1.0, False)]
)
def test_the_bar_is_half_a_share_by_a_trusted_classifier(fewest, accuracy, passed):
    found = families.report(*named([fewest, 16 - fewest, 8, 8, 8, 8, 8, 8]), accuracy)
    assert found["least"] == fewest / 8 and found["passed"] is passed
    json.dumps(found)


def test_drawn_pictures_have_their_families_numbers():
    pictures, labels = families.drawn(8, 3)
    source = objects.Objects(64, 8, 3)
    assert pictures.shape == (8, 64, 64, 3) and sorted(labels) == list(range(8))
    assert objects.FAMILIES[labels[5]] == source.factors(5)["family"]
    np.testing.assert_array_equal(pictures[5], source[5])


def test_samples_come_from_folders_and_arrays(tmp_path):
    pictures = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3)).astype(np.uint8)
    for i, picture in enumerate(pictures):
        images.write(tmp_path / f"{i}.png", picture)
    np.save(tmp_path / "bytes.npy", pictures)
    np.save(tmp_path / "floats.npy", pictures.astype(np.float32) / 127.5 - 1)
    np.savez(tmp_path / "samples.npz", images=pictures)
    for name in ("bytes.npy", "floats.npy", "samples.npz"):
        np.testing.assert_array_equal(families.read(tmp_path / name), pictures)
    for name in ("bytes.npy", "floats.npy"):
        (tmp_path / name).unlink()
    np.testing.assert_array_equal(families.read(tmp_path), pictures)
    np.save(tmp_path / "small.npy", pictures[:, ::2, ::2])
    assert families.read(tmp_path / "small.npy").shape == (3, 64, 64, 3)


def test_mistakes_are_told_in_one_sentence(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.npz").write_bytes(b"no array")
    np.save(tmp_path / "flat.npy", np.zeros((4, 12)))
    np.save(tmp_path / "grey.npy", np.zeros((4, 8, 8, 1)))
    np.save(tmp_path / "int.npy", np.zeros((4, 8, 8, 3), np.int64))
    for name, match in (
        ("empty", "holds no images"),
        ("nothing", "no file or folder"),
        ("text.npz", "cannot be read"),
        ("flat.npy", r"\[4, 12\]: \[n, h, w, 3\]"),
        ("grey.npy", r"\[8, 8, 1\]"),
        ("int.npy", "int64"),
    ):
        with pytest.raises(jgan.UserError, match=match) as raised:
            families.read(tmp_path / name)
        assert "\n" not in str(raised.value)


def test_every_family_of_a_run_is_asked_for_equally_often():
    asked_for = ("lamp", "bag", "hat")
    config = cgan.get_config("tiny")
    config.data.names = asked_for
    system = SYSTEMS["cgan"](config)
    number = {}

    def told(weights, inputs, key=None, *, statistics, dropout=False):
        # A picture as dark as its label is large.
        number["z"] = inputs["z"].shape[1]
        shade = inputs["label"][:, None, None, None] / 4.0
        return {"output": jax.numpy.broadcast_to(shade, (len(inputs["label"]), 16, 16, 3))}

    way = system.ways["sample"]._replace(run=told)
    run = trained.Run(config, 3, system._replace(ways={"sample": way}), {"params": {}, "stats": {}})
    families.check(run, "RUN")
    samples, asked = families.ask(run, 10, 0)
    assert samples.shape == (10, 64, 64, 3) and samples.dtype == np.uint8 and number["z"] == 5
    assert [objects.FAMILIES[k] for k in asked] == [asked_for[k % 3] for k in range(10)]
    np.testing.assert_array_equal(samples[:, 9, 9, 0], np.rint(np.arange(10) % 3 / 4 * 127.5 + 127.5))


def test_a_run_without_labels_is_asked_for_nothing(latent_run):
    run = latent_run()
    families.check(run, "RUN")
    samples, asked = families.ask(run, 3, 0)
    assert samples.shape == (3, 64, 64, 3) and asked is None


@pytest.mark.parametrize(
    ("wrong", "accuracy", "passed"), [(0, 0.98, True), (10, 0.98, True), (11, 0.98, False), (0, 0.97, False)]
)
def test_nine_samples_in_ten_show_what_was_asked_for(wrong, accuracy, passed):
    asked = np.repeat(np.arange(4), 25)
    named = np.where(np.arange(100) < wrong, 7, asked)
    found = families.agreement(named, asked, accuracy)
    assert found["agreement"] == 1 - wrong / 100 and found["passed"] is passed
    by_family = found["agreement_by_family"]
    assert list(by_family) == list(objects.FAMILIES[:4])
    assert by_family[objects.FAMILIES[0]] == 1 - wrong / 25 and by_family[objects.FAMILIES[1]] == 1
    json.dumps(found)


def test_runs_that_are_asked_for_no_families_are_refused():
    for presets, names in ((pix2pix, ()), (cgan, ("cat", "dog"))):
        config = presets.get_config("tiny")
        if names:
            config.data.names = names
        run = trained.Run(config, 3, SYSTEMS[config.system](config), {})
        with pytest.raises(jgan.UserError, match=f"RUN is a run of {config.system} .*would work"):
            families.check(run, "RUN")


@pytest.mark.slow
def test_it_learns():
    # Eight flat colours for the families: its layers know no size.
    corners = np.array(np.meshgrid(*[[60, 190]] * 3)).reshape(3, 8).T.astype(np.uint8)
    labels = np.arange(64, dtype=np.int32) % 8
    pictures = np.broadcast_to(corners[labels][:, None, None], (64, 16, 16, 3))
    params = families.train(pictures, labels, steps=40, batch=32, learning_rate=5e-3)
    found, probability = families.classify(params, pictures, batch=64)
    assert (found == labels).mean() > 0.85  # chance: 0.125
    assert probability.shape == (64,) and 0.125 < probability.min() and probability.max() <= 1


@pytest.mark.slow
def test_it_is_right_98_times_in_100(optimised):
    params = families.train(*families.drawn(4_000, 0), steps=300)
    pictures, labels = families.drawn(1_000, 1)
    assert (families.classify(params, pictures)[0] == labels).mean() >= 0.98
