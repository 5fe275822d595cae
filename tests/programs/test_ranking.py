"""Scores of sets rank pictures of known quality: real ones before worse ones, a late generator before an early one."""

import numpy as np
import pytest

from jgan import trained
from jgan.data import objects
from jgan.metrics import distances
from jgan.metrics import sets
from jgan.programs import classifier
from jgan.programs import describers
from jgan.programs import set_scores
from jgan.programs import train

pytestmark = pytest.mark.slow
SIDE, NUMBER, EARLY, LATE = 16, 300, 50, 600


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The directory of a GAN of dense layers on drawn products, with the checkpoints of all steps."""
    from configs import gan

    config = gan.get_config("objects")
    sizes = {"data.size": SIDE, "data.load_size": SIDE, "data.number": NUMBER, "data.val_number": 16}
    rates = {"save_every": EARLY, "keep": LATE, "sample_every": LATE, "validate_every": LATE}
    config.update_from_flattened_dict(
        {"steps": LATE, "batch_size": 32, "optimiser.learning_rate": 5e-4, **sizes, **rates}
    )
    place = str(tmp_path_factory.mktemp("run"))
    train.train(config, place)
    return place


@pytest.fixture(scope="module")
def made(run):
    """A classifier of its data, which have no labels."""
    return classifier.of_run(trained.load(run).config, "images", steps=150)


def drawn(seed):
    source = objects.Objects(SIDE, NUMBER, seed)
    return np.stack([source[k] for k in range(NUMBER)])


def noisy(pictures, strength):
    noise = np.random.default_rng(0).normal(0, strength, pictures.shape)
    return (pictures + noise).clip(0, 255).astype(np.uint8)


def blurred(pictures, times):
    images = pictures.astype(np.float32)
    for _ in range(times):
        for axis in (1, 2):
            wide = np.pad(images, [(int(axis == k),) * 2 for k in range(4)], "edge")
            images = sum(np.take(wide, range(k, k + SIDE), axis) for k in range(3)) / 3
    return images.round().astype(np.uint8)


@pytest.mark.parametrize("worse, amounts", [(noisy, (16, 32, 64)), (blurred, (1, 2, 4))])
def test_held_out_pictures_are_ranked_by_what_was_done_to_them(made, worse, amounts):
    real, others = (drawn(seed) for seed in (11, 12))
    ranked = [real, *(worse(real, amount) for amount in amounts)]
    features = [made.features(x) for x in (others, *ranked)]
    known = [sets.Described.empty(96).add(range(NUMBER), x, []) for x in features]
    frechet = [sets.frechet(known[0], one) for one in known[1:]]
    estimates = [distances.kernel_blocks(features[0], x) for x in features[1:]]
    kernel = [one.value for one in estimates]
    for scores in (frechet, kernel):
        assert scores == sorted(scores), scores
        assert scores[-1] - scores[0] > 1.5 * (scores[-2] - scores[0]), scores
    assert abs(kernel[0]) < 4 * estimates[0].error < kernel[-1]  # two sets of real pictures are level


def test_a_late_checkpoint_is_nearer_to_real_pictures_than_an_early_one(run, made):
    early, late = (
        set_scores.scores(trained.load(run, step), describer=describers.of_classifier(made), number=NUMBER)
        for step in (EARLY, LATE)
    )
    for name in ("classifier_fd", "classifier_kd"):
        assert late[name] < early[name] / 2, name
