"""StarGAN: one generator between all domains, told where to go by a label. Choi et al. (2018).

    python -m launch.train --config=configs/stargan.py:PRESET --workdir=RUN --config.data.root=DIR

Presets (the part after the colon): none, the paper's setting for CelebA, a folder of its aligned images beside
`list_attr_celeba.txt`, with five of the attributes; `rafd`, its setting for RaFD, a folder per class; `objects`, drawn
mugs of other colours and heights, small enough for two cores, and `demo`, the same for a first look.
"""

import ml_collections


def get_config(arg: str = "") -> ml_collections.ConfigDict:
    config = ml_collections.ConfigDict()
    config.system = "stargan"
    config.seed = 0
    config.steps = 200_000  # of D
    config.n_critic = 5  # G takes every so manieth of them
    config.batch_size = 16
    config.precision = (
        "float32"  # or bfloat16: arithmetic only; parameters, statistics and losses stay float32
    )
    config.ema = 0.0  # decay of an average of G's weights, which inference then uses; 0: none
    config.mask = False  # True: attributes of a picture may be unknown, and G is told which
    config.sets = ()  # with mask: numbers of attributes that are known together, such as (5, 8) of two data sets
    config.continuous = ()  # names of attributes that may lie between 0 and 1

    config.data = data = ml_collections.ConfigDict()
    data.kind = "labelled"
    data.source = "folder"  # objects; tfds:NAME
    data.root = ""
    data.label = "attributes"  # of a list; class: of folders
    data.attributes = ""  # those to take, NAME,NAME; empty: all
    data.names = ()  # of classes or attributes; empty: as the data have them
    data.exclusive = ()  # of attributes, those of which only one is there at a time
    data.families = ()  # of drawn objects; empty: all
    data.split = "train"
    data.val_split = "val"
    data.part = ""  # A, B: that half of pictures that hold a pair
    data.held_out = 0.01  # share of a folder without a split of its own that is kept for validation
    data.size = 128
    data.load_size = 128
    data.jitter = (
        "none"  # the short side to size, the square in the middle; resize: to load_size, a random crop; crop
    )
    data.flip = True
    data.channels = ()  # empty: as the data have them
    data.bits = ()  # that integers of files fill, such as 12; empty: all of 8 or 16
    data.number = 5_000  # drawn objects
    data.val_number = 500
    data.seed = 0
    data.cache_gib = 4.0
    data.cache_dir = ""
    data.workers = 0
    data.skip_bad = False

    config.generator = generator = ml_collections.ConfigDict()
    generator.ngf = 64
    generator.blocks = 6

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

    config.optimiser = optimiser = ml_collections.ConfigDict()
    optimiser.learning_rate = 1e-4
    optimiser.b1 = 0.5
    optimiser.b2 = 0.999
    optimiser.eps = 1e-8
    optimiser.schedule = "linear"  # constant
    optimiser.decay_from = 0.5  # share of the run after which the rate falls to 0

    config.log_every = 50
    config.sample_every = 1_000
    config.validate_every = 10_000
    config.save_every = 10_000
    config.keep = 2  # last checkpoints kept, besides the best
    config.best = ""  # of the validation: cycle; empty: none is kept
    config.val_examples = 100  # at most so many of the validation split while training

    if arg not in PRESETS:
        raise ValueError(f"preset {arg!r} is unknown: use one of {', '.join(filter(None, PRESETS))}.")
    config.update_from_flattened_dict(PRESETS[arg])
    return config


_HAIR = ("Black_Hair", "Blond_Hair", "Brown_Hair")
# Mugs at 32 px:
_OBJECTS = {
    "steps": 12_000,
    "continuous": ("height",),
    "data.source": "objects",
    "data.families": ("mug",),
    "data.attributes": "red,green,blue,height",
    "data.exclusive": ("red", "green", "blue"),
    "data.size": 32,
    "data.load_size": 32,
    "data.flip": False,
    "generator.ngf": 32,
    "generator.blocks": 3,
    "discriminator.ndf": 32,
    "discriminator.n_layers": 4,
    "sample_every": 1_000,
    "validate_every": 2_000,
    "save_every": 2_000,
}

PRESETS = {
    "": {"data.attributes": ",".join((*_HAIR, "Male", "Young")), "data.exclusive": _HAIR},
    "rafd": {"data.label": "class", "data.held_out": 0.1},
    "objects": _OBJECTS,
    # About a minute on two cores.
    "demo": {
        **_OBJECTS,
        "steps": 600,
        "data.number": 1_000,
        "data.val_number": 16,
        "log_every": 20,
        "sample_every": 100,
        "validate_every": 600,
        "save_every": 600,
    },
}
