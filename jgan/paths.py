"""Paths on disks and in object stores: what the file system of each can do, under one set of names.

A path on a disk is a `pathlib.Path`. One that begins with gs:// or s3:// is a path of epath (`jgan/objects.py`) with
the same methods. An object store has whole objects alone: it does not append, rename, link or lock, and has no folders
but those in which objects lie. So files are written there whole, by
`write_bytes`, and read by `open("rb")`; `jgan/output.py` writes on both.
"""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import glob
import os
import pathlib
import re
import shutil
import tempfile
from typing import NamedTuple

import jgan

STORES = ("gs://", "s3://")

# epath asks TensorFlow for gs:// and s3:// where that is installed; this project never loads it.
os.environ.setdefault("EPATH_USE_TF", "false")

Path = str | os.PathLike[str]

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


class Status(NamedTuple):
    """What is known of a file without reading it.

    Attributes:
        size: in bytes.
        version: a text that changes when the content does: the time on a disk, the entity tag in an object store.
    """

    size: int
    version: str


def is_remote(path: Path) -> bool:
    """Whether a path lies in an object store."""
    return os.fspath(path).startswith(STORES)


def of(path: Path) -> pathlib.Path:
    """The path as `pathlib` has it, or, in an object store, with the same methods."""
    if not is_remote(path):
        return pathlib.Path(path)
    from jgan import objects  # here: epath takes longer to import than a small program has

    return objects.of(path)


def check(path: Path, flag: str, *, allowed: bool = True) -> None:
    """Refuses a path of a flag or a config that is no path on a disk, unless it lies in a store that is allowed.

    Otherwise a local folder with a name such as "gs:" would be made.

    Raises:
        jgan.UserError: names the flag.
    """
    scheme = _SCHEME.match(os.fspath(path))
    if not scheme:
        return
    if scheme[0] not in STORES:
        raise jgan.UserError(f"{flag}={path}: paths on disks, {' and '.join(STORES)} would work.")
    if not allowed:
        raise jgan.UserError(
            f"{flag}={path}: this has to lie on a disk, and cannot be in an object store; a local path would work."
        )
    if not os.fspath(path)[len(scheme[0]) :].strip("/"):
        raise jgan.UserError(f"{flag}={path} names no bucket: {scheme[0]}BUCKET/FOLDER would work.")


def exists(path: Path) -> bool:
    """Whether there is a file or folder; False where that cannot be seen, as `os.path.exists` has it."""
    return of(path).exists() if is_remote(path) else os.path.exists(path)


def is_folder(path: Path) -> bool:
    """Whether there is a folder; False where that cannot be seen, as `os.path.isdir` has it."""
    return of(path).is_dir() if is_remote(path) else os.path.isdir(path)


def create(path: Path, data: bytes) -> bool:
    """Whether this call made a file, which was not there before: of several processes one alone makes it."""
    path = of(path)
    if is_remote(path):
        return path.create(data)
    try:
        with path.open("xb") as file:
            file.write(data)
    except FileExistsError:
        return False
    return True


def touch(path: Path, data: bytes) -> None:
    """Sets the time of a file to now; in an object store, which cannot do that, by writing its content again."""
    if is_remote(path):
        of(path).write_bytes(data)
    else:
        os.utime(path)


def status(path: Path) -> Status:
    """The status of a file; in an object store what `walk` has found, if it has been there.

    Raises:
        OSError: there is no such file, or it cannot be reached.
    """
    if is_remote(path):
        return of(path).status()
    found = os.stat(path)
    return Status(found.st_size, str(found.st_mtime_ns))


def real(path: Path) -> str:
    """The path without links and in one spelling, by which two paths can be compared."""
    return str(of(path)) if is_remote(path) else os.path.realpath(path)


def absolute(path: Path) -> str:
    """The path from the root of its file system, as a text."""
    return str(of(path)) if is_remote(path) else os.path.abspath(path)


def walk(
    folder: Path, onerror: Callable[[OSError], None] | None = None
) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yields (folder, names of folders, names of files) as `os.walk` does, links followed.

    Names that are removed from the list of folders are not entered. An object store is asked once for all that lies
    below `folder`, and `status` asks for none of it again.
    """
    if is_remote(folder):
        return of(folder).tree()
    return os.walk(folder, followlinks=True, onerror=onerror)


def matching(pattern: str) -> list[pathlib.Path]:
    """The paths that fit a pattern such as `DIR/*.arrayrecord`, sorted; in a store its last part alone may be one."""
    if is_remote(pattern):
        return sorted(of(pattern).parent.glob(of(pattern).name))
    return sorted(pathlib.Path(file) for file in glob.glob(pattern, recursive=True))


@contextlib.contextmanager
def on_disk(path: Path) -> Iterator[pathlib.Path]:
    """The file itself, or a copy of an object under the same name, which is there as long as the context is entered.

    It is for libraries that open a file by its name.

    Raises:
        OSError: there is no such object.
    """
    if not is_remote(path):
        yield pathlib.Path(path)
        return
    with tempfile.TemporaryDirectory(prefix="jgan-object-") as folder:
        copy = pathlib.Path(folder, of(path).name)
        of(path).fetch(copy)
        yield copy


def remove_tree(folder: Path) -> None:
    """Removes a folder with all that is in it, as far as it can be."""
    if is_remote(folder):
        of(folder).rmtree(missing_ok=True)
    else:
        shutil.rmtree(folder, ignore_errors=True)
