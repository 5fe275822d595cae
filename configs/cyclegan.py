"""CycleGAN: unpaired image translation. Zhu et al. (2017).

    python -m launch.train --config=configs/cyclegan.py:PRESET --workdir=RUN --config.data.root=DIR

`DIR` holds `trainA`, `trainB` and, for samples and scores, `testA`, `testB`. Presets (the part after the colon):
none, the paper's setting for 256 px (9 blocks); `128`, its setting for 128 px (6 blocks); the rows of its ablation
`cycle`, `gan`, `gan_forward`, `gan_backward`; `maps64`, aerial photos and maps on 64 px crops, small enough for two
cores; `builtin`, drawn facades by day and at dusk; `demo`, the same for a first look.
"""

import ml_collections

from configs import common


def get_config(arg: str = "") -> ml_collections.ConfigDict:
    config = ml_collections.ConfigDict()
    config.system = "cyclegan"
    config.seed = 0
    config.steps = 266_800  # 200 epochs of the 1,334 zebras of horse2zebra
    config.batch_size = 1
    config.precision = (
        "float32"  # or bfloat16: arithmetic only; parameters, statistics and losses stay float32
    )
    config.remat = (
        False  # compute the generators' activations again in the backward pass: less memory, more time
    )
    config.ema = 0.0  # decay of an average of both generators' weights, which inference then uses; 0: none

    config.data = common.data("unaligned", val_split="test")

    config.generator = generator = ml_collections.ConfigDict()
    generator.name = "resnet_9blocks"  # resnet_6blocks, resnet with blocks, or a U-Net of pix2pix
    generator.levels = 8  # of unet and encoder_decoder without a size in their name
    generator.blocks = 9  # of resnet without a number in its name
    generator.ngf = 64
    generator.norm = "instance"  # batch, none
    generator.dropout = 0.0
    generator.upsample = "transposed"  # resize_conv
    generator.antialias = False
    generator.antialias_up = "auto"  # as antialias; on, off

    config.discriminator = discriminator = ml_collections.ConfigDict()
    discriminator.name = "patch"  # pixel
    discriminator.n_layers = 3  # 1 to 6: a patch of 16, 34, 70, 142, 286, 574 px
    discriminator.ndf = 64
    discriminator.norm = "instance"  # batch, none
    discriminator.antialias = False
    discriminator.antialias_place = "before"  # strided layers; after, as CUT has it

    config.loss = loss = ml_collections.ConfigDict()
    loss.adversarial = "lsgan"  # vanilla, hinge, wgan_gp
    loss.adversarial_weight = 1.0  # 0: cycle alone, no discriminators
    loss.lambda_a = 10.0  # weight of the forward cycle, A to B to A; 0 saves its pass
    loss.lambda_b = 10.0  # of the backward cycle, B to A to B
    loss.lambda_identity = 0.5  # share of lambda_a and lambda_b; 0 saves the identity passes
    loss.gradient_penalty = 10.0  # of wgan_gp
    loss.pool_size = 50  # earlier fakes kept for D; 0: it sees the current ones

    config.optimiser = common.optimiser()

    common.logging(config)  # best: AtoB_cycle, on pairs also AtoB_l1, BtoA_psnr ...

    return common.choose(config, PRESETS, arg)


PRESETS = {
    "": {},
    "128": {"data.size": 128, "data.load_size": 143, "generator.name": "resnet_6blocks"},
    # Tables 4 and 5 of the paper; identity terms belong to the cycles they are shares of.
    "cycle": {"loss.adversarial_weight": 0.0, "loss.lambda_identity": 0.0},
    "gan": {"loss.lambda_a": 0.0, "loss.lambda_b": 0.0, "loss.lambda_identity": 0.0},
    "gan_forward": {"loss.lambda_b": 0.0, "loss.lambda_identity": 0.0},
    "gan_backward": {"loss.lambda_a": 0.0, "loss.lambda_identity": 0.0},
    "maps64": {
        "steps": 30_000,
        "ema": 0.999,
        "data.val_split": "val",
        "data.size": 64,
        "data.jitter": "crop",
        "generator.name": "resnet_6blocks",
        "generator.ngf": 32,
        # Little: with the paper's 10 a map has to remember the photo's roofs, and draws them as streets.
        "loss.lambda_a": 1.0,
        "loss.lambda_identity": 0.0,
        "sample_every": 1000,
        "val_examples": 20,
    },
    "builtin": {
        "steps": 40_000,
        "data.source": "facades",
        "data.size": 128,
        "data.load_size": 143,
        "generator.name": "resnet_6blocks",
    },
    # About a minute on two cores: skips keep what day and dusk have in common, so a shallow U-Net is sharp at once.
    "demo": {
        "steps": 1_200,
        "data.source": "facades",
        "data.size": 64,
        "data.load_size": 72,
        "data.val_number": 8,
        "generator.name": "unet",
        "generator.levels": 3,
        "generator.ngf": 32,
        "discriminator.ndf": 32,
        "discriminator.n_layers": 2,
        "loss.lambda_identity": 0.0,
        "optimiser.learning_rate": 5e-4,
        "log_every": 20,
        "sample_every": 200,
        "validate_every": 1_200,
        "save_every": 1_200,
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
        "generator.levels": 2,
        "generator.ngf": 4,
        "discriminator.ndf": 4,
        "discriminator.n_layers": 1,
        "loss.pool_size": 2,
        "log_every": 1,
        "sample_every": 2,
        "validate_every": 2,
        "save_every": 2,
    },
}
