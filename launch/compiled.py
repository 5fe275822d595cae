"""Compiled programs, kept between starts by JAX's own cache in the user's cache folder.

Nothing depends on the cache: where it is damaged or cannot be written, programs are compiled again. JAX's keys hold the
versions of what compiled, so versions may share it; processes take turns by a lock.
"""

import contextlib
import glob
import hashlib
import os
import pathlib
import platform
import re
import shutil
import stat
import sys
import time
import warnings

# The least recently used programs go beyond this. All of the DCGAN demo's training take 1.6 MiB, a U-Net's 0.5 MiB.
_BYTES = 512 << 20

# The disk is left alone when less than this would stay free.
_SPARE_BYTES = 1 << 30

# What compiles faster than this is hardly read faster, and thousands of small files make every write slow.
_SECONDS = 0.1

# Folders of other processors go when nothing was begun there for so long.
_FORGOTTEN = 60 * 86400

# What says in /proc/cpuinfo which instructions a processor has, on x86, Arm, RISC-V and POWER.
_FEATURES = ("vendor_id", "cpu family", "model", "flags", "CPU part", "CPU variant", "Features", "isa", "cpu")


def keep() -> None:
    """Has JAX, which must not be imported yet, keep programs; one line on stderr where they cannot be kept.

    Everything is set in the environment, for JAX and for processes that this one starts. What the user has set there
    stays, and where that is another folder for programs, this one is not touched.
    """
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        if os.name != "posix":
            return  # no locks
        try:
            where = folder()
            str(where).encode()  # XLA takes no other names
            _prepare(where)
        except UnicodeEncodeError:
            _tell(f"compiled programs are not kept: the name of {ascii(str(where))} is not UTF-8")
            return
        except (OSError, RuntimeError) as error:  # RuntimeError: there is no home
            _tell(f"compiled programs are not kept: {error}")
            return
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(where)
        os.environ.setdefault("JAX_COMPILATION_CACHE_MAX_SIZE", str(_BYTES))
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", str(_SECONDS))
        # XLA logs an error for every program it loads that was compiled with a tuning such as prefer-no-gather, which
        # it takes for an instruction that this processor lacks. What is fatal is still told, and the rest raised.
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    warnings.showwarning = _Unreadable(
        pathlib.Path(os.environ["JAX_COMPILATION_CACHE_DIR"]), warnings.showwarning
    )


def let_go() -> None:
    """Takes `keep` back where several processes train together, unless the user has named a folder for programs.

    Only the first of them writes. What it alone would find, on a machine of its own, the others would compile without
    it, and on GPUs they compile together and wait for each other.
    """
    if os.environ.get("JAX_COMPILATION_CACHE_DIR") == str(folder()):
        os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"


def folder() -> pathlib.Path:
    """Where programs for this processor are: XLA would load those of another one, and the process would die."""
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    try:
        described = pathlib.Path("/proc/cpuinfo").read_text(errors="replace")
    except OSError:
        described = f"cpu: {platform.node()}"  # another system than Linux: one folder for each machine
    return pathlib.Path(home).expanduser() / "jgan" / "programs" / _processor(described)


def _processor(described: str) -> str:
    """A name for the first processor that a text such as /proc/cpuinfo describes: the same where programs can be."""
    fields = (line.partition(":") for line in described.split("\n\n")[0].splitlines())
    told = {name.strip(): value.strip() for name, _, value in fields}
    what = [platform.machine(), *(told.get(name, "") for name in _FEATURES)]
    return f"{platform.machine()}-{hashlib.sha256(repr(what).encode()).hexdigest()[:12]}"


def _prepare(where: pathlib.Path) -> None:
    """Makes the folder and mends what a killed process left there; an OSError where the cache cannot be used."""
    where.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = where.stat()
    if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise OSError(f"others may write to {where}, and who can write there can run programs in your name")
    if shutil.disk_usage(where).free < _SPARE_BYTES:
        raise OSError(f"the disk of {where} is nearly full")
    import fcntl

    with open(where / ".lockfile", "a") as lock, contextlib.suppress(BlockingIOError):
        # Where a file system has no locks, JAX would wait ten seconds for each.
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    _mend(where)
    os.utime(where)
    with contextlib.suppress(FileNotFoundError):  # another process was faster
        for other in where.parent.iterdir():
            if time.time() - other.stat().st_mtime > _FORGOTTEN:
                shutil.rmtree(other, ignore_errors=True)


def _mend(where: pathlib.Path) -> None:
    """Removes entries that are empty or lack one of their two files, for which JAX stops writing new ones.

    It writes NAME-cache and then NAME-atime; between the two another process may just be at work.
    """
    names = {entry.name: entry for entry in os.scandir(where)}
    for name, entry in names.items():
        body, _, kind = name.rpartition("-")
        partner = {"cache": "atime", "atime": "cache"}.get(kind)
        with contextlib.suppress(FileNotFoundError):  # another process was faster
            if not partner or f"{body}-{partner}" in names and entry.stat().st_size:
                continue
            if time.time() - entry.stat().st_mtime > 60:
                os.unlink(entry)


class _Unreadable:
    """In the place of `warnings.showwarning`: tells once what JAX warns of for every program, and removes its files."""

    def __init__(self, where, show):
        self._where, self._show, self._told = where, show, False

    def __call__(self, message, *arguments, **named):
        found = re.match(
            r"Error (reading|writing) persistent compilation cache entry for '(.*?)': (.*)", str(message)
        )
        if not found:
            return self._show(message, *arguments, **named)
        doing, program, reason = found.groups()
        if doing == "reading":  # it is compiled now, and written anew if nothing is there
            for path in self._where.glob(f"{glob.escape(program)}-*"):
                with contextlib.suppress(OSError):
                    path.unlink()
        if not self._told:
            self._told = True
            _tell(
                f"{doing} compiled programs in {self._where} failed, and they are compiled again ({reason})"
            )


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
