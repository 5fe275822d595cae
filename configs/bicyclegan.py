"""BiCycleGAN: paired image translation with several results for one input. Zhu et al. (2017).

    python -m launch.train --config=configs/bicyclegan.py:PRESET --workdir=RUN --config.data.root=DIR

Presets (the part after the colon): none, the paper's net at 256 px on folders of pairs; the paper's tasks `facades`,
`maps` and `edges2shoes`; `facades64`, drawn facades from their label maps, small enough for two cores (half an hour),
and `demo`, the same for a first look.
"""

import ml_collections

from configs import common


def get_config(arg: str = "") -> ml_collections.ConfigDict:
    config = ml_collections.ConfigDict()
    config.system = "bicyclegan"
    config.seed = 0
    config.steps = 40_000  # 200 epochs of 400 images
    config.batch_size = 2  # even: of two neighbours one is encoded, the other shows D what is real
    config.precision = (
        "float32"  # or bfloat16: arithmetic only; parameters, statistics and losses stay float32
    )
    config.init = "xavier"  # of kernels; kaiming; normal: N(0, 0.02) as in pix2pix
    config.init_gain = 0.02  # of xavier
    config.ema = 0.0  # decay of an average of G's and E's weights, which inference then uses; 0: none

    config.data = common.data("aligned")

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
    generator.antialias_up = "auto"  # as antialias; on, off

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
    discriminator.antialias_place = "before"  # strided layers; after, as CUT has it
    discriminator.conditional = False  # True: D is shown the input too
    discriminator.same = False  # True: one D judges pictures of encoded and of random codes

    config.loss = loss = ml_collections.ConfigDict()
    loss.adversarial = "lsgan"  # vanilla, hinge
    loss.adversarial_weight = 1.0  # of pictures of encoded codes; 0: no discriminator of them
    loss.adversarial_weight_random = 1.0  # of pictures of random codes
    loss.lambda_l1 = 10.0
    loss.lambda_kl = 0.01  # of a sum over the codes of a batch and their numbers
    loss.lambda_z = 0.5

    config.optimiser = common.optimiser()

    common.logging(config, best="reconstruction")  # l1, psnr, ssim, diversity

    return common.choose(config, PRESETS, arg)


# Two cores: shallow, narrow nets. Transposed convolutions leave a grid there for the first thousands of steps.
_SMALL = {
    "data.source": "facades",
    "data.size": 64,
    "data.load_size": 72,
    "data.val_number": 16,
    "generator.name": "unet",
    "generator.ngf": 32,
    "generator.dropout": 0.0,
    "generator.upsample": "resize_conv",
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
        "steps": 8_000,
        "batch_size": 4,
        "generator.levels": 5,
        "loss.lambda_kl": 0.005,  # the sum has two codes here, and one in the paper
        "validate_every": 2_000,
        "save_every": 1_000,
    },
    "demo": {
        **_SMALL,
        "steps": 1_000,
        "generator.levels": 4,
        "optimiser.learning_rate": 5e-4,
        "sample_every": 250,
        "validate_every": 1_000,
        "save_every": 1_000,
    },
    # The smallest that trains, for tests: a second for its steps.
    "tiny": {
        "steps": 3,
        "data.source": "facades",
        "data.size": 16,
        "data.load_size": 18,
        "data.number": 4,
        "data.val_number": 2,
        "generator.name": "unet",
        "generator.levels": 3,
        "generator.ngf": 4,
        "encoder.blocks": 2,
        "encoder.nef": 4,
        "discriminator.ndf": 4,
        "discriminator.n_layers": 1,
        "log_every": 1,
        "sample_every": 2,
        "validate_every": 2,
        "save_every": 2,
    },
}
