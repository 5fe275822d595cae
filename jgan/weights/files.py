"""What is in a file of weights, without the library that wrote it.

Nothing in a file is trusted and nothing in it is run. Only the shape of a tensor is read before its values are asked
for, so that what is not used stays on disk.
"""

from collections.abc import Iterator
import contextlib
import os
import pathlib
from typing import Any
import zipfile

import jax.numpy as jnp
import numpy as np
import safetensors

import jgan
from jgan.weights import pickles
from jgan.weights import pth
from jgan.weights import source

Entry = source.Entry
Object = source.Object
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
SUFFIXES = (".safetensors", ".pth", ".pt", ".pkl", ".ckpt", ".bin", ".dcgan_theano", "")
_OTHERS = {
    ".t7": "a file of Lua's Torch: its authors' converted .pth files would work",
    ".onnx": "a graph of ONNX, which holds no names of layers: the .pth that it was made from would work",
    ".h5": "a file of HDF5: .safetensors or .pth would work",
    ".hdf5": "a file of HDF5: .safetensors or .pth would work",
    ".npz": "a file of NumPy: .safetensors or .pth would work",
    ".tar": "an archive: the file of weights in it would work",
    ".zip": "an archive: the file of weights in it would work",
}


def entries(path: str | pathlib.Path) -> dict[str, Entry]:
    """{name: tensor} of a file that holds nothing else.

    Raises:
        jgan.UserError: as in `contents`, or it holds something other than tensors by name.
    """
    tree = contents(path)
    if not isinstance(tree, dict):
        raise jgan.UserError(
            f"{path} is no state dict of tensors that could be read safely: it has no dictionary at its root."
        )
    for name, value in tree.items():
        if not isinstance(name, str) or not isinstance(value, Entry):
            raise jgan.UserError(
                f"{path} is no state dict of tensors that could be read safely: it has something else than a "
                f"tensor under {source.show(name)}."
            )
    return tree


def contents(path: str | pathlib.Path) -> Any:
    """What is in a file: nested dictionaries, lists and tuples of `Entry`, `Object`, numbers, texts and None.

    Read are .safetensors, both forms of torch.save, and pickles of tensors and arrays: those of StyleGAN2-ADA with
    their persistent objects, of TensorFlow's StyleGAN2 and of iGAN, by Python 2 or 3. What is in a file decides how it
    is read; its name decides only whether it is one of .safetensors.

    Raises:
        jgan.UserError: the file is missing, of another kind or damaged, or asks for something that is not done.
    """
    path = pathlib.Path(path)
    suffix = path.suffix.lower()
    if suffix in _OTHERS:
        raise jgan.UserError(f"{path} is {_OTHERS[suffix]}.")
    if suffix not in SUFFIXES:
        known = ", ".join(filter(None, SUFFIXES))
        raise jgan.UserError(f"{path} is no file of weights: one of {known} would work.")
    try:
        if suffix == ".safetensors":
            return _safetensors(path)
        return _pickled(path)
    except OSError as error:
        raise jgan.UserError(f"the weights {path} cannot be read: {error.strerror or error}.") from None


def _pickled(path: pathlib.Path) -> Any:
    """What is in a file of torch.save or of pickle."""
    by = "torch.save" if path.suffix.lower() in (".pth", ".pt") else "weights"
    with open(path, "rb") as file:
        try:
            if zipfile.is_zipfile(file):
                tree = pth.archive(file, os.fspath(path))
            else:
                tree = _pickle(source.Window(file, os.fspath(path)))
            pickles.check(tree)
        except source.Refused as refused:
            raise jgan.UserError(
                f"{path} is no {'state dict' if by == 'torch.save' else 'file'} of tensors that could be read safely: "
                f"it has {refused}."
            ) from None
        except OSError:
            raise
        except jgan.UserError:
            raise
        except Exception:  # decoders raise many kinds of errors, which all mean the same here
            raise jgan.UserError(f"{path} is no sound file of {by}.") from None
    return tree


def _pickle(window: source.Window) -> Any:
    """What is in a stream of torch.save or in a single pickle, which the first value tells."""
    budget = source.Budget(window.size)
    functions = {**pth.FUNCTIONS, **_FUNCTIONS, pth.FROM_BYTES: lambda data: pth.from_bytes(data, budget)}
    first = pickles.load(window, functions, budget=budget)
    if first != pth.MAGIC:
        return first
    window.seek(0)
    return pth.stream(window, budget)


def _persistent(meta: Any) -> Object:
    """A module of StyleGAN2-ADA, whose source text is left alone."""
    meta = source.of(meta, dict)
    state, name = source.of(meta.get("state"), dict), source.of(meta.get("class_name"), str)
    if meta.get("type") != "class":
        raise source.Refused("a persistent object that is no class")
    return Object(f"torch_utils.persistence.{name}", state)


_FUNCTIONS = {
    "torch_utils.persistence._reconstruct_persistent_obj": _persistent,
    "dnnlib.util.EasyDict": lambda *_: {},
    "dnnlib.tflib.network.Network": pickles.inert("dnnlib.tflib.network.Network"),
}


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
