"""DCGAN: images from codes, and codes from images. Radford et al. (2016); Zhu et al. (2016, iGAN).

    python -m launch.train --config=configs/dcgan.py:PRESET --workdir=RUN --config.data.root=DIR

Presets (the part after the colon): none, which is the usual 4x4 net at 64 px on a folder of images; `igan64` and
`igan128`, iGAN's nets and training; `objects64`, drawn products, small enough for two cores (20 minutes), and
`objects64_predictor`, a predictor for it; `maps64_a` and `maps64_b`, crops of one half of pictures that hold a pair;
`demo`, for a first look; `editor`, that of make editor (5 minutes).
"""

import ml_collections

from configs import common


def get_config(arg: str = "") -> ml_collections.ConfigDict:
    config = ml_collections.ConfigDict()
    config.system = "dcgan"
    config.seed = 0
    config.steps = 20_000  # of all phases: those of the statistics and of the predictor are its last ones
    config.statistics_steps = 100  # batches of codes for the statistics that inference uses
    config.batch_size = 64
    config.alternate = False  # True: G in even steps and D in odd ones, as iGAN's --update_k 2 does
    config.precision = (
        "float32"  # or bfloat16: arithmetic only; parameters, statistics and losses stay float32
    )
    config.ema = 0.999  # decay of an average of G's weights, which inference then uses; 0: none
    config.norm_epsilon = 1e-5  # added to variances

    config.data = common.data("images", size=64, load_size=64, number=5_000, val_number=100)

    config.latent = latent = ml_collections.ConfigDict()
    latent.nz = 100
    latent.prior = "uniform"  # in (-1, 1); normal

    config.generator = generator = ml_collections.ConfigDict()
    generator.ngf = 64  # channels before the last layer
    generator.kernel = 4  # 5: iGAN's
    generator.norm = "batch"  # batch:N: statistics of N examples each, as where each device has N

    config.discriminator = discriminator = ml_collections.ConfigDict()
    discriminator.ndf = 64  # channels after the first layer
    discriminator.kernel = 4
    discriminator.norm = "auto"  # batch, but instance under wgan_gp; batch:N; none

    config.predictor = predictor = ml_collections.ConfigDict()
    predictor.warm_steps = 0  # regression of codes on samples
    predictor.steps = 0  # reconstruction of real images through G
    predictor.statistics_steps = 50  # batches of images for its own statistics
    predictor.ndf = 64
    predictor.kernel = 4
    predictor.feature_weight = 0.1  # of the mean square of D's features beside that of the pixels
    predictor.feature_layer = -2  # of D's strided layers, from 0 on, or from the last on

    config.loss = loss = ml_collections.ConfigDict()
    loss.adversarial = "vanilla"  # non-saturating; minimax, lsgan, hinge, wgan_gp
    loss.gradient_penalty = 10.0  # of wgan_gp

    config.augment = augment = ml_collections.ConfigDict()
    augment.policy = (
        ""  # of what D sees, for few images: colour,translation,cutout, or some of them; ADA's bgc
    )
    augment.noise = (
        0.0  # standard deviation of noise on it, against a D that wins; 0.1 or 0.2 of the 2 of an image
    )
    augment.p = 1.0  # probability of each, or what the adaptive one starts at
    augment.target = 0.0  # above 0 p follows D's signs of overfitting; 0.6 is usual
    augment.ramp = 500_000.0  # images in which an adaptive p would go from 0 to 1

    config.optimiser = common.optimiser(schedule="constant")  # linear: in each phase
    config.optimiser.weight_decay = 0.0  # so many times the weights are added to their gradients; iGAN: 1e-5

    # best: l1, of the predictor's reconstructions
    common.logging(config, sample_every=500, validate_every=1000, save_every=1000, val_examples=64)

    return common.choose(config, PRESETS, arg)


# 50 epochs of the 47,500 training images of iGAN's shoes, half of the minibatches for G; then as long for P.
_IGAN = {
    "steps": 18_600 + 1_000 + 18_600 + 1_000,
    "statistics_steps": 1_000,
    "batch_size": 128,
    "alternate": True,
    "ema": 0.0,
    "norm_epsilon": 1e-8,
    "generator.ngf": 128,
    "generator.kernel": 5,
    "discriminator.ndf": 128,
    "discriminator.kernel": 5,
    "predictor.steps": 18_600,
    "predictor.statistics_steps": 1_000,
    "predictor.ndf": 128,
    "predictor.kernel": 5,
    "predictor.feature_weight": 0.002,
    "optimiser.weight_decay": 1e-5,
    "optimiser.schedule": "linear",
    "data.flip": False,
}
# At half a second a step on two cores that is 20 minutes.
_OBJECTS = {
    "steps": 2_100,
    "batch_size": 32,
    "ema": 0.99,
    "data.source": "objects",
    "data.flip": False,
    "sample_every": 300,
    "validate_every": 500,
    "save_every": 500,
}
# 15 minutes on two cores.
_MAPS = {
    "steps": 7_000,
    "batch_size": 16,
    "statistics_steps": 50,
    "ema": 0.99,
    "data.jitter": "crop",
    "generator.ngf": 32,
    "discriminator.ndf": 32,
    "sample_every": 500,
    "save_every": 1_000,
}

PRESETS = {
    "": {},
    "igan64": _IGAN,
    "igan128": {
        **_IGAN,
        "data.size": 128,
        "data.load_size": 128,
        "generator.ngf": 64,
        "discriminator.ndf": 64,
        "predictor.ndf": 64,
    },
    "objects64": _OBJECTS,
    # To be started with --init_from=RUN of objects64: nothing of G or D is trained any more.
    "objects64_predictor": {
        **_OBJECTS,
        "steps": 1_050,
        "statistics_steps": 0,
        "predictor.warm_steps": 300,
        "predictor.steps": 700,
        "predictor.statistics_steps": 50,
    },
    # Ready in about five minutes on two cores: a narrow net and small batches take more steps in that time.
    "editor": {
        **_OBJECTS,
        "steps": 2_200,
        "batch_size": 16,
        "statistics_steps": 50,
        "ema": 0.98,
        "generator.ngf": 32,
        "discriminator.ndf": 32,
        "log_every": 10,
        "sample_every": 50,
        "save_every": 250,
    },
    "maps64_a": {**_MAPS, "data.part": "A", "augment.noise": 0.1},
    "maps64_b": {**_MAPS, "data.part": "B", "augment.noise": 0.2},
    # About a minute on two cores.
    "demo": {
        "steps": 1_540,
        "statistics_steps": 40,
        "batch_size": 16,
        "ema": 0.99,
        "data.source": "objects",
        "data.size": 32,
        "data.load_size": 32,
        "data.number": 1_000,
        "data.val_number": 16,
        "data.flip": False,
        "generator.ngf": 32,
        "discriminator.ndf": 32,
        "augment.noise": 0.1,
        "optimiser.learning_rate": 4e-4,
        "optimiser.schedule": "linear",
        "log_every": 20,
        "sample_every": 300,
        "validate_every": 1_540,
        "save_every": 1_540,
    },
    # The smallest that trains, for tests, with all phases: a second for its steps.
    "tiny": {
        "steps": 8,
        "statistics_steps": 2,
        "batch_size": 4,
        "data.source": "objects",
        "data.size": 16,
        "data.load_size": 16,
        "data.number": 8,
        "data.val_number": 2,
        "latent.nz": 5,
        "generator.ngf": 4,
        "discriminator.ndf": 4,
        "predictor.ndf": 4,
        "predictor.warm_steps": 1,
        "predictor.steps": 2,
        "predictor.statistics_steps": 1,
        "best": "l1",
        "log_every": 1,
        "sample_every": 4,
        "validate_every": 4,
        "save_every": 4,
    },
}
