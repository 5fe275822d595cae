"""Configs for programs that take no --config: of a system by its name, and of another program's flags."""

import importlib

from absl import flags
import ml_collections
from ml_collections import config_flags

import jgan
from jgan.runs import config as run_config
import launch

_NAMES = tuple(f"config.{name}" for name in run_config.NAMES)


def get(name: str) -> ml_collections.ConfigDict:
    """The config of `configs/NAME.py` with defaults, or of one of its presets behind a colon."""
    system, _, preset = name.partition(":")
    return importlib.import_module(f"configs.{system}").get_config(preset)


def load(arguments: list[str]) -> ml_collections.ConfigDict:
    """The config that launch.train makes of its flags; a `jgan.UserError` where it would refuse them."""
    from jgan.systems import SYSTEMS

    argv = launch.with_tuples(["launch.train", *(x for x in arguments if x.startswith("--config"))], _NAMES)
    known = flags.FlagValues()
    config_flags.DEFINE_config_file("config", None, flag_values=known, sys_argv=argv)
    try:
        known(argv)
        config = known["config"].value
        run_config.check(config, SYSTEMS)
    except (flags.Error, AttributeError, KeyError, TypeError, ValueError, OSError) as error:
        raise jgan.UserError(launch.sentence(error, argv)) from error
    return config
