"""StyleGAN2 in other people's files: which nets a file has, how they are built, and where their tensors go.

Known are the pickles and state dicts of StyleGAN2-ADA's PyTorch code, which the StyleGAN3 repository shares, those of
rosinality's port, the decoders inside the files of pSp, e4e, ReStyle and HyperStyle, and the pickles of TensorFlow.
`stylegan2_export` has the way back.
"""

from collections.abc import Callable
from collections.abc import Mapping
import re
from typing import Any
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jgan
from jgan.weights import files
from jgan.weights import stylegan2_checks as checks
from jgan.weights import stylegan2_facts as facts_of
from jgan.weights import stylegan2_tables as schemes
from jgan.weights import stylegan2_trees as trees
from jgan.weights import tables

MISSING = "not in the file"  # how facts on noise or on the mean style begin where the file has none
_DRAWS = 100_000  # codes whose styles make a mean, as in rosinality's and ADA's code
_GENERATORS, _DISCRIMINATORS = ("G_ema", "g_ema", "G", "g"), ("D", "d")
_STYLEGAN3 = re.compile(r"(.*\.)?synthesis\.(input|L\d+_\w+)(\..*)?")
_STYLEGAN1 = re.compile(
    r"(.*[./])?(StyleMod/.*|Noise/weight|progression\.\d+\..*|"
    r"g_(synthesis|mapping)\..*|synthesis\.(blocks\.\d+x\d+\.epi|layer\d+\.epilogue).*)"
)


class _Net(NamedTuple):
    """A net of a file.

    Attributes:
        flat: its tensors and attributes.
        whose: which of a file's generators it is, for people; empty where there is no choice.
        beside: the mean style that lies beside it.
        unused: how many tensors of other nets the file has.
    """

    flat: trees.Flat
    whose: str = ""
    beside: Any = None
    unused: int = 0


def recognise(tree: Any) -> list[tables.Part] | None:
    """StyleGAN2's nets in a file.

    Args:
        tree: what the file holds: nested dicts, lists and tuples of `files.Entry`, `files.Object` and plain values.

    Returns:
        `mapping` and `synthesis` of a generator, and `discriminator`, as far as the file has them; None if it has none.
        If the file lacks the mean style or the maps of noise, the facts `mean style` and `noise` of the parts begin
        with `MISSING`, and no statistics are in the tables.

    Raises:
        jgan.UserError: it is a StyleGAN1 or a StyleGAN3, or a StyleGAN2 that is built in a way that ours cannot be.
    """
    generator, discriminator = _nets(tree)
    parts, refused = [], None
    if generator is not None:
        parts += _generator(generator, _scheme(generator.flat, True))
    if discriminator is not None:
        try:
            parts.append(_discriminator(discriminator.flat, _scheme(discriminator.flat, False)))
        except jgan.UserError as error:
            if not parts:
                raise
            refused = str(error)
    if refused:
        parts[-1] = parts[-1]._replace(facts={**parts[-1].facts, "discriminator": f"not taken: {refused}"})
    return parts or None


def is_filled(part: tables.Part) -> bool:
    """Whether the file has the statistics of a part, which for a discriminator are none."""
    return part.net == "discriminator" or any(place.kind == "stats" for place in part.table.values())


def mean_style(
    style: Callable[[jax.Array], jax.Array], z_dim: int, seed: int = 0, draws: int = _DRAWS
) -> np.ndarray:
    """The average style [w_dim] of codes N(0, 1), for generators whose files have none.

    Args:
        style: from codes [n, z_dim] to styles [n, w_dim], such as a mapping with its parameters.
        z_dim: numbers of a code.
        seed: of the codes.
        draws: how many codes.
    """
    most = min(draws, 10_000)
    compiled = jax.jit(lambda key: jnp.mean(style(jax.random.normal(key, (most, z_dim))), 0))
    keys = jax.random.split(jax.random.key(seed), -(-draws // most))
    return np.mean([np.asarray(compiled(key), np.float64) for key in keys], 0).astype(np.float32)


def _nets(tree: Any) -> tuple[_Net | None, _Net | None]:
    """(the generator, the discriminator) of a file, each None if it has none."""
    if isinstance(tree, files.Object):  # which is a tuple too
        return _nets({"G": tree} if _scheme(trees.flat(tree), True) else {"D": tree})
    if isinstance(tree, list | tuple):
        if not 1 <= len(tree) <= 3 or not all(isinstance(x, files.Object) for x in tree):
            return None, None
        nodes = {"G": tree[-1], **({"D": tree[1]} if len(tree) == 3 else {})}
        return _nets({name: x for name, x in nodes.items() if x.type == trees.NETWORK})
    if not isinstance(tree, Mapping):
        return None, None
    inner = tree.get("state_dict")
    if isinstance(inner, Mapping):
        held = trees.tensors(inner)
        decoder = trees.tensors(inner, "decoder.")
        if decoder:
            net = trees.Flat(decoder, {}, {})
            _refuse_others(net)
            beside = tree.get("latent_avg", held.get("latent_avg"))
            return _known(_Net(net, "", beside, len(held) - len(decoder)), True), None
        tree = inner
    generator, discriminator = _of_dict(tree, _GENERATORS, True), _of_dict(tree, _DISCRIMINATORS, False)
    if generator is None and discriminator is None:
        alone = trees.Flat(trees.tensors(tree), {}, {})
        for node in (tree, *tree.values()):
            _refuse_others(trees.Flat(trees.tensors(node), {}, {}))
        beside = tree.get("latent_avg")
        return _known(_Net(alone, "", beside), True), _known(_Net(alone), False)
    return generator, discriminator


def _of_dict(tree: Mapping[Any, Any], names: tuple[str, ...], generator: bool) -> _Net | None:
    """The first of a dict's nets with one of these names that is a StyleGAN2: below the name, or with it in front."""
    for name in names:
        net = trees.flat(tree.get(name)) or trees.Flat(trees.tensors(tree, f"{name}."), {}, {})
        _refuse_others(net)
        found = _known(_Net(net, name, tree.get("latent_avg")), generator)
        if found is not None:
            return found
    return None


def _known(net: _Net, generator: bool) -> _Net | None:
    return net if _scheme(net.flat, generator) is not None else None


def _refuse_others(flat: trees.Flat) -> None:
    """Refuses StyleGAN3 and StyleGAN1 by name."""
    for name in (*flat.entries, *flat.states):
        if _STYLEGAN3.fullmatch(name):
            raise jgan.UserError(
                "the file holds a StyleGAN3 generator, whose layers jgan does not have: a StyleGAN2 of the same "
                "repository, which is trained with --cfg=stylegan2, would work."
            )
        if _STYLEGAN1.fullmatch(name):
            raise jgan.UserError(
                "the file holds a StyleGAN1 generator, whose layers jgan does not have: a StyleGAN2 of the same "
                "pictures would work, in the format of TensorFlow, of StyleGAN2-ADA or of rosinality's port."
            )


def _scheme(flat: trees.Flat | None, generator: bool) -> schemes.Scheme | None:
    """The scheme of a net's names."""
    names = set() if flat is None else set(flat.entries)

    def has(*patterns: str) -> bool:
        return all(any(re.fullmatch(pattern, name) for name in names) for pattern in patterns)

    if generator:
        marks = (
            (schemes.ADA, (r"synthesis\.b\d+\..*",)),
            (schemes.ROSINALITY, (r"conv1\.conv\..*|to_rgb1\.conv\..*", r"convs\.\d+\.conv\..*")),
            (schemes.TENSORFLOW, (r"synthesis/\d+x\d+/.*",)),
        )
    else:
        marks = (
            (schemes.ADA, (r"b4\.(conv|fc|out)\..*", r"b\d+\.conv0\..*")),
            (schemes.ROSINALITY, (r"final_linear\..*", r"convs\.\d+\.conv1\..*")),
            (schemes.TENSORFLOW, (r"\d+x\d+/Conv1_down/.*", r"Output/.*|4x4/Dense0/.*")),
        )
    return next((scheme for scheme, patterns in marks if has(*patterns)), None)


def _generator(net: _Net, scheme: schemes.Scheme) -> list[tables.Part]:
    """The parts `mapping` and `synthesis`."""
    flat = net.flat
    size = facts_of.size(flat, scheme, True)
    checks.filters(flat)
    checks.layers(flat)
    shared = {"form": scheme.title}
    if net.whose in ("G", "g"):
        shared["weights"] = "as trained, since the file has no average of them"
    if net.unused:
        shared["other nets"] = f"{net.unused} tensors beside the decoder, not used"
    mapping = _mapping(net, scheme, shared)
    own = {
        name: x
        for name, x in flat.entries.items()
        if name not in mapping.entries and not re.fullmatch(facts_of.OF_MAPPING, name)
    }
    made = facts_of.synthesis(flat, scheme, size)
    table, noise = _with_statistics(own, made.table)
    facts = {
        **shared,
        **made.facts,
        "labels": mapping.facts["labels"],
        "noise": "as in the file" if noise else f"{MISSING}: drawn anew",
    }
    if mapping.fields["mapping.w_dim"] != made.fields["mapping.w_dim"]:
        raise jgan.UserError(
            f"this StyleGAN2 has a mapping to styles of {mapping.fields['mapping.w_dim']} numbers and a synthesis of "
            f"{made.fields['mapping.w_dim']}: they do not belong together."
        )
    title = f"StyleGAN2 synthesis of {size} px"
    return [
        mapping,
        tables.Part("stylegan2", "synthesis", title, facts, made.fields, own, table, scheme.ignored),
    ]


def _mapping(net: _Net, scheme: schemes.Scheme, shared: Mapping[str, Any]) -> tables.Part:
    """The part `mapping`."""
    own = {name: x for name, x in net.flat.entries.items() if re.fullmatch(facts_of.OF_MAPPING, name)}
    if isinstance(net.beside, files.Entry):
        own[scheme.w_avg] = net.beside
    made = facts_of.mapping(net.flat, scheme)
    table, mean = _with_statistics(own, made.table)
    if mean:
        table[scheme.w_avg] = table[scheme.w_avg]._replace(layout=_mean_layout(own[scheme.w_avg], made))
    told = "as in the file" if mean else f"{MISSING}: the average of {_DRAWS:,} styles"
    facts = {**shared, **made.facts, "mean style": told}
    layers = made.fields["mapping.num_layers"]
    title = f"StyleGAN2 mapping of {layers} layer{'s' * (layers > 1)}"
    return tables.Part("stylegan2", "mapping", title, facts, made.fields, own, table, scheme.ignored)


def _mean_layout(entry: files.Entry, made: facts_of.Built) -> tables.Layout:
    """The layout of a mean style [w_dim], or of the same one for every row, [rows, w_dim]."""
    shape, w_dim = entry.shape, made.fields["mapping.w_dim"]
    if len(shape) < 2 or shape[-1] != w_dim or not 0 < np.prod(shape, dtype=np.float64) < 2**24:
        return tables.SAME
    values = entry.read()
    if values.shape != shape or not entry.is_float:
        return tables.SAME
    rows = values.reshape(-1, w_dim).astype(np.float64)
    if not np.array_equal(rows, np.broadcast_to(rows[:1], rows.shape), equal_nan=True):
        raise jgan.UserError(
            "this StyleGAN2 has a mean style that differs from row to row, and jgan's is one for all: a file whose "
            "latent_avg is one style, or has none, would work."
        )
    repeated = rows.shape[0]
    return tables.Layout(
        lambda x: x.reshape(-1, w_dim)[0], lambda x: x.reshape(1, -1).repeat(repeated, 0).reshape(shape)
    )


def _with_statistics(
    entries: Mapping[str, files.Entry], table: Mapping[str, tables.Place]
) -> tuple[dict[str, tables.Place], bool]:
    """(the table, True), or without statistics, and False, if the file has none of them."""
    there = any(name in entries for name, place in table.items() if place.kind == "stats")
    return {name: place for name, place in table.items() if there or place.kind != "stats"}, there


def _discriminator(flat: trees.Flat, scheme: schemes.Scheme) -> tables.Part:
    """The part `discriminator`."""
    size = facts_of.size(flat, scheme, False)
    checks.filters(flat)
    checks.layers(flat)
    made = facts_of.discriminator(flat, scheme, size)
    facts = {"form": scheme.title, **made.facts}
    title = f"StyleGAN2 discriminator of {size} px"
    return tables.Part(
        "stylegan2", "discriminator", title, facts, made.fields, flat.entries, made.table, scheme.ignored
    )
