"""The skeleton of a system in WORKSPACE.md is one, and so is that of labels: they build, and train for two steps."""

import pathlib
import re
import subprocess
import sys
import types

import numpy as np
import pytest

from configs import cgan
from configs import pix2pix
from jgan.data import objects
from jgan.programs import train
from jgan.runs import log
from jgan.systems import SYSTEMS
from tests import cells

WORKSPACE = pathlib.Path(__file__).parents[2] / "WORKSPACE.md"


def skeleton_text():
    (text,) = re.findall(r"```python\n(.*?)```", WORKSPACE.read_text(), re.S)
    return text


def labelled_text():
    """The skeleton as the patch below it changes it."""
    (patch,) = re.findall(r"```diff\n@@\n(.*?)```", WORKSPACE.read_text(), re.S)
    text = skeleton_text()
    for hunk in patch.split("@@\n"):
        lines = hunk.splitlines(keepends=True)
        before, after = ("".join(x[1:] or x for x in lines if x[0] != sign) for sign in "+-")
        assert text.count(before) == 1, before
        text = text.replace(before, after)
    return text


@pytest.mark.parametrize("written", [skeleton_text, labelled_text])
def test_the_skeleton_passes_the_projects_linter(tmp_path, written):
    (tmp_path / "skeleton.py").write_text(written())
    command = [sys.executable, "-m", "ruff", "check", f"--config={WORKSPACE.parent}/pyproject.toml", tmp_path]
    checked = subprocess.run(command, capture_output=True, text=True)
    if "No module named ruff" in checked.stderr:
        pytest.skip("ruff is not installed; requirements-test.txt has it")
    assert checked.returncode == 0, checked.stdout


def trained(text, config, workdir, monkeypatch):
    """The losses of two steps of the system of a text."""
    skeleton = types.ModuleType("skeleton")
    exec(compile(text, str(WORKSPACE), "exec"), skeleton.__dict__)
    monkeypatch.setitem(SYSTEMS, "skeleton", skeleton.build)
    config.system, config.steps = "skeleton", 2
    train.train(config, str(workdir))
    return [record["g_loss"] for record in log.read(workdir / "metrics.jsonl") if "g_loss" in record]


def test_the_skeleton_of_a_system_trains(tmp_path, monkeypatch):
    losses = trained(skeleton_text(), pix2pix.get_config("tiny"), tmp_path, monkeypatch)
    assert len(losses) == 2 and np.isfinite(losses).all()
    assert (tmp_path / "samples" / "000002.png").exists()


def test_the_skeleton_of_a_system_of_labels_trains_and_shows_every_class(tmp_path, monkeypatch):
    config = pix2pix.get_config("tiny")
    config.data, config.best = cgan.get_config("tiny").data, ""
    losses = trained(labelled_text(), config, tmp_path, monkeypatch)
    assert len(losses) == 2 and np.isfinite(losses).all()
    (first, *_) = cells.cells(cells.read(tmp_path / "samples" / "000002.png"))
    assert len(first) == 1 + len(objects.FAMILIES)  # the picture, and what it becomes
