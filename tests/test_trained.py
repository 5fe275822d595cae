"""A run read back: which checkpoint, which weights, and what is refused."""

import json
import pathlib

import jax
import numpy as np
import pytest

import jgan
from jgan import trained
from jgan.metrics import scores
from jgan.runs import config as run_config
from jgan.systems import cyclegan
from jgan.systems import pix2pix


@pytest.fixture(scope="module")
def saved(tmp_path_factory, small_config, drawn_run):
    """(directory, {step: state}) of a run that was best at the first of its two checkpoints."""
    workdir = str(tmp_path_factory.mktemp("run"))
    return workdir, drawn_run(workdir, small_config(ema=0.9), 1, 2)


@pytest.mark.parametrize("named, step", [("latest", 2), ("best", 1), (1, 1)])
def test_weights_come_back_bit_equal_with_averages_in_their_place(saved, named, step):
    workdir, states = saved
    loaded = trained.load(workdir, named)
    assert loaded.step == step and loaded.config.ema == 0.9
    jax.tree.map(np.testing.assert_array_equal, loaded.weights, states[step].weights() | {"given": {}})
    assert "generator" in states[step].ema and set(loaded.weights["params"]) == set(states[step].params)


def test_the_best_is_of_a_score_that_the_run_has(small_config, small_cyclegan):
    one, two = pix2pix.build(small_config()), cyclegan.build(small_cyclegan())
    assert scores.best_policy("", one) is None
    assert scores.best_policy("l1", one) == ("l1", "min")
    assert scores.best_policy("BtoA_psnr", two) == ("BtoA_psnr", "max")
    assert scores.best_policy("AtoB_cycle", two) == ("AtoB_cycle", "min")
    for best, system in (("cycle", one), ("AtoB_l1", one), ("l1", two)):
        with pytest.raises(jgan.UserError, match=f"best='{best}' is unknown"):
            scores.best_policy(best, system)


def test_a_flag_names_a_checkpoint():
    assert [run_config.parse_step(text) for text in ("latest", "best", "7")] == ["latest", "best", 7]
    with pytest.raises(jgan.UserError, match="--step=last"):
        run_config.parse_step("last")


def test_mistakes(saved, tmp_path):
    workdir, _ = saved
    with pytest.raises(jgan.UserError, match="holds no run"):
        trained.load(str(tmp_path))
    with pytest.raises(jgan.UserError, match=r"no checkpoint 7: it has \[1, 2\]"):
        trained.load(workdir, 7)
    with pytest.raises(jgan.UserError, match="pix2pix, which translates pictures and draws none from codes"):
        trained.load(workdir, latent=True)


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda config: config.update(system="futuregan"), "futuregan.*does not have"),
        (lambda config: config.pop("system"), "names no system"),
        (lambda config: config["data"].pop("size"), "does not fit this version of pix2pix"),
        (lambda config: config.update(data=3), "does not fit this version"),
        (lambda config: config.update(generator=["unet"]), "does not fit this version"),
    ],
)
def test_a_config_that_was_changed_by_hand_is_refused_in_one_sentence(change, words, saved, tmp_path):
    workdir, _ = saved
    facts = json.loads(pathlib.Path(workdir, "config.json").read_text())
    change(facts["config"])
    (tmp_path / "config.json").write_text(json.dumps(facts))
    with pytest.raises(jgan.UserError, match=words):
        trained.load(str(tmp_path))


@pytest.mark.parametrize("text", ['{"config": []}', "[" * 100_000, "3", "{"])
def test_a_file_that_is_no_config_is_refused_in_one_sentence(text, tmp_path):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(jgan.UserError, match="cannot be read as the config of a run"):
        trained.load(str(tmp_path))
