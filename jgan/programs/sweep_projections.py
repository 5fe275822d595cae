"""Sweeps of projections: the same photos by one run, each variant with other flags of launch.project.

A projection of a sweep is one like any other, in DIR/VARIANT/seedN. It is finished if all photos are projected in their
present content and the page of them is written, and otherwise continues with those that are not.
"""

from collections.abc import Mapping
from collections.abc import Sequence
import json
import os
import pathlib
import sys
from typing import Any
from typing import NamedTuple

import numpy as np

import jgan
from jgan import fields
from jgan import paths
from jgan import sweeps
from jgan.data import framing
from jgan.data import images as image_files
from jgan.programs import projection_files
from jgan.programs import sweep as sweep_lib
from jgan.programs import sweep_file
from jgan.runs import config as run_config

# Flags of the search, which a method without one refuses.
_SEARCH = {
    *("starts", "optimiser", "evaluations", "learning_rate", "style_noise"),
    *("noise_evaluations", "noise_regulariser", "p_norm"),
}


class Job(NamedTuple):
    """One projection of a sweep. It has what a `sweep.Job` has.

    Attributes:
        name: VARIANT/seedN.
        workdir: the folder of latents and pictures.
        overrides: what differs from the other projections.
        run: the directory of the run that photos are projected by.
        images: a picture or a folder of pictures.
        flags: of launch.project.
    """

    name: str
    workdir: str
    overrides: Mapping[str, Any]
    run: str
    images: str
    flags: tuple[str, ...]

    log = "project.log"
    unit = "photo"

    def command(self, python: str = sys.executable) -> list[str]:
        """The command line of the projection."""
        return [python, "-m", "launch.project", *self.flags]

    @property
    def step(self) -> int:
        """How many photos are projected."""
        done, _ = counts(self.images, self.workdir)
        return done

    @property
    def steps(self) -> int:
        """How many photos there are."""
        _, every = counts(self.images, self.workdir)
        return every

    def is_finished(self) -> bool:
        """Whether all photos are projected, by what the run is now as far as its latest step says."""
        if not os.path.exists(os.path.join(self.workdir, "index.html")):
            return False
        done, every = counts(self.images, self.workdir)
        latest = sweep_lib.progress(self.run)
        named = any(flag.startswith("--step=") for flag in self.flags)
        # launch.project itself refuses to go on if the run is another one by now.
        return done == every and (named or not latest or told(self.workdir).get("step") == latest)


def counts(images: str, workdir: str) -> tuple[int, int]:
    """(how many photos are projected in their present content, how many there are).

    Raises:
        jgan.UserError: there are no photos.
    """
    target = paths.of(workdir)
    root, files = projection_files.files(images, target)
    todo, _ = projection_files.todo(files, root, target)
    return len(files) - len(todo), len(files)


def told(workdir: str) -> dict[str, Any]:
    """What launch.project has noted of a folder of projections; {} if it is none."""
    try:
        with paths.of(os.path.join(workdir, "projection.json")).open(encoding="utf-8") as file:
            found = json.load(file)
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError):
        return {}


def expand(
    sweep: sweeps.Sweep, workdir: str, *, seeds: int, given: Sequence[str], images: str = ""
) -> list[Job]:
    """The projections of a sweep. The method `network`, which searches nothing, gets no flags of the search.

    Args:
        sweep: as `sweep.read` gives it, with the run as its config.
        workdir: directory of the sweep.
        seeds: how many of each variant.
        given: flags `--NAME=VALUE` for all projections, which override the sweep's `base`.
        images: a picture or a folder of pictures; empty: those that `write` takes from the run's own data.

    Raises:
        jgan.UserError: no run, no photos, or a flag that the sweep itself varies.
    """
    run_config.read(sweep.config)
    if images:
        projection_files.files(images, pathlib.Path(workdir))
    chosen = {_name(flag): flag for flag in given}
    varied = {name for _, overrides in sweep.variants for name in overrides} | {"seed"}
    for name in varied & chosen.keys():
        raise jgan.UserError(f"{chosen[name]}: the sweep itself sets {name}.")
    base = {name: value for name, value in sweep.base.items() if name not in chosen}
    images = images or os.path.join(workdir, sweeps.PHOTOS)
    made = []
    for name, overrides in sweeps.seeds(sweep.variants, seeds):
        place = os.path.join(workdir, *name.split("/"))
        idle = _idle(overrides)
        own = {**{flag: value for flag, value in base.items() if flag not in idle}, **overrides}
        flags = [f"--{flag}={sweep_lib.as_flag(value)}" for flag, value in own.items()]
        flags += [flag for flag in given if _name(flag) not in idle]
        flags = [f"--workdir={sweep.config}", f"--images={images}", *flags, f"--output={place}"]
        made.append(Job(name, place, overrides, sweep.config, images, tuple(flags)))
    return made


def check(sweep: sweeps.Sweep, given: Mapping[str, Any]) -> None:
    """Refuses variants that launch.project would refuse by this run, before anything is projected.

    Args:
        sweep: with the run as its config.
        given: {flag: value} of flags for all projections.

    Raises:
        jgan.UserError: the run has no such space or no predictor, or settings make no sense; the sentence names the
            variant.
    """
    import jax

    # Of this process alone, which else would hold a GPU's memory from the projections.
    jax.config.update("jax_platforms", "cpu")
    from jgan import trained
    from jgan.programs import project

    step = run_config.parse_step(given.get("step", "latest"))
    run = trained.load(sweep.config, step, latent=True)
    for name, overrides in sweep.variants:
        idle = _idle(overrides)
        every = {**{k: x for k, x in {**sweep.base, **given}.items() if k not in idle}, **overrides}
        try:
            within = run.within(every.get("space", ""))
            asked = {flag: every[flag] for flag in every.keys() & (_SEARCH | {"method"})}
            project.projector(within, **project.choose(within, **asked))
        except jgan.UserError as error:
            raise jgan.UserError(f"variant {name}: {error}") from None


def _idle(overrides: Mapping[str, Any]) -> set[str]:
    """The flags that a variant does not get, because it searches nothing."""
    return _SEARCH if overrides.get("method") == "network" else set()


def _name(flag: str) -> str:
    return flag.removeprefix("--").partition("=")[0]


def write(
    workdir: str, text: str, sweep: sweeps.Sweep, jobs: Sequence[Job], given: Sequence[str], number: int
) -> None:
    """Writes sweep.json, and the photos where the sweep takes them from the run's own data.

    Args:
        workdir: directory of the sweep.
        text: FILE.py or FILE.py:PRESET.
        sweep: with the run as its config.
        jobs: as `expand` gives them.
        given: flags for all projections.
        number: so many photos of the run's own data; 0: the photos are a person's.

    Raises:
        jgan.UserError: the directory holds projections that were made otherwise, or the run's data cannot be read.
    """
    images, begun = jobs[0].images, bool(sweep_file.facts(workdir))
    more = {"images": images, "number": number}
    _check_unchanged(workdir, sweep, {"given": list(given), **more})
    places = [os.path.join(images, f"{k:05d}.png") for k in range(number)]
    missing = [k for k, place in enumerate(places) if not (begun and os.path.exists(place))]
    photos = held_out(sweep.config, missing) if missing else []
    sweep_file.write(workdir, text, sweep, jobs, given, **more)
    if photos:
        os.makedirs(images, exist_ok=True)
    for k, photo in zip(missing, photos, strict=True):
        image_files.write(places[k], photo)


def held_out(run: str, places: Sequence[int]) -> list[np.ndarray]:
    """Pictures of a run's validation split, the first one at place 0, as the run sees them.

    Raises:
        jgan.UserError: the data cannot be read, or have fewer pictures.
    """
    from jgan.data import pipeline  # imports grain, which takes a second

    data = run_config.read(run).data
    try:
        if "images" not in fields.KINDS[data.kind]:
            raise jgan.UserError(f"{run} was trained on data of two sides")
        examples = pipeline.evaluation(data, data.val_split, data.size)
        if len(examples) <= max(places):
            raise jgan.UserError(f"there are {len(examples)} in its validation split")
        return [framing.shrink(examples[k]["images"], framing.bits(data)) for k in places]
    except jgan.UserError as error:
        sentence = str(error).rstrip(".")
        raise jgan.UserError(
            f"{max(places) + 1} photos of the own data of {run} cannot be taken ({sentence}): --images=DIR would work."
        ) from error


def _check_unchanged(workdir: str, sweep: sweeps.Sweep, more: dict[str, Any]) -> None:
    """Refuses other projections in the place of those that are there, which do not remember their flags."""
    old = sweep_file.facts(workdir)
    if not old:
        return
    new = json.loads(json.dumps({"config": sweep.config, "base": dict(sweep.base), **more}))
    changed = [name for name, value in new.items() if old.get(name) != value]
    before = old.get("variants", {})
    changed += [
        name
        for name, overrides in sweep.variants
        if name in before and before[name] != json.loads(json.dumps(dict(overrides)))
    ]
    if changed:
        named = ", ".join(
            {"config": "run", "given": "flags", "number": "number of photos"}.get(name, name)
            for name in changed
        )
        raise jgan.UserError(f"{workdir} holds projections with another {named}: name another --workdir.")
