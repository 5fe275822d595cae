"""Runs that train together are what they would be alone."""

import dataclasses
import json
import os
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs.sweeps import pix2pix_objectives
import jgan
from jgan import sharding
from jgan.programs import seeds
from jgan.programs import sweep
from jgan.programs import train
from jgan.programs import verify
from jgan.runs import config as run_config
from jgan.runs import trace
from jgan.systems import pix2pix
from launch import config_files
from tests.initial_weights import quick_init
from tests.interrupted import sigterm_after

ROOT = pathlib.Path(__file__).parent.parent.parent
FILE = "configs/sweeps/pix2pix_objectives.py:tiny"
pytestmark = pytest.mark.usefixtures("quick_convolutions")
OBJECTIVES = dict(pix2pix_objectives.VARIANTS)


@pytest.fixture(scope="session")
def of_seed(small_config):
    """`(seed, **changes) -> ConfigDict` of a pix2pix on drawn facades that ends after four steps."""

    def make(seed, **changes):
        config = small_config("tiny", **{"steps": 4, "seed": seed, **changes})
        config.data.channels = ()
        return config

    return make


@pytest.fixture(scope="module")
def alone(of_seed, tmp_path_factory):
    """The directories of two runs that trained alone."""
    top = tmp_path_factory.mktemp("alone")
    for seed in (0, 1):
        train.train(of_seed(seed), str(top / f"seed{seed}"))
    return [str(top / f"seed{seed}") for seed in (0, 1)]


def logged(workdir):
    """metrics.jsonl without what depends on the clock."""
    with open(os.path.join(workdir, "metrics.jsonl")) as file:
        lines = [json.loads(line) for line in file]
    clock = ("images_per_second", "input_wait")
    return [{name: value for name, value in line.items() if name not in clock} for line in lines]


def files(workdir):
    """The files of a run but for those of Orbax, whose names are its own."""
    found = [path.relative_to(workdir) for path in pathlib.Path(workdir).rglob("*") if path.is_file()]
    return sorted(str(path) for path in found if len(path.parts) < 3)


@pytest.mark.slow
def test_in_turn_they_have_the_bits_of_runs_alone_also_when_they_are_interrupted(alone, of_seed, tmp_path):
    places = [str(tmp_path / f"seed{seed}") for seed in (0, 1)]
    with sigterm_after(3):
        train.together([of_seed(0), of_seed(1)], places, how="in_turn")
    with pytest.raises(jgan.UserError, match="at the steps 0, 3: only runs at one step"):
        train.together([of_seed(0), of_seed(2)], [places[0], str(tmp_path / "new")], how="in_turn")
    train.together([of_seed(0), of_seed(1)], places, how="in_turn")
    for place, other in zip(places, alone, strict=True):
        told, expected = trace.read(place), trace.read(other)
        assert all(told[step] == expected[step] for step in (0, 1, 2, 4)) and "state" in told[3]
        assert set(files(other)) <= set(files(place))
        assert [line for line in logged(place) if line["step"] != 3] == [
            line for line in logged(other) if line["step"] != 3
        ]
    assert trace.read(places[0])[4]["state"] != trace.read(places[1])[4]["state"]


@pytest.mark.slow
def test_vmapped_they_are_equal_to_rounding_and_can_be_repeated(alone, of_seed, tmp_path):
    places = [str(tmp_path / f"seed{seed}") for seed in (0, 1)]
    train.together([of_seed(0), of_seed(1)], places, how="vmapped")
    for place, other in zip(places, alone, strict=True):
        assert files(place) == files(other)
        assert trace.read(place)[0] == trace.read(other)[0]  # the weights to begin with
        first, expected = logged(place)[0], logged(other)[0]
        assert first == pytest.approx(expected, rel=1e-4)
        assert run_config.facts(place)["starts"][0]["vmapped"] == [0, 1]
    verdict = verify.verify(places[1])
    assert verdict.parting is None and verdict.steps == 4
    # One of them goes on alone.
    train.train(of_seed(1, steps=5), places[1])
    assert logged(places[1])[-1]["step"] == 5


FROZEN = {"net": np.arange(3.0)}


def in_float64(how, config, batches):
    """The states of two seeds and their metrics after a few steps, all in float64."""
    system = pix2pix.build(config)
    keys = [jax.random.key(seed) for seed in (0, 1)]
    made = seeds.of(how, system, keys, sharding.mesh())
    frozen = jax.tree.map(jnp.asarray, FROZEN)

    def begun(key):
        state = quick_init(system.init)(key, batches[0][0])
        state = jax.tree.map(
            lambda x: x.astype(jnp.float64) if jnp.issubdtype(x.dtype, jnp.floating) else x, state
        )
        return dataclasses.replace(state, frozen=frozen)

    made.states = [begun(key) for key in keys]
    told = []
    for batch in batches:
        placed = made.place(batch)
        told.append(made.metrics([made.update(placed, one) for one in system.programs(system.plan(0))]))
    return made.states, told


@pytest.mark.parametrize(
    "objective",
    [pytest.param(name, marks=[pytest.mark.slow] * (name != "l1")) for name in OBJECTIVES],
)
def test_in_float64_one_vmapped_program_is_equal_to_single_ones(small_config, objective):
    """Sums have another order, which is all that differs: after three steps of Adam, to 1e-9 of the largest number."""
    changes = {"generator.norm": "instance", "generator.levels": 2, **OBJECTIVES[objective]}
    config = small_config("tiny", **changes)
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        batches = [
            [{name: rng.uniform(-1, 1, (2, 16, 16, 3)) for name in "ab"} for _ in range(2)] for _ in range(3)
        ]
        (ours, told), (theirs, expected) = (
            in_float64(how, config, batches) for how in ("vmapped", "in_turn")
        )
        for one, other in zip(ours, theirs, strict=True):
            for x, y in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
                assert x.dtype == y.dtype and x.shape == y.shape
                np.testing.assert_allclose(x, y, rtol=0, atol=1e-9 * max(1, np.abs(y).max()))
            assert int(one.step) == 3
            # What nobody trains is there once, and as it was.
            np.testing.assert_array_equal(one.frozen["net"], FROZEN["net"])
        for step, other in zip(told, expected, strict=True):
            for one, reference in zip(step, other, strict=True):
                assert one == pytest.approx(reference, rel=1e-9)
    kernels = [x for x in jax.tree.leaves(ours[0].params) if x.ndim == 4]
    assert kernels and all(x.dtype == np.float64 for x in kernels)


def expanded(workdir, count):
    return sweep.expand(sweep.read(FILE), str(workdir), seeds=count, given=[], load=config_files.load)


def test_a_sweep_groups_the_seeds_of_a_variant_that_are_at_one_step(tmp_path):
    jobs = expanded(tmp_path, 3)[:6]
    os.makedirs(os.path.join(jobs[1].workdir, "checkpoints", "2"))
    made = sweep.grouped(jobs, 2)
    assert [job.name for job in made] == ["l1/seed0+2", "l1/seed1", "gan/seed0+1", "gan/seed2"]
    command = made[0].command("python")
    assert command[-2:] == ["--seeds=0,2", f"--workdir={tmp_path / 'l1'}"]
    assert not any("config.seed" in flag for flag in command)
    assert "--config.loss.adversarial_weight=0.0" in command
    assert [job.name for job in sweep.grouped(jobs, 1)] == [job.name for job in jobs]


def test_of_a_group_that_fails_the_others_are_trained_alone(tmp_path, monkeypatch, capsys):
    """One of three seeds diverges."""
    code = """
import os, sys
for seed in sys.argv[1].split(","):
    if seed == "1":
        sys.exit("error: stopped at step 2 (seed 1).")
    os.makedirs(os.path.join(sys.argv[2], "seed" + seed, "checkpoints", sys.argv[3]))
"""

    def command(self, python=""):
        group = isinstance(self, sweep.Group)
        numbers = ",".join(str(job.config.seed) for job in self.jobs) if group else str(self.config.seed)
        top = self.workdir if group else os.path.dirname(self.workdir)
        return [sys.executable, "-c", code, numbers, top, str(self.steps)]

    monkeypatch.setattr(sweep.Job, "command", command)
    monkeypatch.setattr(sweep.Group, "command", command)
    jobs = expanded(tmp_path, 3)[:3]
    failed = sweep.here(sweep.grouped(jobs, 3), str(tmp_path))
    assert failed == {"l1/seed1": "stopped at step 2 (seed 1)."}
    assert [job.step for job in jobs] == [3, 0, 3]
    assert "l1/seed0+1+2: FAILED" in capsys.readouterr().out


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--seeds=0,x"], "--seeds=0,x: different whole numbers"),
        (["--seeds=1,1"], "--seeds=1,1: different"),
        (["--seeds=0,1", "--config.seed=3"], "--config.seed"),
        (["--together=vmapped"], "--together goes with --seeds alone"),
    ],
)
def test_mistakes_end_in_a_sentence(tmp_path, flags, words):
    command = [sys.executable, "-m", "launch.train", "--config=configs/pix2pix.py:tiny"]
    command += [f"--workdir={tmp_path / 'run'}", *flags]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2 and words in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("quick_children")
def test_a_sweep_with_vmapped_seeds_leaves_normal_runs(tmp_path):
    command = [sys.executable, "-m", "launch.sweep", f"--sweep={FILE}", f"--workdir={tmp_path / 'out'}"]
    command += ["--vmap_seeds=2", "--jobs=1"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=600)
    assert done.returncode == 0 and "10 runs" in done.stdout, done.stdout + done.stderr
    for job in expanded(tmp_path / "out", 2):
        assert job.is_finished() and len(logged(job.workdir)) > 3
        assert run_config.read(job.workdir).seed == job.config.seed
    again = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=600)
    assert again.returncode == 0 and "nothing is left to train" in again.stdout
