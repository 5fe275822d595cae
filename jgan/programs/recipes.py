"""An edit by a recipe carried out by a run: crossover, inpainting, scribble, local style or attributes of photos.

run = trained.load("RUN", latent=True).within("w_plus_noise")
recipes.carry_out(run, document.read("edit.json", "w_plus_noise"), "OUT", image="photo.jpg", second="other.jpg")

The recipes are those of `latent.embedding`, and `latent.document` says what their masks mean.
"""

from collections.abc import Callable
from typing import Any
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jgan
from jgan import frozen
from jgan import pictures
from jgan import trained
from jgan.data import images as image_files
from jgan.latent import document
from jgan.latent import embedding
from jgan.latent import projection as projection_lib
from jgan.latent import raster
from jgan.metrics import images as metrics
from jgan.programs import edit
from jgan.programs import edit_page
from jgan.programs import latents as latents_lib
from jgan.programs import operations
from jgan.programs import project

_RESOLUTION = 16  # after which attributes are taken, of a generator of this size or more
_BORDER = 0.01  # of a blurred mask, below which a pixel counts as one that stays


class Given(NamedTuple):
    """What a recipe is given, as the run sees it.

    Attributes:
        first: the photo [h, w, c] in [-1, 1]; beyond its border its last pixels are repeated.
        second: the second photo, the photo with the scribble on it, or the first one where there is neither.
        mask: [h, w] float32, 1 where something changes.
        inside: [h, w] float32, 1 where the photo is and 0 beyond it.
    """

    first: np.ndarray
    second: np.ndarray
    mask: np.ndarray
    inside: np.ndarray


def program(
    run: trained.Run,
    recipe: str,
    settings: projection_lib.Settings,
    *,
    feature_weight: float = project.FEATURE_WEIGHT,
    features: frozen.Features | None = None,
    resolution: int = 0,
) -> Callable[[Given, list[Any], jax.Array], tuple[Any, Any, jax.Array]]:
    """`(given, latents, key) -> (latents [k, ...], where they began, picture [h, w, c])` of a recipe, compiled once.

    Args:
        run: within a space with maps of noise.
        recipe: one of `document.RECIPES`. That of attributes has the latents of both photos and finds none.
        settings: of its searches.
        feature_weight: of features beside the pixels.
        features: as in `project.projector`.
        resolution: after which attributes are taken.
    """
    judged = feature_weight > 0 and (features is not None or run.judges)

    def made(
        both: tuple[Any, Any], given: Given, latents: list[Any], key: jax.Array
    ) -> tuple[Any, Any, jax.Array]:
        weights, foreign = both
        space = run.space(weights)

        def describe(image: jax.Array) -> list[jax.Array]:
            if features is not None:
                return [x[0] for x in features.apply(foreign, image[None])]
            return [x[0] for x in run.judge(weights, image[None])["features"]]

        first, second, mask, inside = given
        seen = {"features": describe, "weight": feature_weight} if judged else {}
        begun = latents[0] if latents else embedding.middle(space, settings)
        match recipe:
            case "attributes":
                picture = embedding.transfer_attributes(space, *latents, mask, resolution)
                return jax.tree.map(lambda *x: jnp.stack(x), *latents), begun, picture
            case "crossover":
                found = embedding.crossover(space, first, second, 1 - mask, key, settings, **seen)
            case "inpaint":
                found = embedding.inpaint(space, first, (1 - mask) * inside, key, settings, **seen)
            case "scribble":
                found = embedding.scribble(space, first, second, mask, begun, key, settings, **seen)
            case "local_style":
                seen = {"features": describe, "weight": feature_weight}  # of which the style is made too
                found = embedding.local_style(space, first, second, 1 - mask, key, settings, **seen)
        return jax.tree.map(lambda x: x[None], found), begun, space.generate(found)

    compiled = jax.jit(made)
    foreign = None if features is None else features.params
    return lambda given, latents, key: jax.device_get(compiled((run.weights, foreign), given, latents, key))


def carry_out(
    run: trained.Run,
    drawn: document.Document,
    output: str,
    *,
    image: str,
    second: str = "",
    latent: str = "",
    search: dict[str, Any] | None = None,
    feature_weight: float = project.FEATURE_WEIGHT,
    features: frozen.Features | None = None,
    fit: str = "letterbox",
    seed: int = 0,
    part: str = "",
) -> float | None:
    """The PSNR in dB of what should stay of a photo in the picture that a recipe makes; None where nothing should.

    In the folder `output` there are `picture.png` (what the generator shows), `latents.npz` (as `edit.edit_file` writes
    it: the latent of the picture, `cost`, the mean squared difference of what should stay, and `start`, where it began;
    of attributes, whose picture has no latent of its own, the latents of both photos), `strip.png` (photos, mask and
    picture in one row) and `index.html`. All is checked before anything is written.

    Args:
        run: within a space with maps of noise.
        drawn: an edit with a recipe, drawn on the photo at any scale or on a square.
        output: is made where it is missing.
        image: file of the photo.
        second: file of the second photo, for recipes of two.
        latent: file of the photo's projection, for recipes that begin there; empty: the photo is projected.
        search: method, starts and settings as `project.choose` gives them; None: those that the space declares.
        feature_weight: as in `project.projector`.
        features: as in `project.projector`.
        fit: `letterbox` or `crop`, how photos that are not square are seen, each for itself.
        seed: of the search.
        part: of the photos, as in `project.view`.

    Raises:
        jgan.UserError: a file that is missing or wrong, a photo too few or too many, an edit that does not fit, a mask
            of nothing or of all, settings that make no sense.
    """
    resolution = _check(run, drawn, image, second, latent, features)
    search = project.choose(run) if search is None else search
    kept = [operations.one(run, "latent", latent)] if latent else []
    by = {"feature_weight": feature_weight, "features": features}
    projects = project.projector(run, **search, **by, batch=1)
    paths = [path for path in (image, second) if path]
    seen_by = {"part": part, "halves": run.halves}
    views = [project.view(image_files.load(path), projects, fit, **seen_by) for path in paths]
    (opened, view), framed = views[0], [view for _, view in views]
    square = view.top, view.left, view.side
    latents_lib.check_photo(latent, image, square)
    drawn = raster.framed(drawn, opened.shape[:2], square)
    given = _given(drawn, framed, fit)
    target, key = edit.claim(run, output, image, second), seed % 2**32
    if document.RECIPES[drawn.recipe].projected:
        for path, view in list(zip(paths, framed, strict=True))[len(kept) :]:
            found, _ = projects(view.image[None], view.mask[None], [key])
            print(f"projected {path}: cost {found.cost[0]:.4f} after {int(found.evaluations[0])} evaluations")
            kept.append(jax.tree.map(lambda x: x[0], found.latent))
    make = program(run, drawn.recipe, search["settings"], **by, resolution=resolution)
    latents, begun, picture = make(given, kept, jax.random.key(key))
    if not all(np.isfinite(x).all() for x in jax.tree.leaves((latents, picture))):
        raise jgan.UserError(f"{drawn.recipe} found no finite latent under these weights and settings.")
    stays = _stays(given, drawn.recipe)
    shown, asked = (x[stays][None] for x in (np.clip(picture, -1, 1), given.first))
    psnr = metrics.psnr(shown, asked) if stays.any() else None
    cost = np.mean(np.square(shown - asked)) if stays.any() else np.nan
    remark = "" if psnr is None else f"what should stay of the photo has a PSNR of {psnr:.1f} dB."
    print(f"{drawn.recipe}: {remark or 'done.'}")
    count = len(jax.tree.leaves(latents)[0])
    edit.save_latents(run, target, latents, np.full(count, cost, np.float32), begun)
    image_files.write(target / "picture.png", pictures.show(picture))
    mask = None if drawn.recipe == "scribble" else given.mask
    other = None if given.second is given.first else given.second
    heading = f"{drawn.recipe} by {run.config.system}, step {run.step}"
    edit_page.recipe(target, heading, given.first, other, mask, picture, remark)
    return psnr


def _check(
    run: trained.Run,
    drawn: document.Document,
    image: str,
    second: str,
    latent: str,
    features: frozen.Features | None,
) -> int:
    """Refuses what a recipe cannot be carried out with; the resolution after which attributes are taken."""
    name, recipe, size = drawn.recipe, document.RECIPES[drawn.recipe], run.config.data.size
    if run.space().rows is None:
        raise jgan.UserError(
            f"the recipe {name} needs maps of noise beside styles, and latents of {run.space().name} have none: "
            "w_plus_noise, as --space and in the edit, would work for a run of stylegan2."
        )
    if not image:
        raise jgan.UserError(f"the recipe {name} is of a photo: --image must be given.")
    if recipe.second and not second:
        raise jgan.UserError(f"the recipe {name} is of two photos: --second must be given.")
    if second and not recipe.second:
        raise jgan.UserError(f"the recipe {name} is of one photo: --second has no effect.")
    if latent and not recipe.projected:
        raise jgan.UserError(f"the recipe {name} begins at the mean style: --latent has no effect.")
    if name == "local_style" and features is None and not run.judges:
        raise jgan.UserError(
            "the recipe local_style is of activations, and the run keeps no discriminator: --features would name a net."
        )
    resolution = drawn.resolution or min(_RESOLUTION, size)
    if resolution > size:
        raise jgan.UserError(
            f"the edit's resolution is {resolution}: the generator has activations at 4, 8, ... or {size} pixels."
        )
    return resolution


def _given(drawn: document.Document, framed: list[Any], fit: str) -> Given:
    """What a recipe is given, of an edit on the square that the run sees, and of one photo or two."""
    first, inside = framed[0].image, framed[0].mask
    if drawn.recipe == "scribble":
        asked = jax.device_get(raster.draw(drawn, first.shape, first))
        mask, second = asked.colour_mask, np.where(asked.colour_mask[..., None] > 0, asked.colour, first)
    else:
        mask, second = raster.mask(drawn, inside.shape).astype(np.float32), framed[-1].image
    if not np.any(mask * inside):
        raise jgan.UserError(
            f"the mask is empty where --fit={fit} shows the photo: paint what should change."
        )
    if drawn.recipe != "attributes" and not np.any((1 - mask) * inside):
        raise jgan.UserError(f"the mask covers the whole photo: of {drawn.recipe} a part has to stay.")
    return Given(first, second, mask, inside)


def _stays(given: Given, recipe: str) -> np.ndarray:
    """Where the picture should be the photo [h, w]: outside of the mask and, if there is more, of its soft border."""
    beside = (given.mask == 0) & (given.inside > 0)
    if recipe == "inpaint":  # its mask is not blurred
        return beside
    far = beside & (np.asarray(jax.jit(embedding.blurred)(given.mask)) < _BORDER)
    return far if far.any() else beside
