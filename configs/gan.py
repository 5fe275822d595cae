"""The first GAN: a small generator against a small discriminator. Goodfellow et al. (2014).

    python -m launch.train --config=configs/gan.py:PRESET --workdir=RUN --config.data.root=DIR

Presets (the part after the colon): none, dense layers at 32 px on a folder of images; `conv`, small convolutional
nets; `objects`, dense layers on drawn products, and `demo`, the same for a first look.
"""

import ml_collections

from configs import common


def get_config(arg: str = "") -> ml_collections.ConfigDict:
    config = ml_collections.ConfigDict()
    config.system = "gan"
    config.seed = 0
    config.steps = 20_000
    config.batch_size = 64
    config.ema = 0.0  # decay of an average of G's weights, which inference then uses; 0: none

    config.data = common.data("images", size=32, load_size=32, number=2_000, val_number=16)

    config.latent = latent = ml_collections.ConfigDict()
    latent.nz = 100
    latent.prior = "uniform"  # in (-1, 1); normal

    config.generator = generator = ml_collections.ConfigDict()
    generator.name = "mlp"  # conv: a small DCGAN
    generator.widths = (256, 512)  # hidden units of mlp
    generator.norm = "none"  # batch, of mlp
    generator.ngf = 32  # of conv

    config.discriminator = discriminator = ml_collections.ConfigDict()
    discriminator.name = "mlp"  # conv
    discriminator.widths = (512, 256)
    discriminator.ndf = 32

    config.loss = loss = ml_collections.ConfigDict()
    loss.adversarial = "vanilla"  # non-saturating; minimax, lsgan, hinge, wgan_gp
    loss.gradient_penalty = 10.0  # of wgan_gp

    config.optimiser = common.optimiser(schedule="constant")

    common.logging(config, val_examples=1)

    return common.choose(config, PRESETS, arg)


PRESETS = {
    "": {},
    "conv": {"generator.name": "conv", "discriminator.name": "conv", "ema": 0.99},
    "objects": {"data.source": "objects", "data.flip": False},
    "demo": {
        "steps": 1_000,
        "data.source": "objects",
        "data.flip": False,
        "data.number": 500,
        "sample_every": 200,
        "validate_every": 1_000,
        "save_every": 500,
    },
    # The smallest that trains, for tests: a second for its steps.
    "tiny": {
        "steps": 3,
        "batch_size": 4,
        "data.source": "objects",
        "data.size": 16,
        "data.load_size": 16,
        "data.number": 8,
        "data.val_number": 2,
        "latent.nz": 5,
        "generator.widths": (8, 8),
        "discriminator.widths": (8, 8),
        "log_every": 1,
        "sample_every": 2,
        "validate_every": 2,
        "save_every": 2,
    },
}
