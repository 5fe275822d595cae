"""The nets of pytorch-CycleGAN-and-pix2pix and of CUT layer by layer: what a file calls them, and what we do.

Only here is written how the two name and order what they have; reading and writing both follow it.
"""

from collections.abc import Iterator
from collections.abc import Mapping
import re
from typing import NamedTuple

import numpy as np

from jgan.weights import tables

CONV_TRANSPOSE = tables.transposed(2, 3, 0, 1)  # [in, out, height, width] to [height, width, in, out]
COUNT = "num_batches_tracked"
_STATISTICS = {"running_mean": "mean", "running_var": "variance"}
Size = tuple[str, int]  # so many times a number that differs from net to net: `width`, `in` or `out`
Shape = tuple[Size | int, ...]
_IN, _OUT, _ONE = ("in", 1), ("out", 1), 1


class Form(NamedTuple):
    """The architecture of a net, but for its numbers of channels.

    Attributes:
        name: `unet`, `resnet`, `patch` or `pixel`.
        depth: levels, blocks or strided layers; of `pixel` 0.
        norm: `batch`, `instance`, `none`; or `affine`, an instance norm with a scale and a bias, which jgan lacks.
        dropout: whether the blocks of a ResNet have it, which moves their second convolution.
        down: whether a low-pass filter follows where the resolution falls.
        up: whether one precedes where it grows.
    """

    name: str
    depth: int
    norm: str
    dropout: bool = False
    down: bool = False
    up: bool = False

    @property
    def net(self) -> str:
        """What kind of net it is."""
        return "generator" if self.name in ("unet", "resnet") else "discriminator"

    @property
    def title(self) -> str:
        """What a person calls such a net."""
        what = {
            "unet": f"U-Net of {self.depth} levels",
            "resnet": f"ResNet of {self.depth} block{'s' * (self.depth != 1)}",
            "patch": f"PatchGAN of {self.depth} strided layer{'s' * (self.depth != 1)}",
            "pixel": "PixelGAN",
        }[self.name]
        return f"anti-aliased {what}" if self.down or self.up else what


class Tensor(NamedTuple):
    """A tensor of a form: its shape in a file, and its place among our weights; filters have none."""

    shape: Shape
    place: tables.Place | None


class _Layer(NamedTuple):
    """A layer of a form.

    Attributes:
        name: of a file.
        kind: `conv`, `up` (a transposed convolution), `norm` or `filter`.
        path: ours.
        out: its channels.
        into: those of its input, of convolutions.
        kernel: its pixels along a side.
        bias: whether it has one, of convolutions.
        block: the place among residual blocks.
    """

    name: str
    kind: str
    path: tuple[str, ...]
    out: Size | int
    into: Size | int = _ONE
    kernel: int = 1
    bias: bool = False
    block: int | None = None


def tensors(form: Form) -> dict[str, Tensor]:
    """{name in a file: tensor} of what a net of this form has to have, filters included."""
    made = {}

    def add(name: str, layer: _Layer, shape: Shape, leaf: str, layout: tables.Layout = tables.SAME) -> None:
        kind = "stats" if leaf in _STATISTICS.values() else "params"
        place = tables.Place((*layer.path, leaf), layout, kind, layer.block)
        made[f"{layer.name}.{name}"] = Tensor(shape, place)

    for layer in layers(form):
        square = (layer.kernel, layer.kernel)
        if layer.kind == "filter":
            made[f"{layer.name}.filt"] = Tensor((layer.out, 1, *square), None)
        elif layer.kind == "norm":
            if form.norm in ("batch", "affine"):
                add("weight", layer, (layer.out,), "scale")
                add("bias", layer, (layer.out,), "bias")
            if form.norm == "batch":
                for theirs, ours in _STATISTICS.items():
                    add(theirs, layer, (layer.out,), ours)
        else:
            if layer.kind == "up":
                add("weight", layer, (layer.into, layer.out, *square), "kernel", CONV_TRANSPOSE)
            else:
                add("weight", layer, (layer.out, layer.into, *square), "kernel", tables.CONV)
            if layer.bias:
                add("bias", layer, (layer.out,), "bias")
    return made


def table(form: Form) -> dict[str, tables.Place]:
    """The place of each tensor of a net of this form among our weights."""
    return {name: tensor.place for name, tensor in tensors(form).items() if tensor.place is not None}


def constants(form: Form, width: int) -> dict[str, np.ndarray]:
    """What a net of this form has in a file besides its weights: counts of batches, and its filters."""
    made = {}
    if form.norm == "batch":
        made = {
            f"{layer.name}.{COUNT}": np.zeros((), np.int64) for layer in layers(form) if layer.kind == "norm"
        }
    filters = {name: tensor.shape for name, tensor in tensors(form).items() if tensor.place is None}
    return made | {name: binomial(concrete(shape, {"width": width})) for name, shape in filters.items()}


def ignored(form: Form) -> re.Pattern[str]:
    """What a file may have and nobody needs: counts of batches, and stale statistics of instance norms."""
    norms = [re.escape(layer.name) for layer in layers(form) if layer.kind == "norm"]
    if form.norm == "none" or not norms:
        return re.compile(r"(?!)")
    unused = [COUNT] if form.norm == "batch" else [COUNT, *_STATISTICS]
    return re.compile(f"(?:{'|'.join(norms)})\\.(?:{'|'.join(unused)})")


def concrete(shape: Shape, sizes: Mapping[str, int]) -> tuple[int, ...]:
    """A shape of a form, with numbers of channels in it."""
    return tuple(x if isinstance(x, int) else sizes[x[0]] * x[1] for x in shape)


def binomial(shape: tuple[int, ...]) -> np.ndarray:
    """The filter [channels, 1, taps, taps] that the old tools keep: of sum 1, or of sum 4 where it doubles a size."""
    row = np.array({3: [1, 2, 1], 4: [1, 3, 3, 1]}[shape[-1]], np.float32) / 4
    return np.ascontiguousarray(np.broadcast_to(row[:, None] * row, shape))


def layers(form: Form) -> Iterator[_Layer]:
    """The layers of a net of this form that hold anything."""
    return {"unet": _unet, "resnet": _resnet, "patch": _patch, "pixel": _pixel}[form.name](form)


def _biased(form: Form) -> bool:
    """Whether convolutions before norms have a bias, which batch norm makes idle."""
    return form.norm in ("instance", "affine")


def _width(times: int) -> Size:
    return ("width", times)


def _unet(form: Form) -> Iterator[_Layer]:
    """A level is a list of layers in the middle of which is the next level: an activation is a layer too."""
    bias, widths = _biased(form), [_width(min(2**k, 8)) for k in range(form.depth)]
    for k, width in enumerate(widths, start=1):
        first, last = k == 1, k == form.depth
        inside = ("model" if first else "model.model.1" + ".model.3" * (k - 2)) + ".model."
        down, up = (0, 3) if first else (1, 3) if last else (1, 5)
        before = _IN if first else widths[k - 2]
        yield _Layer(f"{inside}{down}", "conv", (f"down_{k}",), width, before, 4, bias)
        if not first and not last:
            yield _Layer(f"{inside}2", "norm", (f"down_norm_{k}",), width)
        after = _OUT if first else before
        joined = width if last else _width(2 * width[1])
        yield _Layer(f"{inside}{up}", "up", (f"up_{k}", "conv"), after, joined, 4, bias or first)
        if not first:
            yield _Layer(f"{inside}{up + 1}", "norm", (f"up_norm_{k}",), after)


def _resnet(form: Form) -> Iterator[_Layer]:
    """Paddings, activations and filters count among the layers."""
    bias = _biased(form)
    yield _Layer("model.1", "conv", ("first",), _width(1), _IN, 7, bias)
    yield _Layer("model.2", "norm", ("first_norm",), _width(1))
    n = 4
    for k in (1, 2):
        yield _Layer(f"model.{n}", "conv", (f"down_{k}",), _width(2**k), _width(2 ** (k - 1)), 3, bias)
        yield _Layer(f"model.{n + 1}", "norm", (f"down_{k}_norm",), _width(2**k))
        n += 3
        if form.down:
            yield _Layer(f"model.{n}", "filter", (), _width(2**k), kernel=3)
            n += 1
    for block in range(form.depth):
        for half, place in (("a", 1), ("b", 6 if form.dropout else 5)):
            names = [f"model.{n}.conv_block.{k}" for k in (place, place + 1)]
            paths = [("blocks", f"{kind}_{half}") for kind in ("conv", "norm")]
            yield _Layer(names[0], "conv", paths[0], _width(4), _width(4), 3, bias, block)
            yield _Layer(names[1], "norm", paths[1], _width(4), block=block)
        n += 1
    for k, width in ((1, 2), (2, 1)):
        if form.up:
            yield _Layer(f"model.{n}", "filter", (), _width(2 * width), kernel=4)
            n += 1
        kind = "conv" if form.up else "up"
        yield _Layer(f"model.{n}", kind, (f"up_{k}", "conv"), _width(width), _width(2 * width), 3, bias)
        yield _Layer(f"model.{n + 1}", "norm", (f"up_{k}_norm",), _width(width))
        n += 3
    yield _Layer(f"model.{n + 1}", "conv", ("last",), _OUT, _width(1), 7, True)


def _patch(form: Form) -> Iterator[_Layer]:
    bias, n, before = _biased(form), 0, _IN
    for k in range(form.depth + 1):
        width = _width(min(2**k, 8))
        yield _Layer(f"model.{n}", "conv", (f"conv_{k + 1}",), width, before, 4, bias or k == 0)
        n += 1
        if k:
            yield _Layer(f"model.{n}", "norm", (f"norm_{k + 1}",), width)
            n += 1
        n += 1  # the activation
        if form.down and k < form.depth:
            yield _Layer(f"model.{n}", "filter", (), width, kernel=3)
            n += 1
        before = width
    yield _Layer(f"model.{n}", "conv", ("logits",), _ONE, before, 4, True)


def _pixel(form: Form) -> Iterator[_Layer]:
    bias = _biased(form)
    yield _Layer("net.0", "conv", ("conv_1",), _width(1), _IN, 1, True)
    yield _Layer("net.2", "conv", ("conv_2",), _width(2), _width(1), 1, bias)
    yield _Layer("net.3", "norm", ("norm_2",), _width(2))
    yield _Layer("net.5", "conv", ("logits",), _ONE, _width(2), 1, bias)
