"""Aerial photos and maps of 256 pixels, learnt from crops: what takes the place of the paper's nets at the same cost.

    python -m launch.sweep --sweep=configs/sweeps/pix2pix_maps64.py --config.data.root=DIR --workdir=DIR

The reference `paper` has the nets of pix2pix for 64 pixels: a U-Net that has a bottleneck of one pixel for crops of 64
pixels, and of sixteen for a picture of 256. `maps64` is the preset of that name, and the others have one thing changed
in it. Presets: none, `paper` and `maps64` alone; `short`, all of them with a sixth of all steps.
"""

from typing import Any

from configs.sweeps import common
from jgan import sweeps

# The preset as it was when this sweep was made, whatever it has become since.
PAPER: dict[str, Any] = {
    "steps": 3_000,
    "batch_size": 4,
    "data.size": 64,
    "generator.name": "unet_64",
    "sample_every": 500,
    "validate_every": 1_000,
    "save_every": 1_000,
}

# A shallow, narrow net without norms, on crops of as many pixels. It has no difference between a crop and a picture:
# norms would take the statistics of a crop, and a deep net learns from the padding around it. Without norms kernels
# have to begin at the scale that keeps signals.
MAPS64: dict[str, Any] = {
    "steps": 15_000,
    "batch_size": 1,
    "init": "kaiming",
    "data.size": 128,
    "generator.name": "unet",
    "generator.levels": 4,
    "generator.ngf": 32,
    "generator.norm": "none",
    "generator.dropout": 0.0,
    "generator.upsample": "resize_conv",
    "discriminator.norm": "instance",
    "discriminator.ndf": 16,
    "loss.adversarial": "lsgan",
    "loss.lambda_l1": 30.0,
    "optimiser.learning_rate": 5e-4,
    "sample_every": 2_500,
    "validate_every": 5_000,
    "save_every": 2_500,
}

# What becomes of it without one of its parts, or with another.
CHANGES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("init_normal", {"init": "normal"}),
    ("norm_instance", {"generator.norm": "instance", "init": "normal"}),
    ("lambda_l1_100", {"loss.lambda_l1": 100.0}),
    ("vanilla", {"loss.adversarial": "vanilla"}),
    ("ngf16", {"generator.ngf": 16}),
    ("levels5", {"generator.levels": 5}),
    ("patch34", {"discriminator.n_layers": 2, "discriminator.ndf": 32}),
    ("transposed", {"generator.upsample": "transposed"}),
    ("crops64", {"data.size": 64, "batch_size": 4}),
)

VARIANTS: sweeps.Variants = (
    ("maps64", MAPS64),
    ("paper", PAPER),
    *((name, {**MAPS64, **change}) for name, change in CHANGES),
)


def get_sweep(arg: str = "") -> sweeps.Sweep:
    """The sweep of a preset."""
    part, count = common.choose({"": (1, 2), "short": (6, None)}, arg)
    variants = tuple((name, _shortened(overrides, part)) for name, overrides in VARIANTS[:count])
    base = {"data.jitter": "crop", "ema": 0.999}
    return sweeps.Sweep("configs/pix2pix.py", variants, base, reference="paper")


def _shortened(overrides: dict[str, Any], part: int) -> dict[str, Any]:
    """The overrides with so many times fewer steps, and none between its validations but the last."""
    steps = overrides["steps"] // part
    return (
        overrides
        if part == 1
        else {**overrides, "steps": steps, "validate_every": steps, "save_every": steps}
    )
