"""A run repeated: equal where nothing differs, and where something does, at which step and in what."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from jgan.programs import train
from jgan.programs import verify
from jgan.runs import config as run_config
from jgan.runs import trace
from tests.interrupted import sigterm_after

ROOT = pathlib.Path(__file__).parent.parent.parent
pytestmark = pytest.mark.usefixtures("quick_convolutions")


@pytest.fixture(scope="module")
def run(tmp_path_factory, small_config):
    """A run of six steps that was stopped after the third and went on, longer than it was to be."""
    config = small_config("tiny", **{"steps": 6, "log_every": 4, "optimiser.schedule": "constant"})
    config.data.channels = ()
    workdir = str(tmp_path_factory.mktemp("verify") / "run")
    with sigterm_after(3):
        train.train(config, workdir)
    train.train(config, workdir)
    return workdir


def changed(run, tmp_path, **changes):
    """A copy of the run whose config says something else than what was trained."""
    workdir = str(tmp_path / "copy")
    shutil.copytree(run, workdir)
    path = os.path.join(workdir, "config.json")
    with open(path) as file:
        content = json.load(file)
    for name, value in changes.items():
        part, _, field = name.rpartition(".")
        (content["config"][part] if part else content["config"])[field] = value
    with open(path, "w") as file:
        json.dump(content, file)
    return workdir


def test_each_start_is_recorded(run):
    starts = run_config.facts(run)["starts"]
    assert [(start["step"], start["steps"]) for start in starts] == [(0, 6), (3, 6)]
    assert all(start["command"] and start["platform"]["backend"] for start in starts)
    told = trace.read(run)
    assert [step for step in told if "state" in told[step]] == [0, 1, 2, 3, 4, 6]
    assert all("g_loss" in told[step]["step"] and "batch/a" in told[step]["step"] for step in range(1, 7))


def test_a_run_is_equal_to_its_repetition_and_stays_as_it_is(run):
    before = {path: path.stat().st_mtime_ns for path in pathlib.Path(run).rglob("*")}
    verdict = verify.verify(run)
    assert verdict.parting is None and verdict.steps == 6 and verdict.states == (1, 2, 3, 4, 6)
    assert "the first 6 steps are bit-equal" in verify.describe(run, verdict)
    assert verify.verify(run, 2).states == (1, 2)
    assert before == {path: path.stat().st_mtime_ns for path in pathlib.Path(run).rglob("*")}


def test_another_seed_is_told_at_step_1_with_its_first_array(run, tmp_path):
    verdict = verify.verify(changed(run, tmp_path, seed=1))
    first = "params/discriminator/conv_1/kernel"
    assert verdict.parting == trace.Parting(1, first, None, first, 0)
    told = verify.describe("RUN", verdict)
    assert "part at step 1; first differs params/discriminator/conv_1/kernel" in told
    assert "differs before the first step already" in told


@pytest.mark.slow
def test_another_rate_and_other_pictures_are_told_apart(run, tmp_path):
    parting = verify.verify(changed(run, tmp_path / "rate", **{"optimiser.learning_rate": 3e-4}), 2).parting
    assert (parting.step, parting.leaf.split("/")[0], parting.leaf_step, parting.since) == (1, "params", 1, 0)
    parting = verify.verify(changed(run, tmp_path / "data", **{"data.flip": False}), 6).parting
    assert parting.name == "batch/a" and parting.leaf.startswith("params/")


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--verify=nowhere"], "nowhere holds no run"),
        (["--verify=OLD"], "has no trace.jsonl"),
        (["--verify=OLD", "--seeds=2"], "--seeds goes with --sweep alone"),
        (["--verify=OLD", "--config.seed=2"], "--config.seed=2 goes with --sweep alone"),
        (["--workdir=OLD", "--verify_steps=2"], "--sweep must be given"),
    ],
)
def test_mistakes_end_in_a_sentence(small_config, tmp_path, flags, words):
    run_config.write(str(tmp_path), small_config())
    flags = [flag.replace("OLD", str(tmp_path)) for flag in flags]
    command = [sys.executable, "-m", "launch.sweep", *flags]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2 and words in done.stderr and done.stderr.count("\n") == 1, done.stderr


@pytest.mark.slow
@pytest.mark.usefixtures("quick_children")
def test_the_programs_agree_in_processes_of_their_own(tmp_path):
    def start(module, *flags):
        command = [sys.executable, "-m", module, *flags]
        return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300)

    workdir = str(tmp_path / "run")
    assert start("launch.train", "--config=configs/pix2pix.py:tiny", f"--workdir={workdir}").returncode == 0
    done = start("launch.sweep", f"--verify={workdir}")
    assert done.returncode == 0 and "the first 3 steps are bit-equal" in done.stdout, (
        done.stdout + done.stderr
    )
    other = changed(workdir, tmp_path, seed=1)
    done = start("launch.sweep", f"--verify={other}")
    assert done.returncode == 1 and "part at step 1" in done.stdout and not done.stderr.count("Traceback")
