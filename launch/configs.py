"""The config that flags of launch.train make, for programs that start trainings; it defines no flag of its own."""

from absl import flags
import ml_collections
from ml_collections import config_flags

import jgan
from jgan.runs import config as run_config
from jgan.systems import SYSTEMS
import launch

NAMES = tuple(f"config.{name}" for name in run_config.NAMES)


def load(arguments: list[str]) -> ml_collections.ConfigDict:
    """The config that launch.train makes of its flags.

    Raises:
        jgan.UserError: launch.train would refuse them.
    """
    argv = launch.with_tuples(["launch.train", *(x for x in arguments if x.startswith("--config"))], NAMES)
    known = flags.FlagValues()
    config_flags.DEFINE_config_file("config", None, flag_values=known, sys_argv=argv)
    try:
        known(argv)
        config = known["config"].value
        run_config.check(config, SYSTEMS)
    except (flags.Error, AttributeError, KeyError, TypeError, ValueError, OSError) as error:
        raise jgan.UserError(launch.sentence(error, argv)) from error
    return config
