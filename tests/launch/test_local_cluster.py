"""Several processes on this machine: their output, their end, and signals."""

import shlex
import signal
import subprocess
import sys
import time

import pytest

CHILD = """
import os, signal, sys, time

index = int(sys.argv[-1].partition("=")[2])
act = sys.argv[1]
print("out", index, os.environ["JAX_NUM_CPU_DEVICES"], flush=True)
print("err", index, file=sys.stderr, flush=True)
if act == "fail" and index == 1:
    sys.exit(3)
if act == "die" and index == 1:
    os.kill(os.getpid(), signal.SIGKILL)
if act == "die" and index == 0:
    time.sleep(1)
    sys.exit(75)
if act == "stop":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print("ready", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    (tmp_path / "child.py").write_text(CHILD)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")

    def start(*flags):
        return subprocess.Popen(
            [sys.executable, "-m", "launch.local_cluster", *flags],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def test_a_dry_run_shows_the_processes(cluster):
    out, error = cluster(
        "--processes=2", "--devices=3", "--dry_run", "--", "launch.train", "--workdir=a b"
    ).communicate()
    lines = [shlex.split(line) for line in out.splitlines()]
    assert [line[-1] for line in lines] == ["--process_id=0", "--process_id=1"], error
    for line in lines:
        assert {"JAX_NUM_CPU_DEVICES=3", "launch.train", "--workdir=a b", "--num_processes=2"} < set(line)
    (address,) = {
        word for line in lines for word in line if word.startswith("--coordinator_address=127.0.0.1:")
    }
    out, _ = cluster("--noconnected", "--dry_run", "--", "launch.project").communicate()
    assert "--num_processes=2" in out and "coordinator" not in out


def test_output_has_the_number_of_its_process(cluster):
    process = cluster("--processes=3", "--devices=2", "--", "child", "work")
    out, error = process.communicate(timeout=60)
    assert sorted(out.splitlines()) == ["[0] out 0 2", "[1] out 1 2", "[2] out 2 2"]
    assert sorted(error.splitlines()) == ["[0] err 0", "[1] err 1", "[2] err 2"]
    assert process.returncode == 0


@pytest.mark.parametrize("act, status", [("fail", 3), ("die", 128 + 9)])
def test_the_first_failure_is_that_of_all(cluster, act, status):
    process = cluster("--", "child", act)
    _, error = process.communicate(timeout=60)
    assert process.returncode == status
    assert ("process 1 was ended by SIGKILL" in error) == (act == "die")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_are_passed_on(cluster, number):
    process = cluster("--", "child", "stop")
    seen = [process.stdout.readline() for _ in range(4)]
    assert {"[0] ready\n", "[1] ready\n"} < set(seen)
    before = time.monotonic()
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode == 0 and time.monotonic() - before < 30


def test_a_program_must_be_named(cluster):
    process = cluster("--processes=2")
    _, error = process.communicate(timeout=60)
    assert process.returncode == 2 and error.startswith("error: name the program after --")
