"""The flags of launch.project but for its folders: launch.sweep gives them to projections too."""

from collections.abc import Mapping
import sys
from typing import Any

from absl import flags

import jgan
from launch import control_flags
from launch import feature_flags
from launch import latent_flags
from launch import projection_flags
from launch import shared_flags

METHOD = flags.DEFINE_enum(
    "method",
    None,
    ["optimise", "network", "hybrid", "mean"],
    "from random starts, by the run's predictor, from what it predicts, or, the default for styles, from their mean",
)
LEARNING_RATE = flags.DEFINE_float("learning_rate", None, "of Adam: 0.1")
BATCH = flags.DEFINE_integer("batch", 0, "photos at once; 0: as fits")
for _module in (shared_flags, control_flags, latent_flags, projection_flags, feature_flags):
    flags.adopt_module_key_flags(_module)


def every() -> list[flags.Flag]:
    """All of these flags."""
    return flags.FLAGS.get_key_flags_for_module(sys.modules[__name__])


def given() -> list[str]:
    """The flags that were given, as launch.project takes them."""
    return [line for flag in every() if flag.present for line in flag.serialize().splitlines()]


def values() -> dict[str, Any]:
    """{name: value} of the flags that were given."""
    return {flag.name: flag.value for flag in every() if flag.present}


def check(overrides: Mapping[str, Any]) -> None:
    """Refuses {name: value} of flags that do not exist, or have no such value, with a `jgan.UserError`."""
    known = {flag.name: flag for flag in every()}
    for name, value in overrides.items():
        if name not in known:
            raise jgan.UserError(f"{name}={value}: launch.project has no such flag that a sweep could set.")
        try:
            known[name].parser.parse(value)
        except (TypeError, ValueError) as error:
            raise jgan.UserError(f"{name}={value}: {str(error).rstrip('.')}.") from error
