"""Checkpoints in object stores to which Orbax does not write: written to a folder on a disk, and copied.

Orbax writes to gs:// by itself, from any number of processes. To s3:// it does not; there one process writes to a
temporary folder, and each checkpoint is copied when it is complete. The object `commit_success.txt` comes last and goes
first, as Orbax has it on gs://: a checkpoint without it does not count.
"""

from collections.abc import Iterable
import concurrent.futures
import pathlib
import tempfile

import jax

import jgan
from jgan import paths

COMMIT = "commit_success.txt"

_AT_ONCE = 8  # files that are copied at the same time


def of(directory: pathlib.Path, *, read_only: bool) -> "Direct":
    """The folder to which Orbax writes the checkpoints of a directory: itself, or a `Mirror` of it."""
    written = not paths.is_remote(directory) or str(directory).startswith("gs://")
    return Direct(directory) if written else Mirror(directory, read_only=read_only)


class Direct:
    """A directory to which Orbax writes: nothing is copied."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.folder = directory

    def fetch(self, step: int) -> None:
        """Does nothing."""

    def push(self) -> None:
        """Does nothing."""

    def check(self) -> None:
        """Does nothing."""

    def wait(self) -> None:
        """Does nothing."""

    def close(self) -> None:
        """Does nothing."""


class Mirror(Direct):
    """A folder on a disk that is as a directory of checkpoints in an object store, as far as its files are needed."""

    def __init__(self, directory: pathlib.Path, *, read_only: bool) -> None:
        """Fetches what tells which checkpoints there are, and removes what an interrupted copy left there.

        Args:
            directory: of the checkpoints, in an object store.
            read_only: change nothing there.

        Raises:
            jgan.UserError: there are several processes, or the store cannot be reached.
        """
        if jax.process_count() > 1:
            raise jgan.UserError(
                f"{directory}: several processes write checkpoints to gs:// or to a disk that all share, not to s3://."
            )
        self._directory, self._read_only = directory, read_only
        self._temporary = tempfile.TemporaryDirectory(prefix="jgan-checkpoints-")
        self.folder = pathlib.Path(self._temporary.name)
        self._pool = concurrent.futures.ThreadPoolExecutor(_AT_ONCE)
        self._turn = concurrent.futures.ThreadPoolExecutor(1)  # one copy after the other
        self._copying: concurrent.futures.Future[None] | None = None
        files = {file: file.relative_to(directory).parts for file in self._files(directory)}
        begun = {parts[0] for parts in files.values()}
        self._there = {step for step in begun if directory / step / COMMIT in files}
        if not read_only:
            for step in begun - self._there:
                (directory / step).rmtree(missing_ok=True)
        # Arrays lie in folders of this name, and are fetched when they are read.
        self._fetch(
            file for file, parts in files.items() if parts[0] in self._there and "d" not in parts[:-1]
        )

    def fetch(self, step: int) -> None:
        """Fetches the arrays of a checkpoint."""
        self._fetch(self._files(self._directory / str(step)))

    def push(self) -> None:
        """Begins to copy what is complete in the folder and not in the store, and to remove there what is not here."""
        here = {path.name for path in self.folder.iterdir() if path.name.isdecimal()}
        if not self._read_only and here != self._there:
            new, gone, self._there = here - self._there, self._there - here, here
            self._copying = self._turn.submit(self._copy, sorted(new, key=int), gone)

    def check(self) -> None:
        """Raises the error of a copy that has ended."""
        if self._copying and self._copying.done():
            self.wait()

    def wait(self) -> None:
        """Returns when nothing is being copied; raises a jgan.UserError if it could not be."""
        copying, self._copying = self._copying, None
        if copying:
            copying.result()

    def close(self) -> None:
        """Waits, and removes the folder."""
        self._turn.shutdown()
        self._pool.shutdown()
        self._temporary.cleanup()

    def _files(self, below: pathlib.Path) -> list[pathlib.Path]:
        """The objects below a path of the store."""
        return [paths.of(where) / name for where, _, names in paths.walk(below) for name in names]

    def _fetch(self, files: Iterable[pathlib.Path]) -> None:
        """Copies objects to the folder, unless they are there."""

        def one(file: pathlib.Path) -> None:
            place = self.folder / file.relative_to(self._directory)
            if not place.exists():
                place.parent.mkdir(parents=True, exist_ok=True)
                file.fetch(place)

        list(self._pool.map(one, files))

    def _copy(self, new: Iterable[str], gone: Iterable[str]) -> None:
        """Copies checkpoints to the store, and then removes others there."""
        for step in new:
            mark = self.folder / step / COMMIT
            files = [path for path in (self.folder / step).rglob("*") if path.is_file() and path != mark]
            places = [self._directory / path.relative_to(self.folder).as_posix() for path in files]
            list(self._pool.map(lambda place, file: place.send(file), places, files))
            (self._directory / step / COMMIT).write_text("")
        for step in gone:
            (self._directory / step / COMMIT).unlink(missing_ok=True)
            (self._directory / step).rmtree(missing_ok=True)
