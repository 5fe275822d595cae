"""The conditional GAN: pictures of a class that one asks for. Mirza and Osindero (2014) and what followed.

    python -m launch.train --config=configs/cgan.py:PRESET --workdir=RUN --config.data.root=DIR

`DIR` holds a folder for each class. Presets (the part after the colon): none, DCGAN's nets at 32 px; `objects32`, the
eight families of drawn products, small enough for two cores (20 minutes), and `demo`, the same for a first look.
"""

import ml_collections

from configs import common


def get_config(arg: str = "") -> ml_collections.ConfigDict:
    config = ml_collections.ConfigDict()
    config.system = "cgan"
    config.seed = 0
    config.steps = 50_000
    config.batch_size = 64
    config.condition = (
        "projection"  # how D meets the label; auxiliary: it names the class; concat: label planes
    )
    config.precision = (
        "float32"  # or bfloat16: arithmetic only; parameters, statistics and losses stay float32
    )
    config.ema = 0.999  # decay of an average of G's weights, which inference then uses; 0: none

    config.data = common.data("labelled", size=32, load_size=32, number=5_000, val_number=16)

    config.latent = latent = ml_collections.ConfigDict()
    latent.nz = 64
    latent.prior = "normal"  # uniform: in (-1, 1)

    config.generator = generator = ml_collections.ConfigDict()
    generator.ngf = 64  # channels before the last layer
    generator.kernel = 4  # 5: iGAN's
    generator.norm = "batch"  # batch:N: statistics of N examples each, as where each device has N

    config.discriminator = discriminator = ml_collections.ConfigDict()
    discriminator.ndf = 64  # channels after the first layer
    discriminator.kernel = 4
    discriminator.norm = "auto"  # batch, but instance under wgan_gp; batch:N; none

    config.loss = loss = ml_collections.ConfigDict()
    loss.adversarial = "vanilla"  # non-saturating; minimax, lsgan, hinge, wgan_gp
    loss.gradient_penalty = 10.0  # of wgan_gp
    loss.lambda_classes = 1.0  # of the classification under auxiliary

    config.augment = augment = ml_collections.ConfigDict()
    augment.noise = (
        0.0  # standard deviation of noise on what D sees, against a D that wins; 0.1 of the 2 of an image
    )

    # The average of G's weights keeps up with its statistics where the rate falls to 0.
    config.optimiser = common.optimiser()

    common.logging(config, val_examples=64)

    return common.choose(config, PRESETS, arg)


_OBJECTS = {
    "steps": 6_000,
    "batch_size": 32,
    "ema": 0.99,
    "data.source": "objects",
    "data.flip": False,
    "generator.ngf": 32,
    "discriminator.ndf": 32,
    "augment.noise": 0.1,
    "sample_every": 500,
    "validate_every": 1_000,
    "save_every": 1_000,
}

PRESETS = {
    "": {},
    "objects32": _OBJECTS,
    # About a minute on two cores.
    "demo": {
        **_OBJECTS,
        "steps": 1_000,
        "batch_size": 16,
        "data.number": 1_000,
        "optimiser.learning_rate": 4e-4,
        "log_every": 20,
        "sample_every": 200,
        "validate_every": 1_000,
        "save_every": 1_000,
    },
    # The smallest that trains, for tests: a second for its steps.
    "tiny": {
        "steps": 3,
        "batch_size": 4,
        "data.source": "objects",
        "data.size": 16,
        "data.load_size": 16,
        "data.number": 16,
        "data.val_number": 8,
        "latent.nz": 5,
        "generator.ngf": 4,
        "discriminator.ndf": 4,
        "log_every": 1,
        "sample_every": 2,
        "validate_every": 2,
        "save_every": 2,
    },
}
