"""Compiled programs are kept between starts, and a cache that cannot be used costs nothing but time."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import time

import jax
import jax.experimental.compilation_cache.compilation_cache as compilation_cache
import numpy as np
import pytest

from jgan.data import cache as pixel_cache
from launch import compiled

SETTINGS = {
    "JAX_COMPILATION_CACHE_DIR": ("jax_compilation_cache_dir", str),
    "JAX_COMPILATION_CACHE_MAX_SIZE": ("jax_compilation_cache_max_size", int),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": ("jax_persistent_cache_min_compile_time_secs", float),
}

FOUND = []
jax.monitoring.register_event_listener(
    lambda event, **_: FOUND.append(event) if event.endswith("/cache_hits") else None
)


@pytest.fixture
def start(tmp_path, monkeypatch, capfd):
    """`() -> (programs found, lines told)`: what a process does from `keep` to the end of two programs."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for name in (*SETTINGS, "TF_CPP_MIN_LOG_LEVEL", "JAX_ENABLE_COMPILATION_CACHE"):
        monkeypatch.setenv(name, "")  # so that it is as before when the test ends, whatever `keep` sets
    monkeypatch.setattr(compiled.warnings, "showwarning", compiled.warnings.showwarning)
    before = {name: getattr(jax.config, name) for name, _ in SETTINGS.values()}

    def once():
        for name in (*SETTINGS, "TF_CPP_MIN_LOG_LEVEL"):
            os.environ.pop(name, None)
        monkeypatch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
        FOUND.clear()
        compiled.keep()
        jax.config.update("jax_compilation_cache_dir", None)
        for name, (option, kind) in SETTINGS.items():
            if name in os.environ:
                jax.config.update(option, kind(os.environ[name]))
        jax.clear_caches()
        compilation_cache.reset_cache()
        assert float(jax.jit(lambda x: x * 3 + 1)(np.float32(2))) == 7
        assert float(jax.jit(lambda x: x * 5 - 1)(np.float32(2))) == 9
        return len(FOUND), capfd.readouterr().err.splitlines()

    yield once
    for option, value in before.items():
        jax.config.update(option, value)
    compilation_cache.reset_cache()


def entries():
    return sorted(compiled.folder().glob("*-cache"))


def test_the_second_start_finds_the_programs_of_the_first(start):
    assert start() == (0, [])
    assert start() == (2, [])
    assert len(entries()) == 2


def truncate(path):
    path.write_bytes(path.read_bytes()[:-100])


def garble(path):
    path.write_bytes(os.urandom(5000))


@pytest.mark.parametrize("damage", [truncate, garble])
def test_damaged_programs_are_told_in_one_line_and_replaced(start, damage):
    start()
    for path in entries():
        damage(path)
    hits, told = start()
    assert hits == 0 and len(told) == 1 and str(compiled.folder()) in told[0]
    assert start() == (2, [])


def test_what_a_killed_process_left_keeps_no_program_from_being_written(start):
    start()
    # JAX writes a program, then its time of use, and does not get over one without a time.
    one, two = entries()
    left, now = (one.with_name(f"jit_{name}-0123-cache") for name in "fg")
    one.unlink()
    two.write_bytes(b"")
    left.write_bytes(b"half of it")
    for path in (two, left):
        os.utime(path, (time.time() - 3600,) * 2)
    assert start() == (0, [])
    assert not left.exists() and entries() == [one, two]
    now.write_bytes(b"another process is at it")
    assert start() == (2, []) and now.exists()


def test_processes_that_train_together_share_no_programs_but_where_the_user_says(start, monkeypatch):
    start()
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "/shared")
    compiled.let_go()
    assert os.environ["JAX_ENABLE_COMPILATION_CACHE"] == ""
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(compiled.folder()))
    compiled.let_go()
    assert os.environ["JAX_ENABLE_COMPILATION_CACHE"] == "false"


def a_file(where):
    where.parent.mkdir(parents=True)
    where.write_text("")


def a_file_above(where):
    where.parent.parent.parent.mkdir(parents=True, exist_ok=True)
    where.parent.parent.write_text("")


def open_to_others(where):
    where.mkdir(parents=True)
    where.chmod(0o777)


def a_folder_for_a_lock(where):
    (where / ".lockfile").mkdir(mode=0o700, parents=True)
    where.chmod(0o700)


@pytest.mark.parametrize("obstacle", [a_file, a_file_above, open_to_others, a_folder_for_a_lock])
def test_a_folder_that_cannot_be_used_is_told_in_one_line(start, obstacle):
    obstacle(compiled.folder())
    for _ in range(2):
        hits, told = start()
        assert hits == 0 and len(told) == 1 and str(compiled.folder().parent.parent) in told[0]
    assert not compiled.folder().is_dir() or not entries()


def test_a_folder_whose_name_is_not_utf8_is_told_in_one_line(start, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", os.path.join(tmp_path, os.fsdecode(b"caf\xe9")))
    hits, told = start()
    assert hits == 0 and len(told) == 1 and "not UTF-8" in told[0]
    assert "JAX_COMPILATION_CACHE_DIR" not in os.environ and not os.listdir(tmp_path)


def test_a_disk_that_is_nearly_full_is_left_alone(start, monkeypatch):
    monkeypatch.setattr(
        compiled.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**12, 10**12, 10**6)
    )
    hits, told = start()
    assert hits == 0 and len(told) == 1 and "nearly full" in told[0] and not entries()


def test_a_disk_that_fills_up_meanwhile_is_told_in_one_line(start):
    """Quotas and limits of a file's size are the same to a program; the disk of a test is never full."""
    was = resource.getrlimit(resource.RLIMIT_FSIZE)
    handled = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1500, was[1]))
    try:
        hits, told = start()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, was)
        signal.signal(signal.SIGXFSZ, handled)
    assert hits == 0 and len(told) == 1 and "File too large" in told[0]
    for path in entries():  # what is left of them, an hour later
        os.utime(path, (time.time() - 3600,) * 2)
    assert start()[0] == 0 and start() == (2, [])


def test_programs_of_another_processor_are_not_found():
    """XLA loads what another processor's instructions are in, and the process dies of the first."""
    one = "processor : 0\nvendor_id : X\nmodel : 7\nflags : sse avx avx512f\ncpu MHz : 2100.0\n\nprocessor : 1\n"
    assert compiled._processor(one) == compiled._processor(one.replace("2100", "2200"))
    assert compiled._processor(one) != compiled._processor(one.replace(" avx512f", ""))
    arm = "processor : 0\nCPU part : 0xd40\nFeatures : fp asimd sve\n"
    assert compiled._processor(arm) != compiled._processor(arm.replace(" sve", ""))
    assert compiled.folder().parent.parent == pixel_cache.folder().parent


def test_folders_of_processors_that_are_gone_are_forgotten(start):
    start()
    old, newer = (compiled.folder().with_name(name) for name in ("old", "newer"))
    for path, age in ((old, 100), (newer, 10)):
        path.mkdir()
        (path / "x-cache").write_text("")
        os.utime(path, (time.time() - age * 86400,) * 2)
    start()
    assert not old.exists() and newer.exists() and entries()


PROGRAM = """
import launch
def main():
    import jax
    import numpy
    print(jax.config.jax_compilation_cache_dir, jax.config.jax_enable_compilation_cache)
    jax.jit(lambda x: x + 1)(numpy.float32(1))
launch.run(main)
"""


@pytest.mark.parametrize(
    "flags, environment, kept",
    [
        ([], {}, "jgan/programs"),
        (["--nocompilation_cache"], {}, None),
        ([], {"JAX_COMPILATION_CACHE_DIR": "mine"}, "mine"),
    ],
)
def test_a_flag_turns_it_off_and_the_users_own_folder_wins(tmp_path, flags, environment, kept):
    names = [*SETTINGS, "XDG_CACHE_HOME"]
    clean = {name: value for name, value in os.environ.items() if name not in names}
    clean |= {"XDG_CACHE_HOME": str(tmp_path), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    clean |= {name: str(tmp_path / value) for name, value in environment.items()}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *flags], env=clean, capture_output=True, text=True, check=True
    )
    found = [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*-cache")]
    assert len(found) == (kept is not None), done
    assert all(path.startswith(kept) for path in found)
