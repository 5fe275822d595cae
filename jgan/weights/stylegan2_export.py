"""StyleGAN2 trained here in the names of other people's code, with all that a strict load there asks for."""

from collections.abc import Mapping
from typing import Any
from typing import NamedTuple

import numpy as np

import jgan
from jgan.weights import stylegan2_tables as schemes
from jgan.weights import tables

FORMS = ("ada", "rosinality")
_ROSINALITY_BASES = (16_384, 32_768)  # channel_multiplier 1 and 2


class Exported(NamedTuple):
    """How a net is written for other people's code.

    Attributes:
        table: {name in their state dict: place}; paths begin with our net, and statistics are in it.
        constants: {name: array} of what their classes keep beside the weights, for a load with `strict=True`.
        beside: the table of what lies beside the state dict, such as rosinality's `latent_avg`.
        arguments: those of their class that make a module for it.
        remarks: sentences on what their module does in another way.
    """

    table: tables.Table
    constants: Mapping[str, np.ndarray]
    beside: tables.Table
    arguments: Mapping[str, Any]
    remarks: tuple[str, ...] = ()


def exported(config: Any, form: str, labels: int = 0) -> dict[str, Exported]:
    """{"generator": ..., "discriminator": ...} of a run's config.

    Args:
        config: as `configs/stylegan2.py` makes it.
        form: one of `FORMS`: StyleGAN2-ADA's `Generator` and `Discriminator`, or rosinality's.
        labels: classes of the run; 0 for none.

    Raises:
        jgan.UserError: an unknown form, or a net that their code cannot have.
    """
    if form not in FORMS:
        raise jgan.UserError(f"StyleGAN2 is exported for one of {', '.join(FORMS)}, not for {form!r}.")
    return _ada(config, labels) if form == "ada" else _rosinality(config, labels)


def state_dict(weights: Mapping[str, Any], net: Exported) -> dict[str, np.ndarray]:
    """{name: array} for their `load_state_dict` with `strict=True`, of {"params": ..., "stats": ...} of a run."""
    return tables.pour(weights, net.table) | {name: x.copy() for name, x in net.constants.items()}


def _ada(config: Any, labels: int) -> dict[str, Exported]:
    size, g, d, m = config.data.size, config.generator, config.discriminator, config.mapping
    channels = (config.data.channels or (3,))[0]
    generator = {
        "z_dim": config.latent.nz,
        "c_dim": labels,
        "w_dim": m.w_dim,
        "img_resolution": size,
        "img_channels": channels,
        "mapping_kwargs": {
            "num_layers": m.num_layers,
            "lr_multiplier": m.get("lr_multiplier", 0.0) or 0.01,
        },
        "synthesis_kwargs": _ada_widths(g),
    }
    discriminator = {
        "c_dim": labels,
        "img_resolution": size,
        "img_channels": channels,
        **_ada_widths(d),
        "epilogue_kwargs": {"mbstd_group_size": d.mbstd_group},
    }
    remarks = ()
    if g.get("prescaled", False):
        remarks = (
            "Its kernels are not scaled before styles normalise them, so images differ by about 1e-8 of their size.",
        )
    return {
        "generator": Exported(
            _generator(schemes.ADA, config, labels),
            schemes.ada_constants(size, g.architecture, False),
            {},
            generator,
            remarks,
        ),
        "discriminator": Exported(
            tables.below("discriminator", schemes.ADA.discriminator(size, d.architecture, labels > 0)),
            schemes.ada_constants(size, d.architecture, True),
            {},
            discriminator,
        ),
    }


def _ada_widths(part: Any) -> dict[str, Any]:
    """The arguments of a net of blocks."""
    return {
        "architecture": part.architecture,
        "channel_base": part.channel_base,
        "channel_max": part.channel_max,
        "conv_clamp": part.clamp or None,
        "num_fp16_res": 0,
    }


def _rosinality(config: Any, labels: int) -> dict[str, Exported]:
    size, g, d, m = config.data.size, config.generator, config.discriminator, config.mapping
    cannot = {
        "classes": labels > 0,
        f"generator.architecture={g.architecture}": g.architecture != "skip",
        f"discriminator.architecture={d.architecture}": d.architecture != "resnet",
        f"latent.nz={config.latent.nz} beside mapping.w_dim={m.w_dim}": config.latent.nz != m.w_dim,
        "images of other than three channels": (config.data.channels or (3,))[0] != 3,
        f"mapping.lr_multiplier={m.get('lr_multiplier', 0.0)}": m.get("lr_multiplier", 0.0) not in (0, 0.01),
    }
    if any(cannot.values()):
        raise jgan.UserError(
            f"rosinality's StyleGAN2 cannot have {', '.join(what for what, is_so in cannot.items() if is_so)}: the "
            "names of StyleGAN2-ADA (ada) would work."
        )
    table = _generator(schemes.ROSINALITY, config, 0)
    beside = {"latent_avg": table.pop("latent_avg")}
    return {
        "generator": Exported(
            table,
            schemes.rosinality_constants(size, False),
            beside,
            {"size": size, "style_dim": m.w_dim, "n_mlp": m.num_layers, **_rosinality_widths(g, size)},
            _rosinality_remarks(g, size, not g.get("prescaled", False)),
        ),
        "discriminator": Exported(
            tables.below("discriminator", schemes.ROSINALITY.discriminator(size, d.architecture, False)),
            schemes.rosinality_constants(size, True),
            {},
            {"size": size, **_rosinality_widths(d, size)},
            _rosinality_remarks(d, size, False)
            + (("It compares 4 examples at a time.",) if d.mbstd_group != 4 else ()),
        ),
    }


def _rosinality_widths(part: Any, size: int) -> dict[str, int]:
    """{"channel_multiplier": ...} if their class has layers of these widths, and otherwise {}."""
    for base in _ROSINALITY_BASES:
        if all(
            min(base // r, 512) == min(part.channel_base // r, part.channel_max)
            for r in schemes.resolutions(size)
        ):
            return {"channel_multiplier": base // _ROSINALITY_BASES[0]}
    return {}


def _rosinality_remarks(part: Any, size: int, scaled: bool) -> tuple[str, ...]:
    """Sentences on what their module does in another way."""
    remarks = []
    if not _rosinality_widths(part, size):
        remarks.append("Its class has other numbers of channels, so its table of them has to be changed.")
    if part.clamp:
        remarks.append(f"It does not clip activations at {part.clamp:g}.")
    if scaled:
        remarks.append(
            "It scales kernels before styles normalise them, so images differ by about 1e-8 of their size."
        )
    return tuple(remarks)


def _generator(scheme: schemes.Scheme, config: Any, labels: int) -> dict[str, tables.Place]:
    mapping = scheme.mapping(config.mapping.num_layers, labels > 0)
    synthesis = scheme.synthesis(config.data.size, config.generator.architecture)
    return tables.below("mapping", mapping) | tables.below("synthesis", synthesis)
