"""Nets of features in the files that people have: torchvision's AlexNet and VGG-16, and LPIPS' weights of channels."""

from collections.abc import Mapping
from collections.abc import Sequence

from jgan.weights import tables

IGNORED = r"classifier\..*"  # a net of features ends before them


def convolutions(places: Mapping[int, str]) -> tables.Table:
    """The table of a torchvision net whose `features.N` are convolutions [out, in, height, width], {N: our layer}."""
    table = {}
    for number, layer in places.items():
        table[f"features.{number}.weight"] = tables.Place((layer, "kernel"), tables.CONV)
        table[f"features.{number}.bias"] = tables.Place((layer, "bias"), tables.SAME)
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


def lpips(layers: Sequence[str]) -> tables.Table:
    """The table of a file of LPIPS' weights, a number [1, channels, 1, 1] for each channel of the layers in turn."""
    return {
        f"lin{k}.model.1.weight": tables.Place((layer, "weight"), tables.transposed(0, 2, 3, 1))
        for k, layer in enumerate(layers)
    }
