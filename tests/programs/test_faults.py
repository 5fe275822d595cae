"""Kills, a full disk and several devices: a run ends as one that nothing disturbed."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from jgan import trained
from jgan.runs import checkpoint
from jgan.runs import config as run_config

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quick_children")]

TINY = {
    "steps": 60,
    "data.size": 16,
    "data.load_size": 18,
    "data.number": 12,
    "data.val_number": 2,
    "generator.name": "unet",
    "generator.levels": 2,
    "generator.ngf": 4,
    "discriminator.ndf": 4,
    "discriminator.n_layers": 1,
    "log_every": 1,
    "save_every": 2,
    "sample_every": 20,
    "validate_every": 10,
}
# Pools that are full after a few steps.
SYSTEMS = {"pix2pix": {}, "cyclegan": {"loss.pool_size": 5}}


def command(workdir, system="pix2pix", **changes):
    settings = {**TINY, **SYSTEMS[system], **changes}
    flags = [f"--config.{name}={value}" for name, value in settings.items()]
    return [
        sys.executable,
        "-m",
        "launch.train",
        f"--config=configs/{system}.py:demo",
        f"--workdir={workdir}",
        *flags,
    ]


def train(workdir, environment=None, system="pix2pix", **changes):
    done = subprocess.run(
        command(workdir, system, **changes),
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]


def saved(workdir):
    """Every array of the last checkpoint, and its step."""
    config = run_config.read(str(workdir))
    system = trained.SYSTEMS[config.system](config)
    abstract = jax.eval_shape(system.init, jax.random.key(0), trained.batch_shape(config))
    with checkpoint.Checkpoints(os.path.join(workdir, "checkpoints"), best=None, read_only=True) as found:
        return jax.tree.leaves(found.restore(found.latest, abstract)), found.latest


def losses(workdir):
    with open(os.path.join(workdir, "metrics.jsonl")) as file:
        records = [json.loads(line) for line in file]
    return [(r["step"], r["g_loss"], r["d_loss"]) for r in records if "g_loss" in r]


def last_step(workdir):
    try:
        with open(os.path.join(workdir, "metrics.jsonl"), "rb") as file:
            return file.read().count(b"g_loss")
    except FileNotFoundError:
        return 0


@pytest.mark.parametrize("system", SYSTEMS)
def test_three_kills_change_nothing(tmp_path, system):
    quiet, killed = tmp_path / "quiet", tmp_path / "killed"
    train(quiet, system=system)
    rng = random.Random(0)
    for k in range(3):
        process = subprocess.Popen(
            command(killed, system), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        # Somewhere in a third of the run of its own, then at a random moment, which may well be within a save.
        until, deadline = 15 * (k + 1) + rng.randrange(5), time.monotonic() + 200
        while last_step(killed) < until and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(rng.random() * 0.2)
        assert process.poll() is None, "the run ended before it could be killed"
        process.send_signal(signal.SIGKILL)
        process.wait()
    train(killed, system=system)
    (ours, step), (theirs, _) = saved(killed), saved(quiet)
    assert step == TINY["steps"]
    for x, y in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(x, y)
    assert losses(killed) == losses(quiet)


def test_of_two_trainings_of_a_run_the_second_is_refused_and_a_kill_leaves_it_free(tmp_path):
    first = subprocess.Popen(
        command(tmp_path / "run", steps=100_000), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 200
    while last_step(tmp_path / "run") < 3 and first.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    second = subprocess.run(command(tmp_path / "run"), capture_output=True, text=True, timeout=200)
    assert first.poll() is None, "the first ended before the second was refused"
    assert second.returncode == 2 and f"is being trained by process {first.pid} on" in second.stderr
    first.send_signal(signal.SIGKILL)
    first.wait()
    further = last_step(tmp_path / "run") + 5
    train(tmp_path / "run", steps=further)
    assert saved(tmp_path / "run")[1] == further


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.mark.parametrize("system", SYSTEMS)
def test_four_devices_and_two_processes_follow_one(tmp_path, system):
    """The same global batch, split over devices: batch statistics and losses are those of the whole."""
    one, four, two = (tmp_path / name for name in ("one", "four", "two"))
    changes = {
        "system": system,
        "batch_size": 4,
        "steps": 3,
        "save_every": 3,
        "validate_every": 3,
        "sample_every": 3,
    }
    train(one, **changes)
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=4"
    train(four, {"XLA_FLAGS": flags}, **changes)
    flags = [f"--coordinator_address=127.0.0.1:{free_port()}", "--num_processes=2"]
    processes = [
        subprocess.Popen(
            [*command(two, **changes), *flags, f"--process_id={k}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for k in range(2)
    ]
    for process in processes:
        _, told = process.communicate(timeout=300)
        assert process.returncode == 0, told[-2000:]
    for split in (four, two):
        # The first step's losses differ by rounding; Adam makes more of it later, its first steps being signs.
        np.testing.assert_allclose(losses(split)[0], losses(one)[0], rtol=1e-4)
        np.testing.assert_allclose(losses(split), losses(one), rtol=2e-2)
        assert saved(split)[1] == 3 and len(os.listdir(split / "samples")) == 2
