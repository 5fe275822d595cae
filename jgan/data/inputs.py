"""The pictures that a program is given, by name: a folder, one file, a list of files, or records of ArrayRecord files.

All bytes of pictures that an archive is made of are read here and nowhere else.
"""

import codecs
from collections.abc import Callable
import functools
import hashlib
import os
import pathlib
import re
from typing import NamedTuple

import jgan
from jgan import paths
from jgan.data import images

LIST = ".txt"
MAX_BYTES = 2**31  # of one picture's file

_RECORDS = re.compile(
    r"\.array_?record(-\d+-of-\d+)?$"
)  # with TensorFlow Datasets' numbers of shards, or without
_RECORD = re.compile(r"(?P<file>[^/]+)/(?P<number>\d+)")


class Inputs(NamedTuple):
    """Pictures by name.

    Attributes:
        names: in a fixed order: of a folder sorted and below the folder, of a list as it has them, each once, of
            records FILE/NUMBER.
        read: the bytes of the picture of a name, from any thread; a `jgan.UserError` where there are none.
        root: the folder that the output must not be.
        files: of which the names are.
        left_out: of a folder, a line on the files in it that are no pictures, as `images.left_out` has it.
    """

    names: list[str]
    read: Callable[[str], bytes]
    root: pathlib.Path
    files: list[pathlib.Path]
    left_out: Callable[[], str] = str


def open(source: str, flag: str, output: str = "") -> Inputs:
    """The pictures of a folder, a file, a list of files (.txt, one on each line), or of ArrayRecord files.

    A list has paths that are absolute or begin in its own folder. ArrayRecord files are given by one file, by a folder
    that holds them, or by a pattern such as `DIR/*.arrayrecord`; each record is an encoded picture.

    Args:
        source: one of these.
        flag: what names it in error messages.
        output: a folder that is about to be written, and is not searched.

    Raises:
        jgan.UserError: there is no such file or folder, it holds no pictures, or it cannot be read.
    """
    path = paths.of(source)
    if not path.exists():
        matching = paths.matching(source)
        if not matching:
            raise jgan.UserError(f"--{flag}={source} does not exist.")
        if all(_RECORDS.search(file.name) for file in matching):
            return _records(matching, flag, source)
        raise jgan.UserError(
            f"--{flag}={source}: a pattern is for ArrayRecord files (.arrayrecord) alone; a folder, or a list of "
            f"files (NAME{LIST}), would work."
        )
    if path.is_file():
        if _RECORDS.search(path.name):
            return _records([path], flag, source)
        if path.suffix.lower() == LIST:
            return _listed(path, flag)
        return _files(path.parent, [path])
    files = images.find(path, output or None)
    if files:
        return _files(path, files)._replace(
            left_out=lambda: images.left_out(images.others(path, output or None))
        )
    shards = sorted(file for file in path.iterdir() if _RECORDS.search(file.name) and file.is_file())
    if shards:
        return _records(shards, flag, source)
    raise jgan.UserError(f"--{flag}={images.none_in(source, output or None)}.")


def digest(data: bytes) -> str:
    """The SHA-256 of the content of a picture's file."""
    return hashlib.sha256(data).hexdigest()


def contents(path: pathlib.Path) -> bytes:
    """The bytes of a picture's file.

    Raises:
        jgan.UserError: it is missing, too large or cannot be read; the sentence names it.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise jgan.UserError(f"{path} has more than {MAX_BYTES:,} bytes")
        return path.read_bytes()
    except FileNotFoundError:
        raise jgan.UserError(f"there is no file {path}") from None
    except OSError as error:
        raise jgan.UserError(f"{path} cannot be read: {error.strerror}") from None
    except MemoryError:
        raise jgan.UserError(f"{path} does not fit in memory") from None


def _files(root: pathlib.Path, files: list[pathlib.Path]) -> Inputs:
    """Files below a folder, by their names there."""
    places = {str(file.relative_to(root)): file for file in files}
    return Inputs(list(places), functools.partial(_read, places), root, files)


def _listed(path: pathlib.Path, flag: str) -> Inputs:
    """The files that a list names, each once."""
    text = contents(path).removeprefix(codecs.BOM_UTF8)  # some editors begin a file with it
    lines = [os.fsdecode(line.rstrip(b"\r")) for line in text.split(b"\n")]
    places = {line: _place(path.parent, line) for line in lines if line.strip() and "\0" not in line}
    if not places:
        raise jgan.UserError(
            f"--{flag}={path} names no files: the path of a picture on each line would work."
        )
    return Inputs(list(places), functools.partial(_read, places), path.parent, list(places.values()))


def _place(folder: pathlib.Path, line: str) -> pathlib.Path:
    """The file of a line of a list in a folder."""
    return paths.of(line) if paths.is_remote(line) or os.path.isabs(line) else folder / line


def _read(places: dict[str, pathlib.Path], name: str) -> bytes:
    if name not in places:
        raise jgan.UserError(f"there is no file {name} any more")
    if not name.lower().endswith(images.SUFFIXES):
        raise jgan.UserError(f"{name} is not an image this program reads: {' '.join(images.SUFFIXES)}")
    return contents(places[name])


def _records(files: list[pathlib.Path], flag: str, source: str) -> Inputs:
    """The records of ArrayRecord files, by the names of the files and their numbers."""
    if paths.is_remote(source) and not source.startswith("gs://"):
        raise jgan.UserError(
            f"--{flag}={source}: ArrayRecord files are read from disks and gs://, and would work there."
        )
    import grain  # here: it is slow to import, and other inputs do not need it

    sources = {}
    for file in files:
        try:
            sources[file.name] = grain.sources.ArrayRecordDataSource(str(file))
        except Exception as error:  # RuntimeError, ValueError, and whatever else its reader raises
            reason = " ".join(str(error).split())[:200] or "its content is no ArrayRecord file"
            raise jgan.UserError(f"--{flag}: {file} cannot be read: {reason}") from None
    if len(sources) < len(files):
        raise jgan.UserError(f"--{flag}={source} names two files of one name, by which records are named.")
    names = [f"{name}/{number:06d}" for name, records in sources.items() for number in range(len(records))]
    if not names:
        raise jgan.UserError(f"--{flag}={source} holds no records.")

    def read(name: str) -> bytes:
        match = _RECORD.fullmatch(name)
        records = sources.get(match["file"]) if match else None
        if records is None or int(match["number"]) >= len(records):
            raise jgan.UserError(f"there is no record {name} any more")
        try:
            return bytes(records[int(match["number"])])
        except Exception as error:  # damaged records
            raise jgan.UserError(f"{name} cannot be read: {' '.join(str(error).split())[:200]}") from None

    return Inputs(names, read, files[0].parent, files)
