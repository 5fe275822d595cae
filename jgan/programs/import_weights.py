"""A run from other people's files of weights: what is in them is recognised by names and shapes alone.

imported = import_weights.read(["latest_net_G.pth"], configs, import_weights.Choices())
import_weights.write(imported, "RUN")          # trained.load("RUN"), launch.translate, launch.train ... take it
"""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import os
import pathlib
from typing import Any
from typing import NamedTuple

import jax
import ml_collections
import numpy as np

import jgan
from jgan import trained
from jgan.metrics import segmentation
from jgan.programs import export
from jgan.runs import config as run_config
from jgan.systems import SYSTEMS
from jgan.weights import files
from jgan.weights import igan
from jgan.weights import stylegan2
from jgan.weights import tables
from jgan.weights import translation

STATISTICS = ("image", "running")
_DROPOUT = 0.5  # of the old tool's nets that have any
_SIZE = 256  # its crops


class Choices(NamedTuple):
    """What no file says. The defaults are those of the tools that wrote the files.

    Attributes:
        direction: of pairs, `AtoB` or `BtoA`: the name of the way of a single generator.
        statistics: what normalises when pictures are made: each `image`, as batch norm in train mode does with a batch
            of one, or the `running` averages, as in eval mode.
        dropout: whether dropout is on when pictures are made; None: if the net has any, as the old tool's test has it.
        size: pixels a side for training; 0: 256, or what the net needs.
        inverted: grey pictures of iGAN are stored as 255 minus what people see.
        palette: JSON file of the colours of classes, for scores.
        names: of the classes of a generator with labels; empty: their numbers.
    """

    direction: str = "AtoB"
    statistics: str = "image"
    dropout: bool | None = None
    size: int = 0
    inverted: bool = True
    palette: str = ""
    names: tuple[str, ...] = ()


class Imported(NamedTuple):
    """A run that was read from files.

    Attributes:
        config: of the run.
        weights: {"params": {net: ...}, "stats": {net: ...}}.
        absent: nets of the system that no file holds.
        facts: what config.json tells besides.
        step: the step at which its nets count as trained.
        table: rows of (file, net, what it is), for people.
    """

    config: ml_collections.ConfigDict
    weights: dict[str, dict[str, Any]]
    absent: tuple[str, ...]
    facts: dict[str, Any]
    step: int
    table: tuple[tuple[str, str, str], ...]


class _Found(NamedTuple):
    """A net and the file that it is from."""

    path: str
    part: tables.Part


def read(
    paths: Sequence[str], configs: Callable[[str], ml_collections.ConfigDict], choices: Choices
) -> Imported:
    """The run that files hold together.

    Args:
        paths: files of one model, such as its generator and its discriminator.
        configs: system -> its config with defaults.
        choices: what the files do not say.

    Raises:
        jgan.UserError: a file cannot be read or is of no known net, or the files do not fit together.
    """
    if choices.statistics not in STATISTICS:
        raise jgan.UserError(f"--statistics={choices.statistics}: {' and '.join(STATISTICS)} would work.")
    found = [_Found(path, part) for path in paths for part in recognise(path, choices)]
    families = {part.system for _, part in found}
    if len(families) > 1:
        raise jgan.UserError(
            "the files are of different systems: "
            + ", ".join(f"{os.path.basename(path)} is a {part.title}" for path, part in found)
            + "; import one model at a time."
        )
    plan = {"translation": _translation, "stylegan2": _stylegan2, "dcgan": _dcgan}[families.pop()]
    config, nets = plan(found, configs, choices)
    config.unlock()
    try:
        system = SYSTEMS[config.system](config)
    except jgan.UserError as error:
        raise jgan.UserError(f"{found[0].path} holds a net that jgan does not have: {error}") from None
    abstract = jax.eval_shape(system.init, jax.random.key(0), trained.batch_shape(config))
    weights: dict[str, dict[str, Any]] = {"params": {}, "stats": {}}
    for net, (path, part) in nets.items():
        kinds = {place.kind for place in part.table.values()}
        if part.system != "stylegan2":
            kinds.add("stats")  # only its files may lack some: `_complete`
        shapes = {
            kind: {net: tree[net]}
            for kind, tree in (("params", abstract.params), ("stats", abstract.stats))
            if kind in kinds and jax.tree.leaves(tree.get(net, {}))
        }
        what = f"{path}, taken for a {part.title},"
        filled = tables.fill(what, part.entries, tables.below(net, part.table), shapes, part.ignored)
        for kind, tree in weights.items():
            tree |= filled.get(kind, {})
    if config.system == "stylegan2":
        _complete(weights, config, abstract)
    absent = tuple(sorted(abstract.params.keys() - weights["params"].keys()))
    palette = segmentation.load_palette(choices.palette) if choices.palette else None
    if palette and (len(system.ways) > 1 or not next(iter(system.ways.values())).inputs):
        raise jgan.UserError(
            f"--palette={choices.palette} is of the pictures of a single way from picture to picture."
        )
    facts = {
        "absent": absent,
        "imported": [
            {"file": os.path.basename(path), "bytes": os.path.getsize(path), "net": net, "is": part.title}
            for net, (path, part) in nets.items()
        ],
        "inference": {"statistics": choices.statistics, "dropout": _has_dropout(config, choices)},
        **({"palette": palette} if palette else {}),
    }
    # A predictor is good, and statistics are those of inference, at the end of a DCGAN's training.
    step = config.steps if config.system == "dcgan" else 0
    rows = tuple((os.path.basename(path), net, _told(part)) for net, (path, part) in nets.items())
    return Imported(config, weights, absent, facts, step, rows)


def recognise(path: str, choices: Choices) -> list[tables.Part]:
    """The nets in a file.

    Raises:
        jgan.UserError: it cannot be read, or has no net that is known.
    """
    tree = files.contents(path)
    for family in (
        stylegan2.recognise,
        translation.recognise,
        lambda tree: igan.recognise(tree, choices.inverted),
    ):
        try:
            parts = family(tree)
        except jgan.UserError as error:
            raise jgan.UserError(f"{path}: {error}") from None
        if parts:
            return parts
    raise jgan.UserError(
        f"{path} holds no net that is known: those of pytorch-CycleGAN-and-pix2pix and CUT, StyleGAN2 (official, "
        "rosinality's, inside pSp, e4e and HyperStyle) and Theano's iGAN would work."
    )


def write(imported: Imported, workdir: str) -> int:
    """Writes the run in `workdir`, which programs take as any other.

    Returns:
        The size of its weights in bytes.

    Raises:
        jgan.UserError: the directory holds a run already or cannot be written.
    """
    return export.save(
        workdir, "--workdir", imported.config, imported.weights, imported.facts | {"step": imported.step}
    )


def _told(part: tables.Part) -> str:
    """What was recognised, in one line."""
    return ", ".join([part.title, *(f"{name} {value}" for name, value in part.facts.items())])


def _update(config: ml_collections.ConfigDict, parts: Sequence[tables.Part]) -> None:
    """Sets the fields of a config that nets were recognised by."""
    for part in parts:
        config.update_from_flattened_dict(dict(part.fields))


def _named(found: Sequence[_Found], net: str) -> dict[str, _Found]:
    """{"A", "B" or "": net} of the files of one kind of net, by the ends of their names.

    Raises:
        jgan.UserError: two have the same end.
    """
    nets: dict[str, _Found] = {}
    for one in found:
        if one.part.net == net:
            stem = pathlib.Path(one.path).stem
            side = stem[-1] if stem[-2:] in ("_A", "_B") else ""
            if side in nets:
                raise jgan.UserError(
                    f"{nets[side].path} and {one.path} both hold a {net}: those of a CycleGAN have names that end in "
                    "_A and _B."
                )
            nets[side] = one
    return nets


def _translation(
    found: Sequence[_Found], configs: Callable[[str], ml_collections.ConfigDict], choices: Choices
) -> tuple[ml_collections.ConfigDict, dict[str, _Found]]:
    """The config and the nets of a pix2pix or a CycleGAN."""
    generators, judges = _named(found, "generator"), _named(found, "discriminator")
    if not generators:
        raise jgan.UserError(
            f"{found[0].path} holds a discriminator alone, which makes no pictures: add --input=G."
        )
    pair = len(generators) == 2
    if pair and set(generators) != {"A", "B"}:
        names = " and ".join(one.path for one in generators.values())
        raise jgan.UserError(
            f"{names} hold generators: those of a CycleGAN have names that end in _A and _B."
        )
    config = configs("cyclegan" if pair else "pix2pix")
    for nets in (generators, judges):
        _same(list(nets.values()))
        _update(config, [one.part for one in nets.values()])
    first = next(iter(generators.values())).part if not pair else generators["A"].part
    source, output = first.facts["input channels"], first.facts["output channels"]
    config.data.channels = (source, output)
    unet = "unet" in config.generator.name
    size = choices.size or max(_SIZE, 2**config.generator.levels if unet else 0)
    config.data.size, config.data.load_size = size, size * 286 // 256
    if unet:
        asked = choices.dropout if choices.dropout is not None else not pair
        config.generator.dropout = _DROPOUT if asked else 0.0
    if pair:
        back = generators["B"].part.facts
        if (back["input channels"], back["output channels"]) != (output, source):
            raise jgan.UserError(
                f"{generators['B'].path} does not lead back: {generators['A'].path} makes {output} channels of "
                f"{source}."
            )
        # D_A of the old tool judges B, what G_A makes.
        nets = {"generator_ab": generators["A"], "generator_ba": generators["B"]}
        nets |= {f"discriminator_{'ba'['AB'.index(side)]}": one for side, one in _sided(judges).items()}
        return config, nets
    config.data.direction = choices.direction
    nets = {"generator": next(iter(generators.values()))}
    if judges:
        if len(judges) > 1:
            raise jgan.UserError(
                "one generator and two discriminators: a CycleGAN has two generators as well."
            )
        nets["discriminator"] = judge = next(iter(judges.values()))
        seen = judge.part.facts["input channels"]
        if seen not in (output, source + output):
            raise jgan.UserError(
                f"{judge.path} judges pictures of {seen} channels; with a generator that makes {output} of {source} it "
                f"would be {source + output}, or {output} without the input."
            )
        config.discriminator.conditional = seen != output
    return config, nets


def _sided(judges: Mapping[str, _Found]) -> Mapping[str, _Found]:
    """Discriminators of a CycleGAN, each with its side."""
    if "" in judges:
        raise jgan.UserError(
            f"{judges[''].path}: discriminators of a CycleGAN have names that end in _A and _B."
        )
    return judges


def _same(found: Sequence[_Found]) -> None:
    """Refuses two nets of a CycleGAN that differ in more than their channels."""
    if len(found) == 2 and found[0].part.fields != found[1].part.fields:
        one, other = found
        different = [
            f"{name} {value!r} and {other.part.fields.get(name)!r}"
            for name, value in one.part.fields.items()
            if other.part.fields.get(name) != value
        ]
        raise jgan.UserError(f"{one.path} and {other.path} are different nets: {', '.join(different)}.")


def _stylegan2(
    found: Sequence[_Found], configs: Callable[[str], ml_collections.ConfigDict], choices: Choices
) -> tuple[ml_collections.ConfigDict, dict[str, _Found]]:
    """The config and the nets of a StyleGAN2."""
    nets = _once(found)
    if "synthesis" not in nets:
        raise jgan.UserError(
            f"{found[0].path} holds a discriminator alone, which makes no pictures: add --input=G."
        )
    config = configs("stylegan2")
    _update(config, [one.part for one in nets.values()])
    config.data.load_size = config.data.size
    config.data.channels = (nets["synthesis"].part.facts["channels"],)
    if labels := nets["mapping"].part.facts["labels"]:
        if choices.names and len(choices.names) != labels:
            raise jgan.UserError(
                f"--names has {len(choices.names)} names, and the generator has {labels} classes."
            )
        config.data.kind = "labelled"
        config.data.names = choices.names or tuple(map(str, range(labels)))
    return config, nets


def _dcgan(
    found: Sequence[_Found], configs: Callable[[str], ml_collections.ConfigDict], choices: Choices
) -> tuple[ml_collections.ConfigDict, dict[str, _Found]]:
    """The config and the nets of iGAN's DCGAN."""
    nets = _once(found)
    if "generator" not in nets:
        raise jgan.UserError(
            f"{found[0].path} holds no generator, and nothing else makes pictures: add --input=G."
        )
    config = configs("dcgan:igan64")
    _update(config, [one.part for one in nets.values()])
    config.data.load_size = config.data.size
    config.data.channels = (nets["generator"].part.facts["channels"],)
    if "predictor" not in nets:
        learnt = config.predictor.warm_steps + config.predictor.steps + config.predictor.statistics_steps
        config.steps -= learnt
        config.predictor.update({"warm_steps": 0, "steps": 0, "statistics_steps": 0})
    return config, nets


def _once(found: Sequence[_Found]) -> dict[str, _Found]:
    """{net: where it is}, each from one file."""
    nets: dict[str, _Found] = {}
    for one in found:
        if one.part.net in nets:
            raise jgan.UserError(f"{nets[one.part.net].path} and {one.path} both hold a {one.part.net}.")
        nets[one.part.net] = one
    return nets


def _has_dropout(config: ml_collections.ConfigDict, choices: Choices) -> bool:
    """Whether dropout is on when pictures are made."""
    has = config.get("generator", {}).get("dropout", 0.0) > 0
    if choices.dropout and not has:
        raise jgan.UserError("--dropout: the generator has none.")
    return has and choices.dropout is not False


def _complete(weights: dict[str, dict[str, Any]], config: ml_collections.ConfigDict, abstract: Any) -> None:
    """Adds the mean style and the constant noise of a StyleGAN2 whose file has none."""
    stats = weights["stats"]
    if "mapping" not in stats:
        mean = stylegan2.mean_style(weights["params"]["mapping"], config)
        stats["mapping"] = {"w_avg": np.asarray(mean)}
    if "synthesis" not in stats:
        rng = np.random.default_rng(0)
        stats["synthesis"] = jax.tree.map(
            lambda x: rng.standard_normal(x.shape).astype(x.dtype), abstract.stats["synthesis"]
        )


def command(workdir: str) -> str:
    """The command by which a training begins with the run's weights."""
    return (
        f"python -m launch.train --config=configs/run.py:{workdir} --workdir=NEW --init_from={workdir} "
        "--config.data.root=DIR"
    )


def check(workdir: str) -> None:
    """Refuses a directory that holds a run, before files are read that take long."""
    if os.path.exists(os.path.join(workdir, "config.json")):
        raise jgan.UserError(f"--workdir={workdir} holds a run already: name another directory.")
    run_config.prepare(workdir)
