"""Features by which photos are compared besides their pixels: activations of a net whose weights the user has.

    features = frozen.load("vgg16.pth", channels=3)      # or .safetensors; AlexNet or VGG-16 in torchvision's names
    features = frozen.load_lpips("vgg16.pth", "lpips_vgg.pth", channels=3)      # with the weights of LPIPS
    projects = project.projector(run, features=features)

`gather` reads the nets that a system uses and does not train.
"""

from collections.abc import Callable
from collections.abc import Mapping
import os
from typing import Any
from typing import NamedTuple
import zlib

import jax
import numpy as np

import jgan
from jgan import trained
from jgan.nets import perceptual
from jgan.runs import frozen as frozen_files
from jgan.systems import system as system_lib
from jgan.weights import features as feature_tables
from jgan.weights import files
from jgan.weights import tables


class Features(NamedTuple):
    """A net whose activations are compared.

    Attributes:
        name: of the net, its layers and its weights, such as `alexnet conv4 1f2e3d4c`; equal for equal features.
        params: of the net.
        apply: `(params, images [n, h, w, c] in [-1, 1]) -> activations`.
        comparable: activations are as LPIPS compares them (`costs.reconstruction`).
    """

    name: str
    params: Any
    apply: Callable[[Any, jax.Array], list[jax.Array]]
    comparable: bool = False


def gather(workdir: str, declared: Mapping[str, system_lib.Frozen]) -> dict[str, Any]:
    """{net: {"params", "stats"}} of the nets that a system uses and does not train.

    They are read from the directory of the run if it has them. Otherwise they are read from the place that the system
    names and written to the directory, so that the run is complete by itself.

    Args:
        workdir: directory of the run.
        declared: `System.frozen`.

    Raises:
        jgan.UserError: a file or a run does not have the net.
    """
    kept = frozen_files.read(workdir) if declared else {}
    nets = {}
    for net, source in declared.items():
        if net not in kept:
            kept[net] = _from_source(source)
            frozen_files.write(workdir, net, kept[net])
        nets[net] = {"params": kept[net]["params"], "stats": kept[net].get("stats", {})}
    return nets


def _from_source(source: system_lib.Frozen) -> dict[str, Any]:
    """{"params", "stats"} of a net, from a file of weights or from another run."""
    if not os.path.isdir(source.path):
        features = load(source.path, 3)
        if not features.name.startswith(source.net):
            raise jgan.UserError(
                f"{source.path} holds {features.name.split()[0]}, and {source.net} is needed."
            )
        return {"params": features.params, "stats": {}}
    weights = trained.load(source.path).weights
    if source.net not in weights["params"]:
        raise jgan.UserError(
            f"{source.path} is a run without a net {source.net!r}: it has {', '.join(weights['params'])}."
        )
    return {kind: weights[kind].get(source.net, {}) for kind in ("params", "stats")}


def load(path: str, channels: int, layers: tuple[str, ...] = ()) -> Features:
    """The features of AlexNet or VGG-16 with the weights in a file; the names in the file decide which net it is.

    Args:
        path: a `.safetensors`, or a `.pth` of a state dict, with torchvision's names, with or without classifier. It
            may be of any origin.
        channels: of the images that are compared.
        layers: the layers whose activations are compared, after their rectifiers. By default AlexNet's conv4, as in
            iGAN, or VGG-16's conv1_1, conv1_2, conv3_2 and conv4_2, as in Image2StyleGAN.

    Raises:
        jgan.UserError: the file cannot be read, is of neither net or does not fit; or the net does not take images of
            so many channels.
    """
    entries = files.entries(path)
    name = tables.recognise(entries, feature_tables.TORCHVISION)
    if name is None:
        known = " nor ".join(net.title for net in perceptual.ARCHITECTURES.values())
        raise jgan.UserError(
            f"{path} holds neither {known}: their tensors are named features.0.weight and so on."
        )
    net = perceptual.ARCHITECTURES[name]
    if channels not in (1, 3):
        raise jgan.UserError(
            f"{net.title} sees images of 1 or 3 channels, those of the run have {channels}: its own discriminator's "
            "features would work."
        )
    apply = perceptual.net(name, layers)
    params = tables.fill(
        f"{path}, taken for {net.title},",
        entries,
        feature_tables.TORCHVISION[name],
        {"params": _abstract(perceptual.shapes(net))},
        feature_tables.IGNORED,
    )["params"]
    check = 0
    for leaf in jax.tree.leaves(params):
        check = zlib.crc32(np.ascontiguousarray(leaf), check)
    wanted = layers or net.default
    return Features(f"{name} {' '.join(wanted)} {check:08x}", params, apply)


def load_lpips(path: str, heads: str, channels: int) -> Features:
    """The activations that LPIPS compares, of AlexNet or VGG-16 with the weights in a file.

    Summed squared differences of them are LPIPS (Zhang et al., 2018, version 0.1) for images that the net need not
    enlarge: VGG-16 of 32 pixels or more a side, AlexNet of 224.

    Args:
        path: as in `load`.
        heads: file of LPIPS' own weights for this net, `.pth` or `.safetensors`.
        channels: as in `load`.

    Raises:
        jgan.UserError: as in `load`, or weights of LPIPS that do not fit the net or are below 0.
    """
    net = load(path, channels)
    kind = net.name.split()[0]
    layers = perceptual.ARCHITECTURES[kind].lpips
    net, shapes = load(path, channels, layers), perceptual.shapes(perceptual.ARCHITECTURES[kind])
    wanted = {layer: {"weight": (1, 1, 1, *shapes[layer]["bias"])} for layer in layers}
    title = f"{heads}, taken for LPIPS' weights of {kind},"
    weights = tables.fill(
        title, files.entries(heads), feature_tables.lpips(layers), {"params": _abstract(wanted)}
    )["params"]
    if any(np.min(x["weight"]) < 0 for x in weights.values()):
        raise jgan.UserError(f"{title} has weights below 0, and distances would be none.")

    def apply(params: Any, images: jax.Array) -> list[jax.Array]:
        seen = net.apply(params["net"], images)
        return [
            perceptual.unit(x, params["heads"][layer]["weight"].ravel())
            for x, layer in zip(seen, layers, strict=True)
        ]

    check = 0
    for leaf in jax.tree.leaves(weights):
        check = zlib.crc32(np.ascontiguousarray(leaf), check)
    name = f"{net.name} lpips {check:08x}"
    return Features(name, {"net": net.params, "heads": weights}, apply, comparable=True)


def _abstract(shapes: dict[str, dict[str, tuple[int, ...]]]) -> dict[str, Any]:
    """Shapes with the type that parameters have."""
    return {
        layer: {name: jax.ShapeDtypeStruct(shape, np.float32) for name, shape in of.items()}
        for layer, of in shapes.items()
    }
