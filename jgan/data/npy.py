"""NumPy's array files, read without `numpy.load`: safely for files of unknown origin, and in any thread.

`numpy.load` hands the header to `ast.literal_eval`, which in several threads at once can raise `SystemError` on CPython
3.11, and reserves the memory that the header claims before it checks the length of the file. Here the header is matched
with a pattern, and an array of plain numbers is read only where its bytes are there.
"""

import math
import os
import re
from typing import BinaryIO
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
    """The header of a file: the shape, order and type of its array, and the byte at which its numbers begin."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype
    offset: int


def header(file: BinaryIO) -> Header:
    """The header, of versions 1 to 3, of a binary file that is at its beginning.

    Raises:
        ValueError: there is no such header, or its array holds anything but plain numbers.
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


def read(file: BinaryIO) -> np.ndarray:
    """The array of a seekable binary file that is at its beginning.

    Raises:
        ValueError: as in `header`, or there are fewer bytes than the array has.
    """
    head = header(file)
    _need(head, file.seek(0, os.SEEK_END))
    file.seek(head.offset)
    # The memory is made as bytes, which `readinto` asks for and of which an empty array has none.
    data = np.empty(math.prod(head.shape) * head.dtype.itemsize, np.uint8)
    if file.readinto(data.data) != len(data):
        raise ValueError("it ends before its last number")
    return _shaped(data.view(head.dtype), head)


def mapped(path: str | os.PathLike[str]) -> np.ndarray:
    """The array of a file as a memory map that cannot be written to.

    Raises:
        OSError: there is no such file.
        ValueError: as in `read`.
    """
    with open(path, "rb") as file:
        head = header(file)
        _need(head, os.fstat(file.fileno()).st_size)
        data = np.memmap(file, head.dtype, "r", head.offset, (math.prod(head.shape),))
    return _shaped(data, head)


def _fields(text: str) -> dict[str, str]:
    """{key: text of its value} of a header."""
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
    """The type of this name, if it is one of plain numbers."""
    if name.strip("<>=|").startswith("O"):
        raise ValueError("it holds Python objects instead of numbers")
    if not _DTYPE.fullmatch(name):
        raise ValueError(f"its type is {name[:20]!r} instead of plain numbers")
    return np.dtype(name)


def _need(head: Header, size: int) -> None:
    """Refuses a file of `size` bytes that is too short for its array."""
    if math.prod(head.shape) * head.dtype.itemsize > size - head.offset:
        raise ValueError(f"it is cut short: {size} bytes are too few for its shape {head.shape}")


def _shaped(data: np.ndarray, head: Header) -> np.ndarray:
    """The numbers of a file in the shape and order of its header."""
    return data.reshape(head.shape[::-1]).T if head.fortran else data.reshape(head.shape)
