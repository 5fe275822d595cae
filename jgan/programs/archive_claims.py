"""Who works on which shard of an archive, told by files, so that processes that do not know each other do not meet.

A claim is a hint and no lock: whoever holds one touches it now and then, and one that was not touched for a minute, or
whose process is gone from this machine, counts for nothing. If two processes still make the same shard, both make the
same, and the first one's stays.
"""

import contextlib
import os
import pathlib
import platform
import secrets
import threading

import jgan
from jgan import paths

EXPIRY = 60  # seconds after which a claim that nobody touched counts for nothing
_BEAT = 10  # seconds between two touches


class Claims:
    """The claims of this process on shards of an archive, kept alive by a thread until `close`."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder, self.held = folder, set()
        self._name = f"{os.getpid()} {platform.node()}"
        self._clock = (
            folder / f".clock.{secrets.token_hex(8)}.part"
        )  # the time of the file system, not of this machine
        self._lock, self._closed = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()

    def take(self, number: int) -> bool:
        """Whether the shard of this number is this process's to make from now on."""
        path = self._path(number)
        if not paths.create(path, self._name.encode()):
            if self._is_alive(path):
                return False
            with contextlib.suppress(FileNotFoundError):  # it has just been dropped
                path.write_text(self._name)
        with self._lock:
            self.held.add(number)
        return True

    def drop(self, number: int) -> None:
        """Gives a shard back."""
        with self._lock:
            if number in self.held:
                self.held.remove(number)
                self._path(number).unlink(missing_ok=True)

    def close(self) -> None:
        """Gives all shards back."""
        self._closed.set()
        self._thread.join()
        for number in list(self.held):
            self.drop(number)
        self._clock.unlink(missing_ok=True)

    def _is_alive(self, path: pathlib.Path) -> bool:
        """Whether somebody works for a claim, as far as can be seen."""
        try:
            pid, _, machine = path.read_text(errors="replace").partition(" ")
            touched = path.stat().st_mtime
        except FileNotFoundError:
            return False
        if machine == platform.node() and pid.isdecimal():
            try:
                os.kill(int(pid), 0)
            except ProcessLookupError:
                return False
            except (OSError, OverflowError):
                pass  # of another user
        self._clock.write_text("")
        # One that was touched in the future is of a clock that was set back since, and would stay for ever.
        return abs(self._clock.stat().st_mtime - touched) < EXPIRY

    def _beat(self) -> None:
        while not self._closed.wait(_BEAT):
            with self._lock:
                for number in self.held:
                    with contextlib.suppress(OSError, jgan.UserError):  # the next touch may do
                        paths.touch(self._path(number), self._name.encode())

    def _path(self, number: int) -> pathlib.Path:
        return self._folder / f".shard-{number:05d}.busy"


def sweep(folder: pathlib.Path) -> None:
    """Removes all claims on an archive of which nothing is missing."""
    for path in folder.glob(".shard-*.busy"):
        path.unlink(missing_ok=True)
