"""What files of weights are read through: parts of a file, tensors whose values stay in it, and what is refused."""

from collections.abc import Callable
from collections.abc import Iterable
import io
import os
from typing import Any
from typing import BinaryIO
from typing import NamedTuple

import numpy as np

import jgan

MAX_TEXT = 2**22  # the source text in StyleGAN2's files is shorter
MAX_INSTRUCTIONS = 500_000  # of all pickles in a file; StyleGAN2's own files of three nets have 115,000
MAX_PLACES = 1_000_000  # of values, where one that is referred to several times counts as often


class Refused(Exception):
    """A demand of a file that is refused; its text follows the words "it has"."""


class Budget:
    """What reading a file may cost: a small one may neither take long nor fill the memory.

    A value that was read once can be given to functions again and again, and each call may copy it.

    Attributes:
        instructions: of pickles that may still be carried out.
        places: parts of values that may still be copied.
        bytes: of texts that may still be copied.
    """

    def __init__(self, size: int):
        self.instructions, self.places, self.bytes = MAX_INSTRUCTIONS, MAX_PLACES, 4 * size + MAX_TEXT

    def instruction(self) -> None:
        """Pays for an instruction.

        Raises:
            Refused: there have been too many.
        """
        self.instructions -= 1
        if self.instructions < 0:
            raise Refused(f"more than {MAX_INSTRUCTIONS:,} instructions")

    def copies(self, values: Iterable[Any]) -> None:
        """Pays for what a function may copy of its arguments.

        Raises:
            Refused: that would be too much.
        """
        for value in values:
            if isinstance(value, str | bytes):
                self.bytes -= len(value)
            elif isinstance(value, list | tuple | dict | set):
                self.places -= len(value)
        if self.places < 0 or self.bytes < 0:
            raise Refused("the same values again and again, more of them than fit its size")


class Object(NamedTuple):
    """An object of a class that a pickle names, of which this reader knows the state alone.

    Attributes:
        type: the class, such as `dnnlib.tflib.network.Network`; for the persistent objects of StyleGAN2-ADA
            `torch_utils.persistence.` with their class behind, such as `torch_utils.persistence.Generator`.
        state: its attributes by name.
    """

    type: str
    state: dict[str, Any]


class Entry(NamedTuple):
    """A tensor of a file.

    Attributes:
        shape: its shape.
        dtype: the type of its numbers, as NumPy or as `ml_dtypes` has it.
        read: a function that returns its values, and may raise a `jgan.UserError`.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    read: Callable[[], np.ndarray]

    @property
    def is_float(self) -> bool:
        """Whether its numbers are floats, bfloat16 among them."""
        return self.dtype.kind in "fV"


class Window(io.RawIOBase):
    """A part of a file, as a file of its own; no read allocates more than there is.

    Attributes:
        path: of the file, by which it is opened again when bytes are asked for.
        start: where the part begins.
        size: its bytes.
    """

    def __init__(self, file: BinaryIO, path: str | os.PathLike, start: int = 0, size: int | None = None):
        super().__init__()
        self.file, self.path, self.start = file, path, start
        end = file.seek(0, io.SEEK_END)
        self.size = end - start if size is None else min(size, end - start)
        self.seek(0)

    def span(self, start: int, size: int) -> "Span | bytes":
        """The bytes from a place on, to be read later."""
        return Span(self.path, self.start + start, size)

    def tell(self) -> int:
        return self.place

    def seek(self, place: int, whence: int = io.SEEK_SET) -> int:
        self.place = place if whence == io.SEEK_SET else self.place + place
        return self.place

    def read(self, number: int = -1) -> bytes:
        left = max(self.size - self.place, 0)
        self.file.seek(self.start + self.place)
        data = self.file.read(left if number < 0 else min(number, left))
        self.place += len(data)
        return data

    def readline(self, limit: int = -1) -> bytes:
        left = max(min(self.size - self.place, MAX_TEXT), 0)
        self.file.seek(self.start + self.place)
        line = self.file.readline(left)
        self.place += len(line)
        return line


class Bytes(Window):
    """Bytes in memory, read as a part of a file is."""

    def __init__(self, data: bytes):
        super().__init__(io.BytesIO(data), "")
        self.data = data

    def span(self, start: int, size: int) -> bytes:
        return self.data[start : start + size]


class Span(NamedTuple):
    """Bytes that are still in a file: its path, where they begin and how many they are."""

    path: str | os.PathLike
    start: int
    size: int

    def part(self, start: int, stop: int) -> "Span":
        """The bytes from one place of these to another."""
        return Span(self.path, self.start + start, stop - start)

    def read(self) -> bytes:
        """The bytes.

        Raises:
            jgan.UserError: the file has changed or cannot be read.
        """
        try:
            with open(self.path, "rb") as file:
                file.seek(self.start)
                data = file.read(self.size)
        except OSError as error:
            raise jgan.UserError(f"{self.path} cannot be read: {error.strerror or error}.") from None
        if len(data) != self.size:
            raise jgan.UserError(f"{self.path} has become shorter while it was read.")
        return data


def text(value: Any) -> str:
    """A text or bytes of a pickle as a text; Python 2 has both for both.

    Raises:
        Refused: it is neither, or a long one, which stays in the file.
    """
    if isinstance(value, bytes):
        return value.decode("latin-1")
    return of(value, str)


def of(value: Any, kind: type) -> Any:
    """A value, if it is of this kind."""
    if not isinstance(value, kind):
        raise Refused(f"{type(value).__name__} in the place of {kind.__name__}")
    return value


def show(value: Any) -> str:
    """A value as a sentence shows it: printable and not long."""
    if isinstance(value, int) and abs(value) >= 10**30:
        return "a huge number"
    shown = ascii(value) if isinstance(value, str | int) else type(value).__name__
    return shown if len(shown) <= 60 else shown[:57] + "..."
