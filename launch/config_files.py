"""The config of a system by its name, for programs that take no --config."""

import importlib

import ml_collections


def get(name: str) -> ml_collections.ConfigDict:
    """The config of `configs/NAME.py` with defaults, or of one of its presets behind a colon."""
    system, _, preset = name.partition(":")
    return importlib.import_module(f"configs.{system}").get_config(preset)
