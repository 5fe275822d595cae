"""How StyleGAN2's nets in a file are built: from what they were made with where the file says so, else from shapes."""

from collections.abc import Iterable
from collections.abc import Mapping
import re
from typing import Any
from typing import NamedTuple

import jax
import numpy as np

import jgan
from jgan.weights import files
from jgan.weights import stylegan2_tables as schemes
from jgan.weights import stylegan2_trees as trees
from jgan.weights import tables

OF_MAPPING = r"mapping[./].*|style\..*|dlatent_avg|latent_avg"  # names that belong to a mapping
_LARGEST = 2**13  # px
_WIDEST = 2**20  # numbers along an axis
_ALL = 2**16  # examples of a group that is the whole batch
_SLOWER = 0.01  # multiplier of the learning rate of a mapping


class Built(NamedTuple):
    """How a net is built: the table of its tensors, fields of a config, and facts for people."""

    table: dict[str, tables.Place]
    fields: dict[str, Any]
    facts: dict[str, Any]


class _Shapes:
    """The shapes that our weights have if a file's tensors are laid out by a table."""

    def __init__(self, entries: Mapping[str, files.Entry], table: Mapping[str, tables.Place]) -> None:
        self._entries = entries
        self._found = {place.path: (name, place.layout) for name, place in table.items()}

    def of(self, *path: str, axes: int) -> tuple[int, ...]:
        """The shape of our array at a path, which has so many axes.

        Raises:
            jgan.UserError: there is no tensor for it, or it is one of another number of axes.
        """
        name, layout = self._found[path]
        if name not in self._entries:
            raise jgan.UserError(f"this StyleGAN2 cannot be built without {name}, which the file lacks.")
        shape = self._entries[name].shape
        wrong = jgan.UserError(f"this StyleGAN2 cannot be built: {name} of shape {shape} is no such layer's.")
        if not all(isinstance(x, int) and 1 <= x <= _WIDEST for x in shape) or len(shape) > 8:
            raise wrong
        try:
            ours = jax.eval_shape(layout.take, jax.ShapeDtypeStruct(shape, np.float32)).shape
        except (ValueError, TypeError, IndexError):
            raise wrong from None
        if len(ours) != axes:
            raise wrong
        return ours


def size(flat: trees.Flat, scheme: schemes.Scheme, generator: bool) -> int:
    """Height and width of a net's images, from the names of its layers.

    Raises:
        jgan.UserError: they are of no size that StyleGAN2 has.
    """
    if scheme is schemes.ROSINALITY:
        numbers = _numbers(flat.entries, r"convs\.(\d{1,2})\..*")
        most = max(numbers, default=0)
        found = 4 << (most // 2 + 1 if generator else most)
    else:
        pattern = {
            schemes.ADA.title: r"b(\d{1,5})\..*",
            schemes.TENSORFLOW.title: r"(\d{1,5})x\d{1,5}/.*",
        }[scheme.title]
        pattern = (r"synthesis[./]" if generator else "") + pattern
        found = max(_numbers(flat.entries, pattern), default=0)
    if found < 8 or found & (found - 1) or found > _LARGEST:
        raise jgan.UserError(
            f"this StyleGAN2 has layers for images of {found} px: 8, 16, 32, ... to {_LARGEST} px would work."
        )
    return found


def mapping(flat: trees.Flat, scheme: schemes.Scheme) -> Built:
    """How the mapping is built."""
    known = {scheme.fc(k)[0]: k for k in range(100)}
    layers = max((known[name] + 1 for name in flat.entries if name in known), default=0)
    if not layers:
        raise jgan.UserError(
            "this StyleGAN2 has no mapping: a file that has the layers of it too would work."
        )
    if any(name.endswith("LabelConcat/weight") for name in flat.entries):
        raise jgan.UserError(
            "this StyleGAN2 has labels as the first TensorFlow code has them, which jgan does not: a net without "
            "labels, or one of StyleGAN2-ADA, would work."
        )
    labelled = scheme.embed is not None and scheme.embed[0] in flat.entries
    table = scheme.mapping(layers, labelled)
    shapes = _Shapes(flat.entries, table)
    c_dim, embedded = shapes.of("embed", "kernel", axes=2) if labelled else (0, 0)
    units = [shapes.of(f"fc{k}", "kernel", axes=2) for k in range(layers)]
    w_dim, z_dim = units[-1][1], units[0][0] - embedded
    if {x[1] for x in units} | ({embedded} if labelled else set()) != {w_dim}:
        raise jgan.UserError(
            "this StyleGAN2 has a mapping with layers of different widths, and jgan's all have that of the styles."
        )
    if z_dim < 1:
        raise jgan.UserError("this StyleGAN2 has no codes, only labels: a net that draws codes would work.")
    slower = _multiplier(flat, "mapping", "mapping_lrmul")
    fields = {
        "latent.nz": z_dim,
        "mapping.w_dim": w_dim,
        "mapping.num_layers": layers,
        "mapping.lr_multiplier": 0.0 if abs(slower - _SLOWER) < 1e-9 else slower,
    }
    facts = {"z": z_dim, "w": w_dim, "layers": layers, "labels": c_dim, "lr multiplier": slower}
    return Built(table, fields, facts)


def synthesis(flat: trees.Flat, scheme: schemes.Scheme, size: int) -> Built:
    """How the synthesis is built."""
    names = flat.entries
    first, second = re.escape(scheme.layer(4, "torgb")), re.escape(scheme.layer(8, "skip"))
    if any(re.fullmatch(rf"{first}[./].*", name) for name in names):
        architecture = "skip"
    else:
        residual = any(re.fullmatch(rf"{second}[./]weight", name) for name in names)
        architecture = "resnet" if residual else "orig"
    table = scheme.synthesis(size, architecture)
    shapes = _Shapes(names, table)
    widths = {r: shapes.of(f"b{r}", "conv1", "kernel", axes=4)[-1] for r in schemes.resolutions(size)}
    base, most = _widths(flat, widths)
    clamp, told = _clamp(flat, scheme, r"synthesis\.b\d+\.(conv0|conv1|torgb)")
    channels = shapes.of(f"b{size}", "torgb", "kernel", axes=4)[-1]
    fields = {
        "data.size": size,
        "data.load_size": size,
        "mapping.w_dim": shapes.of("b4", "conv1", "affine", "kernel", axes=2)[0],
        "generator.channel_base": base,
        "generator.channel_max": most,
        "generator.architecture": architecture,
        "generator.clamp": clamp,
        "generator.prescaled": scheme.prescaled,
    }
    facts = {
        "size": size,
        "channels": channels,
        "w": fields["mapping.w_dim"],
        "architecture": architecture,
        "widths": " ".join(map(str, widths.values())),
        "clamp": told,
        **_half(flat),
    }
    return Built(table, fields, facts)


def discriminator(flat: trees.Flat, scheme: schemes.Scheme, size: int) -> Built:
    """How the discriminator is built."""
    names = flat.entries
    labelled = scheme.embed is not None and scheme.embed[0] in names
    if scheme is schemes.TENSORFLOW and any("LabelEmbed" in name for name in names):
        raise jgan.UserError(
            "this StyleGAN2 has a discriminator of labels of TensorFlow's code, which is built in another way than "
            "jgan's: one without labels, or one of StyleGAN2-ADA's PyTorch code, would work."
        )
    skip = scheme.judge(size, size, "skip")[0] in names
    image = scheme.judge(size, 4, "fromrgb")[0] in names and scheme is not schemes.ROSINALITY
    architecture = "resnet" if skip else "skip" if image else "orig"
    table = scheme.discriminator(size, architecture, labelled)
    shapes = _Shapes(names, table)
    widths = {r: shapes.of(f"b{r}", "conv0", "kernel", axes=4)[-1] for r in schemes.resolutions(size)[1:]}
    # The last block's own width is that of its first layer.
    *_, inputs, widths[4] = shapes.of("b4", "conv", "kernel", axes=4)
    if inputs != widths[4] + 1:
        raise jgan.UserError(
            "this StyleGAN2 has a discriminator that compares examples in other than one channel, and jgan's has one: "
            "a net with mbstd_num_channels=1 would work."
        )
    c_dim = shapes.of("mapping", "embed", "kernel", axes=2)[0] if labelled else 0
    if labelled:
        _check_labels(flat, shapes, widths[4])
    elif shapes.of("b4", "out", "kernel", axes=2)[1] != 1:
        raise jgan.UserError(
            "this StyleGAN2 has a discriminator with several outputs and without a map of labels, which jgan has not."
        )
    base, most = _widths(flat, dict(sorted(widths.items())))
    clamp, told = _clamp(flat, scheme, r"b\d+\.(conv0|conv1|conv)")
    group, groups = _group(flat)
    fields = {
        "data.size": size,
        "data.load_size": size,
        "discriminator.channel_base": base,
        "discriminator.channel_max": most,
        "discriminator.architecture": architecture,
        "discriminator.clamp": clamp,
        "discriminator.mbstd_group": group,
    }
    facts = {
        "size": size,
        "channels": shapes.of(f"b{size}", "fromrgb", "kernel", axes=4)[2],
        "labels": c_dim,
        "architecture": architecture,
        "widths": " ".join(str(x) for _, x in sorted(widths.items())),
        "clamp": told,
        "group": groups,
        **_half(flat),
    }
    return Built(table, fields, facts)


def _check_labels(flat: trees.Flat, shapes: _Shapes, width: int) -> None:
    """Refuses a D of labels whose mapping is not the usual one."""
    layers = len(_numbers(flat.entries, r"mapping\.fc(\d{1,3})\.weight"))
    units = {shapes.of("b4", "out", "kernel", axes=2)[1], shapes.of("mapping", "embed", "kernel", axes=2)[1]}
    usual = layers == schemes.LAYERS_OF_LABELS and units == {width}
    if not usual or abs(_multiplier(flat, "mapping", "mapping_lrmul") - _SLOWER) > 1e-9:
        raise jgan.UserError(
            f"this StyleGAN2 has a discriminator with a mapping of labels of {layers} layers, and jgan's has "
            f"{schemes.LAYERS_OF_LABELS} of {width} units with the usual multiplier {_SLOWER}."
        )


def _widths(flat: trees.Flat, widths: Mapping[int, int]) -> tuple[int, int]:
    """(base, most) of which the width of resolution r is min(base // r, most), for widths in the order of resolutions.

    Those that the file has, if they fit, and otherwise the ones of the smallest base.
    """
    asked = (
        trees.number(trees.argument(flat, "channel_base")),
        trees.number(trees.argument(flat, "channel_max", "fmap_max")),
    )
    if asked[0] is None and (halves := trees.number(trees.argument(flat, "fmap_base"))) is not None:
        asked = 2 * halves, asked[1]
    if None not in asked and all(0 < x < 2**31 and x == int(x) for x in asked):
        base, most = map(int, asked)
        if widths == {r: min(base // r, most) for r in widths}:
            return base, most
    most = max(widths.values())
    low = max(r * c for r, c in widths.items())
    high = min((r * (c + 1) for r, c in widths.items() if c < most), default=low + 1)
    if low >= high or list(widths.values()) != sorted(widths.values(), reverse=True):
        raise jgan.UserError(
            f"this StyleGAN2 has layers of {', '.join(map(str, widths.values()))} channels, from 4 px on: jgan's have "
            "min(base // resolution, most) for two numbers base and most."
        )
    return low, most


def _clamp(flat: trees.Flat, scheme: schemes.Scheme, layers: str) -> tuple[float, str]:
    """(the number at which activations are clipped, 0 for never; the same for people)."""
    found = {
        _clamp_of(state["conv_clamp"])
        for path, state in flat.states.items()
        if re.fullmatch(layers, path) and "conv_clamp" in state
    }
    if len(found) > 1:
        raise jgan.UserError(
            "this StyleGAN2 clips the activations of its layers at different numbers, and jgan's has one for all."
        )
    told = ""
    if not found:
        values = [asked["conv_clamp"] for asked in trees.asked(flat) if "conv_clamp" in asked]
        tensors_alone = scheme is schemes.ADA and not flat.states
        found, told = ({_clamp_of(values[0])}, "") if values else ({256.0 if tensors_alone else 0.0}, "")
        if tensors_alone:
            told = " (the usual one, since the file does not say it)"
    (clamp,) = found
    return clamp, (f"{clamp:g}" if clamp else "none") + told


def _clamp_of(value: Any) -> float:
    clamp = 0.0 if value is None else trees.number(value)
    if clamp is None or (value is not None and not 0 < clamp < 1e30):
        raise jgan.UserError(
            f"this StyleGAN2 clips activations at {trees.shown(value)}, which is no number above 0: a file whose "
            "conv_clamp is one would work."
        )
    return clamp


def _group(flat: trees.Flat) -> tuple[int, str]:
    """(how many examples D compares; the same for people)."""
    state = flat.states.get("b4.mbstd", {})
    name = "group_size" if "group_size" in state else "mbstd_group_size"
    sources = [state, *trees.asked(flat)]
    value = next((source[name] for source in sources if name in source), 4)
    if value is None:
        return _ALL, "the whole batch"
    group = trees.number(value)
    if group is None or not 1 <= group < 2**31 or group != round(group):
        raise jgan.UserError(
            f"this StyleGAN2 has a discriminator that compares groups of {trees.shown(value)} examples, which is no "
            "whole number above 0."
        )
    return int(group), str(int(group))


def _multiplier(flat: trees.Flat, module: str, of_tensorflow: str) -> float:
    """How much slower the dense layers of a mapping learn, which is a factor of theirs at run time."""
    layers = rf"{module}\.fc\d+"
    found = {
        trees.number(state["bias_gain"])
        for path, state in flat.states.items()
        if re.fullmatch(layers, path) and "bias_gain" in state
    } or {trees.number(trees.argument(flat, "lr_multiplier", of_tensorflow, default=_SLOWER))}
    value = next(iter(found))
    if len(found) > 1 or value is None or not 0 < value < 1e6:
        raise jgan.UserError(
            "this StyleGAN2 has a mapping whose layers have no multiplier of the learning rate in common: 0.01 for "
            "all, or another number above 0, would work."
        )
    return value


def _half(flat: trees.Flat) -> dict[str, str]:
    """A fact on the resolutions that the file's code computes in half precision, if it says so."""
    halves = [
        path
        for path, state in flat.states.items()
        if re.fullmatch(r"(synthesis\.)?b\d+", path) and state.get("use_fp16") is True
    ]
    return {"half precision": f"{len(halves)} resolutions in the other code, none here"} if halves else {}


def _numbers(names: Iterable[str], pattern: str) -> set[int]:
    """The numbers in the names that fit a pattern with one group of digits."""
    return {int(found[1]) for name in names if (found := re.fullmatch(pattern, name, re.ASCII))}
