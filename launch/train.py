"""Trains a system: python -m launch.train --config=configs/pix2pix.py:demo --workdir=RUN

The same command again continues the run. On several machines start it once on each: with --distributed if SLURM,
Kubernetes or a TPU pod connects the processes, and otherwise with the three flags of jax.distributed.
"""

from absl import flags
from ml_collections import config_flags

from jgan.runs import config as run_config
import launch
from launch import process_flags

_CONFIG = config_flags.DEFINE_config_file("config", None, "configs/FILE.py or configs/FILE.py:PRESET")
_WORKDIR = flags.DEFINE_string("workdir", "", "directory of the run")
_INIT_FROM = flags.DEFINE_string("init_from", "", "another run, whose weights a new run starts from")
_CHANGED = flags.DEFINE_bool(
    "allow_changed_data", False, "continue although the data are not those that the run was trained on"
)
flags.adopt_module_key_flags(process_flags)


def main() -> None:
    from jgan.systems import SYSTEMS

    run_config.check(_CONFIG.value, SYSTEMS)
    run_config.prepare(_WORKDIR.value)
    process_flags.connect()
    from jgan.programs import train

    train.train(_CONFIG.value, _WORKDIR.value, _INIT_FROM.value, allow_changed_data=_CHANGED.value)


if __name__ == "__main__":
    launch.run(
        main,
        required=("config", "workdir"),
        runs=("init_from",),
        names=tuple(f"config.{name}" for name in run_config.NAMES),
    )
