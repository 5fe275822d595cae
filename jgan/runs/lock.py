"""Who trains a run now."""

from collections.abc import Iterator
import contextlib
import datetime
import json
import os
import socket
from typing import Any
from typing import TextIO

import jgan
from jgan import paths


@contextlib.contextmanager
def held(workdir: str) -> Iterator[None]:
    """Holds the run for this process, so that no other process trains it meanwhile.

    It is a lock of the operating system on the file `lock`, which ends with the process that holds it, for whatever
    reason that process ends; the text of the file says who holds it. On file systems without such locks, or whose locks
    other machines do not see, only the text of the file can be used; what a job of a cluster left there (JGAN_JOB or
    SLURM_JOB_ID names it) the same job takes over, since a cluster runs it once at a time.

    Raises:
        jgan.UserError: another process trains the run, or may do so; or the directory cannot be written to.
    """
    path = os.path.join(workdir, "lock")
    if paths.is_remote(path):
        with _said(workdir, path):
            yield
        return
    try:
        import fcntl
    except ImportError:  # this operating system has no such locks
        yield
        return
    try:
        file = open(path, "a+", encoding="utf-8")
    except OSError as error:
        raise jgan.UserError(f"--workdir={workdir} cannot be written to: {error.strerror}.") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            alive: bool | None = False
        except BlockingIOError:
            alive = True
        except OSError:
            alive = None  # locks are not known here
        file.seek(0)
        me = _refuse_others(workdir, path, file.read(), alive)
        _say_whose(file, json.dumps(me))
        try:
            yield
        finally:
            with contextlib.suppress(OSError):  # the directory may be gone
                _say_whose(file, "")


@contextlib.contextmanager
def _said(workdir: str, path: str) -> Iterator[None]:
    """Holds the run in an object store, which has no locks, by the text of the object `lock` alone."""
    place = paths.of(path)
    try:
        text = place.read_text(errors="replace")
    except FileNotFoundError:
        text = ""
    mine = json.dumps(_refuse_others(workdir, path, text, None))
    place.write_text(mine)
    # Of two that begin at the same moment, the one whose text was replaced goes.
    _refuse_others(workdir, path, "" if (text := place.read_text()) == mine else text, None)
    try:
        yield
    finally:
        place.unlink(missing_ok=True)


def _refuse_others(workdir: str, path: str, text: str, alive: bool | None) -> dict[str, Any]:
    """This process, as the file `lock` names it, unless what the file says is another one that may train the run.

    Args:
        workdir: of the run.
        path: of the file.
        text: of the file.
        alive: whether the process that it names is there; None if a lock does not tell.

    Raises:
        jgan.UserError: there is such a process, or there may be.
    """
    owner = _owner(text)
    if alive is None and owner:
        alive = _is_running(owner)
    who = "process {process} on {machine} since {since}".format(**owner) if owner else "another process"
    if alive:
        raise jgan.UserError(
            f"the run in {workdir} is being trained by {who}: wait until it ends, or name another --workdir."
        )
    me = _me()
    again = me["job"] and owner.get("job") == me["job"]  # a cluster has started its job on another machine
    if owner and owner["machine"] != me["machine"] and owner["boot"] != me["boot"] and not again:
        raise jgan.UserError(
            f"the run in {workdir} was begun by {who}, and whether it still trains cannot be seen from "
            f"{me['machine']}: if it does not, remove {path}."
        )
    return me


_OWNER = {"process": int, "machine": str, "boot": str, "since": str}


def _me() -> dict[str, Any]:
    """This process, as the file `lock` names it."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="utf-8") as file:
            # Containers of one machine differ in their names and share this; other machines have another.
            boot = file.read().strip()
    except OSError:
        boot = socket.gethostname()
    now = datetime.datetime.now().astimezone().isoformat(" ", "seconds")
    job = os.environ.get("JGAN_JOB") or os.environ.get("SLURM_JOB_ID") or ""
    return {"process": os.getpid(), "machine": socket.gethostname(), "boot": boot, "since": now, "job": job}


def _owner(text: str) -> dict[str, Any]:
    """The owner that the text of the file `lock` names; {} where it names nobody."""
    try:
        owner = json.loads(text)
        return {"job": owner.get("job", ""), **{name: kind(owner[name]) for name, kind in _OWNER.items()}}
    except (ValueError, KeyError, TypeError):
        return {}


def _is_running(owner: dict[str, Any]) -> bool:
    """Whether this machine has not been restarted since, and has a process with the number of `owner`."""
    if owner["boot"] != _me()["boot"]:
        return False
    try:
        os.kill(owner["process"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it runs, and belongs to another user
    return True


def _say_whose(file: TextIO, text: str) -> None:
    """Replaces the text of the file `lock`."""
    file.truncate(0)
    file.write(text)
    file.flush()
