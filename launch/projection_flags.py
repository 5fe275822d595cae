"""The flags of a projection of photos, which `launch.project` and `launch.edit` share."""

from typing import Any

from absl import flags

STARTS = flags.DEFINE_integer("starts", 4, "starts of the projection of each photo; the best is kept")
OPTIMISER = flags.DEFINE_enum("optimiser", "lbfgs", ["lbfgs", "adam"], "of the latent in the projection")
EVALUATIONS = flags.DEFINE_integer(
    "evaluations", 320, "of the generator and its gradient in the projection, by each start"
)
FEATURE_WEIGHT = flags.DEFINE_float("feature_weight", 0.1, "of features beside the pixels in the projection")
FEATURES = flags.DEFINE_string(
    "features",
    "",
    "file of AlexNet's or VGG-16's weights, .pth or .safetensors; empty: the run's discriminator",
)
PART = flags.DEFINE_enum(
    "part",
    "",
    ["", "A", "B", "whole"],
    "of a pair side by side: A, the left half, or B; whole: pictures as they are",
)
FIT = flags.DEFINE_enum("fit", "letterbox", ["letterbox", "crop"], "how a photo that is not square is seen")


def features(run: Any) -> Any:
    """The net that the flag names, for photos of the run; None without one."""
    from jgan import frozen

    return frozen.load(FEATURES.value, run.config.data.channels[0]) if FEATURES.value else None
