"""A folder of photos to latents of a run: projection as a program.

run = trained.load("RUN", latent=True)
project.project_files(run, "photos", "OUT", method="hybrid", starts=8)
latents = np.load("OUT/shoe.jpg.npz")["z"]
"""

import collections
from collections.abc import Callable
from collections.abc import Sequence
import contextlib
import dataclasses
import functools
import pathlib
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jgan
from jgan import frozen
from jgan import output as output_lib
from jgan import paths
from jgan import sharding
from jgan import trained
from jgan.data import check
from jgan.data import framing
from jgan.data import images as image_files
from jgan.data import outputs
from jgan.data.sources import folder
from jgan.latent import projection
from jgan.programs import archive_files
from jgan.programs import projection_files
from jgan.programs import projection_page
from jgan.runs import config as run_config

FEATURE_WEIGHT = 0.1  # of features beside the pixels
MAX_FEATURE_WEIGHT = 1e6
MAX_BATCH = 4096  # photos at once
STARTS = 4  # of each photo, where the space declares no other number
_LANES = 64  # images x starts that a device projects at once


def choose(run: trained.Run, **asked: Any) -> dict[str, Any]:
    """The method, starts and settings of a projection, for `projector` and `project_files`.

    What is not asked for is as the space of the run declares it (`system.Codes.search`), or else as `projection` has
    it, with 4 starts.

    Args:
        run: as `trained.load` gives it.
        asked: `method`, `starts` and fields of `projection.Settings`; None: not asked for.
    """
    asked = {name: value for name, value in asked.items() if value is not None}
    declared = dict(run.codes.search)
    if asked.get("optimiser", "adam") != "adam":  # a search of another kind has no schedule and no noise
        declared = {
            name: declared[name] for name in ("method", "starts", "noise_evaluations") if name in declared
        }
    chosen = {"method": "optimise", "starts": STARTS, **declared, **asked}
    method, starts = chosen.pop("method"), chosen.pop("starts")
    unused = asked.keys() - {"method"} if method == "network" else set()
    if asked.get("noise_regulariser") and asked.get("noise_evaluations"):
        raise jgan.UserError(
            f"noise_evaluations={asked['noise_evaluations']} has no effect here: with noise_regulariser="
            f"{asked['noise_regulariser']} the maps are searched for together with the styles."
        )
    if chosen.get("optimiser", projection.DEFAULT.optimiser) != "adam":
        unused |= asked.keys() & {"learning_rate"}
    if unused:
        name = min(unused)
        other = "method=hybrid" if method == "network" else "optimiser=adam"
        raise jgan.UserError(f"{name}={asked[name]} has no effect here: {other} would use it.")
    return {"method": method, "starts": starts, "settings": projection.Settings(**chosen)}


@dataclasses.dataclass(frozen=True)
class Projector:
    """The projection of batches of images by a run, compiled once.

    Attributes:
        size: height and width of the images.
        channels: of the images.
        batch: how many images a call takes at once; fewer are filled up.
        weights: the pytree that `project` takes.
        project: `(weights, images, masks, keys) -> (projections, reconstructions)` of any number of images, pure.
        bits: that integers of photos fill, as in `framing.bits`.
    """

    size: int
    channels: int
    batch: int
    weights: Any
    project: Callable[..., Any]
    bits: int = 0

    def __call__(
        self, images: np.ndarray, masks: np.ndarray, seeds: Sequence[int]
    ) -> tuple[projection.Projection, np.ndarray]:
        """(the best projection of each image, its reconstruction [n, h, w, c] in [-1, 1]).

        Args:
            images: [n, size, size, channels] in [-1, 1], n at most `batch`.
            masks: [n, size, size], 1 where an image is to be met.
            seeds: of each image's starts, so that an image's result does not depend on its neighbours.
        """
        return jax.tree.map(lambda x: x[: len(images)], jax.device_get(self.begin(images, masks, seeds)))

    def begin(
        self, images: np.ndarray, masks: np.ndarray, seeds: Sequence[int]
    ) -> tuple[projection.Projection, jax.Array]:
        """As the call, of `batch` images, still on the devices, where they may not be ready; the last one fills up."""
        n = len(images)
        fill = [*range(n), *[n - 1] * (self.batch - n)]
        keys = jax.vmap(jax.random.key)(jnp.asarray([seeds[k] for k in fill], jnp.uint32))
        return self._divided(self._placed, images[fill], masks[fill], keys)

    @functools.cached_property
    def _placed(self) -> Any:
        return sharding.on_devices(self.weights)

    @functools.cached_property
    def _divided(self) -> Callable[..., Any]:
        return self.project if self.batch % jax.local_device_count() else sharding.per_device(self.project)


def projector(
    run: trained.Run,
    *,
    method: str = "optimise",
    starts: int = 1,
    settings: projection.Settings = projection.DEFAULT,
    feature_weight: float = FEATURE_WEIGHT,
    features: frozen.Features | None = None,
    batch: int = 0,
    history: bool = False,
) -> Projector:
    """The projector of a run with a latent space.

    Args:
        run: as `trained.load` gives it.
        method: `optimise`; `network` or `hybrid`, which need a predictor that was trained; `mean`, for styles.
        starts: of each image.
        settings: of the optimisation.
        feature_weight: of the features beside the pixels; 0: pixels alone.
        features: of a net that the user brings (`jgan.features`); None: those of the run's discriminator.
        batch: images at once; 0: so many that images times starts are about 64 on each device of this process. They
            are divided over the devices if they can be.
        history: whether projections remember the course of the cost.

    Raises:
        jgan.UserError: settings that make no sense, or a method that needs a predictor and a run that has none.
    """
    projection.check(settings, method, starts)
    projection.check_space(run.space(), settings, method)
    if method in ("network", "hybrid") and not run.predicts:
        trained_with = ", or train with --config.predictor.steps above 0" * ("predictor" in run.config)
        raise jgan.UserError(
            f"method={method} starts from a predictor, which this run has none of: use --method=optimise{trained_with}."
        )
    if not 0 <= batch <= MAX_BATCH:
        raise jgan.UserError(
            f"batch={batch}: it must be 1 or more, {MAX_BATCH} at most, or 0 for a number that fits."
        )
    if not 0 <= feature_weight <= MAX_FEATURE_WEIGHT:
        raise jgan.UserError(
            f"feature_weight={feature_weight}: it must be 0 or more, {MAX_FEATURE_WEIGHT:g} at most."
        )
    judged = feature_weight > 0 and (features is not None or run.judges)

    def every(both: tuple[Any, Any], images: jax.Array, masks: jax.Array, keys: jax.Array) -> Any:
        weights, foreign = both
        space = run.space(weights)

        def describe(image: jax.Array) -> list[jax.Array]:
            if features is not None:
                return [x[0] for x in features.apply(foreign, image[None])]
            return [x[0] for x in run.judge(weights, image[None])["features"]]

        def one(image: jax.Array, mask: jax.Array, key: jax.Array, predicted: Any) -> Any:
            cost = projection.reconstruction(
                image,
                mask,
                describe if judged else None,
                feature_weight if judged else 0.0,
                comparable=features is not None and features.comparable,
            )
            projected = projection.project_image(
                space,
                cost,
                key,
                settings,
                method=method,
                number=starts,
                predicted=predicted,
                history=history,
                pixel_cost=projection.reconstruction(image, mask),
            )
            return projected, space.generate(projected.latent)

        predicted = run.predict(weights, images) if method in ("network", "hybrid") else None
        return jax.vmap(one, (0, 0, 0, None if predicted is None else 0))(images, masks, keys, predicted)

    config = run.config
    return Projector(
        config.data.size,
        config.data.channels[0],
        batch or max(1, _LANES // starts) * jax.local_device_count(),
        (run.weights, None if features is None else features.params),
        jax.jit(every),
        framing.bits(config.data),
    )


def view(
    photo: image_files.Picture, projects: Projector, fit: str, *, part: str = "", halves: Any = None
) -> tuple[image_files.Picture, framing.Framed]:
    """(the photo with the channels of a run, its square view), for a projection.

    Args:
        photo: as `images.load` gives it.
        projects: what it is seen by.
        fit: `letterbox` or `crop`.
        part: A or B: the photo is that half of the picture; empty: it is refused where it looks like a pair.
        halves: as in `trained.Run`.

    Raises:
        jgan.UserError: other channels, nothing to see, or a pair side by side; the sentence names the file.
    """
    height, width = photo.shape[:2]
    if part in ("A", "B"):
        photo = folder.half(photo, part, photo.name)
    elif not part and folder.is_pair(photo, halves):
        raise jgan.UserError(
            f"{photo.name} is {width} x {height} and looks like a pair side by side, of which the run was trained on "
            "halves: --part=A or B would take a half, --part=whole the picture as it is"
        )
    taken = framing.adapt(photo, projects.channels, projects.bits)
    framed = framing.fit(taken.pixels, projects.size, fit)
    if not framed.mask.any():
        raise jgan.UserError(
            f"{photo.name} has {height} x {width} pixels (height x width): of {projects.size} x {projects.size} "
            "nothing would be left, but --fit=crop would work."
        )
    return taken, framed


def project_files(
    run: trained.Run,
    images: str,
    output: str,
    *,
    method: str = "optimise",
    starts: int = 1,
    settings: projection.Settings = projection.DEFAULT,
    feature_weight: float = FEATURE_WEIGHT,
    features: frozen.Features | None = None,
    fit: str = "letterbox",
    batch: int = 0,
    seed: int = 0,
    part: str = "",
) -> int:
    """The number of photos projected from a file or folder into the folder `output`.

    Of every photo `NAME.npz`, written last, holds the latent under the name of its space, `space`, `cost`,
    `evaluations`, `reconstruction` (uint8), `step` of the run, `generator` (a digest of its weights), `square` (top,
    left, side in the photo's pixels) and `photo` (of the file's content, SHA-256); `NAME.png` is the photo with the
    reconstruction in its place. `index.html` shows photos beside reconstructions. Sub-folders stay. What is there
    already of a photo of the same content is passed over, so the same command continues.

    Args:
        run: as `trained.load` gives it, with a latent space.
        images: a picture or a folder of pictures.
        output: is made where it is missing.
        method: as in `projector`.
        starts: as in `projector`.
        settings: as in `projector`.
        feature_weight: as in `projector`.
        features: as in `projector`.
        fit: `letterbox` or `crop`, how a photo that is not square is seen.
        batch: as in `projector`.
        seed: of the starts; each photo's own also depend on its name.
        part: A or B: pictures are pairs side by side, of which that half is projected; `whole`: none is refused.

    Raises:
        jgan.UserError: nothing to project, an output made with other settings, or, after all the others are done,
            photos that could not be read.
    """
    projects = projector(
        run,
        method=method,
        starts=starts,
        settings=settings,
        feature_weight=feature_weight,
        features=features,
        batch=batch,
    )
    if fit not in framing.FITS:
        raise jgan.UserError(f"fit={fit!r} is unknown: use one of {', '.join(framing.FITS)}.")
    target = paths.of(output)
    root, files = projection_files.files(images, target)
    facts = projection_files.facts(
        run,
        method=method,
        starts=starts,
        settings=settings,
        feature_weight=feature_weight,
        features=features,
        fit=fit,
        seed=seed,
        part=part,
    )
    archive_files.refuse(target)
    outputs.check(target, root, files, "the images lie")
    outputs.make(target, root, *run_config.searched(run.config))
    projection_files.claim(target, facts)
    bad: list[str] = []
    remarks = collections.Counter()
    todo, changed = projection_files.todo(files, root, target)
    if len(todo) < len(files):
        print(f"{len(files) - len(todo)} of {len(files)} photos are projected already")
    if changed:
        print(f"{changed} of {len(files)} photos have changed since, and are projected anew")
    begun, first, done = time.perf_counter(), 0.0, 0
    waiting: list[tuple[pathlib.Path, np.ndarray, framing.Framed]] = []
    if todo:
        number = f"{len(todo)} of {len(files)} photos, {min(projects.batch, len(todo))} at once"
        print(f"projecting onto {run.space().name}: {number}", flush=True)
    # A photo counts as done when it is written: reading is quick, and a batch takes long.
    bar, passed = output_lib.progress(len(todo), unit="image"), 0
    with contextlib.closing(bar):
        for k, file in enumerate(todo):
            try:
                taken, framed = view(image_files.load(file), projects, fit, part=part, halves=run.halves)
                remarks.update(taken.remarks)
                waiting.append((file, taken.pixels, framed))
            except jgan.UserError as error:
                bad.append(str(error))
            if waiting and (len(waiting) == projects.batch or k == len(todo) - 1):
                lost = projection_files.save(run, projects, waiting, root, target, seed)
                bad += [f"{file} has no finite cost under these weights and settings" for file in lost]
                done += len(waiting) - len(lost)
                waiting = []
                bar.update(k + 1 - passed)
                passed = k + 1
                first = first or time.perf_counter() - begun
        bar.update(len(todo) - passed)
    seconds, counted = time.perf_counter() - begun - first, done - min(done, projects.batch)
    if counted > 0:
        print(f"{counted / seconds:.2f} images per second after the first batch, which compiled")
    projection_page.page(run, root, files, target, part)
    check.report(remarks, len(todo), image_files.left_out(image_files.others(images, output)))
    if bad:
        raise jgan.UserError(
            f"{len(bad)} of {len(files)} photos were not projected: {'; '.join(bad[:5])}"
            + ("; ..." if len(bad) > 5 else "")
        )
    return done
