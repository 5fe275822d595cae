"""One file per GAN system: its losses, its update order, its state.

A system is a few pure functions over a `jgan.state.State`; `SYSTEMS` names the builders.
"""

import functools
import importlib
from typing import Any


def _build(name: str, config: Any) -> Any:
    # Only now: a program imports the system that it runs.
    return importlib.import_module(f"jgan.systems.{name}").build(config)


SYSTEMS = {
    name: functools.partial(_build, name)
    for name in (
        "pix2pix",
        "cyclegan",
        "gan",
        "dcgan",
        "cgan",
        "stargan",
        "bicyclegan",
        "stylegan2",
        "progressive",
        "segmenter",
    )
}
