"""Tables from the names in a file to our parameters: strict, so that misfits are reported and nothing is guessed."""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import math
import re
from typing import NamedTuple

import numpy as np

import jgan
from jgan.weights import files

_NAMED = 3  # names in a sentence


class Parameter(NamedTuple):
    """The place of a tensor among our parameters.

    Attributes:
        path: names from the outermost to the innermost.
        axes: of the tensor, in the order of our axes.
    """

    path: tuple[str, ...]
    axes: tuple[int, ...]


Table = Mapping[str, Parameter]


def convolutions(places: Mapping[int, str]) -> Table:
    """The table of a torchvision net whose `features.N` are convolutions [out, in, height, width], {N: our layer}."""
    table = {}
    for number, layer in places.items():
        table[f"features.{number}.weight"] = Parameter((layer, "kernel"), (2, 3, 1, 0))
        table[f"features.{number}.bias"] = Parameter((layer, "bias"), (0,))
    return table


_VGG16 = (
    *((1, i) for i in (1, 2)),
    *((2, i) for i in (1, 2)),
    *((b, i) for b in (3, 4, 5) for i in (1, 2, 3)),
)
TORCHVISION = {
    "alexnet": convolutions({0: "conv1", 3: "conv2", 6: "conv3", 8: "conv4", 10: "conv5"}),
    "vgg16": convolutions(
        {
            # A rectifier follows each convolution, and a pool each block.
            2 * k + block - 1: f"conv{block}_{i}"
            for k, (block, i) in enumerate(_VGG16)
        }
    ),
}
IGNORED = r"classifier\..*"  # a net of features ends before them


def lpips(layers: Sequence[str]) -> Table:
    """The table of a file of LPIPS' weights, a number [1, channels, 1, 1] for each channel of the layers in turn."""
    return {
        f"lin{k}.model.1.weight": Parameter((layer, "weight"), (0, 2, 3, 1)) for k, layer in enumerate(layers)
    }


def recognise(names: Mapping[str, object], tables: Mapping[str, Table]) -> str | None:
    """The table of whose names the file has the largest share; None if it has less than half of any table."""
    share = {net: sum(name in names for name in table) / len(table) for net, table in tables.items()}
    best = max(share, key=share.__getitem__)
    return best if share[best] >= 0.5 else None


def fill(
    what: str,
    entries: Mapping[str, files.Entry],
    table: Table,
    shape_of: Callable[[tuple[str, ...]], tuple[int, ...]],
    ignored: str = IGNORED,
) -> dict[str, dict[str, np.ndarray]]:
    """The parameters of a file by a table, nested by their paths, float32.

    Args:
        what: the file and the net that it is taken for, as sentences name them.
        entries: {name: tensor} of the file.
        table: the place of each tensor.
        shape_of: path -> the shape of our parameter.
        ignored: a pattern of names that the file may have and that are not used.

    Raises:
        jgan.UserError: a tensor is missing, unknown or of another shape, or has numbers that are not finite.
    """
    missing = [name for name in table if name not in entries]
    surplus = [name for name in entries if name not in table and not re.fullmatch(ignored, name)]
    unfit = []
    for name, (path, axes) in table.items():
        if name in entries:
            ours, theirs = shape_of(path), entries[name].shape
            wanted = tuple(ours[axes.index(k)] for k in range(len(axes)))
            if theirs != wanted:
                unfit.append(f"{name} {_shape(theirs)} instead of {_shape(wanted)}")
    faults = [
        f"{word} {', '.join(names[:_NAMED])}{f' and {len(names) - _NAMED} more' if len(names) > _NAMED else ''}"
        for word, names in (
            ("no", missing),
            ("beyond its own", [ascii(name)[1:-1][:60] for name in surplus]),
            ("of another shape", unfit),
        )
        if names
    ]
    if faults:
        raise jgan.UserError(f"{what} has {'; '.join(faults)}.")
    tree: dict[str, dict[str, np.ndarray]] = {}
    for name, (path, axes) in table.items():
        values = entries[name].read()
        if values.dtype.kind not in "fV" or values.size != math.prod(entries[name].shape):
            raise jgan.UserError(f"{what} has {values.dtype} for {name}, floats were needed.")
        with np.errstate(over="ignore"):
            values = np.ascontiguousarray(values.transpose(axes), np.float32)
        if not np.isfinite(values).all():
            raise jgan.UserError(f"{what} has numbers in {name} that are not finite.")
        place = tree
        for part in path[:-1]:
            place = place.setdefault(part, {})
        place[path[-1]] = values
    return tree


def _shape(shape: tuple[int, ...]) -> str:
    """A shape as a sentence shows it."""
    return "x".join(map(str, shape)) or "a single number"
