"""NumPy's array files, read without `numpy.load`, for files from anyone and for any thread.

`numpy.load` hands the header to `ast.literal_eval`, which in several threads at once can raise `SystemError` on CPython
3.11, and reserves what the header claims before it looks whether the file is so long. Here the header is matched
with a pattern, and an array of plain numbers is read only where its bytes are there.
"""

import math
import os
import re
from typing import NamedTuple

import numpy as np

_MAGIC = b"\x93NUMPY"
_MAX_HEADER = 1 << 16  # bytes; NumPy writes 128
_ITEM = re.compile(
    r"""\s*(?P<mark>['"])(?P<key>descr|fortran_order|shape)(?P=mark)\s*:\s*"""
    r"""(?P<value>'[^'\\]*'|"[^"\\]*"|True|False|\([\d\s,]*\))\s*"""
)
_DTYPE = re.compile(r"[<>=|]?(b1|[iu][1248]|f[248]|c8|c16)")


class Header(NamedTuple):
    """What a file says of its array; `offset` is where the numbers begin."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype
    offset: int


def header(file) -> Header:
    """Returns the header of a binary file that is at its beginning, versions 1 to 3.

    Raises:
      ValueError: it is none, or that of an array of anything but plain numbers.
    """
    start = file.read(8)
    if len(start) < 8 or start[:6] != _MAGIC or start[6] not in (1, 2, 3):
        raise ValueError("its content is not an array of NumPy's format, version 1 to 3")
    width = 2 if start[6] == 1 else 4
    length = int.from_bytes(file.read(width), "little")
    if length > _MAX_HEADER:
        raise ValueError(f"its header claims {length} bytes")
    data = file.read(length)
    if len(data) < length:
        raise ValueError("it ends within its header")
    fields = _fields(data.decode("latin-1" if start[6] < 3 else "utf-8"))
    shape = tuple(int(part) for part in fields["shape"].strip("()").split(",") if part.strip())
    return Header(shape, fields["fortran_order"] == "True", _dtype(fields["descr"][1:-1]), 8 + width + length)


def read(file) -> np.ndarray:
    """Returns the array of a binary file that can be sought in, and that is at its beginning.

    Raises:
      ValueError: as in `header`, or there are fewer bytes than the array has.
    """
    found = header(file)
    _need(found, file.seek(0, os.SEEK_END))
    file.seek(found.offset)
    # A list of bytes first: an empty array has none, and `readinto` asks for them.
    data = np.empty(math.prod(found.shape) * found.dtype.itemsize, np.uint8)
    if file.readinto(data.data) != len(data):
        raise ValueError("it ends before its last number")
    return _shaped(data.view(found.dtype), found)


def mapped(path) -> np.ndarray:
    """Returns the array of a file as a memory map that cannot be written to.

    Raises:
      OSError: there is no such file.
      ValueError: as in `read`.
    """
    with open(path, "rb") as file:
        found = header(file)
        _need(found, os.fstat(file.fileno()).st_size)
        data = np.memmap(file, found.dtype, "r", found.offset, (math.prod(found.shape),))
    return _shaped(data, found)


def _fields(text: str) -> dict[str, str]:
    text, fields = text.strip(), {}
    if text[:1] != "{" or text[-1:] != "}":
        raise ValueError("its header is not a dictionary")
    place, end = 1, len(text) - 1
    while text[place:end].strip():
        item = _ITEM.match(text, place, end)
        if not item:
            raise ValueError("its header names something else than an array of plain numbers")
        if item["key"] in fields:
            raise ValueError(f"its header names {item['key']} twice")
        fields[item["key"]] = item["value"]
        place = item.end()
        if place < end and text[place] != ",":
            raise ValueError("its header is not a dictionary")
        place += 1
    kinds = {"descr": "'\"", "fortran_order": "TF", "shape": "("}
    if any(name not in fields or fields[name][0] not in first for name, first in kinds.items()):
        raise ValueError("its header lacks the type, the order or the shape of an array")
    return fields


def _dtype(name: str) -> np.dtype:
    if name.strip("<>=|").startswith("O"):
        raise ValueError("it holds Python objects instead of numbers")
    if not _DTYPE.fullmatch(name):
        raise ValueError(f"its type is {name[:20]!r} instead of plain numbers")
    return np.dtype(name)


def _need(found: Header, size: int) -> None:
    if math.prod(found.shape) * found.dtype.itemsize > size - found.offset:
        raise ValueError(f"it is cut short: {size} bytes are too few for its shape {found.shape}")


def _shaped(data: np.ndarray, found: Header) -> np.ndarray:
    return data.reshape(found.shape[::-1]).T if found.fortran else data.reshape(found.shape)
