"""A run without what only training needs: its config and its weights, in two small files that every program reads.

run = trained.load("RUN")
export.write(run, "RUN", "models/mine", dtype="float16")      # trained.load("models/mine") is the same run
"""

import os

import numpy as np
import safetensors.numpy

import jgan
from jgan import output
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
    if os.path.exists(os.path.join(directory, "config.json")):
        raise jgan.UserError(f"--output={directory} holds a run already: name another directory.")
    tensors = {}
    for name, leaf in trained.names(run.weights["params"], run.weights["stats"]).items():
        x = np.asarray(leaf, order="C")  # safetensors writes bytes as they lie
        if x.dtype.kind == "f":
            with np.errstate(over="ignore"):
                x = x.astype(dtype)
            if not np.isfinite(x).all():
                raise jgan.UserError(
                    f"{name} does not fit in numbers of {dtype}; --dtype=float32 would work."
                )
        tensors[name] = x
    try:
        os.makedirs(directory, exist_ok=True)
    except OSError as error:
        raise jgan.UserError(f"--output={directory} cannot be made: {error.strerror}.") from None
    data = safetensors.numpy.save(tensors)
    output.replace(os.path.join(directory, trained.EXPORTED), data)
    for net, weights in run.weights["frozen"].items():
        frozen_files.write(directory, net, weights)
    facts = {name: value for name, value in run_config.facts(workdir).items() if name != "step"}
    run_config.write(directory, run.config, **facts, step=run.step)
    return len(data)
