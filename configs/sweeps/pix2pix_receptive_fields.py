"""Table 3 of pix2pix: discriminators that see patches of 1, 16, 70 and 286 pixels.

    python -m launch.sweep --sweep=configs/sweeps/pix2pix_receptive_fields.py --config.data.root=DIR --workdir=DIR
    python -m launch.sweep --sweep=configs/sweeps/pix2pix_receptive_fields.py:facades128 --workdir=DIR

Presets: none, the paper's settings on a folder of pairs; `facades128`, drawn facades for two cores; `maps64`, 1 and 70
pixels on a folder of aerial photos and maps (`--config.data.root`), in a third of the steps of pix2pix' preset of that
name; `tiny`, for tests.
"""

from configs.sweeps import common
from jgan import sweeps

VARIANTS = (
    ("1", {"discriminator.name": "pixel"}),
    *sweeps.named("discriminator.n_layers", {"16": 1, "70": 3, "286": 5}),
)

# Labels to photo of Cityscapes, FCN-8s.
PAPER = {
    "1": (0.39, 0.15, 0.10),
    "16": (0.65, 0.21, 0.17),
    "70": (0.66, 0.23, 0.17),
    "286": (0.42, 0.16, 0.11),
}


def get_sweep(arg: str = "") -> sweeps.Sweep:
    """The sweep of a preset."""
    config, base = common.choose(
        {
            "": ("configs/pix2pix.py:facades", {}),
            "facades128": ("configs/pix2pix.py:demo", common.FACADES128),
            "maps64": ("configs/pix2pix.py:maps64", {"steps": 5_000}),
            # The smallest pictures of which the largest discriminator leaves anything.
            "tiny": ("configs/pix2pix.py:tiny", {"data.size": 128, "data.load_size": 128}),
        },
        arg,
    )
    if arg == "maps64":  # from photo to map, of which the paper's table is not
        parts = tuple(variant for variant in VARIANTS if variant[0] in ("1", "70"))
        return sweeps.Sweep(config, parts, base, reference="70")
    return sweeps.Sweep(
        config,
        VARIANTS,
        base,
        reference="70",
        paper=common.fcn(PAPER),
        source="Isola et al. (2017), table 3: Cityscapes, FCN-8s",
    )
