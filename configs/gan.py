"""The first GAN: a small generator against a small discriminator. Goodfellow et al. (2014).

    python -m launch.train --config=configs/gan.py:PRESET --workdir=RUN --config.data.root=DIR

Presets (the part after the colon): none, dense layers at 32 px on a folder of images; `conv`, small convolutional
nets; `objects`, dense layers on drawn products, and `demo`, the same for a first look.
"""

import ml_collections


def get_config(arg: str = "") -> ml_collections.ConfigDict:
    config = ml_collections.ConfigDict()
    config.system = "gan"
    config.seed = 0
    config.steps = 20_000
    config.batch_size = 64
    config.ema = 0.0  # decay of an average of G's weights, which inference then uses; 0: none

    config.data = data = ml_collections.ConfigDict()
    data.kind = "images"
    data.source = "folder"
    data.root = ""
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
    data.number = 2_000  # drawn objects
    data.val_number = 16
    data.seed = 0
    data.cache_gib = 4.0
    data.cache_dir = ""
    data.workers = 0
    data.skip_bad = False

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

    config.optimiser = optimiser = ml_collections.ConfigDict()
    optimiser.learning_rate = 2e-4
    optimiser.b1 = 0.5
    optimiser.b2 = 0.999
    optimiser.eps = 1e-8
    optimiser.schedule = "constant"  # linear
    optimiser.decay_from = 0.5  # share of the run after which the rate falls to 0

    config.log_every = 50
    config.sample_every = 1000
    config.validate_every = 5000
    config.save_every = 5000
    config.keep = 2  # last checkpoints kept
    config.best = ""  # there is no score to choose by
    config.val_examples = 1

    if arg not in PRESETS:
        raise ValueError(f"preset {arg!r} is unknown: use one of {', '.join(filter(None, PRESETS))}.")
    config.update_from_flattened_dict(PRESETS[arg])
    return config


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
}
