"""The arrays of NumPy in a pickle, whose bytes stay in the file until they are asked for."""

import abc
from collections.abc import Callable
import math
from typing import Any

import numpy as np

from jgan.weights import source


class Building(abc.ABC):
    """An object that is made empty and then given its state.

    Attributes:
        made: the object with its state, where it has been given one: what later references to the empty one mean.
    """

    made: Any = None

    @abc.abstractmethod
    def build(self, state: Any) -> Any:
        """The object with its state."""


class _Type(Building):
    """A type of numbers, as NumPy pickles it: its name, then the order of its bytes."""

    def __init__(self, name: Any, *_: Any):
        name = source.text(name)
        if not (2 <= len(name) <= 3 and name[0] in "fiub" and name[1:] in ("1", "2", "4", "8")):
            raise source.Refused(f"numbers of type {source.show(name)}")
        self.dtype = np.dtype(name)

    def build(self, state: Any) -> "_Type":
        order = source.text(source.of(state, tuple)[1])
        if order not in ("<", ">", "|", "="):
            raise source.Refused(f"numbers in the order {source.show(order)}")
        self.dtype = self.dtype.newbyteorder(order)
        return self


class _Array(Building):
    """An array, as NumPy pickles it: made empty, then given its shape, its type and its bytes."""

    def __init__(self, *_: Any):
        pass

    def build(self, state: Any) -> source.Entry:
        _, shape, dtype, by_columns, data = state
        return _array(data, dtype, shape, by_columns)


def _array(data: Any, dtype: Any, shape: Any, by_columns: Any) -> source.Entry:
    """An array of bytes that are read when it is asked for."""
    dtype = source.of(dtype, _Type).dtype
    if isinstance(data, str):
        data = data.encode("latin-1")
    size = data.size if isinstance(data, source.Span) else len(source.of(data, bytes))
    sides = isinstance(shape, tuple) and len(shape) <= 8 and all(type(n) is int for n in shape)
    if not sides or not all(0 <= n < 2**40 for n in shape):
        raise source.Refused("an array that makes no sense")
    if math.prod(shape) * dtype.itemsize != size:
        raise source.Refused(f"an array of {'x'.join(map(str, shape))} numbers in {size:,} bytes")
    order = "F" if by_columns else "C"

    def read() -> np.ndarray:
        values = np.frombuffer(data.read() if isinstance(data, source.Span) else data, dtype).reshape(
            shape, order=order
        )
        return values.astype(dtype.newbyteorder("="), copy=False)

    return source.Entry(shape, dtype.newbyteorder("="), read)


def _scalar(dtype: Any, data: Any) -> float | int | bool:
    """A number, in the place of NumPy's own."""
    return _array(data, dtype, (), False).read().item()


def _encoded(value: Any, encoding: Any = "latin1") -> bytes:
    """The bytes of a text, in the place of codecs.encode, by which Python 3 writes bytes for Python 2."""
    return source.of(value, str).encode("latin-1") if encoding in ("latin1", "latin-1") else _refuse()


def _from_buffer(data: Any, dtype: Any, shape: Any, order: Any) -> source.Entry:
    """An array of protocol 5."""
    return _array(data, dtype, shape, order == "F")


def functions() -> dict[str, Callable[..., Any]]:
    """NumPy's functions under the names that its versions have had."""
    found: dict[str, Callable[..., Any]] = {"numpy.dtype": _Type, "numpy.ndarray": _refuse}
    found["_codecs.encode"] = _encoded
    for core in ("numpy.core", "numpy._core"):
        found[f"{core}.multiarray._reconstruct"] = _Array
        found[f"{core}.multiarray.scalar"] = _scalar
        found[f"{core}.numeric._frombuffer"] = _from_buffer
    return found


def _refuse(*_: Any) -> None:
    """Refuses a call of a type that is no function."""
    raise source.Refused("a call of what is no function")
