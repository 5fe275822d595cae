"""The flags of scores of sets, which programs that score runs share."""

from absl import flags

import launch

SET_SCORES = flags.DEFINE_bool(
    "set_scores",
    False,
    "scores of sets, by a classifier that is trained on the run's data, or by --inception",
)
NUMBER = flags.DEFINE_integer(
    "number", 5_000, "pictures in each set, and pairs of pictures for ppl", lower_bound=8
)
INCEPTION = flags.DEFINE_string(
    "inception",
    "",
    "file of the weights of FID's Inception-v3: scores of sets are fid, kid, precision, recall",
)
RESIZE = flags.DEFINE_enum(
    "resize",
    "half_pixel",
    ["half_pixel", "tf1", "none"],
    "of --inception: as pytorch-fid, as TensorFlow 1 and torch-fidelity, or not at all",
)
CLASSIFIER = flags.DEFINE_string(
    "classifier", "", "file (.npz) of the classifier of --set_scores, read if it is there, otherwise written"
)


def wanted() -> bool:
    """Whether sets are scored."""
    return SET_SCORES.value or bool(INCEPTION.value or CLASSIFIER.value)


def check(lpips: bool) -> None:
    """Refuses flags without effect and a missing file before anything slow is imported.

    Args:
        lpips: whether there is a net for the path length, which takes --number too.

    Raises:
        jgan.UserError: such a flag or file.
    """
    launch.goes_with(
        (NUMBER, wanted() or lpips, "--set_scores, --inception or --lpips"),
        (RESIZE, bool(INCEPTION.value), "--inception"),
    )
    if INCEPTION.value:
        from jgan.weights import published

        published.demand(INCEPTION.value, ["inception"])
