"""Projects photos onto a run's manifold: python -m launch.project --workdir=RUN --images=DIR --output=OUT

For every photo a latent (NAME.npz), a picture (NAME.png), and a page of all (index.html). The same command continues.
"""

from absl import flags

import launch

_WORKDIR = flags.DEFINE_string("workdir", "", "directory of the run")
_IMAGES = flags.DEFINE_string("images", "", "a picture, or a folder of pictures")
_OUTPUT = flags.DEFINE_string("output", "", "folder for latents and pictures")
_METHOD = flags.DEFINE_enum(
    "method",
    "optimise",
    ["optimise", "network", "hybrid"],
    "from random starts, by the run's predictor, or from what it predicts",
)
_STARTS = flags.DEFINE_integer("starts", 4, "starts for each photo; the best is kept")
_OPTIMISER = flags.DEFINE_enum("optimiser", "lbfgs", ["lbfgs", "adam"], "of the latent")
_EVALUATIONS = flags.DEFINE_integer("evaluations", 320, "of the generator and its gradient, by each start")
_LEARNING_RATE = flags.DEFINE_float("learning_rate", 0.1, "of Adam")
_WEIGHT = flags.DEFINE_float("feature_weight", 0.1, "of features beside the pixels")
_FEATURES = flags.DEFINE_string(
    "features",
    "",
    "file of AlexNet's or VGG-16's weights, .pth or .safetensors; empty: the run's discriminator",
)
_PART = flags.DEFINE_enum(
    "part",
    "",
    ["", "A", "B", "whole"],
    "of a pair side by side: A, the left half, or B; whole: pictures as they are",
)
_FIT = flags.DEFINE_enum("fit", "letterbox", ["letterbox", "crop"], "how a photo that is not square is seen")
_BATCH = flags.DEFINE_integer("batch", 0, "photos at once; 0: as fits")
_SEED = flags.DEFINE_integer("seed", 0, "of the starts")
_STEP = flags.DEFINE_string("step", "latest", "checkpoint: latest, best or a number")


def main() -> None:
    from jgan import frozen
    from jgan import trained
    from jgan.latent import projection
    from jgan.programs import project as project_lib
    from jgan.runs import config as run_config

    run = trained.load(_WORKDIR.value, run_config.parse_step(_STEP.value), latent=True)
    project_lib.project_files(
        run,
        _IMAGES.value,
        _OUTPUT.value,
        method=_METHOD.value,
        starts=_STARTS.value,
        settings=projection.Settings(
            optimiser=_OPTIMISER.value,
            evaluations=_EVALUATIONS.value,
            learning_rate=_LEARNING_RATE.value,
        ),
        feature_weight=_WEIGHT.value,
        features=frozen.load(_FEATURES.value, run.config.data.channels[0]) if _FEATURES.value else None,
        fit=_FIT.value,
        part=_PART.value,
        batch=_BATCH.value,
        seed=_SEED.value,
    )


if __name__ == "__main__":
    launch.run(
        main, required=("workdir", "images", "output"), runs=("workdir",), paths=("images", "features")
    )
