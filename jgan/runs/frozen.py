"""Weights that a run uses and does not train, in its own directory: RUN/frozen/NET.npz, one file for each net."""

import io
import pathlib
from typing import Any

import numpy as np

import jgan
from jgan import output
from jgan import paths


def write(workdir: str, net: str, weights: dict[str, Any]) -> None:
    """Writes the weights of a net, nested dicts of arrays; the file exists whole or not at all.

    Raises:
        jgan.UserError: the file cannot be written.
    """
    buffer = io.BytesIO()
    np.savez(buffer, **_flat(weights))
    _folder(workdir).mkdir(parents=True, exist_ok=True)
    output.replace(_folder(workdir) / f"{net}.npz", buffer.getvalue())


def read(workdir: str) -> dict[str, Any]:
    """{net: nested dicts of arrays} of all nets that `write` has written to a run; {} if there are none.

    Raises:
        jgan.UserError: a file cannot be read.
    """
    nets = {}
    for path in sorted(_folder(workdir).glob("*.npz")):
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as saved:
                nets[path.stem] = _nested({name: saved[name] for name in saved.files})
        except (OSError, ValueError, KeyError) as error:
            raise jgan.UserError(f"{path} cannot be read as the weights of a net: {error}.") from None
    return nets


def _folder(workdir: str) -> pathlib.Path:
    """The folder of these files."""
    return paths.of(workdir) / "frozen"


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, np.ndarray]:
    """{path with slashes: array} of nested dicts."""
    flat = {}
    for name, value in tree.items():
        flat |= (
            _flat(value, f"{prefix}{name}/")
            if isinstance(value, dict)
            else {prefix + name: np.asarray(value)}
        )
    return flat


def _nested(flat: dict[str, np.ndarray]) -> dict[str, Any]:
    """The nested dicts of {path with slashes: array}."""
    tree: dict[str, Any] = {}
    for name, value in flat.items():
        *path, last = name.split("/")
        place = tree
        for part in path:
            place = place.setdefault(part, {})
        place[last] = value
    return tree
