"""Edits by a drawing: python -m launch.edit --workdir=RUN --edit=edit.json [--image=photo.jpg] --output=OUT

The photo is projected onto the run's manifold, candidates follow the strokes, and the changes of the best candidate are
applied to the photo at its own size. Without a photo the candidates begin at random. jgan/latent/document.py describes
edits. With one of these the latent is changed first, and without --edit nothing else is done:

    --directions=FILE --direction=NAME --amount=2   along a direction of launch.directions
    --morph=OTHER.npz --amount=0.5                  towards another latent
    --mix=OTHER.npz --rows=coarse                   rows of styles from another one
    --transfer=WITHOUT.npz,WITH.npz --amount=1      what changes from one to the other: an expression
    --truncate=0.7                                  towards the mean style

Such files are written by launch.project, and by this program (latents.npz); --latent=NAME.npz begins at one of them.

An edit with a recipe is one of Image2StyleGAN++'s, in a space with maps of noise: crossover, inpaint, scribble,
local_style or attributes, of which crossover, local_style and attributes take something of a second photo:

    --space=w_plus_noise --edit=inpaint.json --image=A.jpg
    --space=w_plus_noise --edit=crossover.json --image=A.jpg --second=B.jpg

It leaves the picture that the generator shows (picture.png) and its latent, which a further edit may begin at.
"""

from typing import Any

from absl import flags

import jgan
import launch
from launch import control_flags
from launch import feature_flags
from launch import latent_flags
from launch import projection_flags
from launch import shared_flags

_WORKDIR = flags.DEFINE_string("workdir", "", "directory of the run")
_EDIT = flags.DEFINE_string("edit", "", "file of the edit, drawn on the photo at any scale or on a square")
_IMAGE = flags.DEFINE_string("image", "", "the photo; without one the edit begins at random codes")
_SECOND = flags.DEFINE_string("second", "", "the second photo, for an edit with a recipe of two photos")
_OUTPUT = flags.DEFINE_string(
    "output", "", "folder for candidates, the film of their way and the edited photo"
)
_CANDIDATES = flags.DEFINE_integer("candidates", 16, "number of codes that follow the strokes")
_ITERATIONS = flags.DEFINE_integer("iterations", 100, "steps of all candidates")
_TOP_K = flags.DEFINE_integer("top_k", 9, "the largest number of candidates that are kept")
_FRAMES = flags.DEFINE_integer(
    "frames", 8, "frames on the way to the best candidate, which the photo follows"
)
_DIRECTIONS = flags.DEFINE_string("directions", "", "file of directions, of which one is followed")
_DIRECTION = flags.DEFINE_string("direction", "", "name of the direction; empty: the only one of the file")
_ROWS = flags.DEFINE_string(
    "rows", "", "rows of styles that --mix takes or --directions move, such as 0-3, coarse, middle or fine"
)
_AMOUNT = flags.DEFINE_float("amount", 1.0, "how far along the direction; below 0 the other way")
_LATENT = flags.DEFINE_string("latent", "", "file of a latent at which the edit begins, such as NAME.npz")
_MORPH = flags.DEFINE_string("morph", "", "file of a latent towards which to go by --amount, 0 to 1")
_MIX = flags.DEFINE_string("mix", "", "file of a latent from which --rows of styles are taken")
_TRANSFER = flags.DEFINE_list("transfer", [], "two files of latents, without and with an expression")
_THRESHOLD = flags.DEFINE_float(
    "threshold", 0.0, "rows of --transfer that are shorter than this share of the longest one do not count"
)
_TRUNCATE = flags.DEFINE_float("truncate", None, "1: as it was, 0: the mean style, between: less unusual")
_REALISM = flags.DEFINE_float("realism", None, "weight of the discriminator, instead of the one in the edit")
_METHOD = flags.DEFINE_enum(
    "method",
    "",
    ["", "optimise", "network", "hybrid", "mean"],
    "of the photo's projection; empty: hybrid where the run has a predictor, and mean for styles",
)
flags.adopt_module_key_flags(shared_flags)
flags.adopt_module_key_flags(control_flags)
flags.adopt_module_key_flags(latent_flags)
flags.adopt_module_key_flags(projection_flags)


def main() -> None:
    feature_flags.check()
    changes = {
        "directions": _DIRECTIONS.value,
        "morph": _MORPH.value,
        "mix": _MIX.value,
        "transfer": _TRANSFER.value,
        "truncate": _TRUNCATE.value is not None,
    }
    asked = [name for name, value in changes.items() if value]
    if not _EDIT.value and not asked:
        raise jgan.UserError(
            f"nothing is to be done: --edit, or one of --{', --'.join(changes)} must be given."
        )
    if len(asked) > 1:
        raise jgan.UserError(
            f"--{' and --'.join(asked)} are one change each: the second could begin at what the first left, by "
            "--latent=OUT/latents.npz."
        )
    needs = (
        (_ROWS, ("directions", "mix")),
        (_THRESHOLD, ("transfer",)),
        (_DIRECTION, ("directions",)),
        (_AMOUNT, ("directions", "morph", "transfer")),
    )
    projected = bool(_IMAGE.value) and not _LATENT.value
    searching = [
        (flag, projected, "--image (and no --latent)") for flag in (_METHOD, *projection_flags.SEARCH)
    ]
    launch.goes_with(
        *((flag, bool(set(of) & set(asked)), f"--{' or --'.join(of)}") for flag, of in needs),
        *(
            (flag, bool(_EDIT.value), "--edit")
            for flag in (_CANDIDATES, _ITERATIONS, _TOP_K, _REALISM, _SECOND)
        ),
        *((flag, bool(_IMAGE.value), "--image") for flag in (projection_flags.PART, projection_flags.FIT)),
        # A recipe may begin at a latent and search: what an edit has is known when it is read.
        *(searching if not (_EDIT.value and _IMAGE.value) else ()),
    )
    from jgan import trained
    from jgan.latent import document
    from jgan.programs import controls
    from jgan.programs import edit
    from jgan.programs import operations
    from jgan.runs import config as run_config

    run = trained.load(_WORKDIR.value, run_config.parse_step(shared_flags.STEP.value), latent=True)
    run = controls.under(run.within(latent_flags.SPACE.value), control_flags.SET.value)
    drawn = document.read(_EDIT.value, run.space().name) if _EDIT.value else None
    if drawn is not None and drawn.recipe:
        _carry_out(run, drawn, asked)
        return
    launch.goes_with((_SECOND, False, "an edit with a recipe of two photos"), *searching)
    change = None
    if _DIRECTIONS.value:
        change = operations.direction(run, _DIRECTIONS.value, _DIRECTION.value, _AMOUNT.value, _ROWS.value)
    elif _MORPH.value:
        change = operations.morph(run, _MORPH.value, _AMOUNT.value)
    elif _MIX.value:
        change = operations.mix(run, _MIX.value, _ROWS.value)
    elif _TRANSFER.value:
        change = operations.transfer(run, _TRANSFER.value, _AMOUNT.value, _THRESHOLD.value)
    elif _TRUNCATE.value is not None:
        change = operations.truncate(run, _TRUNCATE.value)
    method = _METHOD.value or ("hybrid" if run.predicts else None)
    chosen = projection_flags.choice(run, method=method)
    edit.edit_file(
        run,
        _EDIT.value,
        _OUTPUT.value,
        image=_IMAGE.value,
        method=chosen["method"],
        starts=chosen["starts"],
        projection=chosen["settings"],
        feature_weight=projection_flags.FEATURE_WEIGHT.value,
        features=feature_flags.features(run),
        fit=projection_flags.FIT.value,
        part=projection_flags.PART.value,
        settings=edit.Settings(
            candidates=_CANDIDATES.value,
            iterations=_ITERATIONS.value,
            top_k=_TOP_K.value,
            frames=_FRAMES.value,
        ),
        realism=_REALISM.value,
        operation=change,
        latent=_LATENT.value,
        seed=shared_flags.SEED.value,
    )


def _carry_out(run: Any, drawn: Any, asked: list[str]) -> None:
    """Carries out an edit with a recipe, after a check of the flags that such an edit has no use for."""
    from jgan.latent import document
    from jgan.programs import recipes

    recipe, name = document.RECIPES[drawn.recipe], drawn.recipe
    if asked:
        raise jgan.UserError(
            f"--{asked[0]} and the recipe {name} are one change each: the second could begin at what the first left, "
            "by --latent=OUT/latents.npz."
        )
    following = (_CANDIDATES, _ITERATIONS, _TOP_K, _FRAMES, _REALISM)
    found = recipe.projected and (recipe.second or not _LATENT.value)  # whether a photo is projected
    by_start = (_METHOD, projection_flags.STARTS, projection_flags.NOISE_REGULARISER)
    launch.goes_with(
        *((flag, False, "an edit without a recipe") for flag in following),
        (_SECOND, recipe.second, "recipes of two photos, such as crossover,"),
        (_LATENT, recipe.projected, "an edit without a recipe, and with scribble and attributes,"),
        *((flag, found, "a recipe that projects a photo (scribble or attributes)") for flag in by_start),
        *(
            (flag, name == "attributes", "an edit without a recipe, and with attributes,")
            for flag in (feature_flags.LPIPS, feature_flags.LPIPS_VERSION)
        ),
    )
    recipes.carry_out(
        run,
        drawn,
        _OUTPUT.value,
        image=_IMAGE.value,
        second=_SECOND.value,
        latent=_LATENT.value,
        search=projection_flags.choice(run, method=_METHOD.value or None),
        feature_weight=projection_flags.FEATURE_WEIGHT.value,
        features=feature_flags.features(run),
        fit=projection_flags.FIT.value,
        seed=shared_flags.SEED.value,
        part=projection_flags.PART.value,
    )


if __name__ == "__main__":
    launch.run(
        main,
        required=("workdir", "output"),
        runs=("workdir",),
        paths=("edit", "image", "second", "directions", "latent", "morph", "mix"),
        stores=(
            *("workdir", "output", "edit", "image", "second"),
            *("directions", "latent", "morph", "mix", "transfer"),
        ),
    )
