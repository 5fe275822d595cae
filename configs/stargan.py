"""StarGAN: one generator between all domains, told where to go by a label. Choi et al. (2018).

    python -m launch.train --config=configs/stargan.py:PRESET --workdir=RUN --config.data.root=DIR

Presets (the part after the colon): none, the paper's setting for CelebA, a folder of its aligned images beside
`list_attr_celeba.txt`, with five of the attributes; `attributes`, the same with all attributes of a list of one's own;
`rafd`, its setting for RaFD, a folder per class; `objects`, drawn mugs of other colours and heights, small enough for
two cores, and `demo`, the same for a first look.
"""

import ml_collections

from configs import common


def get_config(arg: str = "") -> ml_collections.ConfigDict:
    config = ml_collections.ConfigDict()
    config.system = "stargan"
    config.seed = 0
    config.steps = 200_000  # of D
    config.n_critic = 5  # G takes every so manieth of them; with sets of those of each set
    config.batch_size = 16
    config.precision = (
        "float32"  # or bfloat16: arithmetic only; parameters, statistics and losses stay float32
    )
    config.ema = 0.0  # decay of an average of G's weights, which inference then uses; 0: none
    config.mask = False  # True: attributes of a picture may be unknown, and G is told which
    # With mask: numbers of attributes that are known together, such as (5, 8) of two data sets. Each batch is then of
    # one of the sets, and steps take them in turn.
    config.sets = ()
    config.continuous = ()  # names of attributes that may lie between 0 and 1

    # The short side to size, and the square in the middle.
    config.data = common.data(
        "labelled", size=128, load_size=128, jitter="none", number=5_000, val_number=500
    )
    config.data.label = "attributes"
    config.data.held_out = 0.01

    config.generator = generator = ml_collections.ConfigDict()
    generator.ngf = 64
    generator.blocks = 6
    generator.down = 2  # strided layers before the blocks; each halves the picture and doubles the channels

    config.discriminator = discriminator = ml_collections.ConfigDict()
    discriminator.ndf = 64
    discriminator.n_layers = 6  # each halves the picture

    config.loss = loss = ml_collections.ConfigDict()
    loss.adversarial = "wgan_gp"  # vanilla, lsgan, hinge
    loss.gradient_penalty = 10.0  # of wgan_gp
    loss.classification = (
        "auto"  # softmax of classes, sigmoid of attributes; with sets one for each: sigmoid,softmax
    )
    loss.lambda_classes = 1.0
    loss.lambda_cycle = 10.0

    config.optimiser = common.optimiser(learning_rate=1e-4)

    common.logging(config, validate_every=10_000, save_every=10_000)  # best: cycle

    return common.choose(config, PRESETS, arg)


_HAIR = ("Black_Hair", "Blond_Hair", "Brown_Hair")
# Half an hour on two cores. G takes every second step: most of a step of D is a forward pass of G, which with the five
# of the paper would have half of its updates in that time. One strided layer is enough for 32 pixels: behind two of
# them, on 8x8 pixels, G forgets how thick the wall of a mug is and how full it is.
_OBJECTS = {
    "steps": 5_000,
    "n_critic": 2,
    "batch_size": 8,
    "data.source": "objects",
    "data.families": ("mug",),
    "data.names": ("red", "green", "blue", "height"),
    "data.exclusive": ("red", "green", "blue"),
    "data.size": 32,
    "data.load_size": 32,
    "data.flip": False,
    "generator.ngf": 64,
    "generator.down": 1,
    "generator.blocks": 3,
    "discriminator.ndf": 32,
    "discriminator.n_layers": 4,
    "optimiser.learning_rate": 2e-4,
    "sample_every": 1_000,
    "validate_every": 2_000,
    "save_every": 2_000,
}

PRESETS = {
    "": {"data.names": (*_HAIR, "Male", "Young"), "data.exclusive": _HAIR},
    "attributes": {},
    "rafd": {"data.label": "class", "data.held_out": 0.1},
    "objects": _OBJECTS,
    # About a minute on two cores.
    "demo": {
        **_OBJECTS,
        "steps": 1_500,
        "data.number": 1_000,
        "data.val_number": 16,
        "generator.ngf": 16,
        "generator.down": 2,
        "discriminator.ndf": 16,
        "optimiser.learning_rate": 1e-3,
        "log_every": 20,
        "sample_every": 250,
        "validate_every": 1_500,
        "save_every": 1_500,
    },
    # The smallest that trains, for tests: a second for its steps.
    "tiny": {
        "steps": 4,
        "n_critic": 2,
        "batch_size": 4,
        "ema": 0.9,
        "data.source": "objects",
        "data.families": ("mug",),
        "data.names": ("red", "green", "blue", "height"),
        "data.exclusive": ("red", "green", "blue"),
        "data.size": 16,
        "data.load_size": 16,
        "data.number": 8,
        "data.val_number": 2,
        "generator.ngf": 4,
        "generator.blocks": 1,
        "discriminator.ndf": 4,
        "discriminator.n_layers": 3,
        "log_every": 1,
        "sample_every": 2,
        "validate_every": 2,
        "save_every": 2,
    },
}
