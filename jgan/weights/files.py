"""The tensors of a file by name, from .safetensors and from what torch.save writes, without PyTorch.

Nothing is read of a tensor but its shape until it is asked for, so that classifiers larger than the net stay on disk.
"""

from collections.abc import Callable
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
        read: its values, which may raise a `jgan.UserError`.
    """

    shape: tuple[int, ...]
    read: Callable[[], np.ndarray]


def entries(path: str | pathlib.Path) -> dict[str, Entry]:
    """{name: tensor} of a file, from anyone; nothing in it is trusted and nothing in it is run.

    Raises:
        jgan.UserError: the file is missing, is of another kind, is damaged, or holds what is no tensor.
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
    with open(path, "rb"):  # a missing file is told in the words of the system
        pass

    def read(name: str) -> np.ndarray:
        with _told(path), safetensors.safe_open(path, framework="numpy") as file:
            return file.get_tensor(name)

    with _told(path), safetensors.safe_open(path, framework="numpy") as file:
        return {
            name: Entry(tuple(file.get_slice(name).get_shape()), lambda name=name: read(name))
            for name in file.keys()
        }


@contextlib.contextmanager
def _told(path: pathlib.Path):
    try:
        yield
    except (safetensors.SafetensorError, TypeError, AttributeError, ValueError):
        # The last three: number types that NumPy does not have.
        raise jgan.UserError(f"{path} is no sound file of safetensors that NumPy can hold.") from None
