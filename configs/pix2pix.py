"""pix2pix: paired image translation. Isola et al. (2017).

    python -m launch.train --config=configs/pix2pix.py:PRESET --workdir=RUN --config.data.root=DIR

Presets (the part after the colon): none, which is the paper's facades setting on folders; the paper's tasks `labels`,
`facades`, `colour`, `edges`, `day2night`, `maps`; `inpaint` and `superres` from any folder of photos; `maps64`, small
enough for two cores (about 10 minutes); `builtin`, drawn facades, and `demo`, the same for a first look.
"""

import ml_collections

from configs import common


def get_config(arg: str = "") -> ml_collections.ConfigDict:
    config = ml_collections.ConfigDict()
    config.system = "pix2pix"
    config.seed = 0
    config.steps = 80_000  # 200 epochs of 400 images
    config.batch_size = 1
    config.precision = (
        "float32"  # or bfloat16: arithmetic only; parameters, statistics and losses stay float32
    )
    config.init = "normal"  # of kernels: N(0, 0.02); kaiming; xavier
    config.init_gain = 0.02  # of xavier
    config.ema = 0.0  # decay of an average of G's weights, which inference then uses; 0: none

    config.data = common.data("aligned")

    config.generator = generator = ml_collections.ConfigDict()
    # unet and encoder_decoder (_64, _128, _256 or with levels), resnet (_6blocks, _9blocks or with blocks)
    generator.name = "unet_256"
    generator.levels = 8  # of unet and encoder_decoder without a size in their name
    generator.blocks = 9  # of resnet without a number in its name
    generator.ngf = 64
    generator.norm = "batch"  # instance, none; batch:N: statistics of N examples, as where each device has N
    generator.dropout = 0.5
    generator.upsample = "transposed"  # resize_conv
    generator.antialias = False
    generator.antialias_up = "auto"  # as antialias; on, off
    generator.margin = 0  # mirrored pixels around a whole picture that is translated, cut off again

    config.discriminator = discriminator = ml_collections.ConfigDict()
    discriminator.name = "patch"  # pixel
    discriminator.n_layers = 3  # 1 to 6: a patch of 16, 34, 70, 142, 286, 574 px
    discriminator.ndf = 64
    discriminator.norm = "auto"  # batch, but instance under wgan_gp; instance, none, batch:N
    discriminator.antialias = False
    discriminator.antialias_place = "before"  # strided layers; after, as CUT has it
    discriminator.conditional = True  # False: D is not shown the input

    config.loss = loss = ml_collections.ConfigDict()
    loss.adversarial = "vanilla"  # lsgan, hinge, wgan_gp
    loss.adversarial_weight = 1.0  # 0: L1 alone, no discriminator
    loss.lambda_l1 = 100.0
    loss.gradient_penalty = 10.0  # of wgan_gp

    config.optimiser = common.optimiser()
    config.optimiser.accumulate = 1  # parts of a batch that pass one after the other, for less memory

    common.logging(config, best="l1")

    return common.choose(config, PRESETS, arg)


# Iterations, batch and jitter of the paper's appendix, from the numbers of images and epochs it gives.
PRESETS = {
    "": {},
    "labels": {"steps": 595_000, "data.direction": "BtoA"},  # Cityscapes: photos left, labels right
    "facades": {"steps": 80_000, "data.direction": "BtoA"},
    "maps": {"steps": 219_200},
    "colour": {
        "steps": 1_800_000,
        "batch_size": 4,
        "data.pair": "lab",
        "data.load_size": 256,
    },
    "edges": {
        "steps": 187_000,
        "batch_size": 4,
        "data.load_size": 256,
        "data.flip": False,
    },
    "day2night": {"steps": 75_700, "batch_size": 4},
    "inpaint": {"steps": 93_000, "batch_size": 4, "data.pair": "hole"},
    "superres": {"steps": 93_000, "batch_size": 4, "data.pair": "downscale"},
    # Aerial photos and maps, as configs/sweeps/pix2pix_maps64.py found it: a shallow net without norms, on crops.
    "maps64": {
        "steps": 15_000,
        "init": "kaiming",
        "ema": 0.999,
        "data.size": 128,
        "data.jitter": "crop",
        "generator.name": "unet",
        "generator.levels": 4,
        "generator.ngf": 32,
        "generator.norm": "none",
        "generator.dropout": 0.0,
        "generator.upsample": "resize_conv",
        "generator.margin": 16,
        "discriminator.norm": "instance",
        "discriminator.ndf": 16,
        "loss.adversarial": "lsgan",
        "loss.lambda_l1": 30.0,
        "optimiser.learning_rate": 5e-4,
        "sample_every": 2_500,
        "validate_every": 5_000,
        "save_every": 2_500,
    },
    "builtin": {
        "steps": 20_000,
        "data.source": "facades",
        "data.load_size": 286,
        "validate_every": 1000,
        "save_every": 1000,
    },
    # About a minute on two cores: a shallow, narrow net that takes many steps of one image each.
    "demo": {
        "steps": 2_500,
        "data.source": "facades",
        "data.size": 64,
        "data.load_size": 72,
        "data.val_number": 16,
        "generator.name": "unet",
        "generator.levels": 4,
        "generator.ngf": 32,
        "generator.norm": "instance",
        "generator.dropout": 0.0,
        "generator.upsample": "resize_conv",
        "discriminator.norm": "instance",
        "discriminator.ndf": 32,
        "discriminator.n_layers": 2,
        "optimiser.learning_rate": 5e-4,
        "log_every": 20,
        "sample_every": 250,
        "validate_every": 2_500,
        "save_every": 2_500,
    },
    # The smallest that trains, for tests: a second for its steps.
    "tiny": {
        "steps": 3,
        "batch_size": 2,
        "data.source": "facades",
        "data.size": 16,
        "data.load_size": 18,
        "data.number": 4,
        "data.val_number": 2,
        "generator.name": "unet",
        "generator.levels": 4,
        "generator.ngf": 4,
        "discriminator.ndf": 4,
        "discriminator.n_layers": 1,
        "log_every": 1,
        "sample_every": 2,
        "validate_every": 2,
        "save_every": 2,
    },
}
