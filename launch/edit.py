"""Edits by a drawing: python -m launch.edit --workdir=RUN --edit=edit.json [--image=photo.jpg] --output=OUT

The photo is projected onto the run's manifold, candidates follow the strokes, and the changes of the best candidate are
applied to the photo at its own size. Without a photo the candidates begin at random. jgan/latent/document.py describes
edits. With --directions=FILE --direction=NAME --amount=2 the code is first moved along a direction of
launch.directions; without --edit nothing else is done.
"""

from absl import flags

import jgan
import launch
from launch import control_flags
from launch import latent_flags
from launch import projection_flags
from launch import shared_flags

_WORKDIR = flags.DEFINE_string("workdir", "", "directory of the run")
_EDIT = flags.DEFINE_string("edit", "", "file of the edit, drawn on the photo at any scale or on a square")
_IMAGE = flags.DEFINE_string("image", "", "the photo; without one the edit begins at random codes")
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
_AMOUNT = flags.DEFINE_float("amount", 1.0, "how far along the direction; below 0 the other way")
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
    if not _EDIT.value and not _DIRECTIONS.value:
        raise jgan.UserError("nothing is to be done: --edit, --directions or both must be given.")
    from jgan import trained
    from jgan.programs import controls
    from jgan.programs import edit
    from jgan.runs import config as run_config

    run = trained.load(_WORKDIR.value, run_config.parse_step(shared_flags.STEP.value), latent=True)
    run = controls.under(run.within(latent_flags.SPACE.value), control_flags.SET.value)
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
        features=projection_flags.features(run),
        fit=projection_flags.FIT.value,
        part=projection_flags.PART.value,
        settings=edit.Settings(
            candidates=_CANDIDATES.value,
            iterations=_ITERATIONS.value,
            top_k=_TOP_K.value,
            frames=_FRAMES.value,
        ),
        realism=_REALISM.value,
        directions=_DIRECTIONS.value,
        direction=_DIRECTION.value,
        amount=_AMOUNT.value,
        seed=shared_flags.SEED.value,
    )


if __name__ == "__main__":
    launch.run(
        main,
        required=("workdir", "output"),
        runs=("workdir",),
        paths=("edit", "image", "directions", "features", "lpips"),
    )
