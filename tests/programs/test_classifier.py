"""The classifier of a run's data: what it learns with labels and without, its file, and that it sees faults."""

import numpy as np
import pytest

import jgan
from jgan.metrics import sets
from jgan.programs import classifier


@pytest.fixture(scope="module", autouse=True)
def trained_fast():
    """These train: steps that are compiled with the costly passes take a tenth of the time."""
    import jax  # only now: it reads the environment that conftest sets

    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


STEPS = 40


def squares(n, seed, side=16):
    """Pictures with a bright square, left of which nothing is (class 0) or a dark one (class 1), and the classes."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    pictures = rng.integers(100, 140, (n, side, side, 3))
    for picture, label in zip(pictures, labels, strict=True):
        y = rng.integers(1, side - 7)
        picture[y : y + 6, 9:14] = 240
        picture[y : y + 6, 2:7] -= 90 * label
    return pictures.astype(np.uint8), labels.astype(np.int32)


@pytest.fixture(scope="module")
def by_class():
    held_out = squares(60, 1)
    return classifier.train(*squares(200, 0), *held_out, side=16, names=("one", "two"), steps=STEPS), held_out


def test_classes_are_learnt_and_agreement_is_the_share_that_is_right(by_class):
    made, (pictures, labels) = by_class
    assert made.kind == "class" and made.accuracy > 0.95
    assert made.accuracy == made.agreement(pictures, labels).mean()
    assert made.agreement(pictures, 1 - labels).mean() == pytest.approx(1 - made.accuracy)
    assert made.features(pictures).shape == (60, 96)


def test_attributes_are_learnt_where_they_are_known():
    pictures, labels = squares(200, 0)
    asked = np.stack([labels, 1 - labels, np.full(200, np.nan)], 1).astype(np.float32)
    asked[::3, 1] = np.nan
    made = classifier.train(pictures, asked, pictures, asked, side=16, names=("a", "b", "c"), steps=STEPS)
    assert made.kind == "attributes" and made.accuracy > 0.95
    right = classifier.right(
        np.array([[3.0, -2.0], [1.0, 1.0], [0.0, 0.0]]), np.array([[1, 1], [1, np.nan], [np.nan] * 2])
    )
    np.testing.assert_array_equal(right, [0.5, 1, np.nan])


def test_the_same_pictures_give_the_same_classifier_and_its_file_gives_it_back(by_class, tmp_path):
    made, held_out = by_class
    again = classifier.train(*squares(200, 0), *held_out, side=16, names=("one", "two"), steps=STEPS)
    assert again.digest == made.digest and made.digest in made.described
    (tmp_path / "c.npz").write_bytes(classifier.dump(made))
    found = classifier.read(str(tmp_path / "c.npz"))
    assert found._replace(params=None) == made._replace(params=None) and found.digest == made.digest
    np.testing.assert_array_equal(found.features(held_out[0]), made.features(held_out[0]))


def test_a_file_of_something_else_is_refused(tmp_path, small_config, by_class):
    (tmp_path / "text.npz").write_text("{}")
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    for name in ("text.npz", "other.npz"):
        with pytest.raises(jgan.UserError, match="is no file of a classifier: one that"):
            classifier.read(str(tmp_path / name))
    with pytest.raises(jgan.UserError, match="cannot be read"):
        classifier.read(str(tmp_path / "none.npz"))
    (tmp_path / "c.npz").write_bytes(classifier.dump(by_class[0]))
    config = small_config(**{"data.channels": (3, 1)})
    with pytest.raises(jgan.UserError, match="sees pictures of 3 channels, and the run makes some of 1"):
        classifier.of_run(config, "b", str(tmp_path / "c.npz"))


@pytest.mark.slow
def test_without_labels_it_sees_faults_and_missing_kinds():
    pictures, _ = squares(300, 0)
    others, labels = squares(300, 1)
    made = classifier.train(pictures, None, others, None, side=16, steps=3 * STEPS)
    assert made.kind == "treatments" and made.names == classifier.TREATMENTS and made.accuracy > 0.4

    def far(x):
        known = [sets.Described.empty(96).add(range(len(y)), made.features(y), []) for y in (x, others)]
        return sets.frechet(*known)

    rng = np.random.default_rng(2)
    noisy = (pictures + rng.normal(0, 30, pictures.shape)).clip(0, 255).astype(np.uint8)
    assert far(noisy) > 5 * far(pictures) and far(others[labels == 0]) > 3 * far(pictures)


@pytest.mark.parametrize("side, channels", [(16, 3), (13, 1), (3, 4)])
def test_treatments_keep_shapes(side, channels):
    rng = np.random.default_rng(0)
    images = rng.uniform(-1, 1, (40, side, side, channels)).astype(np.float32)
    treated, chosen = classifier._treated(images, rng)
    assert treated.shape == images.shape and treated.dtype == np.float32 and np.isfinite(treated).all()
    np.testing.assert_array_equal(treated[chosen == 0], images[chosen == 0])
    assert set(chosen) == set(range(len(classifier.TREATMENTS)))
    cut = classifier._cut(images, rng)
    assert (
        cut.shape[1:3] == (max(1, side * 3 // 4),) * 2
        and classifier._moved(images, rng).shape == images.shape
    )
