"""StyleGAN2: pictures from codes by way of styles. Karras et al. (2020), and Karras et al. (2020, ADA).

    python -m launch.train --config=configs/stylegan2.py:PRESET --workdir=RUN --config.data.root=DIR

Presets (the part after the colon): none, ADA's `auto` for 256 px and one device; `stylegan2`, `paper256`, `paper512`,
`paper1024` and `cifar`, the settings of the papers; `objects32` and `objects64`, drawn products with small nets, and
`demo`, the same for a first look. `--config.data.kind=labelled` trains a generator that is asked for a
class, from a folder for each.
"""

import ml_collections

from configs import common


def get_config(arg: str = "") -> ml_collections.ConfigDict:
    config = ml_collections.ConfigDict()
    config.system = "stylegan2"
    config.seed = 0
    config.steps = 1_562_500  # 25 million images
    config.batch_size = 16
    config.precision = (
        "float32"  # or bfloat16: arithmetic of the four highest resolutions; parameters stay float32
    )
    config.ema_kimg = (
        5.0  # thousands of images in which half of the average of G's weights is forgotten; 0: none
    )
    config.ema_rampup = 0.05  # at most this share of the images so far counts for it; 0: no limit
    config.style_mixing = 0.9  # probability that rows of styles come from two codes

    # images, or labelled for a generator with classes.
    config.data = common.data(
        "labelled", size=256, load_size=256, jitter="none", number=5_000, val_number=100
    )
    config.data.kind = "images"

    config.latent = latent = ml_collections.ConfigDict()
    latent.nz = 512

    config.mapping = mapping = ml_collections.ConfigDict()
    mapping.w_dim = 512  # numbers of a style
    mapping.num_layers = 2
    mapping.lr_multiplier = 0.0  # how much slower than other layers they learn; 0: the papers' 0.01

    config.generator = generator = ml_collections.ConfigDict()
    generator.channel_base = 16_384  # resolution r has channel_base / r channels
    generator.channel_max = 512  # but not more than these
    generator.architecture = "skip"  # resnet, orig
    generator.clamp = 256.0  # activations are clipped at this number; 0: never
    # Kernels are scaled before styles normalise them, as in nets from TensorFlow or rosinality's port; 1e-8 apart.
    generator.prescaled = False

    config.discriminator = discriminator = ml_collections.ConfigDict()
    discriminator.channel_base = 16_384
    discriminator.channel_max = 512
    discriminator.architecture = "resnet"  # skip, orig
    discriminator.clamp = 256.0
    discriminator.mbstd_group = 4  # examples that are compared with each other

    config.loss = loss = ml_collections.ConfigDict()
    loss.adversarial = "vanilla"  # non-saturating; relativistic: pairs of a real and a generated image
    loss.r1_gamma = 0.8192  # of half the squared gradient of D on real images
    loss.r2_gamma = 0.0  # on generated images
    loss.dis_interval = 16  # steps between two of these penalties; 0: never
    loss.pl_weight = 2.0  # of the path length
    loss.pl_decay = 0.01
    loss.pl_batch_shrink = 2  # it is computed for so small a part of the batch
    loss.gen_interval = 4  # steps between two of it; 0: never

    config.augment = augment = ml_collections.ConfigDict()
    # Of what D sees: ADA's bgc, or some of its blit,geom,color,filter,noise,cutout, or of colour,translation,cutout.
    augment.policy = "bgc"
    augment.noise = (
        0.0  # standard deviation of noise on it, against a D that wins; 0.1 or 0.2 of the 2 of an image
    )
    augment.p = 0.0  # probability of each, or what the adaptive one starts at
    augment.target = 0.6  # above 0 p follows D's signs of overfitting; 0: it stays
    augment.ramp = 500_000.0  # images in which an adaptive p would go from 0 to 1

    config.optimiser = common.optimiser(learning_rate=2.5e-3, b1=0.0, b2=0.99, schedule="constant")

    common.logging(config, sample_every=1_000, validate_every=10_000, save_every=10_000, val_examples=64)

    return common.choose(config, PRESETS, arg)


def _paper(size: int, batch: int, gamma: float, base: int, rate: float, ema: float, group: int) -> dict:
    """A setting of the second paper's table: 25 million images, eight layers of mapping, no limit of the average.

    They have ADA's augmentations as `""` does, because its authors train all of their settings so unless they say
    otherwise.
    """
    return {
        "steps": 25_000_000 // batch,
        "batch_size": batch,
        "ema_kimg": ema,
        "ema_rampup": 0.0,
        "data.size": size,
        "data.load_size": size,
        "mapping.num_layers": 8,
        "generator.channel_base": base,
        "discriminator.channel_base": base,
        "discriminator.mbstd_group": group,
        "loss.r1_gamma": gamma,
        "optimiser.learning_rate": rate,
    }


_OBJECTS = {
    "batch_size": 16,
    "ema_kimg": 5.0,
    "data.source": "objects",
    "data.flip": False,
    "latent.nz": 128,
    "mapping.w_dim": 128,
    "generator.clamp": 0.0,
    "discriminator.clamp": 0.0,
    "augment.policy": "",
    "augment.target": 0.0,
    # Pairs made better pictures than the non-saturating loss after equal time, in the first thousand steps.
    "loss.adversarial": "relativistic",
    "sample_every": 500,
    "validate_every": 2_000,
    "save_every": 1_000,
}

PRESETS = {
    "": {},
    # That of the first paper, which has no augmentations.
    "stylegan2": {**_paper(1024, 32, 10.0, 32_768, 2e-3, 10.0, 4), "augment.policy": ""},
    "paper256": _paper(256, 64, 1.0, 16_384, 2.5e-3, 20.0, 8),
    "paper512": _paper(512, 64, 0.5, 32_768, 2.5e-3, 20.0, 8),
    "paper1024": _paper(1024, 32, 2.0, 32_768, 2e-3, 10.0, 4),
    "cifar": {
        **_paper(32, 64, 0.01, 32_768, 2.5e-3, 500.0, 32),
        "steps": 1_562_500,
        "ema_rampup": 0.05,
        "style_mixing": 0.0,
        "mapping.num_layers": 2,
        "discriminator.architecture": "orig",
        "loss.pl_weight": 0.0,
        "loss.gen_interval": 0,
    },
    "objects32": {
        **_OBJECTS,
        "steps": 6_000,
        "data.size": 32,
        "data.load_size": 32,
        "generator.channel_base": 1_024,
        "generator.channel_max": 128,
        "discriminator.channel_base": 1_024,
        "discriminator.channel_max": 128,
        "loss.r1_gamma": 0.06,
        "loss.r2_gamma": 0.06,
    },
    "objects64": {
        **_OBJECTS,
        "steps": 14_000,
        "data.size": 64,
        "data.load_size": 64,
        "data.number": 12_000,
        "generator.channel_base": 1_024,
        "generator.channel_max": 256,
        "discriminator.channel_base": 1_024,
        "discriminator.channel_max": 256,
        "loss.r1_gamma": 0.25,
        "loss.r2_gamma": 0.25,
    },
    "demo": {
        **_OBJECTS,
        "steps": 1_500,
        "data.size": 32,
        "data.load_size": 32,
        "data.number": 1_000,
        "generator.channel_base": 512,
        "generator.channel_max": 64,
        "discriminator.channel_base": 512,
        "discriminator.channel_max": 64,
        "loss.r1_gamma": 0.06,
        "loss.r2_gamma": 0.06,
        "log_every": 20,
        "sample_every": 250,
        "validate_every": 1_500,
        "save_every": 1_500,
    },
    # The smallest that trains, for tests: a second for its steps.
    "tiny": {
        **_OBJECTS,
        "steps": 4,
        "batch_size": 4,
        "data.size": 16,
        "data.load_size": 16,
        "data.number": 8,
        "data.val_number": 4,
        "latent.nz": 5,
        "mapping.w_dim": 6,
        "loss.adversarial": "vanilla",
        "generator.channel_base": 64,
        "generator.channel_max": 8,
        "discriminator.channel_base": 64,
        "discriminator.channel_max": 8,
        "log_every": 1,
        "sample_every": 2,
        "validate_every": 2,
        "save_every": 2,
    },
}
