"""Progressive GAN: pictures from codes, small ones first. Karras et al. (2018).

    python -m launch.train --config=configs/progressive.py:PRESET --workdir=RUN --config.data.root=DIR

Presets (the part after the colon): none, 128 px with the settings of the authors' code; `paper1024`, their CelebA-HQ;
`objects32`, drawn products with small nets, and `demo`, the same for a first look.

One batch size holds for all sizes, because the position in the data is the step; the authors' code takes 128 examples
of the small sizes and 4 of 1024 px on one GPU. The learning rate is one too (theirs is 1.5e-3 at 1024 px).
"""

import ml_collections

from configs import common


def get_config(arg: str = "") -> ml_collections.ConfigDict:
    config = ml_collections.ConfigDict()
    config.system = "progressive"
    config.seed = 0
    config.steps = 750_000  # 12 million images
    config.batch_size = 16
    config.ema = 0.999  # decay of an average of G's weights, which inference then uses; 0: none

    config.data = common.data("images", size=128, load_size=128, jitter="none", number=5_000, val_number=100)

    config.growth = growth = ml_collections.ConfigDict()
    growth.start = 4  # px of the first pictures; data.size: all blocks from the first step on
    growth.stable_kimg = 600.0  # thousands of images at every size
    growth.fade_kimg = 600.0  # thousands of images in which the next size comes in

    config.latent = latent = ml_collections.ConfigDict()
    latent.nz = 512

    config.generator = generator = ml_collections.ConfigDict()
    generator.channel_base = 16_384  # pictures of r px have channel_base / r channels
    generator.channel_max = 512  # but not more than these

    config.discriminator = discriminator = ml_collections.ConfigDict()
    discriminator.channel_base = 16_384
    discriminator.channel_max = 512
    discriminator.mbstd_group = 4  # examples that are compared with each other

    config.loss = loss = ml_collections.ConfigDict()
    loss.gradient_penalty = 10.0
    loss.drift = 0.001  # of the squared logits of real images

    config.optimiser = common.optimiser(learning_rate=1e-3, b1=0.0, b2=0.99, schedule="constant")

    common.logging(config, sample_every=1_000, validate_every=10_000, save_every=10_000, val_examples=64)

    return common.choose(config, PRESETS, arg)


def _nets(base: int, most: int) -> dict:
    return {
        f"{net}.{field}": value
        for net in ("generator", "discriminator")
        for field, value in (("channel_base", base), ("channel_max", most))
    }


_OBJECTS = {
    **_nets(1_024, 128),
    "data.source": "objects",
    "data.size": 32,
    "data.load_size": 32,
    "data.flip": False,
    "latent.nz": 128,
    "sample_every": 500,
    "validate_every": 2_000,
    "save_every": 1_000,
}

PRESETS = {
    "": {},
    "paper1024": {"data.size": 1024, "data.load_size": 1024},
    # All blocks work from step 2,500 on and count fully from step 3,000 on.
    "objects32": {**_OBJECTS, "steps": 10_000, "growth.stable_kimg": 8.0, "growth.fade_kimg": 8.0},
    "demo": {
        **_OBJECTS,
        **_nets(512, 64),
        "steps": 2_000,
        "data.number": 1_000,
        "growth.stable_kimg": 2.4,
        "growth.fade_kimg": 2.4,
        "log_every": 20,
        "sample_every": 250,
        "validate_every": 2_000,
        "save_every": 2_000,
    },
    # The smallest that trains, for tests: a second for its steps. Half of them end in the middle of a fade.
    "tiny": {
        **_OBJECTS,
        **_nets(64, 8),
        "steps": 10,
        "batch_size": 4,
        "data.size": 16,
        "data.load_size": 16,
        "data.number": 8,
        "data.val_number": 4,
        "growth.stable_kimg": 0.004,
        "growth.fade_kimg": 0.008,
        "latent.nz": 5,
        "log_every": 1,
        "sample_every": 5,
        "validate_every": 5,
        "save_every": 5,
    },
}
