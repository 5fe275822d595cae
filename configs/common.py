"""The blocks that the configs of several systems share; each returns fields with their defaults."""

import ml_collections


def data(kind: str, **defaults) -> ml_collections.ConfigDict:
    """The `data` part of a config of a batch kind; `defaults` are values other than those below."""
    made = ml_collections.ConfigDict()
    made.kind = kind
    made.source = "folder"  # drawn: facades, and objects where single images are asked for; tfds:NAME
    made.root = ""
    made.split = "train"
    made.val_split = "val"
    if kind == "aligned":
        made.direction = "AtoB"
        made.pair = ""  # edges, gray, lab, downscale, hole: the input made from a folder of photos
    if kind in ("images", "labelled"):
        made.part = ""  # A, B: that half of pictures that hold a pair
        made.held_out = 0.05  # share of a folder without a split of its own that is kept for validation
    if kind == "labelled":
        made.label = "class"  # of a folder for each; attributes: those of a list
        made.names = ()  # of the classes or attributes that are used, in this order; empty: all of them
        made.exclusive = ()  # attributes of which a picture has one at a time
        made.attributes = ""  # the list's file; empty: found by its usual names
        made.families = ()  # of drawn objects; empty: all
    made.size = 256
    made.load_size = 286
    made.jitter = "resize"  # to load_size, then a random crop; crop: a random crop at native scale; none
    if kind in ("aligned", "unaligned"):
        made.labels = ""  # a, b, ab: that side holds classes in plain colours, resized by nearest neighbour
    if kind == "unaligned":
        made.drawn = ""  # of drawn facades, by day and at dusk; labels: label maps and photos
    made.flip = True
    made.channels = ()  # of each side; empty: as the data have them
    made.bits = ()  # that integers of files fill, such as 12, or 12,8 of both sides; empty: all of 8 or 16
    made.number = 400  # drawn pictures
    made.val_number = 50
    made.seed = 0
    made.cache_gib = 4.0
    made.cache_dir = ""
    made.workers = 0
    made.skip_bad = False
    made.update(defaults)
    return made


def optimiser(**defaults) -> ml_collections.ConfigDict:
    """The `optimiser` part of a config: Adam."""
    made = ml_collections.ConfigDict()
    made.learning_rate = 2e-4
    made.b1 = 0.5
    made.b2 = 0.999
    made.eps = 1e-8
    made.schedule = "linear"  # constant
    made.decay_from = 0.5  # share of the run after which the rate falls to 0
    made.update(defaults)
    return made


def logging(config: ml_collections.ConfigDict, **defaults) -> None:
    """Adds what a run logs, shows, scores and saves, and how often."""
    config.log_every = 50
    config.sample_every = 1000
    config.validate_every = 5000
    config.save_every = 5000
    config.keep = 2  # last checkpoints kept, besides the best
    config.best = ""  # a score of the validation by which the best checkpoint is kept; empty: none is
    config.val_examples = 100  # at most so many of the validation split while training
    config.update(defaults)


def choose(
    config: ml_collections.ConfigDict, presets: dict[str, dict], arg: str
) -> ml_collections.ConfigDict:
    """The config with the values of the preset `arg`.

    Raises:
        ValueError: there is no such preset.
    """
    if arg not in presets:
        raise ValueError(f"preset {arg!r} is unknown: use one of {', '.join(filter(None, presets))}.")
    config.update_from_flattened_dict(presets[arg])
    return config
