"""Table 1 of pix2pix: L1, GAN, cGAN, L1+GAN, L1+cGAN.

    python -m launch.sweep --sweep=configs/sweeps/pix2pix_objectives.py --config.data.root=DIR --workdir=DIR
    python -m launch.sweep --sweep=configs/sweeps/pix2pix_objectives.py:facades64 --workdir=DIR

Presets: none, the paper's settings on a folder of pairs; `facades64`, drawn facades for two cores; `tiny`, for tests.
"""

from configs.sweeps import common
from jgan import sweeps

VARIANTS = (
    ("l1", {"loss.adversarial_weight": 0.0}),
    ("gan", {"loss.lambda_l1": 0.0, "discriminator.conditional": False}),
    ("cgan", {"loss.lambda_l1": 0.0}),
    ("l1+gan", {"discriminator.conditional": False}),
    ("l1+cgan", {}),
)

# Labels to photo of Cityscapes, FCN-8s.
PAPER = {
    "l1": (0.42, 0.15, 0.11),
    "gan": (0.22, 0.05, 0.01),
    "cgan": (0.57, 0.22, 0.16),
    "l1+gan": (0.64, 0.20, 0.15),
    "l1+cgan": (0.66, 0.23, 0.17),
}


def get_sweep(arg: str = "") -> sweeps.Sweep:
    """The sweep of a preset."""
    config, base = common.choose(
        {
            "": ("configs/pix2pix.py:facades", {}),
            "facades64": ("configs/pix2pix.py:demo", common.FACADES64),
            "tiny": ("configs/pix2pix.py:tiny", {}),
        },
        arg,
    )
    return sweeps.Sweep(
        config,
        VARIANTS,
        base,
        reference="l1+cgan",
        paper=common.fcn(PAPER),
        source="Isola et al. (2017), table 1: Cityscapes, FCN-8s",
    )
