"""A trained run, read back: its config, its system and the weights of one of its checkpoints.

run = trained.load("RUN")                                     # the latest; step="best" or a number for another
images = run.system.apply(run.weights, inputs, key)           # a pure function
"""

import os
from typing import Any
from typing import NamedTuple

import jax
import jax.numpy as jnp
import ml_collections

import jgan
from jgan import state as state_lib
from jgan.runs import checkpoint
from jgan.runs import config as run_config
from jgan.systems import SYSTEMS
from jgan.systems import system as system_lib

# Which way a validation score gets better.
_BETTER = {"l1": "min", "psnr": "max", "ssim": "max", "cycle": "min"}


class Run(NamedTuple):
    """A run of any system, for what is made of it: the step its weights are from, and weights as in `State.weights`.

    `halves` tells of a run trained on pairs side by side the least and the largest width / height of their halves.
    """

    config: ml_collections.ConfigDict
    step: int
    system: system_lib.System
    weights: dict[str, Any]
    halves: tuple[float, float] | None = None


def load(workdir: str, step: int | str = "latest", *, latent: bool = False) -> Run:
    """The run in `workdir`; only weights are read.

    Args:
        workdir: the directory of a training run.
        step: a step with a checkpoint, `latest` or `best`.
        latent: whether it must have a latent space, so that `run.system.space(run.weights, None)` is one.

    Raises:
        jgan.UserError: no run, no such checkpoint, or a run without a latent space.
    """
    config = run_config.read(workdir)
    system = SYSTEMS[config.system](config)
    if latent and system.translations:
        raise jgan.UserError(
            f"{workdir} is a run of {config.system}, which translates pictures and has no codes to draw: a run of "
            "gan or dcgan would work."
        )
    with checkpoint.Checkpoints(
        os.path.join(workdir, "checkpoints"),
        keep=config.keep,
        best=best_policy(config.best, system),
        read_only=True,
    ) as checkpoints:
        found = {"latest": checkpoints.latest, "best": checkpoints.best}.get(step, step)
        if found not in checkpoints.steps:
            raise jgan.UserError(
                f"{workdir} has no checkpoint {step!r}: it has {checkpoints.steps or 'none yet'}."
            )
        params, stats = restore_weights(checkpoints, int(found), config, system)
    weights = {"params": params, "stats": stats, "frozen": {}}
    return Run(config, int(found), system, weights, run_config.facts(workdir).get("halves"))


def start_from(state: state_lib.State, other: str) -> tuple[state_lib.State, str]:
    """(the state with every weight of another run that has the same name and shape, a list of the others).

    Raises:
        jgan.UserError: no run, or none with a checkpoint.
    """
    config = run_config.read(other)
    with checkpoint.Checkpoints(os.path.join(other, "checkpoints"), best=None, read_only=True) as checkpoints:
        step = checkpoints.latest
        if step is None:
            raise jgan.UserError(f"--init_from={other}: the run has no checkpoint yet.")
        params, stats = restore_weights(checkpoints, step, config, SYSTEMS[config.system](config))
    state, missed = state_lib.transplant(state, params, stats)
    told = f"weights from {other} at step {step}, " + ("not taken:" if missed else "all taken")
    return state, "\n  ".join([told, *missed])


def restore_weights(
    checkpoints: checkpoint.Checkpoints, step: int, config: ml_collections.ConfigDict, system: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    """(parameters, with averages in their place where the run has them, and statistics) at `step`, by net."""
    abstract = jax.eval_shape(system.init, jax.random.key(0), batch_shape(config))
    fields = {"params": abstract.params, "stats": abstract.stats, "ema": abstract.ema}
    fields = {name: tree for name, tree in fields.items() if jax.tree.leaves(tree)}
    loaded = checkpoints.restore_weights(step, fields)
    return {**loaded["params"], **loaded.get("ema", {})}, loaded.get("stats", abstract.stats)


def batch_shape(config: ml_collections.ConfigDict) -> dict[str, jax.ShapeDtypeStruct]:
    """The shapes of one training batch of the run, as a `System.init` needs them."""
    n, size = config.batch_size, config.data.size
    names = ("images",) if config.data.kind == "images" else ("a", "b")
    return {
        name: jax.ShapeDtypeStruct((n, size, size, channels), jnp.float32)
        for name, channels in zip(names, config.data.channels, strict=True)
    }


def best_policy(best: str, system: system_lib.System) -> tuple[str, str] | None:
    """(metric, "min" or "max") of `config.best`, None for an empty one."""
    if not best:
        return None
    if not system.translations:
        if best == "l1" and system.predict is not None:
            return best, _BETTER[best]
        raise jgan.UserError(
            f"best={best!r}: a run that makes pictures from codes is scored by 'l1' where it learns to predict "
            "codes, and by nothing (an empty best) elsewhere."
        )
    prefixes = [f"{name}_" for name in system.translations] if len(system.translations) > 1 else [""]
    back = any(way.back for way in system.translations.values())
    known = {
        p + name: better for p in prefixes for name, better in _BETTER.items() if back or name != "cycle"
    }
    if best not in known:
        raise jgan.UserError(f"best={best!r} is unknown: use one of {', '.join(known)}, or nothing.")
    return best, known[best]
