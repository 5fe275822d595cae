"""How different samples are: the arithmetic with known pictures, and the real photos that they are compared with."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import diversity
from configs import bicyclegan
from configs import pix2pix
from configs import stargan
import jgan
from jgan import trained
from jgan.data import facades
from jgan.systems import SYSTEMS


def run_of(presets, **changes):
    config = presets.get_config("tiny")
    config.update_from_flattened_dict(changes)
    return trained.Run(config, 3, SYSTEMS[config.system](config), {})


def faked(run, name, way, **codes):
    """A run whose way and codes are these functions."""
    system = run.system
    spaces = {key: found._replace(**codes) for key, found in system.spaces.items()}
    ways = {name: system.ways[name]._replace(run=way)}
    return run._replace(system=system._replace(ways=ways, spaces=spaces))


def test_the_spread_is_the_mean_over_pairs():
    pictures = np.asarray([0.0, 0.0, 1.0])[:, None, None, None] * np.ones((3, 4, 4, 3))
    assert diversity.spread(pictures) == pytest.approx(2 / 3)


def test_real_pictures_are_as_different_as_themselves_and_their_own_codes_are_nearest():
    labels, photos = diversity.real(16, 1, 0)
    np.testing.assert_array_equal(labels, facades.Facades(16, 1, 1)[0]["labels"])
    np.testing.assert_allclose(photos[0], facades.Facades(16, 1, 1)[0]["photo"] / 127.5 - 1, atol=1e-6)
    found = diversity.of_map(photos, photos, photos, 0.1 * photos)
    assert found["distance"] == found["real"] and found["l1_encoded"] == 0 < found["l1_random"]
    assert found["real"] > 0.1  # other paint and light, not noise alone
    result = diversity.report([found] * 3)
    assert result["of_real"] == 1 and result["number"] == 3 and result["passed"]
    assert result["times_dropout"] == pytest.approx(10, rel=1e-3)
    json.dumps(result)


@pytest.mark.parametrize(
    "changes, passed",
    [
        ({}, True),
        ({"distance": 0.24}, False),
        ({"distance": 0.25}, True),
        ({"dropout": 0.061}, False),
        ({"l1_encoded": 0.4}, False),
    ],
)
def test_each_bar_has_to_be_met(changes, passed):
    kept = {"distance": 0.3, "real": 0.5, "l1_encoded": 0.2, "l1_random": 0.4, "dropout": 0.05}
    assert diversity.report([kept | changes])["passed"] is passed


def test_without_another_run_nothing_is_said_of_dropout():
    kept = {"distance": 0.3, "real": 0.5, "l1_encoded": 0.2, "l1_random": 0.4}
    assert "times_dropout" not in diversity.report([kept]) and diversity.report([kept])["passed"]


def test_samples_have_random_codes_and_encoded_pictures_those_of_their_photos():
    def way(weights, inputs, key=None, *, statistics="image", dropout=False):
        n = len(inputs["a"])
        z = inputs["z"] if "z" in inputs else jax.random.normal(key, (n, 1))
        return {"output": jnp.broadcast_to(z[:, :, None, None], (n, 4, 4, 3))}

    run = faked(
        run_of(bicyclegan),
        "AtoB",
        way,
        predict=lambda weights, images, given: images.mean((1, 2, 3))[:, None],
    )
    diversity.check(run, "--workdir", "RUN")
    photos = np.arange(10, dtype=np.float32)[:, None, None, None] * np.ones((10, 4, 4, 3), np.float32)
    made = diversity.translator(run)
    samples, encoded = made(np.zeros((4, 4, 3), np.uint8), photos, 0)
    np.testing.assert_allclose(encoded, photos, rtol=1e-6)
    assert samples.shape == photos.shape and diversity.spread(samples) > 0.3
    assert not np.array_equal(samples, made(np.zeros((4, 4, 3), np.uint8), photos, 1)[0])


def test_dropout_draws_ten_pictures_of_one_map():
    def way(weights, inputs, key=None, *, statistics="image", dropout=False):
        assert dropout
        return {"output": jax.random.uniform(key, inputs["a"].shape)}

    run = faked(run_of(pix2pix), "AtoB", way)
    diversity.check_other(run, "OTHER", run_of(bicyclegan))
    pictures = diversity.by_dropout(run)(np.zeros((4, 4, 3), np.uint8), 0)
    assert pictures.shape == (10, 4, 4, 3) and diversity.spread(pictures) > 0.2


def test_other_runs_are_refused():
    for run in (
        run_of(pix2pix),
        run_of(stargan),
        run_of(bicyclegan, **{"data.direction": "BtoA"}),
        run_of(bicyclegan, **{"data.source": "folder"}),
    ):
        with pytest.raises(jgan.UserError, match="--workdir=RUN is a run of .*would work"):
            diversity.check(run, "--workdir", "RUN")
    asked = run_of(bicyclegan)
    with pytest.raises(jgan.UserError, match="--other=RUN is a run of bicyclegan .*pix2pix"):
        diversity.check_other(asked, "RUN", asked)
    with pytest.raises(jgan.UserError, match="32 pixels.*16"):
        diversity.check_other(run_of(pix2pix, **{"data.size": 32}), "RUN", asked)
