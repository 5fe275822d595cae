"""Trains a system: python -m launch.train --config=configs/pix2pix.py:demo --workdir=RUN

The same command again continues the run.
"""

from absl import flags
from ml_collections import config_flags

import launch

_CONFIG = config_flags.DEFINE_config_file("config", None, "configs/FILE.py or configs/FILE.py:PRESET")
_WORKDIR = flags.DEFINE_string("workdir", "", "directory of the run")
_INIT_FROM = flags.DEFINE_string("init_from", "", "another run, whose weights a new run starts from")


def main() -> None:
    from jgan import train

    train.train(_CONFIG.value, _WORKDIR.value, _INIT_FROM.value)


if __name__ == "__main__":
    launch.run(main, required=("config", "workdir"))
