"""What a report says of a sweep of projections: how near each variant comes to the same photos."""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import os
from typing import Any

import jax
import numpy as np

import jgan
from jgan import frozen
from jgan import output
from jgan import paths
from jgan import trained
from jgan.data import framing
from jgan.data import images as image_files
from jgan.data.sources import folder
from jgan.latent import costs
from jgan.metrics import images as metrics
from jgan.programs import controls
from jgan.programs import project
from jgan.programs import projection_files
from jgan.programs import report_scores
from jgan.programs import report_table
from jgan.programs import sweep_projections

_Cost = Callable[[np.ndarray, np.ndarray, np.ndarray], float]


def found(workdir: str, facts: Mapping[str, Any]) -> tuple[list[report_table.Place], list[str]]:
    """(the finished projections of a sweep in the order of its variants, names of those that are not finished).

    Raises:
        jgan.UserError: no finished projection, a training among them, photos that are not there, or projections by
            several runs.
    """
    places, missing = [], []
    for name in facts["runs"]:
        path = os.path.join(workdir, *name.split("/"))
        if paths.exists(os.path.join(path, "config.json")):
            raise jgan.UserError(f"{path} is a training in a sweep of projections: a table is of one kind.")
        done, every = sweep_projections.counts(facts["images"], path)
        if done < every:
            missing.append(name)
            continue
        variant, seed = name.split("/")
        places.append(report_table.Place(variant, int(seed.removeprefix("seed")), path))
    if not places:
        raise jgan.UserError(
            f"{workdir} holds no finished projection: {', '.join(missing[:5])} is not finished; launch.sweep goes on."
        )
    told = {place.workdir: sweep_projections.told(place.workdir).get("weights") for place in places}
    first = places[0].workdir
    for path, weights in told.items():
        if weights != told[first]:
            raise jgan.UserError(f"{first} and {path} are of two generators: a table is of one.")
    return places, missing


def results(
    places: Sequence[report_table.Place],
    facts: Mapping[str, Any],
    features: Callable[[trained.Run], frozen.Features | None] | None = None,
) -> tuple[dict[report_table.Place, report_table.Result], list[str]]:
    """(the scores of all projections, photo by photo, sentences on how they were measured).

    l1, psnr and ssim are of the square that the generator sees, where the photo is. cost is that of launch.project with
    the run's discriminator, of all reconstructions alike: the costs that were searched with differ between spaces.

    Args:
        places: as `found` gives them.
        facts: of the sweep.
        features: `run -> those of LPIPS`; None: no LPIPS.

    Raises:
        jgan.UserError: the run or a photo cannot be read, or the run is another one by now.
    """
    told = sweep_projections.told(places[0].workdir)
    run = trained.load(facts["config"], told["step"], latent=True)
    if run.digest != told["weights"]:
        raise jgan.UserError(
            f"{facts['config']} is another generator by now than that of {places[0].workdir}."
        )
    sets = [flag.removeprefix("--set=") for flag in facts["given"] if flag.startswith("--set=")]
    cost = _cost(controls.under(run, sets))
    net = features(run) if features else None
    lpips = frozen.lpips(net) if net else None
    made = {
        place: _result(place, facts["images"], framing.bits(run.config.data), cost, lpips)
        for place in output.progress_over(places, unit="projection")
    }
    notes = [
        "l1, psnr and ssim: of the photos as the generator sees them. "
        f"cost: pixels{f' and {project.FEATURE_WEIGHT:g} of the features of the discriminator' * run.judges}, as "
        "launch.project has it by default, of all reconstructions alike. "
        "evaluations: of the generator and its gradient, for one photo, over all starts."
    ]
    return made, notes + ([f"lpips: {net.name}."] if net else [])


def _cost(run: trained.Run) -> _Cost:
    """The cost of a reconstruction beside a photo [h, w, c] under a mask [h, w]."""

    @jax.jit
    def value(weights: Any, photo: jax.Array, mask: jax.Array, made: jax.Array) -> jax.Array:
        def describe(image: jax.Array) -> list[jax.Array]:
            return [x[0] for x in run.judge(weights, image[None])["features"]]

        judged = run.judges
        weight = project.FEATURE_WEIGHT if judged else 0.0
        return costs.reconstruction(photo, mask, describe if judged else None, weight)(made)

    return lambda photo, mask, made: float(value(run.weights, photo, mask, made))


def _result(
    place: report_table.Place, images: str, bits: int, cost: _Cost, lpips: Any
) -> report_table.Result:
    """The scores of one projection."""
    target = paths.of(place.workdir)
    told = sweep_projections.told(place.workdir)
    root, files = projection_files.files(images, target)
    names, scored, rows = [], [], []
    for file in files:
        name = str(file.relative_to(root))
        with (target / f"{name}.npz").open("rb") as npz, np.load(npz, allow_pickle=False) as saved:
            made, evaluations = saved["reconstruction"], int(saved["evaluations"])
        photo = image_files.load(file)
        photo = folder.half(photo, told["part"], name) if told.get("part") in ("A", "B") else photo
        photo = framing.adapt(photo, made.shape[-1], bits).pixels
        framed = framing.fit(photo, made.shape[0], told["fit"])
        made = image_files.convert(made, np.float32)
        rows.append([framed.image, None, made])
        names.append(name)
        values = _values(made, framed) | {"cost": cost(framed.image, framed.mask, made)}
        if lpips:
            seen = np.where(framed.mask[..., None] > 0, made, framed.image)
            values["lpips"] = float(lpips(seen[None], framed.image[None])[0])
        scored.append(values | {"evaluations": float(evaluations)})
    # A score that not every photo has would be a mean over others.
    shared = [score for score in scored[0] if all(score in values for values in scored)]
    table = {score: np.array([values[score] for values in scored]) for score in shared}
    return report_table.Result(tuple(names), table, {}, rows[: report_scores.ROWS])


def _values(made: np.ndarray, framed: framing.Framed) -> dict[str, float]:
    """l1, psnr and, where the photo is wide enough, ssim, of the part of the square where the photo is."""
    rows, columns = framed.mask.any(1), framed.mask.any(0)
    pair = made[rows][:, columns], framed.image[rows][:, columns]
    values = {"l1": metrics.l1(*pair), "psnr": metrics.psnr(*pair)}
    if min(pair[0].shape[:2]) >= metrics.WINDOW.size:
        values["ssim"] = metrics.ssim(*pair)
    return values
