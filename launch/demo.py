"""A first look: python -m launch.demo --workdir=runs/demo

Trains a small pix2pix, CycleGAN and DCGAN on drawn pictures, edits a photo with the DCGAN, and writes one page that
shows all four. Each part is announced with the command that does the same. A demo that was stopped continues there.
"""

import importlib
import os
from typing import NamedTuple

from absl import flags

import launch

_WORKDIR = flags.DEFINE_string("workdir", "", "folder for the runs, the edit and the page")


class _Part(NamedTuple):
    """The texts of a part; the page shows all but the time, which the part takes on two idle cores."""

    name: str
    title: str
    sentence: str
    time: str


_TRAININGS = (
    _Part(
        "pix2pix",
        "pix2pix: pairs",
        "A generator learns from 400 pairs to draw a facade from a map of its parts. "
        "No map has colours or weather: they are invented.",
        "80 seconds",
    ),
    _Part(
        "cyclegan",
        "CycleGAN: two sets of pictures without pairs",
        "Two generators learn to turn facades by day into facades at dusk and back, from 400 of each, "
        "no building in both.",
        "80 seconds",
    ),
    _Part(
        "dcgan",
        "DCGAN: pictures from codes",
        "A generator learns to draw products that nobody made, each from a code of 100 numbers.",
        "80 seconds",
    ),
)
_EDIT = _Part(
    "edit",
    "An edit of a photo",
    "The photo is projected to a code, a red stroke changes the code, and the changes of the generated picture "
    "are applied to the photo at its own size.",
    "25 seconds",
)
_STROKE, _PHOTO = "docs/edit.json", "docs/photo.png"


def main() -> None:
    show(_WORKDIR.value)


def show(folder: str) -> None:
    """Writes runs, edit and page to `folder`; ends after a training that was stopped, which the next call continues."""
    for number, part in enumerate(_TRAININGS, 1):
        workdir = os.path.join(folder, part.name)
        _announce(number, part, f"train --config=configs/{part.name}.py:demo --workdir={workdir}")
        if not _train(part.name, workdir):
            return  # the training has reported why
    run, target = os.path.join(folder, "dcgan"), os.path.join(folder, "edit")
    _announce(4, _EDIT, f"edit --workdir={run} --edit={_STROKE} --image={_PHOTO} --output={target}")
    _edit(run, target)
    print(f"\nAll four results are on one page, which opens from disk:\n{_page(folder)}", flush=True)


def _announce(number: int, part: _Part, command: str) -> None:
    """Prints what comes next and the command that does the same."""
    print(f"\n{number} of 4, about {part.time} on two cores. {part.title}", flush=True)
    print(f"{part.sentence}\npython -m launch.{command}", flush=True)


def _train(system: str, workdir: str) -> bool:
    """Trains a system, or continues; whether the run then has all its steps."""
    from jgan.programs import train
    from jgan.serve.web import training

    train.train(importlib.import_module(f"configs.{system}").get_config("demo"), workdir)
    return training.finished(workdir)


def _edit(workdir: str, target: str) -> None:
    """Edits the photo with the run in `workdir`."""
    from jgan import trained
    from jgan.programs import edit

    edit.edit_file(trained.load(workdir, latent=True), _STROKE, target, image=_PHOTO)


def _page(folder: str) -> str:
    """Writes the page and returns its path."""
    from jgan.runs import page

    parts = []
    for part in _TRAININGS:
        grids = os.listdir(os.path.join(folder, part.name, "samples"))
        last = max(name for name in grids if name.endswith(".png") and name[:-4].isdigit())
        parts.append((part.title, part.sentence, [f"{part.name}/samples/{last}"], f"{part.name}/index.html"))
    shown = [f"{_EDIT.name}/strip.png", f"{_EDIT.name}/candidates.png"]
    parts.append((_EDIT.title, _EDIT.sentence, shown, f"{_EDIT.name}/index.html"))
    path = os.path.join(folder, "index.html")
    page.write_overview(
        path,
        title="jgan, a first look",
        lead="Trained and made on this machine, from pictures that jgan draws itself.",
        parts=parts,
    )
    return path


if __name__ == "__main__":
    launch.run(main, required=("workdir",))
