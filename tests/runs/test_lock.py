"""One process trains a run."""

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys

import pytest

import jgan
from jgan import paths
from jgan.runs import lock


def test_the_second_of_two_trainings_is_refused_by_the_process_and_machine_of_the_first(tmp_path):
    with lock.held(str(tmp_path)):
        me = lock._me()
        with pytest.raises(
            jgan.UserError, match=f"trained by process {os.getpid()} on {me['machine']} since"
        ):
            with lock.held(str(tmp_path)):
                raise AssertionError("both hold the run")
    with lock.held(str(tmp_path)):  # whoever ends lets go
        pass


@pytest.mark.slow
def test_the_lock_of_a_killed_process_is_taken_over(tmp_path):
    program = "import sys, time; from jgan.runs import lock; held = lock.held(sys.argv[1]); held.__enter__()"
    program += "; print('held', flush=True); time.sleep(99)"
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    with pytest.raises(jgan.UserError, match=f"process {process.pid} on"):
        with lock.held(str(tmp_path)):
            pass
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert json.loads((tmp_path / "lock").read_text())["process"] == process.pid
    with lock.held(str(tmp_path)):
        assert json.loads((tmp_path / "lock").read_text())["process"] == os.getpid()


def left_behind(tmp_path, **changes):
    """A lock file as a process that was killed leaves it."""
    (tmp_path / "lock").write_text(json.dumps({**lock._me(), **changes}))


def test_the_lock_of_a_machine_that_was_started_again_is_taken_over(tmp_path):
    """Its process number may be that of another process by now."""
    left_behind(tmp_path, boot="an earlier start")
    with lock.held(str(tmp_path)):
        pass


def test_a_lock_of_another_machine_says_how_to_clear_it(tmp_path):
    left_behind(tmp_path, boot="another", machine="node7", process=12)
    with pytest.raises(jgan.UserError, match=f"process 12 on node7 .* remove {tmp_path}/lock"):
        with lock.held(str(tmp_path)):
            pass
    (tmp_path / "lock").unlink()
    with lock.held(str(tmp_path)):
        pass


def test_a_cluster_that_starts_its_job_on_another_machine_takes_its_lock_over(tmp_path, monkeypatch):
    monkeypatch.setenv("JGAN_JOB", "faces")
    left_behind(tmp_path, boot="another", machine="node7", process=12)
    with lock.held(str(tmp_path)):
        assert json.loads((tmp_path / "lock").read_text())["process"] == os.getpid()
    left_behind(tmp_path, boot="another", machine="node7", process=12)
    monkeypatch.setenv("JGAN_JOB", "maps")
    with pytest.raises(jgan.UserError, match="process 12 on node7"):
        with lock.held(str(tmp_path)):
            pass


def test_where_the_file_system_knows_no_locks_the_process_is_looked_for(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    left_behind(tmp_path, process=os.getppid())
    with pytest.raises(jgan.UserError, match=f"process {os.getppid()} on"):
        with lock.held(str(tmp_path)):
            pass
    ended = subprocess.Popen(["true"])
    ended.wait()
    left_behind(tmp_path, process=ended.pid)
    with lock.held(str(tmp_path)):
        pass


def test_a_directory_that_cannot_be_written_to_is_told(tmp_path):
    (tmp_path / "lock").mkdir()
    with pytest.raises(jgan.UserError, match="--workdir=.* cannot be written to"):
        with lock.held(str(tmp_path)):
            pass


def test_in_an_object_store_the_text_alone_says_who_trains_a_run(bucket):
    place = paths.of(bucket("gs")) / "run" / "lock"
    with lock.held(str(place.parent)):
        assert json.loads(place.read_text())["process"] == os.getpid()
        with pytest.raises(jgan.UserError, match=f"trained by process {os.getpid()} on"):
            with lock.held(str(place.parent)):
                raise AssertionError("both hold the run")
    assert not place.exists()
    ended = subprocess.Popen(["true"])
    ended.wait()
    place.write_text(json.dumps({**lock._me(), "process": ended.pid}))
    with lock.held(str(place.parent)):  # that of a process that was killed here
        pass
    place.write_text(json.dumps({**lock._me(), "boot": "another", "machine": "node7", "process": 12}))
    with pytest.raises(jgan.UserError, match=f"process 12 on node7 .* remove {place}"):
        with lock.held(str(place.parent)):
            pass


def test_of_two_that_begin_together_in_an_object_store_one_goes(bucket, monkeypatch):
    place = paths.of(bucket("s3")) / "run" / "lock"
    write, other = type(place).write_text, {**lock._me(), "process": os.getppid()}

    def overtaken(self, text, **options):
        write(self, text, **options)
        write(self, json.dumps(other))

    monkeypatch.setattr(type(place), "write_text", overtaken)
    with pytest.raises(jgan.UserError, match=f"process {os.getppid()} on"):
        with lock.held(str(place.parent)):
            raise AssertionError("both hold the run")
    assert json.loads(place.read_text()) == other
