"""Nets of features in the files that people have: torchvision's AlexNet and VGGs, LPIPS, and Inception-v3 of FID."""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import re

from jgan.weights import files
from jgan.weights import tables

# A net of features ends before its classifier. A state dict of LPIPS as a whole has its own weights beside the net's.
IGNORED = r"classifier\..*|lins?[0-9.].*|scaling_layer\..*"
LPIPS_IGNORED = r"features\..*|net\..*|scaling_layer\..*"
# Inception's classifier, and what PyTorch counts.
INCEPTION_IGNORED = r"fc\..*|.*\.num_batches_tracked"

_SLICE = re.compile(r"net\.slice[0-9]+\.([0-9]+)\.(weight|bias)")
_HEAD = re.compile(r"(?:lins\.([0-9]+)\.model|([0-9]+))\.1\.weight")


def convolutions(places: Mapping[int, str]) -> tables.Table:
    """The table of a torchvision net whose `features.N` are convolutions [out, in, height, width], {N: our layer}."""
    table = {}
    for number, layer in places.items():
        table[f"features.{number}.weight"] = tables.Place((layer, "kernel"), tables.CONV)
        table[f"features.{number}.bias"] = tables.Place((layer, "bias"), tables.SAME)
    return table


def _vgg(*numbers: int) -> tables.Table:
    """The table of a VGG with so many convolutions in its blocks."""
    layers = [(block, i) for block, number in enumerate(numbers, 1) for i in range(1, number + 1)]
    # A rectifier follows each convolution, and a pool each block.
    return convolutions({2 * k + block - 1: f"conv{block}_{i}" for k, (block, i) in enumerate(layers)})


TORCHVISION = {
    "alexnet": convolutions({0: "conv1", 3: "conv2", 6: "conv3", 8: "conv4", 10: "conv5"}),
    "vgg16": _vgg(2, 2, 3, 3, 3),
    "vgg19": _vgg(2, 2, 4, 4, 4),
}


def trunk(entries: Mapping[str, files.Entry]) -> dict[str, files.Entry]:
    """The tensors of a file in torchvision's names, also of a whole LPIPS: `net.slice2.3.weight` and so on."""
    return _renamed(
        entries, lambda name: _SLICE.sub(r"features.\1.\2", name) if _SLICE.fullmatch(name) else name
    )


def heads(entries: Mapping[str, files.Entry]) -> dict[str, files.Entry]:
    """The tensors of a file in LPIPS' names.

    A whole LPIPS has its weights twice, also as `lins.0.model.1.weight`; pSp's line has `0.1.weight`.
    """

    def name_of(name: str) -> str:
        match = _HEAD.fullmatch(name)
        return f"lin{match[1] or match[2]}.model.1.weight" if match else name

    return _renamed(entries, name_of)


def _renamed(entries: Mapping[str, files.Entry], name_of: Callable[[str], str]) -> dict[str, files.Entry]:
    """The entries by other names; one that has its name from the file stays."""
    found = {name: entry for name, entry in entries.items() if name_of(name) == name}
    for name, entry in entries.items():
        found.setdefault(name_of(name), entry)
    return found


def lpips(layers: Sequence[str]) -> tables.Table:
    """The table of a file of LPIPS' weights, a number [1, channels, 1, 1] for each channel of the layers in turn."""
    return {
        f"lin{k}.model.1.weight": tables.Place((layer, "weight"), tables.transposed(0, 2, 3, 1))
        for k, layer in enumerate(layers)
    }


def _numbered(name: str, *numbers: object) -> list[str]:
    """The name with each of the numbers behind it."""
    return [f"{name}_{number}" for number in numbers]


_A = ["branch1x1", *_numbered("branch5x5", 1, 2), *_numbered("branch3x3dbl", 1, 2, 3), "branch_pool"]
_B = ["branch3x3", *_numbered("branch3x3dbl", 1, 2, 3)]
_C = ["branch1x1", *_numbered("branch7x7", 1, 2, 3), *_numbered("branch7x7dbl", 1, 2, 3, 4, 5), "branch_pool"]
_D = [*_numbered("branch3x3", 1, 2), *_numbered("branch7x7x3", 1, 2, 3, 4)]
_E = [
    "branch1x1",
    *_numbered("branch3x3", 1, "2a", "2b"),
    *_numbered("branch3x3dbl", 1, 2, "3a", "3b"),
    "branch_pool",
]
_INCEPTION = {
    **dict.fromkeys(("Mixed_5b", "Mixed_5c", "Mixed_5d"), _A),
    "Mixed_6a": _B,
    **dict.fromkeys(("Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"), _C),
    "Mixed_7a": _D,
    **dict.fromkeys(("Mixed_7b", "Mixed_7c"), _E),
}


def _inception() -> tables.Table:
    """The table of Inception-v3, each of whose convolutions has a batch norm; our layers have the same names."""
    table = {}
    layers = ["Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "Conv2d_3b_1x1", "Conv2d_4a_3x3"]
    layers += [f"{block}.{branch}" for block, branches in _INCEPTION.items() for branch in branches]
    for layer in layers:
        path = tuple(layer.split("."))
        table[f"{layer}.conv.weight"] = tables.Place((*path, "kernel"), tables.CONV)
        for theirs, ours, kind in (
            ("weight", "scale", "params"),
            ("bias", "bias", "params"),
            ("running_mean", "mean", "stats"),
            ("running_var", "variance", "stats"),
        ):
            table[f"{layer}.bn.{theirs}"] = tables.Place((*path, "norm", ours), tables.SAME, kind)
    return table


INCEPTION = _inception()
