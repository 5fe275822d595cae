"""Compiled programs, kept between starts by JAX's own cache in the user's cache folder.

Nothing depends on the cache: if it is damaged or cannot be written, programs are compiled again. JAX's keys contain the
versions of the compiler and the libraries, so versions may share the cache; processes take turns by a lock.
"""

from collections.abc import Callable
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
from typing import Any
import warnings

# The limit of the cache, beyond which the least recently used programs are removed. All programs of the DCGAN demo's
# training take 1.6 MiB, those of a U-Net 0.5 MiB.
_BYTES = 512 << 20

# The disk is left alone when less than this would stay free.
_SPARE_BYTES = 1 << 30

# A program that compiles faster than this is hardly read faster, and thousands of small files make every write slow.
_SECONDS = 0.1

# Folders of other processors are removed when no process has started with them for so many seconds.
_FORGOTTEN = 60 * 86400

# The fields of /proc/cpuinfo that show which instructions a processor has, on x86, Arm, RISC-V and POWER.
_FEATURES = ("vendor_id", "cpu family", "model", "flags", "CPU part", "CPU variant", "Features", "isa", "cpu")


def keep() -> None:
    """Makes JAX, which must not be imported yet, keep programs; prints a line on stderr if they cannot be kept.

    Everything is set in the environment, for JAX and for processes that this one starts. Variables that the user has
    set do not change, and if one of them names another folder for programs, this one is not used.
    """
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        if os.name != "posix":
            return  # this system has no locks
        try:
            where = folder()
            str(where).encode()  # XLA needs a name in UTF-8
            _prepare(where)
        except UnicodeEncodeError:
            _report(f"compiled programs are not kept: the name of {ascii(str(where))} is not UTF-8")
            return
        except (OSError, RuntimeError) as error:  # RuntimeError: the user has no home folder
            _report(f"compiled programs are not kept: {error}")
            return
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(where)
        os.environ.setdefault("JAX_COMPILATION_CACHE_MAX_SIZE", str(_BYTES))
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", str(_SECONDS))
        # XLA logs an error for every program it loads that was compiled with a tuning such as prefer-no-gather, which
        # it takes for an instruction that this processor lacks. Fatal errors are still logged, and all others are
        # raised.
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    warnings.showwarning = _Unreadable(
        pathlib.Path(os.environ["JAX_COMPILATION_CACHE_DIR"]), warnings.showwarning
    )


def let_go() -> None:
    """Undoes `keep` if several processes train together, unless the user has named a folder for programs.

    Only the first process writes programs. If it read one on a machine of its own, the others would compile that
    program without it, while on GPUs all processes compile together and wait for each other.
    """
    if os.environ.get("JAX_COMPILATION_CACHE_DIR") == str(folder()):
        os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"


def folder() -> pathlib.Path:
    """The folder of programs for this processor; XLA would load those of another one too, and the process would die."""
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    try:
        described = pathlib.Path("/proc/cpuinfo").read_text(errors="replace")
    except OSError:
        described = f"cpu: {platform.node()}"  # not on Linux: one folder for each machine
    return pathlib.Path(home).expanduser() / "jgan" / "programs" / _processor(described)


def _processor(described: str) -> str:
    """A name for the first processor in a text such as /proc/cpuinfo, the same if programs can be shared."""
    fields = (line.partition(":") for line in described.split("\n\n")[0].splitlines())
    values = {name.strip(): value.strip() for name, _, value in fields}
    features = [platform.machine(), *(values.get(name, "") for name in _FEATURES)]
    return f"{platform.machine()}-{hashlib.sha256(repr(features).encode()).hexdigest()[:12]}"


def _prepare(where: pathlib.Path) -> None:
    """Makes the folder and repairs what a killed process left there; an OSError if the cache cannot be used."""
    where.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = where.stat()
    if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise OSError(f"others may write to {where}, and who can write there can run programs in your name")
    if shutil.disk_usage(where).free < _SPARE_BYTES:
        raise OSError(f"the disk of {where} is nearly full")
    import fcntl

    with open(where / ".lockfile", "a") as lock, contextlib.suppress(BlockingIOError):
        # On a file system without locks this raises an error, while JAX would wait ten seconds for each lock.
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    _mend(where)
    os.utime(where)
    with contextlib.suppress(FileNotFoundError):  # another process was faster
        for other in where.parent.iterdir():
            if time.time() - other.stat().st_mtime > _FORGOTTEN:
                shutil.rmtree(other, ignore_errors=True)


def _mend(where: pathlib.Path) -> None:
    """Removes entries that are empty or lack one of their two files, for which JAX stops writing new ones.

    JAX writes NAME-cache and then NAME-atime; another process may be between the two at this moment.
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
    """The replacement of `warnings.showwarning`, for JAX's warnings of programs that could not be read or written.

    It prints one line for all of them, removes the files of such programs, and shows all other warnings as before.
    """

    def __init__(self, where: pathlib.Path, show: Callable[..., None]) -> None:
        """The replacement for programs in `where`; `show` is the function that it replaces."""
        self._where, self._show, self._shown = where, show, False

    def __call__(self, message: Warning | str, *arguments: Any, **named: Any) -> None:
        """Shows a warning."""
        match = re.match(
            r"Error (reading|writing) persistent compilation cache entry for '(.*?)': (.*)", str(message)
        )
        if not match:
            return self._show(message, *arguments, **named)
        doing, program, reason = match.groups()
        if doing == "reading":  # the program is compiled now, and written anew if its files are gone
            for path in self._where.glob(f"{glob.escape(program)}-*"):
                with contextlib.suppress(OSError):
                    path.unlink()
        if not self._shown:
            self._shown = True
            _report(
                f"{doing} compiled programs in {self._where} failed, and they are compiled again ({reason})"
            )


def _report(line: str) -> None:
    """Prints a line on stderr."""
    print(line, file=sys.stderr, flush=True)
