"""Processes of a job meet, and end together; without JAX, which no process needs to be missed."""

import os
import socket
import subprocess
import sys
import time

import pytest

import jgan
from launch import process_flags
from launch import processes

# What a process of a job does: `python job.py ADDRESS COUNT INDEX TIMEOUT ACT`.
JOB = """
import os, sys, time

import jgan
import launch
from launch import processes

address, count, index, timeout, act = sys.argv[1:]
del sys.argv[1:]


def main():
    processes.meet(address, int(count), int(index), float(timeout))
    print("met", flush=True)
    if act == "mistake":
        raise jgan.UserError(f"the mistake of process {index}.")
    if act == "fault":
        raise TypeError("a fault")
    if act == "later":
        time.sleep(1)
    if act == "wait":
        time.sleep(60)
    if act == "computation":  # ended by the loss of another process
        try:
            time.sleep(2)
        finally:
            raise ValueError("Gloo failed")


launch.run(main)
"""


@pytest.fixture
def address():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


@pytest.fixture
def start(tmp_path, address):
    (tmp_path / "job.py").write_text(JOB)
    started = []

    def start(index, act="", count=2, timeout=30.0):
        started.append(
            subprocess.Popen(
                [
                    sys.executable,
                    tmp_path / "job.py",
                    address,
                    str(count),
                    str(index),
                    str(timeout),
                    act,
                ],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def ended(process, timeout=30):
    """(exit status, standard error) of a process that ends by itself."""
    _, error = process.communicate(timeout=timeout)
    return process.returncode, error


def met(*processes):
    for process in processes:
        assert process.stdout.readline() == "met\n", process.communicate()


def test_processes_that_have_met_end_one_after_the_other(start):
    """The first one that has done its work does not take the others with it."""
    both = [start(1), start(0, "later")]
    assert [ended(process) for process in both] == [(0, ""), (0, "")]
    both = [start(1, "later"), start(0)]
    assert [ended(process) for process in both] == [(0, ""), (0, "")]


@pytest.mark.parametrize("victim, act", [(0, "wait"), (1, "wait"), (1, "computation")])
def test_when_one_is_killed_the_others_say_which_and_end(start, victim, act):
    all_three = [start(index, act, count=3) for index in range(3)]
    met(*all_three)
    all_three[victim].kill()
    before = time.monotonic()
    for process in all_three[:victim] + all_three[victim + 1 :]:
        status, error = ended(process)
        assert status == 75
        assert (
            error.startswith(f"error: process {victim} of 3 has ended without a word")
            and error.count("\n") == 1
        )
    assert time.monotonic() - before < 15


@pytest.mark.parametrize(
    "victim, act, status, told",
    [
        (0, "mistake", 2, "error: the mistake of"),
        pytest.param(1, "fault", 1, "TypeError", marks=pytest.mark.slow),
    ],
)
def test_when_one_fails_it_says_why_and_the_others_which(start, victim, act, status, told):
    failing, other = start(victim, act), start(1 - victim, "wait")
    found, error = ended(failing)
    assert found == status and told in error
    found, error = ended(other)
    assert found == 75
    assert (
        error.startswith(f"error: process {victim} of 2 has ended with an error") and error.count("\n") == 1
    )


def test_a_mistake_of_all_is_said_by_all(start):
    for process, index in [(start(index, "mistake"), index) for index in range(2)]:
        assert ended(process) == (2, f"error: the mistake of process {index}.\n")


def test_those_that_are_missing_are_named_to_all_that_came(start):
    for process in [start(0, count=4, timeout=2), start(2, count=4, timeout=20)]:
        status, error = ended(process)
        assert status == 75
        assert (
            error.startswith("error: processes 1, 3 of 4 did not come to 127.0.0.1:") and "--timeout" in error
        )


def test_a_missing_process_0_is_named(start):
    status, error = ended(start(1, timeout=1))
    assert status == 75 and error.startswith("error: process 0 of 2 did not come")


def test_one_that_comes_late_or_again_is_waited_for(start, address):
    first = start(1, "wait")
    time.sleep(0.5)  # process 0 is not there yet
    host, port = address.split(":")
    zero = start(0, "later", count=3)
    again = start(1, "later", count=3)
    while not _listens(host, int(port)):  # a stranger, whose greeting is not that of a process
        time.sleep(0.05)
    status, error = ended(first)
    assert status == 2 and "--num_processes is 3 in process 0" in error
    again.kill()
    again.wait()
    rest = [start(1, "later", count=3), start(2, "later", count=3)]
    met(zero, *rest)
    assert [ended(process)[0] for process in [zero, *rest]] == [0, 0, 0]


def _listens(host, port):
    try:
        with socket.create_connection((host, port)) as stranger:
            stranger.sendall(b"GET / HTTP/1.1\n")
        return True
    except OSError:
        return False


def test_of_two_with_one_number_the_second_is_refused(start):
    zero, one = start(0, count=3, timeout=6), start(1, count=3, timeout=6)
    time.sleep(1.5)
    two = start(1, count=3, timeout=6)
    both = [ended(process) for process in (one, two)]
    assert sorted(status for status, _ in both) == [2, 75]
    assert any("--process_id=1 of --num_processes=3: there is one already" in error for _, error in both)
    assert "process 2 of 3 did not come" in ended(zero)[1]


@pytest.mark.parametrize(
    "address, index, told",
    [
        ("node", 0, "HOST:PORT"),
        ("node:x", 0, "HOST:PORT"),
        ("node:5", 2, "0 to 1 would"),
        ("node:5", -1, "0 to 1 would"),
    ],
)
def test_impossible_flags_are_refused(address, index, told):
    with pytest.raises(jgan.UserError, match=told):
        processes.meet(address, 2, index, 1)


SLURM = {
    "SLURM_JOB_ID": "4097",
    "SLURM_STEP_NODELIST": "gpu[003-004],gpu9",
    "SLURM_NTASKS": "8",
    "SLURM_PROCID": "5",
    "SLURM_LOCALID": "1",
}


def test_slurm_says_who_the_others_are_unless_flags_do(monkeypatch):
    for name in [
        name for name in os.environ if name.startswith(("SLURM_", "JAX_COORDINATOR", "KUBERNETES_"))
    ]:
        monkeypatch.delenv(name)
    with pytest.raises(jgan.UserError, match="neither SLURM"):
        process_flags.whole(None, None, None, 1)
    for name, value in SLURM.items():
        monkeypatch.setenv(name, value)
    assert process_flags.whole(None, None, None, 1) == ("gpu003:61441", 8, 5, [1])
    # All devices of the machine, not one for each process.
    assert process_flags.whole("host:1", 2, 0, 1) == ("host:1", 2, 0, None)
