"""Aerial photos and maps of 256 pixels, learnt from crops: what takes the place of the paper's nets at the same cost.

    python -m launch.sweep --sweep=configs/sweeps/pix2pix_maps64.py --config.data.root=DIR --workdir=DIR

The reference `paper` has the nets of pix2pix for 64 pixels: a U-Net that has a bottleneck of one pixel for crops of 64
pixels, and of sixteen for a picture of 256. The others have shallow, narrow nets without that difference, and five
times as many steps. Presets: none; `short`, a sixth of all steps, for a first look.
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

# The same pixels in a step, and fewer channels, levels and layers.
SMALL: dict[str, Any] = {
    "steps": 15_000,
    "batch_size": 1,
    "data.size": 128,
    "generator.name": "unet",
    "generator.levels": 4,
    "generator.ngf": 32,
    "generator.norm": "instance",
    "generator.dropout": 0.0,
    "generator.upsample": "resize_conv",
    "discriminator.norm": "instance",
    "discriminator.ndf": 32,
    "discriminator.n_layers": 2,
    "loss.adversarial": "lsgan",
    "optimiser.learning_rate": 5e-4,
    "sample_every": 2_500,
    "validate_every": 5_000,
    "save_every": 2_500,
}

# Another D for less arithmetic: it sees 70 pixels instead of 34, with half of the channels.
LIGHT: dict[str, Any] = {"discriminator.n_layers": 3, "discriminator.ndf": 16}

VARIANTS: sweeps.Variants = (
    ("paper", PAPER),
    ("small", SMALL),
    ("small_light", {**SMALL, **LIGHT}),
    ("small_light_5levels", {**SMALL, **LIGHT, "generator.levels": 5}),
    ("small_light_crops64", {**SMALL, **LIGHT, "data.size": 64, "batch_size": 4}),
    ("small_light_l1x3", {**SMALL, **LIGHT, "loss.lambda_l1": 300.0}),
)


def get_sweep(arg: str = "") -> sweeps.Sweep:
    """The sweep of a preset."""
    part = common.choose({"": 1, "short": 6}, arg)
    variants = tuple((name, _shortened(overrides, part)) for name, overrides in VARIANTS)
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
