"""The conditional GAN: pictures of a class that one asks for. Mirza and Osindero (2014) and what followed.

    python -m launch.train --config=configs/cgan.py:PRESET --workdir=RUN --config.data.root=DIR

`DIR` holds a folder for each class. Presets (the part after the colon): none, DCGAN's nets at 32 px; `objects32`, the
eight families of drawn products, small enough for two cores (20 minutes), and `demo`, the same for a first look.
"""

import ml_collections


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

    config.data = data = ml_collections.ConfigDict()
    data.kind = "labelled"
    data.source = "folder"  # objects; tfds:NAME
    data.root = ""
    data.label = "class"  # of folders
    data.attributes = ""
    data.names = ()  # empty: as the data have them
    data.exclusive = ()
    data.families = ()  # of drawn objects; empty: all
    data.split = "train"
    data.val_split = "val"
    data.part = ""  # A, B: that half of pictures that hold a pair
    data.held_out = 0.05  # share of a folder without a split of its own that is kept for validation
    data.size = 32
    data.load_size = 32
    data.jitter = "resize"  # to load_size, then a random crop; crop: a random crop at native scale; none
    data.flip = True
    data.channels = ()  # empty: as the data have them
    data.bits = ()  # that integers of files fill, such as 12; empty: all of 8 or 16
    data.number = 5_000  # drawn objects
    data.val_number = 16
    data.seed = 0
    data.cache_gib = 4.0
    data.cache_dir = ""
    data.workers = 0
    data.skip_bad = False

    config.latent = latent = ml_collections.ConfigDict()
    latent.nz = 64
    latent.prior = "normal"  # uniform: in (-1, 1)

    config.generator = generator = ml_collections.ConfigDict()
    generator.ngf = 64  # channels before the last layer
    generator.kernel = 4  # 5: iGAN's

    config.discriminator = discriminator = ml_collections.ConfigDict()
    discriminator.ndf = 64  # channels after the first layer
    discriminator.kernel = 4
    discriminator.norm = "auto"  # batch, but instance under wgan_gp; none

    config.loss = loss = ml_collections.ConfigDict()
    loss.adversarial = "vanilla"  # non-saturating; minimax, lsgan, hinge, wgan_gp
    loss.gradient_penalty = 10.0  # of wgan_gp
    loss.lambda_classes = 1.0  # of the classification under auxiliary

    config.augment = augment = ml_collections.ConfigDict()
    augment.noise = (
        0.0  # standard deviation of noise on what D sees, against a D that wins; 0.1 of the 2 of an image
    )

    config.optimiser = optimiser = ml_collections.ConfigDict()
    optimiser.learning_rate = 2e-4
    optimiser.b1 = 0.5
    optimiser.b2 = 0.999
    optimiser.eps = 1e-8
    # The average of G's weights keeps up with its statistics where the rate falls to 0.
    optimiser.schedule = "linear"  # constant
    optimiser.decay_from = 0.5  # share of the run after which the rate falls to 0

    config.log_every = 50
    config.sample_every = 1_000
    config.validate_every = 5_000
    config.save_every = 5_000
    config.keep = 2  # last checkpoints kept, besides the best
    config.best = ""  # empty: none is kept
    config.val_examples = 64  # at most so many of the validation split while training

    if arg not in PRESETS:
        raise ValueError(f"preset {arg!r} is unknown: use one of {', '.join(filter(None, PRESETS))}.")
    config.update_from_flattened_dict(PRESETS[arg])
    return config


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
}
