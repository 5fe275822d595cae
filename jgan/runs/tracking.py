"""The metrics and pictures of a run in other people's tools: TensorBoard's event files, and Weights & Biases.

metrics.jsonl stays the source; these are copies of it for whoever has such a tool open already. Neither library is
needed otherwise, and neither is imported before it is asked for.
"""

from collections.abc import Callable
from collections.abc import Mapping
import importlib
import os
import tempfile
import types
from typing import Protocol
import uuid

import ml_collections
import numpy as np

import jgan
from jgan import paths

FOLDER = "tensorboard"  # of event files, in the run
_ID = "wandb.id"  # the file of the run that has its name at Weights & Biases


class Tracker(Protocol):
    """What is told of a run while it trains."""

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Takes numbers of a step by name."""

    def picture(self, step: int, name: str, picture: np.ndarray) -> None:
        """Takes a picture [h, w, 3] uint8."""

    def close(self) -> None:
        """Ends the run's share."""


Factory = Callable[[str, ml_collections.ConfigDict, int], Tracker]  # (workdir, config, step it goes on after)


def choose(*, tensorboard: bool, wandb: str) -> tuple[Factory, ...]:
    """The trackers that flags ask for.

    Args:
        tensorboard: whether event files are written.
        wandb: the project of Weights & Biases; empty: none.

    Raises:
        jgan.UserError: a library is not installed.
    """
    chosen: list[Factory] = []
    if tensorboard:
        library = _library("tensorboardX", "--tensorboard")
        chosen.append(lambda workdir, config, start: _TensorBoard(library, workdir, start))
    if wandb:
        service = _library("wandb", f"--wandb={wandb}")
        chosen.append(lambda workdir, config, start: _Wandb(service, wandb, workdir, config))
    return tuple(chosen)


class _TensorBoard:
    """Event files in RUN/tensorboard. A run that goes on hides what it had written of later steps."""

    def __init__(self, library: types.ModuleType, workdir: str, start: int) -> None:
        if paths.is_remote(workdir):
            raise jgan.UserError(
                f"--tensorboard: event files are appended to, which cannot be done in {workdir}; a --workdir on a disk "
                "would work, and so would --wandb."
            )
        self._writer = library.SummaryWriter(
            os.path.join(workdir, FOLDER), purge_step=start + 1 if start else None
        )

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            group = "validation" if name.startswith("val_") else "training"
            self._writer.add_scalar(f"{group}/{name.removeprefix('val_')}", value, step)
        self._writer.flush()

    def picture(self, step: int, name: str, picture: np.ndarray) -> None:
        self._writer.add_image(name, picture, step, dataformats="HWC")
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


class _Wandb:
    """A run of Weights & Biases, which goes on when the run does."""

    def __init__(
        self, library: types.ModuleType, project: str, workdir: str, config: ml_collections.ConfigDict
    ) -> None:
        self._library = library
        self._run = library.init(
            project=project,
            id=_name(workdir),
            name=os.path.basename(paths.absolute(workdir)),
            resume="allow",
            dir=tempfile.gettempdir() if paths.is_remote(workdir) else workdir,
            config=config.to_dict(),
        )

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log(dict(values), step=step)

    def picture(self, step: int, name: str, picture: np.ndarray) -> None:
        self._run.log({name: self._library.Image(picture)}, step=step)

    def close(self) -> None:
        self._run.finish()


def _library(name: str, flag: str) -> types.ModuleType:
    """A library that only a flag asks for; a `jgan.UserError` where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise jgan.UserError(
            f"{flag} needs {name}, which cannot be imported ({error}): pip install {name} would work."
        ) from None


def _name(workdir: str) -> str:
    """The name of the run at Weights & Biases, kept in its directory."""
    path = paths.of(workdir) / _ID
    try:
        return path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        name = uuid.uuid4().hex[:12]
        path.write_text(name + "\n", encoding="utf-8")
        return name
