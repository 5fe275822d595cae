"""The config of a run that is there, for another run: --config=configs/run.py:RUN

    python -m launch.train --config=configs/run.py:RUN --workdir=NEW --init_from=RUN --config.data.root=DIR

A run that was imported from a file of weights is trained on in this way, and an export.
"""

import json
import os

import ml_collections


def get_config(arg: str = "") -> ml_collections.ConfigDict:
    if not arg:
        raise ValueError("name a run behind the colon: configs/run.py:RUN.")
    path = os.path.join(arg, "config.json")
    try:
        with open(path, encoding="utf-8") as file:
            return ml_collections.ConfigDict(_tuples(json.load(file)["config"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} cannot be read as the config of a run: {error}.") from None


def _tuples(value):
    """The value with tuples in the place of lists, which JSON has for both."""
    if isinstance(value, dict):
        return {name: _tuples(x) for name, x in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
