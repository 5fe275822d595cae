"""The skeleton of a system in WORKSPACE.md is one: it builds, and trains for two steps."""

import pathlib
import re
import subprocess
import sys
import types

import numpy as np
import pytest

from configs import pix2pix
from jgan.programs import train
from jgan.runs import log
from jgan.systems import SYSTEMS

WORKSPACE = pathlib.Path(__file__).parents[2] / "WORKSPACE.md"


def skeleton_text():
    (text,) = re.findall(r"```python\n(.*?)```", WORKSPACE.read_text(), re.S)
    return text


def test_the_skeleton_passes_the_projects_linter(tmp_path):
    (tmp_path / "skeleton.py").write_text(skeleton_text())
    command = [sys.executable, "-m", "ruff", "check", f"--config={WORKSPACE.parent}/pyproject.toml", tmp_path]
    checked = subprocess.run(command, capture_output=True, text=True)
    if "No module named ruff" in checked.stderr:
        pytest.skip("ruff is not installed; requirements-test.txt has it")
    assert checked.returncode == 0, checked.stdout


def test_the_skeleton_of_a_system_trains(tmp_path, monkeypatch):
    text = skeleton_text()
    skeleton = types.ModuleType("skeleton")
    exec(compile(text, str(WORKSPACE), "exec"), skeleton.__dict__)
    monkeypatch.setitem(SYSTEMS, "skeleton", skeleton.build)
    config = pix2pix.get_config("tiny")
    config.system, config.steps = "skeleton", 2
    train.train(config, str(tmp_path))
    losses = [record["g_loss"] for record in log.read(tmp_path / "metrics.jsonl") if "g_loss" in record]
    assert len(losses) == 2 and np.isfinite(losses).all()
    assert (tmp_path / "samples" / "000002.png").exists()
