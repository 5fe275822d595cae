"""The flags of a projection of photos, which `launch.project` and `launch.edit` share."""

from typing import Any

from absl import flags

import jgan

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
FEATURES = flags.DEFINE_string(
    "features",
    "",
    "file of the weights of AlexNet, VGG-16 or VGG-19, .pth or .safetensors; empty: the run's discriminator",
)
LPIPS = flags.DEFINE_string(
    "lpips", "", "file of LPIPS' own weights for the net of --features, by which its activations are compared"
)
LPIPS_VERSION = flags.DEFINE_enum(
    "lpips_version", "0.1", ["0.1", "0.0"], "of --lpips: 0.0 had images that are not normalised for the net"
)
PART = flags.DEFINE_enum(
    "part",
    "",
    ["", "A", "B", "whole"],
    "of a pair side by side: A, the left half, or B; whole: pictures as they are",
)
FIT = flags.DEFINE_enum("fit", "letterbox", ["letterbox", "crop"], "how a photo that is not square is seen")

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
    FEATURES,
    LPIPS,
    LPIPS_VERSION,
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


def check() -> None:
    """Refuses files that are missing before anything slow is imported; sentences name the public ones.

    Raises:
        jgan.UserError: a file is missing, or the version of no LPIPS is given.
    """
    from jgan.weights import published

    if LPIPS_VERSION.present and not LPIPS.value:
        raise jgan.UserError("--lpips_version goes with --lpips alone.")
    if FEATURES.value:
        published.demand(FEATURES.value, published.NETS)
    if LPIPS.value:
        published.demand(LPIPS.value, [f"lpips {LPIPS_VERSION.value} {net}" for net in ("alexnet", "vgg16")])


def features(run: Any) -> Any:
    """The net that the flags name, for photos of the run; None without one."""
    if LPIPS.value and not FEATURES.value:
        raise jgan.UserError(
            f"--lpips={LPIPS.value} weighs the activations of a net: --features must name its file as well."
        )
    from jgan import frozen

    channels = run.config.data.channels[0]
    if LPIPS.value:
        return frozen.load_lpips(FEATURES.value, LPIPS.value, channels, LPIPS_VERSION.value)
    return frozen.load(FEATURES.value, channels) if FEATURES.value else None
