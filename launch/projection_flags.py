"""The flags of a projection of photos, which `launch.project` and `launch.edit` share."""

from typing import Any

from absl import flags

from launch import feature_flags

STARTS = flags.DEFINE_integer(
    "starts", None, "starts of the projection of each photo; the best is kept. 4, and 1 for styles"
)
OPTIMISER = flags.DEFINE_enum(
    "optimiser", None, ["lbfgs", "adam"], "of the latent in the projection: lbfgs, and adam for styles"
)
EVALUATIONS = flags.DEFINE_integer(
    "evaluations",
    None,
    "of the generator and its gradient in the projection, by each start: 320, and 300 for styles",
)
STYLE_NOISE = flags.DEFINE_float(
    "style_noise",
    None,
    "added to styles in the projection, as a share of their deviation, and falling to 0: 0.05 for styles",
)
NOISE_EVALUATIONS = flags.DEFINE_integer(
    "noise_evaluations", None, "of --space=w_plus_noise: for the maps of noise, after the styles: 300"
)
NOISE_REGULARISER = flags.DEFINE_float(
    "noise_regulariser",
    None,
    "weight of the autocorrelation of maps of noise that are searched for together with the styles; 1e5 as in "
    "StyleGAN2's projector. 0: not together",
)
P_NORM = flags.DEFINE_float(
    "p_norm",
    None,
    "weight of styles in P-norm coordinates, which keeps them where edits work; 0.001 as in II2S. 0: none",
)
FEATURE_WEIGHT = flags.DEFINE_float("feature_weight", 0.1, "of features beside the pixels in the projection")
PART = flags.DEFINE_enum(
    "part",
    "",
    ["", "A", "B", "whole"],
    "of a pair side by side: A, the left half, or B; whole: pictures as they are",
)
FIT = flags.DEFINE_enum("fit", "letterbox", ["letterbox", "crop"], "how a photo that is not square is seen")

flags.adopt_module_key_flags(feature_flags)

# Those that have no effect where nothing is projected.
SEARCH = (
    STARTS,
    OPTIMISER,
    EVALUATIONS,
    STYLE_NOISE,
    NOISE_EVALUATIONS,
    NOISE_REGULARISER,
    P_NORM,
    FEATURE_WEIGHT,
    feature_flags.FEATURES,
    feature_flags.LPIPS,
    feature_flags.LPIPS_VERSION,
)


def choice(run: Any, **more: Any) -> dict[str, Any]:
    """The method, starts and settings of a projection by the run, from the flags and what its space declares."""
    from jgan.programs import project

    return project.choose(
        run,
        starts=STARTS.value,
        optimiser=OPTIMISER.value,
        evaluations=EVALUATIONS.value,
        style_noise=STYLE_NOISE.value,
        noise_evaluations=NOISE_EVALUATIONS.value,
        noise_regulariser=NOISE_REGULARISER.value,
        p_norm=P_NORM.value,
        **more,
    )
