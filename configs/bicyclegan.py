"""BiCycleGAN: paired image translation with several results for one input. Zhu et al. (2017).

    python -m launch.train --config=configs/bicyclegan.py:PRESET --workdir=RUN --config.data.root=DIR

Presets (the part after the colon): none, the paper's net at 256 px on folders of pairs; the paper's tasks `facades`,
`maps` and `edges2shoes`; `facades64`, drawn facades from their label maps, small enough for two cores (about 30
minutes), and `demo`, the same for a first look.
"""

import ml_collections


def get_config(arg: str = "") -> ml_collections.ConfigDict:
    config = ml_collections.ConfigDict()
    config.system = "bicyclegan"
    config.seed = 0
    config.steps = 40_000  # 200 epochs of 400 images
    config.batch_size = 2  # even: one half is encoded, the other shows D what is real beside random codes
    config.precision = (
        "float32"  # or bfloat16: arithmetic only; parameters, statistics and losses stay float32
    )
    config.init = "xavier"  # normal: N(0, 0.02) as in pix2pix
    config.init_gain = 0.02  # of xavier
    config.ema = 0.0  # decay of an average of G's and E's weights, which inference then uses; 0: none

    config.data = data = ml_collections.ConfigDict()
    data.kind = "aligned"
    data.source = "folder"
    data.root = ""
    data.split = "train"
    data.val_split = "val"
    data.direction = "AtoB"
    data.pair = ""  # edges, gray, lab, downscale, hole: the input made from a folder of photos
    data.size = 256
    data.load_size = 286
    data.jitter = "resize"  # to load_size, then a random crop; crop: a random crop at native scale; none
    data.labels = ""  # a, b, ab: input or target are classes in plain colours, resized by nearest neighbour
    data.flip = True
    data.channels = ()  # (input, target); empty: as the data has them
    data.bits = ()  # that integers of files fill, such as 12, or 12,8 of input and target; empty: all of 8 or 16
    data.number = 400  # drawn facades
    data.val_number = 50
    data.seed = 0
    data.cache_gib = 4.0
    data.cache_dir = ""
    data.workers = 0
    data.skip_bad = False

    config.latent = latent = ml_collections.ConfigDict()
    latent.nz = 8

    config.generator = generator = ml_collections.ConfigDict()
    generator.name = "unet_256"  # unet, encoder_decoder (_64, _128, _256 or with levels)
    generator.levels = 8  # of unet and encoder_decoder without a size in their name
    generator.where_add = "all"  # encoder layers take the code; input: only the first one
    generator.ngf = 64
    generator.norm = "instance"  # none
    generator.dropout = 0.5
    generator.upsample = "transposed"  # resize_conv
    generator.antialias = False

    config.encoder = encoder = ml_collections.ConfigDict()
    encoder.name = "resnet"  # conv
    encoder.blocks = 4  # that halve the image after the first layer has
    encoder.nef = 64
    encoder.norm = "instance"  # none

    config.discriminator = discriminator = ml_collections.ConfigDict()
    discriminator.name = "patch"
    discriminator.n_layers = 3  # 1 to 6: a patch of 16, 34, 70, 142, 286, 574 px
    discriminator.scales = 2  # each half of the one before, with half of its channels
    discriminator.ndf = 64
    discriminator.norm = "instance"  # none
    discriminator.antialias = False
    discriminator.conditional = False  # True: D is shown the input too
    discriminator.same = False  # True: one D judges pictures of encoded and of random codes

    config.loss = loss = ml_collections.ConfigDict()
    loss.adversarial = "lsgan"  # vanilla, hinge
    loss.adversarial_weight = 1.0  # of pictures of encoded codes; 0: no discriminator of them
    loss.adversarial_weight_random = 1.0  # of pictures of random codes
    loss.lambda_l1 = 10.0
    loss.lambda_kl = 0.01  # of a sum over the codes of a batch and their numbers
    loss.lambda_z = 0.5

    config.optimiser = optimiser = ml_collections.ConfigDict()
    optimiser.learning_rate = 2e-4
    optimiser.b1 = 0.5
    optimiser.b2 = 0.999
    optimiser.eps = 1e-8
    optimiser.schedule = "linear"  # constant
    optimiser.decay_from = 0.5  # share of the run after which the rate falls to 0

    config.log_every = 50
    config.sample_every = 1000
    config.validate_every = 5000
    config.save_every = 5000
    config.keep = 2  # last checkpoints kept, besides the best
    config.best = "reconstruction"  # of the validation: l1, psnr, ssim, diversity; empty: no best is kept
    config.val_examples = 100  # at most so many of the validation split while training

    if arg not in PRESETS:
        raise ValueError(f"preset {arg!r} is unknown: use one of {', '.join(filter(None, PRESETS))}.")
    config.update_from_flattened_dict(PRESETS[arg])
    return config


# Two cores: a shallow, narrow net without what serves large pictures alone.
_SMALL = {
    "data.source": "facades",
    "data.size": 64,
    "data.load_size": 72,
    "data.val_number": 16,
    "generator.name": "unet_64",
    "generator.ngf": 32,
    "generator.dropout": 0.0,
    "encoder.blocks": 3,
    "encoder.nef": 32,
    "discriminator.n_layers": 2,
    "discriminator.ndf": 32,
    "log_every": 20,
}
# Epochs and options of the authors' training scripts, with the number of images of each set.
PRESETS = {
    "": {},
    "facades": {"steps": 80_000, "data.direction": "BtoA"},
    "maps": {"steps": 219_200, "data.direction": "BtoA"},
    "edges2shoes": {
        "steps": 1_494_750,
        "data.load_size": 256,
        "data.flip": False,
        "data.channels": (1, 3),
    },
    "facades64": {
        **_SMALL,
        "steps": 12_000,
        "batch_size": 4,
        "validate_every": 2_000,
        "save_every": 1_000,
    },
    "demo": {
        **_SMALL,
        "steps": 1_000,
        "sample_every": 250,
        "validate_every": 1_000,
        "save_every": 1_000,
    },
}
