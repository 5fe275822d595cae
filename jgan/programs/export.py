"""A run without what only training needs: its config and its weights, in two small files that every program reads.

run = trained.load("RUN")
export.write(run, "RUN", "models/mine", dtype="float16")      # trained.load("models/mine") is the same run
"""

from collections.abc import Mapping
import os
from typing import Any

import ml_collections
import numpy as np
import safetensors.numpy

import jgan
from jgan import output
from jgan import paths
from jgan import trained
from jgan.runs import config as run_config
from jgan.runs import frozen as frozen_files

DTYPES = ("float32", "float16")


def write(run: trained.Run, workdir: str, directory: str, dtype: str = "float32") -> int:
    """Writes config.json and weights.safetensors, and frozen nets if the run has some.

    Averages of weights stand in the place of the weights, as programs use them. What the run knows of itself, such as
    the versions that trained it, is kept.

    Args:
        run: as `trained.load` gives it.
        workdir: the directory it was loaded from.
        directory: made if missing; one that holds a run is left alone.
        dtype: one of `DTYPES`, of the numbers in the file. Programs compute in the types of the run in any case.

    Returns:
        The size of the weights in bytes.

    Raises:
        jgan.UserError: another type, a directory in use or that cannot be written, or weights beyond the type.
    """
    if dtype not in DTYPES:
        raise jgan.UserError(f"--dtype={dtype}: {' and '.join(DTYPES)} would work.")
    facts = {name: value for name, value in run_config.facts(workdir).items() if name != "step"}
    if "starts" in facts:  # of which folders of the machine that trained it are nobody's business
        private = ("command", "folder", "init_from")
        facts["starts"] = [
            {name: value for name, value in start.items() if name not in private} for start in facts["starts"]
        ]
    return save(directory, "--output", run.config, run.weights, facts | {"step": run.step}, dtype)


def save(
    directory: str,
    flag: str,
    config: ml_collections.ConfigDict,
    weights: Mapping[str, Any],
    facts: Mapping[str, Any],
    dtype: str = "float32",
) -> int:
    """Writes a config and weights as `write` does.

    Args:
        directory: made if missing; one that holds a run is left alone.
        flag: the flag that names it, for sentences.
        config: of the run.
        weights: {"params": ..., "stats": ...} and, if there are some, "frozen" nets.
        facts: what config.json tells besides, the step among it.
        dtype: one of `DTYPES`.

    Returns:
        The size of the weights in bytes.

    Raises:
        jgan.UserError: as in `write`.
    """
    if paths.exists(os.path.join(directory, "config.json")):
        raise jgan.UserError(f"{flag}={directory} holds a run already: name another directory.")
    tensors = {}
    for name, leaf in trained.names(weights["params"], weights["stats"]).items():
        x = np.asarray(leaf, order="C")  # safetensors writes bytes as they lie
        if x.dtype.kind == "f":
            with np.errstate(over="ignore"):
                x = x.astype(dtype, copy=False)
            if not np.isfinite(x).all():
                raise jgan.UserError(
                    f"{name} does not fit in numbers of {dtype}; --dtype=float32 would work."
                )
        tensors[name] = x
    try:
        paths.of(directory).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise jgan.UserError(f"{flag}={directory} cannot be made: {error.strerror}.") from None
    data = safetensors.numpy.save(tensors)
    output.replace(os.path.join(directory, trained.EXPORTED), data)
    for net, kept in weights.get("frozen", {}).items():
        frozen_files.write(directory, net, kept)
    run_config.write(directory, config, **facts)
    return len(data)
