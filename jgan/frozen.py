"""Features by which photos are compared besides their pixels: activations of a net whose weights the user has.

    features = frozen.load("vgg16.pth", channels=3)      # or .safetensors; AlexNet, VGG-16 or -19 of torchvision
    features = frozen.load_lpips("vgg16.pth", "lpips_vgg.pth", channels=3)      # with the weights of LPIPS
    projects = project.projector(run, features=features)
    inception = frozen.load_inception("pt_inception-2015-12-05-6726825d.pth")      # for distances of sets of pictures
    described = inception.apply(inception.weights, pictures)

`gather` reads the nets that a system uses and does not train.
"""

from collections.abc import Callable
from collections.abc import Mapping
import os
from typing import Any
from typing import NamedTuple
import zlib

import jax
import jax.numpy as jnp
import numpy as np

import jgan
from jgan import trained
from jgan.nets import inception
from jgan.nets import perceptual
from jgan.runs import frozen as frozen_files
from jgan.systems import system as system_lib
from jgan.weights import features as feature_tables
from jgan.weights import files
from jgan.weights import published
from jgan.weights import tables

LPIPS_VERSIONS = ("0.1", "0.0")


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


class Inception(NamedTuple):
    """Inception-v3, whose features of pictures FID and its relatives compare.

    Attributes:
        name: of the net, the way in which it sees pictures, and its weights; equal for equal features.
        weights: {"params", "stats"} of the net.
        apply: `(weights, images [n, h, w, 1 or 3], uint8 or floats in [-1, 1]) -> features [n, 2048]`.
    """

    name: str
    weights: Any
    apply: Callable[[Any, jax.Array], jax.Array]


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
    """The features of AlexNet, VGG-16 or VGG-19 with the weights in a file, whose names decide which net it is.

    Args:
        path: a `.safetensors`, or a `.pth` of a state dict, with torchvision's names, with or without classifier, or
            of a whole LPIPS. It may be of any origin.
        channels: of the images that are compared.
        layers: the layers whose activations are compared, after their rectifiers. By default AlexNet's conv4, as in
            iGAN, VGG-16's conv1_1, conv1_2, conv3_2 and conv4_2, as in Image2StyleGAN, or VGG-19's conv1_1 to conv5_1,
            as in pix2pixHD.

    Raises:
        jgan.UserError: the file cannot be read, is of no such net or does not fit; or the net does not take images of
            so many channels.
    """
    return _load(path, channels, lambda name: layers)


def _load(
    path: str, channels: int, choose: Callable[[str], tuple[str, ...]], normalised: bool = True
) -> Features:
    """`load`, of layers that are chosen when the net is known."""
    published.demand(path, published.NETS)
    entries = feature_tables.trunk(files.entries(path))
    name = tables.recognise(entries, feature_tables.TORCHVISION)
    if name is None:
        known = ", ".join(net.title for net in perceptual.ARCHITECTURES.values())
        raise jgan.UserError(
            f"{path} holds none of {known}: their tensors are named features.0.weight and so on."
        )
    net, layers = perceptual.ARCHITECTURES[name], choose(name)
    if channels not in (1, 3):
        raise jgan.UserError(
            f"{net.title} sees images of 1 or 3 channels, those of the run have {channels}: its own discriminator's "
            "features would work."
        )
    apply = perceptual.net(name, layers, normalised)
    params = tables.fill(
        f"{path}, taken for {net.title},",
        entries,
        feature_tables.TORCHVISION[name],
        {"params": _abstract(perceptual.shapes(net))},
        feature_tables.IGNORED,
    )["params"]
    wanted = layers or net.default
    return Features(f"{name} {' '.join(wanted)} {_check(params)}", params, apply)


def load_lpips(path: str, heads: str, channels: int, version: str = "0.1") -> Features:
    """The activations that LPIPS compares, of AlexNet or VGG-16 with the weights in a file.

    Summed squared differences of them are LPIPS (Zhang et al., 2018) for images that the net need not enlarge: VGG-16
    of 32 pixels or more a side, AlexNet of 224.

    Args:
        path: as in `load`.
        heads: file of LPIPS' own weights for this net, `.pth` or `.safetensors`, or that of a whole LPIPS.
        channels: as in `load`.
        version: of LPIPS, `0.1` or `0.0`, which the file does not tell. In 0.0 the net sees images that are not
            normalised as ImageNet's are.

    Raises:
        jgan.UserError: as in `load`, or weights of LPIPS that do not fit the net or are below 0, or a version or a net
            that LPIPS does not have.
    """
    if version not in LPIPS_VERSIONS:
        raise jgan.UserError(f"LPIPS has no version {version!r}: use one of {', '.join(LPIPS_VERSIONS)}.")

    def layers_of(name: str) -> tuple[str, ...]:
        if not perceptual.ARCHITECTURES[name].lpips:
            title = perceptual.ARCHITECTURES[name].title
            raise jgan.UserError(f"{path} holds {title}, and LPIPS is of AlexNet or of VGG-16.")
        return perceptual.ARCHITECTURES[name].lpips

    net = _load(path, channels, layers_of, normalised=version != "0.0")
    kind = net.name.split()[0]
    published.demand(heads, [f"lpips {version} {kind}"])
    layers, shapes = layers_of(kind), perceptual.shapes(perceptual.ARCHITECTURES[kind])
    wanted = {layer: {"weight": (1, 1, 1, *shapes[layer]["bias"])} for layer in layers}
    title = f"{heads}, taken for LPIPS' weights of {kind},"
    weights = tables.fill(
        title,
        feature_tables.heads(files.entries(heads)),
        feature_tables.lpips(layers),
        {"params": _abstract(wanted)},
        feature_tables.LPIPS_IGNORED,
    )["params"]
    if any(np.min(x["weight"]) < 0 for x in weights.values()):
        raise jgan.UserError(f"{title} has weights below 0, and distances would be none.")

    def apply(params: Any, images: jax.Array) -> list[jax.Array]:
        seen = net.apply(params["net"], images)
        return [
            perceptual.unit(x, params["heads"][layer]["weight"].ravel())
            for x, layer in zip(seen, layers, strict=True)
        ]

    name = f"{net.name} lpips{' 0.0' if version == '0.0' else ''} {_check(weights)}"
    return Features(name, {"net": net.params, "heads": weights}, apply, comparable=True)


def lpips(features: Features) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """LPIPS of pairs, `(images [n, h, w, c] in [-1, 1], as many others) -> [n]`, of the features of `load_lpips`.

    Zhang et al. (2018), equation 1: squared differences, summed over channels and layers, as means over positions.
    """

    @jax.jit
    def distance(params: Any, a: jax.Array, b: jax.Array) -> jax.Array:
        seen = (features.apply(params, x) for x in (a, b))
        return sum(
            (jnp.mean(jnp.sum(jnp.square(x - y), -1), (1, 2)) for x, y in zip(*seen, strict=True)), 0.0
        )

    return lambda a, b: np.asarray(distance(features.params, a, b))


def load_inception(path: str, resize: str = "half_pixel") -> Inception:
    """Inception-v3 with the weights of the file that FID is measured by, or of one with its names.

    Args:
        path: `pt_inception-2015-12-05-6726825d.pth` (pytorch-fid; torch-fidelity has the same file), or a
            `.safetensors` of it.
        resize: how pictures become 299 x 299: `half_pixel` as pytorch-fid does, `tf1` as TensorFlow 1 and
            torch-fidelity do, or `none` (`inception.net`).

    Raises:
        jgan.UserError: the file cannot be read or does not fit; or the resize is unknown.
    """
    apply = inception.net(resize)
    published.demand(path, ["inception"])
    entries = files.entries(path)
    if any(name.startswith("AuxLogits.") for name in entries):
        raise jgan.UserError(
            f"{path} holds torchvision's own Inception-v3, whose features are not those of FID: "
            f"{published.FILES['inception'].address} would work."
        )
    weights = tables.fill(
        f"{path}, taken for Inception-v3,",
        entries,
        feature_tables.INCEPTION,
        inception.shapes(),
        feature_tables.INCEPTION_IGNORED,
    )
    return Inception(f"inception {resize} {_check(weights)}", weights, apply)


def _check(weights: Any) -> str:
    """Eight hexadecimal digits that are equal for equal weights."""
    check = 0
    for leaf in jax.tree.leaves(weights):
        check = zlib.crc32(np.ascontiguousarray(leaf), check)
    return f"{check:08x}"


def _abstract(shapes: dict[str, dict[str, tuple[int, ...]]]) -> dict[str, Any]:
    """Shapes with the type that parameters have."""
    return {
        layer: {name: jax.ShapeDtypeStruct(shape, np.float32) for name, shape in of.items()}
        for layer, of in shapes.items()
    }
