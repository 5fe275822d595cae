"""Aerial photos and maps of 256 pixels, learnt from crops: what takes the place of the paper's nets at the same cost.

    python -m launch.sweep --sweep=configs/sweeps/pix2pix_maps64.py --config.data.root=DIR --workdir=DIR

The reference `paper` has the nets of pix2pix for 64 pixels: a U-Net that has a bottleneck of one pixel for crops of 64
pixels, and of sixteen for a picture of 256. `maps64` is the preset of that name, and the others have one thing changed
in it. Presets: none, `paper` and `maps64` alone; `short`, all of them with a sixth of all steps.
"""

from typing import Any

from configs.sweeps import common
from jgan import sweeps

# The preset as it was before, in what it has other than `maps64`.
PAPER: dict[str, Any] = {
    "steps": 3_000,
    "batch_size": 4,
    "init": "normal",
    "data.size": 64,
    "generator.name": "unet_64",
    "generator.levels": 8,
    "generator.ngf": 64,
    "generator.norm": "batch",
    "generator.dropout": 0.5,
    "generator.upsample": "transposed",
    "generator.margin": 0,
    "discriminator.norm": "auto",
    "discriminator.ndf": 64,
    "loss.adversarial": "vanilla",
    "loss.lambda_l1": 100.0,
    "optimiser.learning_rate": 2e-4,
    "sample_every": 500,
    "validate_every": 1_000,
    "save_every": 1_000,
}

# A shallow, narrow net without norms, on crops of as many pixels, has no difference between a crop and a picture: norms
# would take the statistics of a crop, and a deep net learns from the padding around it. Without norms kernels have to
# begin at the scale that keeps signals. This is what becomes of it with one thing changed.
CHANGES: sweeps.Variants = (
    ("init_normal", {"init": "normal"}),
    ("norm_instance", {"generator.norm": "instance", "init": "normal"}),
    ("lambda_l1_100", {"loss.lambda_l1": 100.0}),
    ("vanilla", {"loss.adversarial": "vanilla"}),
    ("ngf16", {"generator.ngf": 16}),
    ("levels5", {"generator.levels": 5, "generator.margin": 32}),
    ("patch34", {"discriminator.n_layers": 2, "discriminator.ndf": 32}),
    ("transposed", {"generator.upsample": "transposed"}),
    ("crops64", {"data.size": 64, "batch_size": 4}),
)
_SHORT = {"steps": 2_500, "validate_every": 2_500, "save_every": 2_500}
_SHORT_PAPER = {"steps": 500, "validate_every": 500, "save_every": 500}


def get_sweep(arg: str = "") -> sweeps.Sweep:
    """The sweep of a preset."""
    variants: sweeps.Variants = common.choose(
        {
            "": (("maps64", {}), ("paper", PAPER)),
            "short": (
                *((name, {**_SHORT, **change}) for name, change in (("maps64", {}), *CHANGES)),
                ("paper", {**PAPER, **_SHORT_PAPER}),
            ),
        },
        arg,
    )
    return sweeps.Sweep("configs/pix2pix.py:maps64", variants, reference="paper")
