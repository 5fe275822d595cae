"""The tensors of a file by name, from .safetensors and from files of torch.save, without PyTorch.

Only the shape of a tensor is read before its values are asked for, so that classifiers larger than the net stay on
disk.
"""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import pathlib
from typing import Any
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import safetensors

import jgan
from jgan.weights import pth

_DTYPES = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "BF16": jnp.bfloat16,
    "I64": np.int64,
    "I32": np.int32,
    "I16": np.int16,
    "I8": np.int8,
    "U8": np.uint8,
    "BOOL": np.bool_,
}
SUFFIXES = (".safetensors", ".pth", ".pt")


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


class Object(NamedTuple):
    """An object of a class that a pickle names, of which this reader knows the state alone.

    Attributes:
        type: the class, such as `dnnlib.tflib.network.Network`; for the persistent objects of StyleGAN2-ADA
            `torch_utils.persistence.` with their class behind, such as `torch_utils.persistence.Generator`.
        state: its attributes by name.
    """

    type: str
    state: dict[str, Any]


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
    return {name: Entry(tensor.shape, tensor.dtype, tensor.read) for name, tensor in tensors.items()}


def _safetensors(path: pathlib.Path) -> dict[str, Entry]:
    """{name: tensor} of a file of safetensors."""
    with open(path, "rb"):  # raises the error of the system for a missing file
        pass

    def read(name: str) -> np.ndarray:
        with _explained(path), safetensors.safe_open(path, framework="numpy") as file:
            return file.get_tensor(name)

    with _explained(path), safetensors.safe_open(path, framework="numpy") as file:
        found = {}
        for name in file.keys():
            part = file.get_slice(name)
            shape, dtype = tuple(part.get_shape()), _DTYPES.get(part.get_dtype())
            if dtype is None:
                raise ValueError("a type that NumPy does not have")
            found[name] = Entry(shape, np.dtype(dtype), lambda name=name: read(name))
        return found


@contextlib.contextmanager
def _explained(path: pathlib.Path) -> Iterator[None]:
    """Turns errors of safetensors into a sentence about the file."""
    try:
        yield
    except (safetensors.SafetensorError, TypeError, AttributeError, ValueError):
        # The last three errors are about types of numbers that NumPy does not have.
        raise jgan.UserError(f"{path} is no sound file of safetensors that NumPy can hold.") from None
