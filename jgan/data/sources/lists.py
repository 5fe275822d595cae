"""Lists of attributes: text files with the properties of each picture.

Two forms are read. A CSV has a header, the file's name in its first column and an attribute in each of the others; it
is separated by commas, semicolons or tabs, and has the quotes of the csv module. CelebA's own form has the number of
pictures in its first line, the names in its second, and then a line for each picture, separated by spaces.

A value is 0 or 1, -1 or 1 in the whole column, any number between 0 and 1, or nothing if it is not known. Lists may
come from anybody: the names in them are only looked up among the files of a search, and never opened.
"""

from collections.abc import Iterable
from collections.abc import Iterator
import csv
import io
import itertools
import math
import os
import posixpath
import stat
from typing import NamedTuple

import numpy as np

import jgan
from jgan import paths

MAX_BYTES = 1 << 27
MAX_COLUMNS = 10_000
MAX_NAME = 200  # letters of an attribute's name

PARTITION = {0: "train", 1: "val", 2: "test"}  # of list_eval_partition

_WORDS = {"": math.nan, "0": 0.0, "1": 1.0, "-1": -1.0, "true": 1.0, "false": 0.0}


class Table(NamedTuple):
    """The content of a list.

    Attributes:
        path: of the list.
        names: of the attributes that were asked for, in that order.
        rows: {name of a file: (line in the list, value of each attribute; NaN if it is not known)}.
    """

    path: str
    names: tuple[str, ...]
    rows: dict[str, tuple[int, tuple[float, ...]]]


def read(path: str, names: tuple[str, ...] = ()) -> Table:
    """A list of attributes with the columns of these names, or all of them.

    Raises:
        jgan.UserError: the list cannot be read, lacks a column, has a column or a file twice, or has an impossible
            value.
    """
    with _opened(path) as file:
        rows = _rows(path, file)
        _, header = next(rows, (0, []))
        columns = header[1:]
        _check_header(path, header)
        for name in names:
            if name not in columns:
                raise jgan.UserError(f"{path} has no attribute {name!r}: it has {listed(columns)}")
        places = [1 + columns.index(name) for name in names or columns]
        values: dict[str, tuple[int, tuple[float, ...]]] = {}
        known = dict(_WORDS)
        for line, cells in rows:
            if len(cells) != len(header):
                raise jgan.UserError(
                    f"{path} line {line} has {len(cells)} columns where its header has {len(header)}"
                )
            key = normal(cells[0])
            _refuse_twice(path, cells[0], values.get(key, (None,))[0], line)
            texts = [cells[place] for place in places]
            if not known.keys() >= set(texts):
                new = zip(places, texts, strict=True)
                known |= {text: _value(path, line, header[place], text) for place, text in new}
            # Lists have millions of values, but only a few different ones.
            values[key] = line, tuple(map(known.__getitem__, texts))
    if not values:
        raise jgan.UserError(f"{path} lists no picture: a header and a line for each picture would work")
    chosen = tuple(header[place] for place in places)
    return Table(path, chosen, _from_zero(path, chosen, values))


def partition(path: str) -> dict[str, str]:
    """{name of a file: its split} of CelebA's list_eval_partition, as text with spaces or as CSV.

    Raises:
        jgan.UserError: it cannot be read, has a file twice, or has a value other than 0, 1 or 2.
    """
    splits: dict[str, str] = {}
    lines: dict[str, int] = {}
    with _opened(path) as file:
        for line, text in _lines(path, file):
            cells = [cell.strip() for cell in text.replace(",", " ").split()]
            if not cells or line == 1 and cells[-1] == "partition":
                continue
            if len(cells) != 2 or cells[1] not in ("0", "1", "2"):
                raise jgan.UserError(
                    f"{path} line {line} is {short(text)}: a file and 0 (train), 1 (val) or 2 (test) would work"
                )
            key = normal(cells[0])
            _refuse_twice(path, cells[0], lines.get(key), line)
            splits[key], lines[key] = PARTITION[int(cells[1])], line
    return splits


def normal(name: str) -> str:
    """A file's name as it is looked up: with `/` between folders, without `./`."""
    return posixpath.normpath(name.strip().replace("\\", "/"))


def short(text: str) -> str:
    """A text from a list as messages show it: printable and at most 60 letters long."""
    text = text.strip()
    text = text if text.isprintable() else ascii(text)[1:-1]
    return repr(text if len(text) <= 60 else text[:57] + "...")


def listed(names: Iterable[str]) -> str:
    """The first twelve of some names, and how many more there are."""
    names = list(names)
    return ", ".join(short(name)[1:-1] for name in names[:12]) + f" and {len(names) - 12} more" * (
        len(names) > 12
    )


def _refuse_twice(path: str, name: str, first: int | None, line: int) -> None:
    """Refuses a file that a list names in a line after it did in the line `first`, if it did."""
    if first is not None:
        raise jgan.UserError(
            f"{path} names {short(name)} in line {first} and again in line {line}: one of them would work"
        )


def _opened(path: str) -> io.TextIOWrapper:
    """The open file of a list; a `jgan.UserError` if it cannot be read or is too long.

    Devices and pipes are refused, because their size says nothing of how much comes out of them.
    """
    try:
        if paths.is_remote(path):
            return io.TextIOWrapper(io.BytesIO(paths.of(path).read_bytes()), encoding="utf-8-sig", newline="")
        status = os.stat(path)
        size = status.st_size
        if not stat.S_ISREG(status.st_mode):
            raise jgan.UserError(f"{path} cannot be read as a list: a text file would work")
        if size > MAX_BYTES:
            raise jgan.UserError(f"{path} has {size} bytes: a list of {MAX_BYTES} at most can be read")
        return open(path, encoding="utf-8-sig", newline="")
    except FileNotFoundError:
        raise jgan.UserError(f"there is no list {path}") from None
    except OSError as error:
        raise jgan.UserError(f"{path} cannot be read: {error.strerror}") from None


def _lines(path: str, file: io.TextIOWrapper) -> Iterator[tuple[int, str]]:
    """(number, text) of each line; a `jgan.UserError` if it is not UTF-8."""
    line = 0
    try:
        for line, text in enumerate(file, 1):
            yield line, text.rstrip("\r\n")
    except UnicodeDecodeError:
        raise jgan.UserError(
            f"{path} is no UTF-8 text after line {line}: saved as UTF-8 it would work"
        ) from None
    except OSError as error:
        raise jgan.UserError(f"{path} cannot be read: {error.strerror}") from None


def _rows(path: str, file: io.TextIOWrapper) -> Iterator[tuple[int, list[str]]]:
    """(line, cells) of the header, whose first cell is above the files, and of each picture, without empty lines."""
    lines = _lines(path, file)
    first = next(((line, text) for line, text in lines if text.strip()), None)
    if first is None:
        raise jgan.UserError(f"{path} is empty: a header and a line for each picture would work")
    if first[1].strip().isdecimal():
        yield from _celeba(path, int(first[1].strip()[:12]), lines)
        return
    at, ahead = first[0], []
    for line, text in lines:
        ahead.append((line, text))
        if text.strip():
            break
    separator = _separator(first[1], ahead[-1][1] if ahead else "")

    def fed() -> Iterator[str]:
        nonlocal at
        for line, text in itertools.chain([first], ahead, lines):
            at = line
            yield text + "\n"

    try:
        for cells in csv.reader(fed(), delimiter=separator, strict=True):
            if any(cell.strip() for cell in cells):
                yield at, [cell.strip() for cell in cells]
    except csv.Error as error:
        raise jgan.UserError(f"{path} cannot be read as CSV near line {at}: {error}") from None


def _separator(header: str, row: str) -> str:
    """What separates the cells: what both lines have equally often, or else what the header has most of."""
    return max(",;\t", key=lambda one: (header.count(one) == row.count(one) > 0, header.count(one)))


def _celeba(path: str, number: int, lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, list[str]]]:
    """(line, cells) of CelebA's form, after its first line, which promises `number` pictures."""
    line, names = next(lines, (2, ""))
    yield line, ["", *names.split()]
    count = 0
    for line, text in lines:
        if text.strip():
            count += 1
            yield line, text.split()
    if count != number:
        raise jgan.UserError(f"{path} says it lists {number} pictures and lists {count}: it is not whole")


def _from_zero(
    path: str, names: tuple[str, ...], rows: dict[str, tuple[int, tuple[float, ...]]]
) -> dict[str, tuple[int, tuple[float, ...]]]:
    """The rows with columns of -1 and 1 as 0 and 1; a column that has -1 and other values is refused."""
    if not any(-1 in values for _, values in rows.values()):
        return rows
    lines = [line for line, _ in rows.values()]
    values = np.array([values for _, values in rows.values()], np.float32)
    signs, shares = values == -1, (values >= 0) & (values < 1)
    for k in np.flatnonzero(signs.any(0) & shares.any(0)):
        first, second = (lines[int(which[:, k].argmax())] for which in (signs, shares))
        raise jgan.UserError(
            f"{path} has -1 for {short(names[k])} in line {first}, but 0 or a share in line {second}: -1 and 1, or "
            "numbers from 0 to 1, would work"
        )
    zero = _Zero()
    return {key: (line, tuple(map(zero.__getitem__, row))) for key, (line, row) in rows.items()}


class _Zero(dict):
    """The meaning of a value: -1 is 0, and all others are themselves."""

    def __missing__(self, value: float) -> float:
        """The meaning of a value, which is not kept."""
        return 0.0 if value == -1 else value


def _check_header(path: str, header: list[str]) -> None:
    """Refuses a header without attributes, with too many, or with an impossible name."""
    names = header[1:]
    if not names:
        raise jgan.UserError(f"{path} has one column: the file's name and an attribute at least would work")
    if len(names) > MAX_COLUMNS:
        raise jgan.UserError(f"{path} has {len(names)} attributes: {MAX_COLUMNS} at most can be read")
    seen = set()
    for place, name in enumerate(names, 2):
        if not name or not name.isprintable() or len(name) > MAX_NAME:
            raise jgan.UserError(
                f"{path} calls its column {place} {short(name)}: a name of 1 to {MAX_NAME} letters would work"
            )
        if name in seen:
            raise jgan.UserError(f"{path} has two columns {short(name)}: one of them would work")
        seen.add(name)


def _value(path: str, line: int, name: str, text: str) -> float:
    """The number of a value; NaN if it is empty."""
    known = _WORDS.get(text.lower())
    if known is not None:
        return known
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if value == -1 or 0 <= value <= 1:
        return value
    raise jgan.UserError(
        f"{path} line {line} has {short(text)} for {short(name)}: 0 or 1, -1 or 1, a number between 0 and 1, or "
        "nothing where it is not known would work"
    )
