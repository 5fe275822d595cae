"""Trainings of several processes: kills, SIGTERM and another number of processes change nothing."""

import contextlib
import os
import random
import signal
import subprocess
import time

import numpy as np
import pytest

from tests.programs import test_faults as faults

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quick_children")]

SETTINGS = {"batch_size": 6, "sample_every": 1000, "validate_every": 1000}


@contextlib.contextmanager
def job(workdir, count, environment=None, more=(), **changes):
    """The processes of a training, which are killed at the end; their output goes to files beside the run."""
    address = f"127.0.0.1:{faults.free_port()}"
    flags = (
        [f"--coordinator_address={address}", f"--num_processes={count}", "--timeout=100"] if count > 1 else []
    )
    processes = []
    try:
        for index in range(count):
            with open(f"{workdir}.{index}.log", "w") as log:
                processes.append(
                    subprocess.Popen(
                        [*faults.command(workdir, **SETTINGS, **changes), *flags, *more]
                        + [f"--process_id={index}"] * (count > 1),
                        env={**os.environ, **(environment or {})},
                        stdout=log,
                        stderr=subprocess.STDOUT,
                    )
                )
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait()


def output(workdir, index):
    with open(f"{workdir}.{index}.log", errors="replace") as file:
        return file.read()


def finish(workdir, count, environment=None, **changes):
    with job(workdir, count, environment, **changes) as processes:
        for index, process in enumerate(processes):
            assert process.wait(300) == 0, output(workdir, index)[-2000:]


def reach(workdir, step, processes):
    """Waits until a training has logged a step."""
    deadline = time.monotonic() + 200
    while faults.last_step(workdir) < step and time.monotonic() < deadline:
        if any(process.poll() is not None for process in processes):
            break
        time.sleep(0.005)
    for index, process in enumerate(processes):
        assert process.poll() is None, output(workdir, index)[-2000:]


def test_five_kills_of_one_of_two_change_no_bit(tmp_path):
    quiet, killed = tmp_path / "quiet", tmp_path / "killed"
    finish(quiet, 2)
    rng = random.Random()  # another moment in every run of the test
    for k in range(5):
        victim = rng.randrange(2) if k > 1 else k  # each of them at least once
        with job(killed, 2) as processes:
            reach(killed, 10 * k + 1 + rng.randrange(8), processes)
            time.sleep(rng.random() * 0.3)
            processes[victim].kill()
            before = time.monotonic()
            status = processes[1 - victim].wait(60)
            told = output(killed, 1 - victim)
            assert status == 75, told[-2000:]
            assert f"error: process {victim} of 2 has ended without a word" in told
            assert time.monotonic() - before < 60
    finish(killed, 2)
    (ours, step), (theirs, _) = faults.saved(killed), faults.saved(quiet)
    assert step == faults.TINY["steps"]
    for x, y in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(x, y)
    assert faults.losses(killed) == faults.losses(quiet)


def test_sigterm_to_one_or_all_saves_and_another_number_of_processes_goes_on(tmp_path):
    one, many = tmp_path / "one", tmp_path / "many"
    changes = {"generator.dropout": 0.0, "steps": 48, "save_every": 1000}
    finish(one, 1, **changes)
    stops = []
    # One of three, then all of two, and a cluster that starts again what fails alone.
    for count, told, status in ((3, [1], 0), (2, [0, 1], 75)):
        with job(many, count, more=[f"--unfinished_status={status}"], **changes) as processes:
            reach(many, (stops or [0])[-1] + 3, processes)
            for index in told:
                processes[index].send_signal(signal.SIGTERM)
            for index, process in enumerate(processes):
                assert process.wait(100) == status, output(many, index)[-2000:]
        stops.append(faults.saved(many)[1])
        assert f"stopped at step {stops[-1]} of 48" in output(many, 0)
    assert 0 < stops[0] < stops[1] < 48
    finish(many, 1, {"JAX_NUM_CPU_DEVICES": "2"}, **changes)
    assert faults.saved(many)[1] == 48
    # The same batches, each once: the losses of another example would differ by far more than rounding does.
    ours, theirs = faults.losses(many), faults.losses(one)
    assert [step for step, *_ in ours] == list(range(1, 49))
    np.testing.assert_allclose(ours, theirs, rtol=2e-2)
