"""The flags of a net of features and of LPIPS, which programs that compare photos share."""

from typing import Any

from absl import flags

import jgan

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
