"""Table 2 of pix2pix: the encoder-decoder and the U-Net, under L1 and under L1+cGAN.

    python -m launch.sweep --sweep=configs/sweeps/pix2pix_generators.py --config.data.root=DIR --workdir=DIR
    python -m launch.sweep --sweep=configs/sweeps/pix2pix_generators.py:facades64 --workdir=DIR

Presets: none, the paper's settings on a folder of pairs; `facades64`, drawn facades for two cores; `tiny`, for tests.
"""

from configs.sweeps import common
from jgan import sweeps

OBJECTIVES = sweeps.named("loss.adversarial_weight", {"l1": 0.0, "l1+cgan": 1.0})

# Labels to photo of Cityscapes, FCN-8s.
PAPER = {
    "encdec_l1": (0.35, 0.12, 0.08),
    "encdec_l1+cgan": (0.29, 0.09, 0.05),
    "unet_l1": (0.48, 0.18, 0.13),
    "unet_l1+cgan": (0.55, 0.20, 0.14),
}


def get_sweep(arg: str = "") -> sweeps.Sweep:
    """The sweep of a preset."""
    small = {"encdec": "encoder_decoder", "unet": "unet"}
    config, base, nets = common.choose(
        {
            "": (
                "configs/pix2pix.py:facades",
                {"batch_size": 10, "steps": 8_000},
                {"encdec": "encoder_decoder_256", "unet": "unet_256"},
            ),
            "facades64": ("configs/pix2pix.py:demo", common.FACADES64, small),
            "tiny": ("configs/pix2pix.py:tiny", {}, small),
        },
        arg,
    )
    return sweeps.Sweep(
        config,
        sweeps.product(sweeps.named("generator.name", nets), OBJECTIVES),
        base,
        reference="unet_l1+cgan",
        paper=common.fcn(PAPER),
        source="Isola et al. (2017), table 2: Cityscapes, FCN-8s",
    )
