"""A process that is bound to the one that starts it ends with it, and keeps to its cores."""

import os
import subprocess
import sys
import time

import pytest

from jgan import bound

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="Linux alone ends processes with their parents"
)

CHILD = "import os, time; print(*sorted(os.sched_getaffinity(0)), flush=True); time.sleep(600)"
PARENT = """
import subprocess, sys
from jgan import bound
subprocess.run(bound.command([sys.executable, "-c", sys.argv[1]], [int(x) for x in sys.argv[2:]]))
"""


@pytest.mark.parametrize("some", [False, True])
def test_a_process_ends_with_the_one_that_starts_it_and_keeps_to_its_cores(some):
    every = sorted(os.sched_getaffinity(0))
    cores = every[-1:] if some else []
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, CHILD, *map(str, cores)], stdout=subprocess.PIPE, text=True
    )
    assert [int(core) for core in parent.stdout.readline().split()] == (cores or every)
    parent.kill()
    begun = time.monotonic()
    assert parent.stdout.read() == ""  # at the end of the last process that may write to it
    assert time.monotonic() - begun < 60
    parent.wait()


def test_a_process_whose_parent_has_ended_before_does_nothing(monkeypatch):
    monkeypatch.setattr(os, "getpid", lambda: 1)
    command = bound.command([sys.executable, "-c", "print('here')"])
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == ""


def test_the_status_is_that_of_the_command():
    assert subprocess.run(bound.command([sys.executable, "-c", "raise SystemExit(3)"])).returncode == 3
