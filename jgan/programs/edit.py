"""A drawn edit carried out by a run: candidates, the way to the best of them, and the photo itself, edited.

run = trained.load("RUN", latent=True)
edit.edit_file(run, "edit.json", "OUT", image="photo.jpg")  # without a photo: from random starts

The photo is projected (`project`), candidates around its projection follow the strokes and are ranked
(`latent.candidates`), and what happened on the way to the best one is done to the photo at its own resolution
(`latent.transfer`).
"""

from collections.abc import Callable
import dataclasses
import io
import math
import pathlib
from typing import Any
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jgan
from jgan import frozen
from jgan import output as output_lib
from jgan import paths
from jgan import pictures
from jgan import sharding
from jgan import trained
from jgan.data import framing
from jgan.data import images as image_files
from jgan.data import outputs
from jgan.latent import candidates as candidates_lib
from jgan.latent import codec
from jgan.latent import constraints
from jgan.latent import document
from jgan.latent import projection as projection_lib
from jgan.latent import raster
from jgan.ops import hog
from jgan.programs import draws
from jgan.programs import edit_page
from jgan.programs import latents as latents_lib
from jgan.programs import operations
from jgan.programs import photos
from jgan.programs import project as project_lib
from jgan.runs import config as run_config

_SECONDS = 2.0  # of an animation


class Settings(NamedTuple):
    """How an edit is searched for.

    Attributes:
        candidates: latents that follow the strokes at once.
        iterations: of all of them.
        top_k: candidates that are kept at most.
        frames: of the way to the best one.
    """

    candidates: int = 16
    iterations: int = 100
    top_k: int = 9
    frames: int = 8


DEFAULT = Settings()


class Result(NamedTuple):
    """The candidates that an edit keeps, best first.

    Attributes:
        latents: [k, ...].
        images: [k, h, w, c] in [-1, 1].
        costs: [k], of the strokes, nearness to the start not counted.
        begin: where each of them began, [k, ...]; after `Editor.begin` at a latent, that latent.
        film: [frames, h, w, c], the way from where the best one began.
    """

    latents: Any
    images: np.ndarray
    costs: np.ndarray
    begin: Any
    film: np.ndarray


@dataclasses.dataclass(frozen=True)
class Editor:
    """The candidates of a run on their way, compiled once for edits of any kind.

    Attributes:
        run: whose generator shows them.
        settings: of the search.
    """

    run: trained.Run
    settings: Settings
    weights: Any
    _begin: Callable[..., candidates_lib.State]
    _follow: Callable[..., Any]

    def begin(self, seed: int, latent: Any = None) -> candidates_lib.State:
        """The candidates before the first stroke: drawn from the prior, or around a latent that they stay near."""
        state = self._begin(self.weights, jax.random.key(seed % 2**32), latent)
        return sharding.over_devices(state, self.settings.candidates)

    def follow(
        self, state: candidates_lib.State, asked: constraints.Constraints, weights: constraints.Weights
    ) -> Result:
        """What the candidates find under constraints; realism is looked at only where it has a weight.

        Raises:
            jgan.UserError: no candidate's cost is finite.
        """
        judged = weights.realism > 0
        result, mask = jax.device_get(self._follow(self.weights, state, asked, weights, judged=judged))
        if not mask.any():
            raise jgan.UserError(
                "no candidate has a finite cost: the weights of the run or of the edit are too large."
            )
        kept = jax.tree.map(lambda x: x[mask], result[:4])
        return Result(*kept, result.film)


def editor(run: trained.Run, settings: Settings = DEFAULT) -> Editor:
    """The editor of a run with a latent space.

    Raises:
        jgan.UserError: settings that make no sense.
    """
    for name, least, most in (
        ("candidates", 1, 1024),
        ("iterations", 1, 100_000),
        ("top_k", 1, 1024),
        ("frames", 2, 1000),
    ):
        if not least <= getattr(settings, name) <= most:
            raise jgan.UserError(
                f"{name}={getattr(settings, name)}: an edit needs {least} or more, {most} at most."
            )

    def begin(weights: Any, key: jax.Array, latent: Any) -> candidates_lib.State:
        space = run.space(weights)
        if latent is None:
            return candidates_lib.start(space, key, settings.candidates)
        return candidates_lib.start_from(space, latent, key, settings.candidates)

    def follow(weights: Any, state: candidates_lib.State, asked: Any, weighed: Any, judged: bool) -> Any:
        space = run.space(weights)

        def realism_of(image: jax.Array) -> jax.Array:
            logits = run.judge(weights, image[None])["logits"]
            return sum(jnp.mean(x) for x in logits) / len(logits)

        realism, key = realism_of if judged else None, jax.random.key(0)  # of candidates that begin anew
        state, steps = candidates_lib.trace(space, state, asked, weighed, settings.iterations, realism, key)
        shown = candidates_lib.select(state, settings.top_k)
        way = candidates_lib.path(state, steps, shown.indices[0], settings.frames)
        kept = jax.tree.map(
            lambda x: x[shown.indices], (state.latents, state.images, state.cost, state.begin)
        )
        return Result(*kept, jax.vmap(space.generate)(way)), shown.mask

    weights = sharding.on_devices(run.weights)
    return Editor(run, settings, weights, jax.jit(begin), jax.jit(follow, static_argnames="judged"))


def edit_file(
    run: trained.Run,
    edit: str,
    output: str,
    *,
    image: str = "",
    method: str = "",
    starts: int = 4,
    projection: projection_lib.Settings = projection_lib.DEFAULT,
    feature_weight: float = project_lib.FEATURE_WEIGHT,
    features: frozen.Features | None = None,
    fit: str = "letterbox",
    settings: Settings = DEFAULT,
    realism: float | None = None,
    operation: operations.Operation | None = None,
    latent: str = "",
    seed: int = 0,
    part: str = "",
) -> int:
    """The number of candidates that an edit of a photo, or of random starts, left in the folder `output`.

    There are `candidates.png` (all with their costs, best first), `candidate_NN.png`, `latents.npz` (latents by the
    name of their space, `cost`, and `start`: the projection, or where each one began), `path.webp` and `path.png` (the
    way to the best one), `strip.png` (all of it in one row) and `index.html`; with a photo also `photo.png` (edited, in
    its own size, type and opacity; `photo.tiff` for one of floats) and `photo.webp` (its way there). All is checked
    before anything is written.

    Args:
        run: as `trained.load` gives it, with a latent space.
        edit: file of the edit (`latent.document`), drawn on the photo at any scale or on a square; empty, where there
            is an operation: that is all the edit.
        output: is made where it is missing.
        image: file of the photo; empty: none.
        method: of the projection, as in `project.projector`; empty: `hybrid` where the run has a predictor.
        starts: of the projection.
        projection: its settings.
        feature_weight: as in `project.projector`.
        features: as in `project.projector`.
        fit: `letterbox` or `crop`, how a photo that is not square is seen.
        settings: of the edit.
        realism: its weight, instead of the one in the edit.
        operation: a change before the strokes are followed; without a photo and a latent of the code of the first
            picture that `sample.write` draws with this seed. None: none.
        latent: file of a projection, at which the edit begins; the photo, if there is one, is not projected then.
        seed: of the starts.
        part: of the photo, as in `project.view`.

    Raises:
        jgan.UserError: a file that is missing or wrong, an edit that does not fit, settings that make no sense.
    """
    space, size = run.space(), run.config.data.size
    if not edit and operation is None:
        raise jgan.UserError("nothing is to be done: an edit, an operation or both must be given.")
    start = operations.one(run, "latent", latent) if latent else None
    drawn = _document(run, edit, realism)
    if not edit:  # one candidate, which stays where the operation leads
        settings = settings._replace(candidates=1, iterations=1, top_k=1)
    search = editor(run, settings)
    shape = (size, size, run.config.data.channels[0])
    photo = opened = framed = None
    if image:
        method = method or ("hybrid" if run.predicts else "optimise")
        projects = project_lib.projector(
            run,
            method=method,
            starts=starts,
            settings=projection,
            feature_weight=feature_weight,
            features=features,
            batch=1,
        )
        opened, framed = project_lib.view(
            image_files.load(image), projects, fit, part=part, halves=run.halves
        )
        photo = opened.pixels
        latents_lib.check_photo(latent, image, (framed.top, framed.left, framed.side))
        drawn = raster.framed(drawn, photo.shape[:2], (framed.top, framed.left, framed.side))
        # The constraints themselves are drawn below, on the projection; this one only shows whether they can be.
        if drawn.strokes:
            _check_reach(raster.draw(drawn, shape, framed.image), framed.mask, fit)
    else:
        raster.draw(drawn, shape)
    target = claim(run, output, image)
    if image and start is None:
        projected, _ = projects(framed.image[None], framed.mask[None], [seed % 2**32])
        projected = jax.tree.map(lambda x: x[0], projected)
        if not np.isfinite(projected.cost):
            raise jgan.UserError(f"{image} has no finite cost under these weights and settings.")
        print(f"projected: cost {projected.cost:.4f} after {int(projected.evaluations)} evaluations")
        start = projected.latent
    begin, way = start, None
    if operation is not None:
        start = jax.tree.map(lambda x: x[0], draws.codes(space, seed, 1)) if start is None else start
        begin, way = operations.follow(run, start, operation, settings.frames)
    state = search.begin(seed, begin)
    # Warps take their patches from the projection; of random starts only the ground is looked at, which lines lie on.
    current = np.asarray(jnp.mean(state.images, 0) if begin is None else state.images[0])
    made = search.follow(state, raster.draw(drawn, shape, current), drawn.weights)
    if way is not None:  # to where the strokes begin, and from there on as they go
        made = made._replace(film=np.concatenate([way, made.film[1:]]) if drawn.strokes else way)
    if drawn.strokes:
        _report(made, settings.candidates)
    edited = None
    if image:
        edited, moving = photos.carry(photo, made.film, fit)
        print(f"transferred to the photo of {photo.shape[1]} x {photo.shape[0]} pixels")
    _write(run, target, made, made.begin if start is None else start)
    if image:
        _write_photo(run, target, opened, edited, moving)
    image_files.write(target / "strip.png", edit_page.strip(drawn, made.film, photo, edited))
    edit_page.page(
        target,
        f"An edit by {run.config.system}, step {run.step}",
        drawn,
        made.film,
        [(_candidate(k), float(cost)) for k, cost in enumerate(made.costs)],
        None if framed is None else framed.image,
        _photo_name(edited) if image else "",
    )
    return len(made.costs)


def _report(made: Result, candidates: int) -> None:
    """Prints how many candidates are kept, and their costs."""
    # The order counts nearness to the start as well: the best need not be the one of least cost.
    print(
        f"{len(made.costs)} of {candidates} candidates kept: the best at cost {made.costs[0]:.4f}, "
        f"all between {np.min(made.costs):.4f} and {np.max(made.costs):.4f}"
    )


def _document(run: trained.Run, edit: str, realism: float | None) -> document.Document:
    """The edit in a file, or one without strokes where none is named, with this weight of realism."""
    name, size = run.space().name, run.config.data.size
    drawn = document.read(edit, name) if edit else document.Document(name, (size, size), ())
    drawn = document.without_recipe(drawn)
    if realism is not None:
        if not 0 <= realism <= document.MAX_WEIGHT:
            raise jgan.UserError(f"--realism={realism:g}: it must be 0 to {document.MAX_WEIGHT:g}.")
        drawn = drawn._replace(weights=drawn.weights._replace(realism=realism))
    if drawn.weights.realism > 0 and not run.judges:
        raise jgan.UserError("realism needs a discriminator, and this run keeps none: use --realism=0.")
    return drawn


def _write(run: trained.Run, target: pathlib.Path, made: Result, start: Any) -> None:
    """Writes the candidates and the way to the best of them; what an earlier edit left of a photo goes."""
    for old in ("photo.png", "photo.tiff", "photo.webp"):
        (target / old).unlink(missing_ok=True)
    _save_candidates(run, target, made, start)
    pictures.film(target / "path.webp", made.film, seconds=_SECONDS)
    image_files.write(target / "path.png", pictures.mosaic(made.film, "the way from the start"))


def _write_photo(
    run: trained.Run,
    target: pathlib.Path,
    opened: image_files.Picture,
    edited: np.ndarray,
    moving: np.ndarray,
) -> None:
    """Writes the photo as the edit has it, and the film of its way there."""
    given = framing.shrink(edited, framing.bits(run.config.data))
    image_files.write(target / _photo_name(edited), opened._replace(pixels=given))
    pictures.film(target / "photo.webp", moving, seconds=_SECONDS)


def _photo_name(edited: np.ndarray) -> str:
    return "photo.tiff" if edited.dtype == np.float32 else "photo.png"


def _check_reach(asked: constraints.Constraints, mask: np.ndarray, fit: str) -> None:
    """Refuses an edit of nothing that can be seen of the photo."""
    asked = jax.device_get(asked)
    cells = np.asarray(hog.touched(jnp.asarray(mask), mask.shape[0] // asked.edge_mask.shape[0]))
    if not np.any(asked.colour_mask * mask) and not np.any(asked.edge_mask * cells):
        raise jgan.UserError(f"the edit lies wholly beyond the part of the photo that --fit={fit} shows.")


def claim(run: trained.Run, output: str, *images: str) -> pathlib.Path:
    """The output folder, made, where none of these photos lies; empty names are of no photo."""
    target, photos = paths.of(output), [paths.of(image) for image in images if image]
    if any(target.resolve() == photo.resolve().parent for photo in photos):
        raise jgan.UserError(f"--output={output} is where the photo lies: name another folder.")
    return outputs.make(target, *(photo.parent for photo in photos), *run_config.searched(run.config))


def _save_candidates(run: trained.Run, target: pathlib.Path, made: Result, start: Any) -> None:
    """Writes the candidates, one by one, together, and as latents."""
    for old in target.glob("candidate_[0-9][0-9]*.png"):  # of an earlier edit that kept more
        old.unlink()
    for k, picture in enumerate(made.images):
        image_files.write(target / _candidate(k), pictures.show(picture))
    columns = math.ceil(math.sqrt(len(made.images)))
    titled = [
        (pictures.show(x), f"{k:02d}: {c:.4f}")
        for k, (x, c) in enumerate(zip(made.images, made.costs, strict=True))
    ]
    blank = np.full_like(titled[0][0], 255)
    titled += [(blank, "")] * (-len(titled) % columns)
    rows = [titled[k : k + columns] for k in range(0, len(titled), columns)]
    grids = [pictures.grid([[x for x, _ in row]], [title for _, title in row]) for row in rows]
    image_files.write(target / "candidates.png", np.concatenate(grids))
    save_latents(run, target, made.latents, made.costs, start)


def save_latents(run: trained.Run, target: pathlib.Path, latents: Any, costs: Any, start: Any) -> None:
    """Writes `latents.npz`: latents [k, ...] by the name of their space, `cost` [k], and `start`, where they began."""
    space = run.space().name
    arrays = codec.arrays(space, latents) | codec.arrays("start", start)
    buffer = io.BytesIO()
    np.savez(
        buffer,
        **arrays,
        space=np.array(space),
        cost=costs,
        step=np.array(run.step),
        generator=np.array(run.digest),
    )
    output_lib.replace(target / "latents.npz", buffer.getvalue())


def _candidate(k: int) -> str:
    return f"candidate_{k:02d}.png"
