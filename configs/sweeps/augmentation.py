"""What augmentations give a DCGAN of few pictures, and take from one of many.

    python -m launch.sweep --sweep=configs/sweeps/augmentation.py --config.data.root=DIR --workdir=DIR
    python -m launch.sweep --sweep=configs/sweeps/augmentation.py:objects32 --workdir=DIR
    python -m launch.report --workdir=DIR --set_scores --split=val

Variants: none; pictures that are mirrored at random; all that D sees changed by DiffAugment (Zhao et al. 2020), or by
ADA's transformations, with a probability that follows D's signs of overfitting (Karras et al. 2020). Drawn pictures are
`few` (200) or `many` (2,000); a folder is taken as it is. Held-out pictures are the measure: a net that has learnt the
few ones by heart draws these and no others.

Presets: none, the usual 64 px net on a folder of pictures; `objects32`, drawn products for two cores, most of which
are not symmetric; `tiny`, for tests.
"""

from configs.sweeps import common
from jgan import sweeps


def get_sweep(arg: str = "") -> sweeps.Sweep:
    """The sweep of a preset."""
    # The probability may reach 1 within a fifth of the pictures that such a training sees.
    config, base, amounts, ramp = common.choose(
        {
            "": ("configs/dcgan.py", {}, {}, 250_000.0),
            "objects32": ("configs/dcgan.py:demo", common.OBJECTS32, {"few": 200, "many": 2_000}, 5_000.0),
            "tiny": ("configs/dcgan.py:tiny", common.UNPREDICTED, {"few": 4, "many": 8}, 10.0),
        },
        arg,
    )
    adaptive = {"augment.policy": "bgc", "augment.p": 0.0, "augment.target": 0.6, "augment.ramp": ramp}
    variants = (
        ("none", {"data.flip": False}),
        ("flip", {"data.flip": True}),
        ("diffaugment", {"data.flip": False, "augment.policy": "colour,translation,cutout"}),
        ("ada", {"data.flip": False, **adaptive}),
    )
    reference = "none"
    if amounts:
        variants = sweeps.product(sweeps.named("data.number", amounts), variants)
        # Its data train the classifier of a report.
        base, reference = {name: x for name, x in base.items() if name != "data.number"}, "many_none"
    return sweeps.Sweep(config, variants, base, reference=reference)
