"""The tensors of a file by name, from .safetensors and from files of torch.save, without PyTorch.

Only the shape of a tensor is read before its values are asked for, so that classifiers larger than the net stay on
disk.
"""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import pathlib
from typing import NamedTuple

import numpy as np
import safetensors

import jgan
from jgan.weights import pth

SUFFIXES = (".safetensors", ".pth", ".pt")


class Entry(NamedTuple):
    """A tensor of a file.

    Attributes:
        shape: its shape.
        read: a function that returns its values, and may raise a `jgan.UserError`.
    """

    shape: tuple[int, ...]
    read: Callable[[], np.ndarray]


def entries(path: str | pathlib.Path) -> dict[str, Entry]:
    """{name: tensor} of a file of any origin; nothing in it is trusted and nothing in it is run.

    Raises:
        jgan.UserError: the file is missing, of another kind or damaged, or holds something other than tensors.
    """
    path = pathlib.Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise jgan.UserError(f"{path} is no file of weights: one of {', '.join(SUFFIXES)} would work.")
    try:
        if path.suffix.lower() == ".safetensors":
            return _safetensors(path)
        tensors = pth.tensors(path)
    except OSError as error:
        raise jgan.UserError(f"the weights {path} cannot be read: {error.strerror or error}.") from None
    return {name: Entry(tensor.shape, tensor.read) for name, tensor in tensors.items()}


def _safetensors(path: pathlib.Path) -> dict[str, Entry]:
    """{name: tensor} of a file of safetensors."""
    with open(path, "rb"):  # raises the error of the system for a missing file
        pass

    def read(name: str) -> np.ndarray:
        with _explained(path), safetensors.safe_open(path, framework="numpy") as file:
            return file.get_tensor(name)

    with _explained(path), safetensors.safe_open(path, framework="numpy") as file:
        return {
            name: Entry(tuple(file.get_slice(name).get_shape()), lambda name=name: read(name))
            for name in file.keys()
        }


@contextlib.contextmanager
def _explained(path: pathlib.Path) -> Iterator[None]:
    """Turns errors of safetensors into a sentence about the file."""
    try:
        yield
    except (safetensors.SafetensorError, TypeError, AttributeError, ValueError):
        # The last three errors are about types of numbers that NumPy does not have.
        raise jgan.UserError(f"{path} is no sound file of safetensors that NumPy can hold.") from None
