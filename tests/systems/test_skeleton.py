"""The skeleton of a system in WORKSPACE.md is one: it builds, and trains for two steps."""

import pathlib
import re
import types

import numpy as np

from configs import pix2pix
from jgan.programs import train
from jgan.runs import log
from jgan.systems import SYSTEMS

WORKSPACE = pathlib.Path(__file__).parents[2] / "WORKSPACE.md"


def test_the_skeleton_of_a_system_trains(tmp_path, monkeypatch):
    (text,) = re.findall(r"```python\n(.*?)```", WORKSPACE.read_text(), re.S)
    skeleton = types.ModuleType("skeleton")
    exec(compile(text, str(WORKSPACE), "exec"), skeleton.__dict__)
    monkeypatch.setitem(SYSTEMS, "skeleton", skeleton.build)
    config = pix2pix.get_config("tiny")
    config.system, config.steps = "skeleton", 2
    train.train(config, str(tmp_path))
    losses = [record["g_loss"] for record in log.read(tmp_path / "metrics.jsonl") if "g_loss" in record]
    assert len(losses) == 2 and np.isfinite(losses).all()
    assert (tmp_path / "samples" / "000002.png").exists()
