"""Tables 4 and 5 of CycleGAN: cycle alone, GAN alone, GAN with one of the cycles, and all of it.

    python -m launch.sweep --sweep=configs/sweeps/cyclegan_objectives.py --config.data.root=DIR --workdir=DIR
    python -m launch.sweep --sweep=configs/sweeps/cyclegan_objectives.py:facades64 --workdir=DIR
    python -m launch.sweep --sweep=configs/sweeps/cyclegan_objectives.py:maps64 --config.data.root=DIR --workdir=DIR

Presets: none, the paper's settings for 128 px on folders; `facades64`, label maps and photos of drawn facades, for two
cores; `maps64`, the forward cycle and both on aerial photos and maps, with small nets for the same; `tiny`, for tests.
A is the label map, but the photo in `maps64`; what is held out are pairs.
"""

from configs.sweeps import common
from jgan import sweeps

VARIANTS = (
    ("cycle", {"loss.adversarial_weight": 0.0}),
    ("gan", {"loss.lambda_a": 0.0, "loss.lambda_b": 0.0}),
    ("gan+forward", {"loss.lambda_b": 0.0}),
    ("gan+backward", {"loss.lambda_a": 0.0}),
    ("cyclegan", {}),
)

# Labels to photo of Cityscapes, FCN-8s.
PAPER = {
    "cycle": (0.22, 0.07, 0.02),
    "gan": (0.51, 0.11, 0.08),
    "gan+forward": (0.55, 0.18, 0.12),
    "gan+backward": (0.39, 0.14, 0.06),
    "cyclegan": (0.52, 0.17, 0.11),
}
# Identity terms are shares of the cycles, and not in these tables.
_BASE = {"loss.lambda_identity": 0.0}
# Of the preset: half of the blocks, with half of the channels (a quarter in D); cycles with the paper's weights.
_MAPS64 = {
    "steps": 6_000,
    "generator.name": "resnet",
    "generator.blocks": 3,
    "generator.ngf": 16,
    "discriminator.ndf": 16,
    "loss.lambda_a": 10.0,
    "sample_every": 2_000,
    "validate_every": 3_000,
    "save_every": 3_000,
    "keep": 1,
}


def get_sweep(arg: str = "") -> sweeps.Sweep:
    """The sweep of a preset."""
    labels = {**_BASE, "data.drawn": "labels", "data.labels": "a"}
    config, base = common.choose(
        {
            "": ("configs/cyclegan.py:128", _BASE),
            "facades64": ("configs/cyclegan.py:demo", {**labels, **common.FACADES64}),
            "maps64": ("configs/cyclegan.py:maps64", {**_BASE, **_MAPS64}),
            "tiny": ("configs/cyclegan.py:tiny", labels),
        },
        arg,
    )
    if arg == "maps64":  # from photo to map, of which the paper's table is not
        parts = tuple(variant for variant in VARIANTS if variant[0] in ("gan+forward", "cyclegan"))
        return sweeps.Sweep(config, parts, base, reference="cyclegan")
    return sweeps.Sweep(
        config,
        VARIANTS,
        base,
        reference="cyclegan",
        paper=common.fcn(PAPER),
        source="Zhu et al. (2017), table 4: Cityscapes, FCN-8s",
    )
