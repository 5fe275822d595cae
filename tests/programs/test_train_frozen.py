"""Nets that a system uses and does not train: read once, kept in the run, in no checkpoint, never changed."""

import pathlib
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import pix2pix as presets
import jgan
from jgan import frozen
from jgan import losses
from jgan import trained
from jgan.nets import generators
from jgan.ops import pixels
from jgan.programs import train
from jgan.systems import SYSTEMS
from jgan.systems import pix2pix
from jgan.systems import system


def student(config):
    """pix2pix that also learns from the generator of another run."""
    made, teacher = pix2pix.build(config), generators.of(config.generator, 3, config.data.size, None)

    def step(state, batch, key, updates):
        a = pixels.to_float(batch["a"])
        given = state.frozen["teacher"]
        lesson, _ = teacher.apply(given["params"], given["stats"], a, statistics="image")
        state, metrics = made.step(state, batch, key, updates)
        return state, metrics | {"lesson": jnp.mean(losses.l1(lesson, pixels.to_float(batch["b"])))}

    declared = {"teacher": system.Frozen(config.get("teacher", ""), "generator")}
    return made._replace(step=step, frozen=declared)


@pytest.fixture
def runs(tmp_path, monkeypatch, drawn_run):
    """(config of a student, directory of its run, directory of the teacher's)."""
    monkeypatch.setitem(SYSTEMS, "student", student)
    config = presets.get_config("tiny")
    config.data.channels = (3, 3)
    (tmp_path / "teacher").mkdir()
    drawn_run(str(tmp_path / "teacher"), config, 1)
    config.steps, config.optimiser.schedule = 2, "constant"
    config.system, config.teacher = "student", str(tmp_path / "teacher")
    return config, tmp_path / "run", tmp_path / "teacher"


@pytest.mark.slow
def test_a_frozen_net_is_kept_in_the_run_and_never_changed(runs):
    config, workdir, teacher = runs
    train.train(config, str(workdir))
    given = trained.load(str(teacher)).weights["params"]["generator"]
    shutil.rmtree(teacher)  # a run needs nothing but itself
    config.steps = 4
    train.train(config, str(workdir))
    weights = trained.load(str(workdir)).weights
    kept = weights["frozen"]["teacher"]["params"]
    assert [path.name for path in (workdir / "frozen").iterdir()] == ["teacher.npz"]
    jax.tree.map(np.testing.assert_array_equal, kept, given)
    assert not any("teacher" in path.name for path in pathlib.Path(workdir, "checkpoints").rglob("*"))
    assert "teacher" not in weights["params"]


def test_a_net_that_another_run_has_not_is_named(runs):
    config, workdir, teacher = runs
    declared = {"teacher": system.Frozen(str(teacher), "encoder")}
    with pytest.raises(jgan.UserError, match="a run without a net 'encoder': it has .*generator"):
        frozen.gather(str(workdir), declared)
