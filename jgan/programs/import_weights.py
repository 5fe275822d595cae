"""A run from other people's files of weights: what is in them is recognised by names and shapes alone.

imported = import_weights.read(["latest_net_G.pth"], configs, import_plans.Choices())
import_weights.write(imported, "RUN")          # trained.load("RUN"), launch.translate, launch.train ... take it
"""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
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
from jgan.nets import stylegan2 as nets_lib
from jgan.programs import export
from jgan.programs import import_plans
from jgan.runs import config as run_config
from jgan.systems import SYSTEMS
from jgan.weights import files
from jgan.weights import igan
from jgan.weights import stylegan2
from jgan.weights import tables
from jgan.weights import translation

STATISTICS = ("image", "running")


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


def read(
    paths: Sequence[str], configs: Callable[[str], ml_collections.ConfigDict], choices: import_plans.Choices
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
    found = _recognise(paths, choices)
    families = {part.system for _, part in found}
    if len(families) > 1:
        raise jgan.UserError(
            "the files are of different systems: "
            + ", ".join(f"{os.path.basename(path)} ({part.title})" for path, part in found)
            + "; import one model at a time."
        )
    config, nets = import_plans.PLANS[families.pop()](found, configs, choices)
    config.unlock()
    try:
        system = SYSTEMS[config.system](config)
    except jgan.UserError as error:
        why = (
            f"--size={choices.size}"
            if choices.size
            else f"{found[0].path} holds a net that jgan does not have"
        )
        raise jgan.UserError(f"{why}: {error}") from None
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
        what = f"{path} ({part.title})"
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


def _recognise(paths: Sequence[str], choices: import_plans.Choices) -> list[import_plans.Found]:
    """The nets in files.

    Raises:
        jgan.UserError: one cannot be read, or has no net that is known.
    """
    trees = [(path, files.contents(path)) for path in paths]
    # iGAN's training keeps each list of arrays in a file of its own.
    lists = {pathlib.Path(path).stem: tree for path, tree in trees if isinstance(tree, list)}
    if lists and len(lists) == len(trees):
        packed = igan.packed(lists)
        if packed is not None:
            trees = [(paths[0], packed)]
    found = []
    for path, tree in trees:
        try:
            parts = (
                stylegan2.recognise(tree)
                or translation.recognise(tree)
                or igan.recognise(tree, choices.inverted)
                or []
            )
        except jgan.UserError as error:
            raise jgan.UserError(f"{path}: {error}") from None
        if not parts:
            raise jgan.UserError(
                f"{path} holds no net that is known: those of pytorch-CycleGAN-and-pix2pix and CUT, StyleGAN2 "
                "(official, rosinality's, inside pSp, e4e and HyperStyle) and Theano's iGAN would work."
            )
        found += [import_plans.Found(path, part) for part in parts]
    return found


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


def _has_dropout(config: ml_collections.ConfigDict, choices: import_plans.Choices) -> bool:
    """Whether dropout is on when pictures are made."""
    has = config.get("generator", {}).get("dropout", 0.0) > 0
    if choices.dropout and not has:
        raise jgan.UserError("--dropout: the generator has none.")
    return has and choices.dropout is not False


def _complete(weights: dict[str, dict[str, Any]], config: ml_collections.ConfigDict, abstract: Any) -> None:
    """Adds the mean style and the constant noise of a StyleGAN2 whose file has none."""
    stats = weights["stats"]
    if "mapping" not in stats:
        mapping = nets_lib.mapping(
            z_dim=config.latent.nz,
            w_dim=config.mapping.w_dim,
            num_layers=config.mapping.num_layers,
            lr_multiplier=config.mapping.lr_multiplier or 0.01,
        )
        params = weights["params"]["mapping"]
        mean = stylegan2.mean_style(lambda z: mapping.apply(params, {}, z)[0], config.latent.nz)
        stats["mapping"] = {"w_avg": mean}
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


@contextlib.contextmanager
def claimed(workdir: str) -> Iterator[None]:
    """A directory for a run, made before files are read that take long; if nothing gets into it, it goes away again.

    Raises:
        jgan.UserError: it holds a run already or cannot be made.
    """
    if os.path.exists(os.path.join(workdir, "config.json")):
        raise jgan.UserError(f"--workdir={workdir} holds a run already: name another directory.")
    there = os.path.exists(workdir)
    run_config.prepare(workdir)
    try:
        yield
    except BaseException:
        if not there:
            with contextlib.suppress(OSError):  # it is not empty
                os.rmdir(workdir)
        raise
