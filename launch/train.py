"""Trains a system: python -m launch.train --config=configs/pix2pix.py:demo --workdir=RUN

The same command again continues the run. On several machines start it once on each: with --distributed if SLURM,
Kubernetes or a TPU pod connects the processes, and otherwise with the three flags of jax.distributed. launch/slurm,
launch/kubernetes and launch/tpu_pod.sh do that; docs/scale.md has the rest.
"""

import os
import sys

from absl import flags
import ml_collections
from ml_collections import config_flags

import jgan
from jgan.runs import config as run_config
import launch
from launch import process_flags

_CONFIG = config_flags.DEFINE_config_file("config", None, "configs/FILE.py or configs/FILE.py:PRESET")
_WORKDIR = flags.DEFINE_string("workdir", "", "directory of the run")
_INIT_FROM = flags.DEFINE_string("init_from", "", "another run, whose weights a new run starts from")
_SEEDS = flags.DEFINE_list("seeds", [], "train runs of these seeds together, in DIR/seed0, DIR/seed1, ...")
_TOGETHER = flags.DEFINE_enum(
    "together",
    "",
    ["", "in_turn", "vmapped"],
    "how --seeds train: by the program of one run, called for each, or by one vmapped program; empty: as suits the "
    "device",
)
_CHANGED = flags.DEFINE_bool(
    "allow_changed_data", False, "continue although the data are not those that the run was trained on"
)
_TENSORBOARD = flags.DEFINE_bool(
    "tensorboard", False, "write TensorBoard's event files too, in RUN/tensorboard"
)
_WANDB = flags.DEFINE_string("wandb", "", "a project of Weights & Biases that is told of the run too")
_PROFILE = flags.DEFINE_string(
    "profile",
    "",
    "START:STOP: write a profile of the steps START to STOP - 1 of the run, which are counted from 0, in RUN/profile",
)
_UNFINISHED = flags.DEFINE_integer(
    "unfinished_status",
    0,
    "exit status of a training that SIGTERM stopped before its last step; clusters that start a job again only if it "
    "fails need another one than 0",
)
_MODEL = flags.DEFINE_integer(
    "model_axis",
    1,
    "divide large parameters, averages and optimiser states over so many devices, for nets that fill a device's memory",
    lower_bound=1,
)
flags.adopt_module_key_flags(process_flags)


def main() -> None:
    from jgan.systems import SYSTEMS

    profile = run_config.parse_steps(_PROFILE.value, "profile") if _PROFILE.present else range(0)
    launch.goes_with((_TOGETHER, bool(_SEEDS.value), "--seeds"))
    process_flags.check(apart=False)
    seeds = numbers(_SEEDS.value) if _SEEDS.present else []
    if seeds and any(argument.startswith("--config.seed") for argument in sys.argv):
        raise jgan.UserError("--config.seed goes without --seeds alone, which sets it.")
    run_config.check(_CONFIG.value, SYSTEMS)
    trackers = ()
    if _TENSORBOARD.value or _WANDB.value:
        from jgan.runs import tracking

        trackers = tracking.choose(tensorboard=_TENSORBOARD.value, wandb=_WANDB.value)
    run_config.prepare(_WORKDIR.value)
    process_flags.connect(preemptible=True)
    from jgan.programs import train

    given = {
        "allow_changed_data": _CHANGED.value,
        "trackers": trackers,
        "model_axis": _MODEL.value,
        "profile": profile,
    }
    if seeds:
        configs = [ml_collections.ConfigDict(_CONFIG.value.to_dict() | {"seed": seed}) for seed in seeds]
        workdirs = [os.path.join(_WORKDIR.value, f"seed{seed}") for seed in seeds]
        train.together(configs, workdirs, _INIT_FROM.value, how=_TOGETHER.value, **given)
    else:
        workdirs = [_WORKDIR.value]
        train.train(_CONFIG.value, _WORKDIR.value, _INIT_FROM.value, **given)
    if _UNFINISHED.value:
        from jgan.programs import sweep

        if min(map(sweep.progress, workdirs)) < _CONFIG.value.steps:
            sys.exit(_UNFINISHED.value)


def numbers(texts: list[str]) -> list[int]:
    """The seeds of a flag.

    Raises:
        jgan.UserError: one is no number, or stands there twice.
    """
    try:
        seeds = [int(text) for text in texts]
    except ValueError:
        seeds = []
    if len(set(seeds)) < max(len(texts), 1):
        raise jgan.UserError(
            f"--seeds={','.join(texts)}: different whole numbers with commas between would work."
        )
    return seeds


if __name__ == "__main__":
    launch.run(
        main,
        required=("config", "workdir"),
        runs=("init_from",),
        names=tuple(f"config.{name}" for name in run_config.NAMES),
        stores=("workdir", "init_from", "config.data.root", "config.data.attributes", "config.palette.file"),
    )
