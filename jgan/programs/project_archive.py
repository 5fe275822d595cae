"""Very many photos to latents of a run: the projection as an archive.

run = trained.load("RUN", latent=True)
project_archive.project(run, "photos", "OUT", way=archive.Way(share=(0, 2)), **project.choose(run))
latents = np.load("OUT/shard-00000.npz")["z"]
"""

from typing import Any

import jax
import numpy as np

import jgan
from jgan import frozen
from jgan import trained
from jgan.data import framing
from jgan.data import images as image_files
from jgan.data import inputs as inputs_lib
from jgan.data import outputs
from jgan.latent import codec
from jgan.latent import projection
from jgan.ops import pixels
from jgan.programs import archive
from jgan.programs import archive_files
from jgan.programs import project as project_lib
from jgan.programs import projection_files
from jgan.runs import config as run_config


def project(
    run: trained.Run,
    images: str,
    output: str,
    *,
    method: str = "optimise",
    starts: int = 1,
    settings: projection.Settings = projection.DEFAULT,
    feature_weight: float = project_lib.FEATURE_WEIGHT,
    features: frozen.Features | None = None,
    fit: str = "letterbox",
    batch: int = 0,
    seed: int = 0,
    part: str = "",
    reconstructions: bool = False,
    way: archive.Way = archive.ALONE,
) -> int:
    """The number of photos projected into the archive `output`, which is whole then.

    A shard holds, of each of its photos, the latent under the name of its space, `cost`, `evaluations` and `square`
    (top, left, side in the photo's pixels), and of all `space`, `step` of the run and `generator` (a digest of its
    weights).

    Args:
        run: as `trained.load` gives it, with a latent space.
        images: as `inputs.open` takes it.
        output: is made where it is missing.
        method: this and what follows as in `project.project_files`.
        starts: of each photo.
        settings: of the search.
        feature_weight: of the features beside the pixels.
        features: of a net that the user brings.
        fit: `letterbox` or `crop`.
        batch: photos at once; brought to a multiple of the devices.
        seed: of the starts; each photo's own also depend on its name.
        part: of pairs side by side.
        reconstructions: whether the shards hold the images of the latents too, as PNG below `pictures/` (.npy for
            more than four channels).
        way: how the archive is worked on.

    Raises:
        jgan.UserError: nothing to project, an output made with other settings, or, after all the others are done,
            photos that have no result.
    """
    if fit not in framing.FITS:
        raise jgan.UserError(f"fit={fit!r} is unknown: use one of {', '.join(framing.FITS)}.")
    devices = jax.local_device_count()
    search = {
        "method": method,
        "starts": starts,
        "settings": settings,
        "feature_weight": feature_weight,
        "features": features,
    }
    projects = project_lib.projector(run, **search, batch=-(-batch // devices) * devices)
    inputs = inputs_lib.open(images, "images", output)
    facts = projection_files.facts(run, **search, fit=fit, seed=seed, part=part)
    outputs.check(output, inputs.root, [], "the images lie")
    folder = outputs.make(output, inputs.root, *run_config.searched(run.config))
    print(
        f"projecting onto {run.space().name}: {len(inputs.names)} photos, {projects.batch} at once on {devices} "
        f"device{'s' * (devices > 1)}",
        flush=True,
    )
    job = _job(run, projects, fit, seed, part, reconstructions)
    facts = {"program": "project", **facts, **({"reconstructions": True} if reconstructions else {})}
    return archive.make(folder, job, facts, inputs.names, inputs, way)


def _job(
    run: trained.Run, projects: project_lib.Projector, fit: str, seed: int, part: str, reconstructions: bool
) -> archive.Job:
    space = run.space().name

    def read(name: str, data: bytes) -> archive.Item:
        photo = image_files.parse(data, name, arrays=True)
        taken, framed = project_lib.view(photo, projects, fit, part=part, halves=run.halves)
        return archive.Item(framed, remarks=taken.remarks)

    def make(names: list[str], views: list[framing.Framed]) -> Any:
        images, masks = np.stack([view.image for view in views]), np.stack([view.mask for view in views])
        seeds = [projection_files.seed(seed, name) for name in names]
        projected, made = projects.begin(images, masks, seeds)
        return projected._replace(history=()), made if reconstructions else ()

    def finish(name: str, view: framing.Framed, row: Any) -> dict[str, np.ndarray | bytes]:
        projected, made = row
        if not np.isfinite(projected.cost):
            raise jgan.UserError(f"{name} has no finite cost under these weights and settings")
        values = {
            **codec.arrays(space, projected.latent),
            "cost": np.asarray(projected.cost),
            "evaluations": np.asarray(projected.evaluations),
            "square": np.array([view.top, view.left, view.side]),
        }
        if reconstructions:
            shown = archive_files.place(f"{name}{'.png' if made.shape[-1] <= 4 else '.npy'}")
            values[shown] = image_files.encode(shown, np.asarray(pixels.from_float(made, np.uint8)))
        return values

    constants = {"space": space, "step": run.step, "generator": run.digest}
    return archive.Job(lambda group: projects.batch, read, make, finish, constants)
