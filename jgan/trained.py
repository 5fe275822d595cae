"""A trained run, read back: its config, its system and the weights of one of its checkpoints or of an export.

run = trained.load("RUN")                                     # the latest; step="best" or a number for another
images = run.way().run(run.weights, inputs, key)["output"]    # a pure function
"""

from collections.abc import Mapping
import hashlib
import os
import types
from typing import Any
from typing import NamedTuple

import jax
import ml_collections
import numpy as np

import jgan
from jgan import fields
from jgan import paths
from jgan import space as space_lib
from jgan import state as state_lib
from jgan.metrics import scores
from jgan.runs import checkpoint
from jgan.runs import config as run_config
from jgan.runs import frozen as frozen_files
from jgan.systems import SYSTEMS
from jgan.systems import system as system_lib
from jgan.weights import files as weight_files

# The weights of an exported run, which has no checkpoints: `jgan.programs.export` writes it beside config.json.
EXPORTED = "weights.safetensors"


class Run(NamedTuple):
    """A run of any system, for what is made of it.

    Attributes:
        config: the run's.
        step: the training step its weights are from.
        system: built from the config.
        weights: as in `State.weights` and, under `given`, what is set of the other inputs and controls of a space
            ({name: value of one example}): programs hand both to the device in one tree.
        halves: of a run trained on pairs side by side, the least and the largest width / height of their halves.
        latent: the name of the space that is searched; empty: the default one of the system.
        absent: nets of the system that the run does not have, as one that was imported from a file of the generator.
        inference: what normalises ("statistics") and whether dropout is on ("dropout") if nobody says it; empty: as
            the programs have it.
        palette: {class: (red, green, blue)} of the label maps that it makes, if that is known.
    """

    config: ml_collections.ConfigDict
    step: int
    system: system_lib.System
    weights: dict[str, Any]
    halves: tuple[float, float] | None = None
    latent: str = ""
    absent: tuple[str, ...] = ()
    inference: Mapping[str, Any] = types.MappingProxyType({})
    palette: Mapping[str, tuple[int, int, int]] | None = None

    def way(self, name: str = "") -> system_lib.Way:
        """The way of that name, or the default one.

        Raises:
            jgan.UserError: there is none of that name.
        """
        ways = self.system.ways
        if name and name not in ways:
            raise jgan.UserError(f"--way={name}: the run has {' and '.join(ways)} only.")
        return ways[name or next(iter(ways))]

    @property
    def codes(self) -> system_lib.Codes:
        """The space that is searched, of a run loaded as one with a latent."""
        spaces = self.system.spaces
        return spaces[self.latent or next(iter(spaces))]

    def within(self, space: str) -> "Run":
        """The run with another space that is searched, by its name; empty: the default one of the system.

        Raises:
            jgan.UserError: the system has no space of that name.
        """
        if space and space not in self.system.spaces:
            known = " and ".join(", ".join(self.system.spaces).rsplit(", ", 1))
            raise jgan.UserError(
                f"--space={space}: a run of {self.config.system} has {f'{known} only' if known else 'no latent space'}."
            )
        return self._replace(latent=space)

    @property
    def digest(self) -> str:
        """A digest by which the run's weights are known again; what is given does not count."""
        digest = hashlib.sha256()
        for leaf in jax.tree.leaves({name: x for name, x in self.weights.items() if name != "given"}):
            digest.update(np.ascontiguousarray(leaf))
        return digest.hexdigest()[:16]

    @property
    def judges(self) -> bool:
        """Whether the run keeps a discriminator that judges images."""
        return self.codes.judge is not None and "discriminator" not in self.absent

    @property
    def predicts(self) -> bool:
        """Whether the run has learnt to predict codes from images."""
        return self.codes.predict is not None and self.step > self.codes.learnt

    def space(self, weights: dict[str, Any] | None = None) -> space_lib.Space:
        """The space under `weights`, by default the run's own, and what is given in them."""
        weights = self.weights if weights is None else weights
        return self.codes.space(weights, weights.get("given", {}))

    def judge(self, weights: dict[str, Any], images: jax.Array) -> dict[str, Any]:
        """What the discriminator says of images, under `weights` and what is given in them."""
        return self.codes.judge(weights, images, weights.get("given", {}))

    def predict(self, weights: dict[str, Any], images: jax.Array) -> Any:
        """Codes of images, under `weights` and what is given in them."""
        return self.codes.predict(weights, images, weights.get("given", {}))


def load(workdir: str, step: int | str = "latest", *, latent: bool = False) -> Run:
    """The run in `workdir`; only weights are read.

    Args:
        workdir: the directory of a training run.
        step: a step with a checkpoint, `latest` or `best`.
        latent: whether it must draw from codes alone, so that `run.space()` can be searched.

    Raises:
        jgan.UserError: no run, no such checkpoint, or a run that draws nothing from codes alone.
    """
    config = run_config.read(workdir)
    system = build(config, workdir)
    keep, best = config.keep, scores.best_policy(config.best, system)
    if latent and not draws(system):
        raise jgan.UserError(
            f"{workdir} is a run of {config.system}, which translates pictures and draws none from codes alone: "
            "launch.translate uses it."
        )
    found, params, stats = _weights(workdir, step, config, system, keep, best)
    frozen = {net: {"stats": {}, **kept} for net, kept in frozen_files.read(workdir).items()}
    weights = {"params": params, "stats": stats, "frozen": frozen, "given": {}}
    facts = run_config.facts(workdir)
    return Run(
        config,
        found,
        system,
        weights,
        facts.get("halves"),
        absent=_absent(workdir),
        inference=facts.get("inference", {}),
        palette=facts.get("palette"),
    )


def build(config: ml_collections.ConfigDict, workdir: str) -> system_lib.System:
    """The system of the config of a run in `workdir`.

    Raises:
        jgan.UserError: a system that this version does not have, or a config that it does not understand.
    """
    if config.system not in SYSTEMS:
        raise jgan.UserError(
            f"{workdir} is a run of system {config.system!r}, which this version does not have: {', '.join(SYSTEMS)}."
        )
    try:
        system = SYSTEMS[config.system](config)
        int(config.keep), scores.best_policy(config.best, system), batch_shape(config)
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        # A config that training wrote builds: this one was changed, or is of another version.
        raise jgan.UserError(
            f"{workdir}/config.json does not fit this version of {config.system}: {error}."
        ) from error
    return system


def draws(system: system_lib.System) -> bool:
    """Whether the default way of a system makes pictures from codes of a space, and of nothing else."""
    return bool(system.spaces) and not next(iter(system.ways.values())).inputs


def start_from(state: state_lib.State, other: str) -> tuple[state_lib.State, str]:
    """(the state with every weight of another run that has the same name and shape, a list of the others).

    Raises:
        jgan.UserError: no run, or none with a checkpoint.
    """
    config = run_config.read(other)
    step, params, stats = _weights(other, "latest", config, SYSTEMS[config.system](config))
    state, missed = state_lib.transplant(state, params, stats)
    head = f"weights from {other} at step {step}, " + ("not taken:" if missed else "all taken")
    return state, "\n  ".join([head, *missed])


def _weights(
    workdir: str,
    step: int | str,
    config: ml_collections.ConfigDict,
    system: system_lib.System,
    keep: int = 2,
    best: tuple[str, str] | None = None,
) -> tuple[int, dict[str, Any], dict[str, Any]]:
    """(the step that was found, parameters, statistics) of a run or of an export."""
    if paths.exists(os.path.join(workdir, EXPORTED)):
        found, (params, stats) = run_config.facts(workdir).get("step"), _exported(workdir, config, system)
        if not isinstance(found, int) or step not in ("latest", "best", found):
            raise jgan.UserError(f"{workdir} is an export of step {found}: it has no step {step!r}.")
        return found, params, stats
    with checkpoint.Checkpoints(
        os.path.join(workdir, "checkpoints"), keep=keep, best=best, read_only=True
    ) as checkpoints:
        found = {"latest": checkpoints.latest, "best": checkpoints.best}.get(step, step)
        if found not in checkpoints.steps:
            raise jgan.UserError(
                f"{workdir} has no checkpoint {step!r}: it has {checkpoints.steps or 'none yet'}."
            )
        return int(found), *restore_weights(checkpoints, int(found), config, system)


def names(params: Any, stats: Any) -> dict[str, Any]:
    """{name in an export: leaf}, such as params/synthesis/b4/conv1/kernel, of weights or of their shapes."""
    paths = jax.tree_util.tree_leaves_with_path({"params": params, "stats": stats})
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in paths}


def _exported(
    workdir: str, config: ml_collections.ConfigDict, system: system_lib.System
) -> tuple[dict[str, Any], dict[str, Any]]:
    """(parameters, statistics) of an export, in the types of the system."""
    path = os.path.join(workdir, EXPORTED)
    abstract = jax.eval_shape(system.init, jax.random.key(0), batch_shape(config))
    absent = _absent(workdir)
    trees = tuple(
        {net: x for net, x in tree.items() if net not in absent} for tree in (abstract.params, abstract.stats)
    )
    shapes = names(*trees)
    with paths.on_disk(path) as file:
        entries = weight_files.entries(file)
        wrong = sorted(
            name
            for name in entries.keys() | shapes.keys()
            if name not in entries or name not in shapes or entries[name].shape != shapes[name].shape
        )
        if wrong:
            raise jgan.UserError(
                f"{path} does not hold the weights of {workdir}/config.json: {', '.join(wrong[:5])}"
                f"{', ...' if len(wrong) > 5 else ''} are missing, too many or of another shape."
            )
        read = {name: entry.read() for name, entry in entries.items()}
    bad = sorted(name for name, x in read.items() if x.dtype.kind == "f" and not np.isfinite(x).all())
    if bad:
        raise jgan.UserError(f"{path} holds numbers that are not finite, in {bad[0]}.")
    leaves = [read[name].astype(shape.dtype) for name, shape in shapes.items()]
    return jax.tree.unflatten(jax.tree.structure(trees), leaves)


def _absent(workdir: str) -> tuple[str, ...]:
    """The nets that config.json says a run does not have."""
    absent = run_config.facts(workdir).get("absent", [])
    return tuple(map(str, absent)) if isinstance(absent, list) else ()


def restore_weights(
    checkpoints: checkpoint.Checkpoints, step: int, config: ml_collections.ConfigDict, system: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    """(parameters, with averages in their place where the run has them, and statistics) at `step`, by net."""
    abstract = jax.eval_shape(system.init, jax.random.key(0), batch_shape(config))
    parts = {"params": abstract.params, "stats": abstract.stats, "ema": abstract.ema}
    parts = {name: tree for name, tree in parts.items() if jax.tree.leaves(tree)}
    loaded = checkpoints.restore_weights(step, parts)
    return {**loaded["params"], **loaded.get("ema", {})}, loaded.get("stats", abstract.stats)


def batch_shape(config: ml_collections.ConfigDict) -> dict[str, jax.ShapeDtypeStruct]:
    """The shapes of one training batch of the run, as a `System.init` needs them."""
    n, size = config.batch_size, config.data.size
    return {
        name: jax.ShapeDtypeStruct(*field.spec(n, size)) for name, field in fields.of(config.data).items()
    }
