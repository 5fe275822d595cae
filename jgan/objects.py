"""Paths in object stores: epath's, with what programs ask of a path of `pathlib` besides.

epath hands gs:// and s3:// to fsspec, which needs gcsfs or s3fs. What epath has no call for, such as to write an object
only if there is none, is asked of fsspec itself. Whatever the libraries of a store raise, be it that there is no
network or no right to read, becomes one sentence.
"""

from collections.abc import Iterator
import contextlib
import errno
import fnmatch
import io
import os
from typing import IO
from typing import Any
from typing import NamedTuple

from etils import epath
import fsspec

import jgan
from jgan import paths

_PACKAGES = {"gs": "gcsfs", "s3": "s3fs"}

# Lists that fsspec keeps do not show what other processes, and TensorStore in this one, have written since.
for _protocol in ("gs", "gcs", "s3"):
    fsspec.config.conf.setdefault(_protocol, {}).setdefault("use_listings_cache", False)

_listed: dict[str, paths.Status] = {}  # what `tree` has found, by path

_KNOWN = {
    FileNotFoundError: errno.ENOENT,
    FileExistsError: errno.EEXIST,
    IsADirectoryError: errno.EISDIR,
    NotADirectoryError: errno.ENOTDIR,
}


class Stat(NamedTuple):
    """As `os.stat_result`, as far as a store knows it: the size in bytes, and the time in seconds since 1970."""

    st_size: int
    st_mtime: float


def of(path: paths.Path) -> "Remote":
    """The path of an object, or of a folder in which objects lie."""
    return path if isinstance(path, Remote) else Remote(os.fspath(path))


class Remote(type(epath.Path("gs://bucket"))):
    """A path in an object store, with the methods of `pathlib.Path`.

    Writing replaces an object whole or not at all. There are no folders to be made: `mkdir` does nothing, and a folder
    exists as long as objects lie in it.
    """

    def exists(self) -> bool:
        """Whether there is an object of this name, or one below it."""
        with _explained(self):
            return self._store.exists(str(self))

    def is_dir(self) -> bool:
        """Whether an object lies below this path."""
        with _explained(self):
            return self._store.isdir(str(self))

    def is_file(self) -> bool:
        """Whether there is an object of this name."""
        with _explained(self):
            return self._store.isfile(str(self))

    def iterdir(self) -> Iterator["Remote"]:
        """The objects and folders directly below this path."""
        with _explained(self):
            names = [entry["name"] for entry in self._store.ls(str(self), detail=True)]
        # A store may list a folder among what lies in it, as an object without a name that somebody's tool has made.
        found = {name.rstrip("/").rpartition("/")[2] for name in names if name.strip("/") != self._key}
        return iter([self / name for name in sorted(found)])

    def glob(self, pattern: str) -> Iterator["Remote"]:
        """What fits a pattern, of which each part is that of one folder."""
        first, _, rest = pattern.partition("/")
        try:
            here = [path for path in self.iterdir() if fnmatch.fnmatchcase(path.name, first)]
        except (FileNotFoundError, NotADirectoryError):
            return
        for path in here:
            if rest:
                yield from path.glob(rest)
            else:
                yield path

    def rglob(self, pattern: str) -> Iterator["Remote"]:
        """The objects at any depth whose names fit a pattern."""
        for where, _, names in self.tree():
            yield from (Remote(where, name) for name in names if fnmatch.fnmatchcase(name, pattern))

    def tree(self) -> Iterator[tuple[str, list[str], list[str]]]:
        """Yields (folder, names of folders, names of objects) from the top; see `paths.walk`."""
        with _explained(self):
            found = self._store.find(str(self), detail=True)
        folders: dict[str, tuple[set[str], list[str]]] = {}
        for key, entry in found.items():
            if key.endswith("/"):  # somebody's tool has made it in the place of a folder
                continue
            *parents, name = key.removeprefix(self._key).strip("/").split("/")
            for depth, parent in enumerate(parents):
                folders.setdefault("/".join(parents[:depth]), (set(), []))[0].add(parent)
            folders.setdefault("/".join(parents), (set(), []))[1].append(name)
            _listed[str(self / "/".join([*parents, name]))] = _status(entry)
        todo = [""]
        while todo:
            place = todo.pop()
            below, names = folders.get(place, (set(), []))
            entered = sorted(below)
            yield str(self / place if place else self), entered, sorted(names)
            todo += [f"{place}/{name}".strip("/") for name in reversed(entered)]

    def stat(self) -> Stat:
        """The size and time of an object; a FileNotFoundError where there is none."""
        with _explained(self):
            entry = self._store.info(str(self))
        return Stat(int(entry.get("size") or 0), _time(entry))

    def status(self) -> paths.Status:
        """As `paths.status`."""
        known = _listed.get(str(self))
        if known is None:
            with _explained(self):
                known = _status(self._store.info(str(self)))
        return known

    def open(
        self,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> IO[Any]:
        """Opens an object for reading; what is not read is not fetched."""
        if mode not in ("r", "rb"):
            raise ValueError(f"objects are written whole, by write_bytes, and not opened as {mode!r}")
        with _explained(self):
            file = self._store.open(str(self), "rb")
        return file if mode == "rb" else io.TextIOWrapper(file, encoding or "utf-8", errors, newline)

    def read_bytes(self) -> bytes:
        """The content of an object."""
        with _explained(self):
            return self._store.cat_file(str(self))

    def read_text(self, encoding: str | None = None, errors: str | None = None) -> str:
        """The content of an object as a text."""
        return self.read_bytes().decode(encoding or "utf-8", errors or "strict")

    def write_bytes(self, data: bytes) -> int:
        """Puts an object in the place of what there may be of this name."""
        with _explained(self):
            self._store.pipe_file(str(self), bytes(data))
        return len(data)

    def write_text(self, data: str, encoding: str | None = None, errors: str | None = None) -> int:
        """As `write_bytes`, of a text."""
        return self.write_bytes(data.encode(encoding or "utf-8", errors or "strict"))

    def create(self, data: bytes) -> bool:
        """Whether an object was put, because there was none; the store itself decides whose comes first."""
        try:
            with _explained(self):
                self._store.pipe_file(str(self), bytes(data), mode="create")
        except FileExistsError:
            return False
        return True

    def fetch(self, file: paths.Path) -> None:
        """Copies an object to a file on a disk."""
        with _explained(self):
            self._store.get_file(str(self), os.fspath(file))

    def send(self, file: paths.Path) -> None:
        """Puts a file on a disk as an object."""
        with _explained(self):
            self._store.put_file(os.fspath(file), str(self))

    def touch(self, mode: int = 0o666, exist_ok: bool = True) -> None:
        """Makes an empty object where there is none."""
        self.create(b"")

    def unlink(self, missing_ok: bool = False) -> None:
        """Removes an object."""
        try:
            with _explained(self):
                self._store.rm_file(str(self))
        except FileNotFoundError:
            if not missing_ok:
                raise

    def rmtree(self, missing_ok: bool = False) -> None:
        """Removes all objects below this path."""
        try:
            with _explained(self):
                self._store.rm(str(self), recursive=True)
        except FileNotFoundError:
            if not missing_ok:
                raise

    def mkdir(self, mode: int | None = None, parents: bool = False, exist_ok: bool = False) -> None:
        """Does nothing but to refuse an object in the place of a folder: folders need not be made."""
        if self.is_file():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(self))

    def absolute(self) -> "Remote":
        """The path itself."""
        return self

    def resolve(self, strict: bool = False) -> "Remote":
        """The path itself: there are no links."""
        return self

    def expanduser(self) -> "Remote":
        """The path itself."""
        return self

    @property
    def _store(self) -> fsspec.AbstractFileSystem:
        return fsspec.filesystem(self.parts[1])

    @property
    def _key(self) -> str:
        """The bucket and the name in it."""
        return "/".join(self.parts[2:])


def _status(entry: dict[str, Any]) -> paths.Status:
    """The status of what a store tells of an object."""
    tag = entry.get("etag") or entry.get("ETag") or entry.get("generation") or _time(entry)
    return paths.Status(int(entry.get("size") or 0), str(tag))


def _time(entry: dict[str, Any]) -> float:
    """The seconds since 1970 at which an object was written; 0 where a store does not tell it."""
    told = next((entry[name] for name in ("mtime", "LastModified", "updated") if entry.get(name)), 0)
    return told.timestamp() if hasattr(told, "timestamp") else float(told)


@contextlib.contextmanager
def _explained(path: Remote) -> Iterator[None]:
    """Turns what libraries raise into the errors of a disk, or into one sentence where a disk has none."""
    try:
        yield
    except tuple(_KNOWN) as error:
        number = next(number for kind, number in _KNOWN.items() if isinstance(error, kind))
        raise type(error)(number, os.strerror(number), str(path)) from error
    except ImportError as error:
        package = _PACKAGES[path.parts[1]]
        raise jgan.UserError(
            f"{path}: {path.parts[1]}:// needs {package}, which cannot be imported ({error}): pip install {package} "
            "would work."
        ) from None
    except (jgan.UserError, AttributeError, NotImplementedError, TypeError):
        raise  # a fault of the program
    except Exception as error:  # HttpError, ClientError, DefaultCredentialsError, NoCredentialsError, ...
        reason = " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__
        raise jgan.UserError(f"{path} cannot be used: {reason}.") from error
