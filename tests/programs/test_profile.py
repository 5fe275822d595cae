"""A profile of some steps: which steps it has, and when there is none."""

import glob
import gzip
import json
import os

import jax
import jax.numpy as jnp
import pytest

import jgan
from jgan.programs import profiling
from jgan.programs import train
from jgan.runs import config as run_config
from tests.interrupted import sigterm_after


def profiled(workdir):
    """The numbers of the steps in each profile of a run."""
    found = []
    for path in sorted(glob.glob(f"{workdir}/{profiling.FOLDER}/plugins/profile/*/*.trace.json.gz")):
        with gzip.open(path) as file:
            events = json.load(file)["traceEvents"]
        found.append([int(e["args"]["step_num"]) for e in events if e.get("name") == profiling.STEP])
    return found


def taken(workdir, steps, start, stop):
    """What a loop of steps START to STOP - 1 says, and how often it has waited for the device."""
    said, waited = [], []
    profile = profiling.Profile(
        str(workdir), steps, lambda: waited.append(jax.block_until_ready(x)), said.append
    )
    profile.tell(start, stop)
    x = jnp.zeros(())
    for step in range(start, stop):
        if profile.due(step):
            profile.turn(step)
        with profile.step(step):
            x += 1
    profile.end()
    return said, len(waited)


@pytest.mark.parametrize("text", ["", "5", "5:5", "6:5", "-1:3", "a:b", "1:2:3", "1.5:2"])
def test_what_says_no_steps_is_refused(text):
    with pytest.raises(jgan.UserError, match="START:STOP"):
        run_config.parse_steps(text, "profile")


def test_steps_are_half_open():
    assert run_config.parse_steps("10:20", "profile") == range(10, 20)


@pytest.mark.parametrize(
    "start, stop, expected",
    [(0, 5, [2, 3]), (0, 4, [2, 3]), (0, 3, [2]), (3, 6, [3])],
    ids=["inside", "to the end", "the run ends before", "a run goes on inside"],
)
def test_a_profile_has_whole_steps(tmp_path, start, stop, expected):
    said, waited = taken(tmp_path, range(2, 4), start, stop)
    assert profiled(tmp_path) == [expected]
    assert waited == 2  # before the first and after the last
    assert len(said) == 1 and f"steps {expected[0]} to {expected[-1]}:" in said[0]


@pytest.mark.parametrize("start, stop", [(0, 2), (4, 6), (4, 4)])
def test_other_steps_give_no_profile_but_a_sentence(tmp_path, start, stop):
    said, waited = taken(tmp_path, range(2, 4), start, stop)
    assert not os.listdir(tmp_path) and not waited
    assert len(said) == 1 and "no profile" in said[0]


@pytest.mark.slow
def test_a_training_writes_what_it_was_asked_for(small_config, tmp_path, capsys):
    """SIGTERM in the middle of the profile writes what there is; the run then goes on, and past the profile says so."""
    changes = {"data.source": "facades", "data.number": 4, "data.val_number": 2, "steps": 8}
    config = small_config(**changes)
    config.data.channels = ()
    with sigterm_after(3):
        train.train(config, str(tmp_path), profile=range(1, 6))
    assert profiled(tmp_path) == [[1, 2]]
    with sigterm_after(4):
        train.train(config, str(tmp_path), profile=range(1, 6))
    assert profiled(tmp_path) == [[1, 2], [3, 4, 5]]
    assert "no profile" not in capsys.readouterr().out
    train.train(config, str(tmp_path), profile=range(1, 6))
    assert len(profiled(tmp_path)) == 2
    assert "no profile: this start takes steps 7 to 7" in capsys.readouterr().out
