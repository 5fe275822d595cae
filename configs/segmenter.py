"""A segmenter: the class of every pixel of a photo, for the FCN score of pix2pix. Long et al. (2015).

    python -m launch.train --config=configs/segmenter.py --workdir=SEG --config.data.root=DIR \
        --config.palette.file=PALETTE.json
    python -m launch.evaluate --workdir=RUN --segmenter=SEG

The palette is JSON like {"road": [254, 254, 254], "water": [178, 208, 249]}. As in the other configs A is the left half
of a pair; the photos are B here, and `--config.data.direction=AtoB` is for pairs whose left half is the photo. Presets
(the part after the colon): none, for folders of 256 px; `facades64` and `facades128`, drawn facades, a few minutes on
two cores.
"""

import ml_collections

from configs import common

# Of the drawn facades (jgan.data.facades.PALETTE).
FACADES = {
    "sky": (150, 210, 255),
    "background": (0, 0, 90),
    "wall": (0, 0, 255),
    "window": (0, 110, 255),
    "door": (0, 200, 255),
    "balcony": (170, 255, 85),
    "cornice": (0, 255, 200),
    "moulding": (255, 85, 0),
    "sill": (90, 220, 140),
    "blind": (255, 255, 0),
    "pillar": (255, 0, 0),
    "shop": (150, 0, 0),
    "roof": (160, 0, 200),
    "ground": (110, 110, 110),
    "plant": (0, 120, 30),
}


def get_config(arg: str = "") -> ml_collections.ConfigDict:
    config = ml_collections.ConfigDict()
    config.system = "segmenter"
    config.seed = 0
    config.steps = 40_000
    config.batch_size = 4
    config.precision = (
        "float32"  # or bfloat16: arithmetic only; parameters, statistics and losses stay float32
    )

    config.data = common.data("aligned", direction="BtoA", labels="b")

    config.palette = palette = ml_collections.ConfigDict()
    palette.file = ""  # JSON of {class: [red, green, blue]}; training writes the two below from it
    palette.names = tuple(FACADES)
    palette.colours = tuple(FACADES.values())

    config.generator = generator = ml_collections.ConfigDict()
    generator.name = "unet"  # or another of pix2pix; its last layer gives a number for each class
    generator.levels = 6
    generator.ngf = 32
    generator.norm = "batch"  # instance, none
    generator.dropout = 0.0
    generator.upsample = "resize_conv"  # transposed
    generator.antialias = False

    config.optimiser = common.optimiser(learning_rate=5e-4, b1=0.9)

    common.logging(config, best="l1")

    return common.choose(config, PRESETS, arg)


PRESETS = {
    "": {},
    "facades64": {
        "data.source": "facades",
        "data.number": 2_000,
        "steps": 6_000,
        "data.size": 64,
        "data.load_size": 72,
        "generator.levels": 5,
        "sample_every": 1_000,
        "validate_every": 1_000,
        "save_every": 1_000,
    },
    "facades128": {
        "data.source": "facades",
        "data.number": 2_000,
        "steps": 4_000,
        "batch_size": 2,
        "data.size": 128,
        "data.load_size": 144,
        "generator.levels": 5,
        "generator.ngf": 24,
        "generator.upsample": "transposed",
        "sample_every": 1_000,
        "validate_every": 1_000,
        "save_every": 1_000,
    },
    # The smallest that trains, for tests: a second for its steps.
    "tiny": {
        "data.source": "facades",
        "steps": 3,
        "batch_size": 2,
        "data.size": 16,
        "data.load_size": 18,
        "data.number": 4,
        "data.val_number": 2,
        "generator.levels": 2,
        "generator.ngf": 4,
        "log_every": 1,
        "sample_every": 2,
        "validate_every": 2,
        "save_every": 2,
    },
}
