"""Nets by whose features sets of pictures are compared, each under names of its own."""

from collections.abc import Callable
from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np

from jgan import frozen
from jgan import sharding
from jgan.nets import inception
from jgan.programs import classifier as classifier_lib

BATCH = 50  # pictures that are described together
_PORTS = {
    "half_pixel": "as pytorch-fid resizes",
    "tf1": "as TensorFlow 1 and torch-fidelity resize",
    "none": "not resized",
}


class Describer(NamedTuple):
    """A net that describes pictures.

    Attributes:
        names: of the scores by it: {"frechet", "kernel", "error", "precision", "recall": name}. Those of Inception-v3
            have the names of the field, and no other net has them.
        protocol: the net and how it sees pictures.
        width: numbers of a feature.
        fitted: `picture [h, w, c] uint8 -> picture`, what the net is given.
        features: `pictures [n, h, w, c] uint8 -> [n, width]`.
    """

    names: dict[str, str]
    protocol: str
    width: int
    fitted: Callable[[np.ndarray], np.ndarray]
    features: Callable[[np.ndarray], np.ndarray]

    def describe(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """The features [n, width] of at most `BATCH` fitted pictures of one shape; one program serves all numbers."""
        filled = [*pictures, *[pictures[-1]] * (BATCH - len(pictures))]
        return self.features(np.stack(filled))[: len(pictures)]


def of_inception(path: str, resize: str = "half_pixel") -> Describer:
    """Inception-v3 with the weights of a file, as `frozen.load_inception` reads it."""
    net = frozen.load_inception(path, resize)
    run = jax.jit(net.apply)
    names = {
        "frechet": "fid",
        "kernel": "kid",
        "error": "kid_error",
        "precision": "precision",
        "recall": "recall",
    }
    return Describer(
        names,
        f"{net.name} ({_PORTS[resize]})",
        inception.FEATURES,
        lambda picture: picture,
        lambda pictures: np.asarray(run(net.weights, sharding.over_devices(pictures))),
    )


def of_classifier(classifier: classifier_lib.Classifier) -> Describer:
    """A classifier that was trained on the data, under names that nobody takes for those of Inception-v3."""
    short = {
        "frechet": "fd",
        "kernel": "kd",
        "error": "kd_error",
        "precision": "precision",
        "recall": "recall",
    }
    return Describer(
        {key: f"classifier_{name}" for key, name in short.items()},
        classifier.described,
        classifier_lib.WIDTHS[-1],
        classifier.fitted,
        lambda pictures: classifier.features(sharding.over_devices(pictures)),
    )
