"""What the sweeps share: the base of their presets for two cores."""

from typing import Any

# Drawn facades, labels to photo, of 64 pixels: the net of the preset `demo`, in as many steps as it takes until the
# variants differ. With the average of G's weights, least squares and more pictures the pictures of all GANs are better:
# after so few steps those of the last step are grainy, and with the paper's logistic loss D soon tells all of them.
FACADES64: dict[str, Any] = {
    "steps": 4_000,
    "ema": 0.999,
    "loss.adversarial": "lsgan",
    "data.number": 2_000,
    "data.val_number": 100,
    "sample_every": 2_000,
    "validate_every": 1_000,
    "save_every": 2_000,
    "keep": 1,
}

# The same of 128 pixels, with one level more, in less time for each step.
FACADES128: dict[str, Any] = {
    **FACADES64,
    "steps": 3_000,
    "save_every": 1_500,
    "data.size": 128,
    "data.load_size": 144,
    "generator.levels": 5,
    "generator.ngf": 24,
    "discriminator.ndf": 24,
}

# Drawn products of 32 pixels, in the net and the steps of DCGAN's preset `demo`; of the held-out pictures there are so
# many that sets can be scored.
OBJECTS32: dict[str, Any] = {"data.number": 2_000, "data.val_number": 1_000, "sample_every": 770, "keep": 1}

# Of a preset that trains a predictor, so that runs are scored by what they draw alone.
UNPREDICTED: dict[str, Any] = {"predictor.warm_steps": 0, "predictor.steps": 0, "best": ""}


def choose(presets: dict[str, Any], arg: str) -> Any:
    """The value of the preset `arg`.

    Raises:
        ValueError: there is no such preset.
    """
    if arg not in presets:
        raise ValueError(f"preset {arg!r} is unknown: use one of {', '.join(filter(None, presets))}")
    return presets[arg]


def fcn(table: dict[str, tuple[float, float, float]]) -> dict[str, dict[str, float]]:
    """{variant: scores} of a paper's table of pixel accuracy, class accuracy and IoU."""
    names = ("fcn_pixel_accuracy", "fcn_class_accuracy", "fcn_iou")
    return {variant: dict(zip(names, values, strict=True)) for variant, values in table.items()}
