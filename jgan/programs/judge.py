"""A segmenter as the judge of generated photos: the FCN score of pix2pix (Isola et al. 2017, section 3.3)."""

from typing import Any

import jax
import numpy as np

import jgan
from jgan import fields
from jgan import trained
from jgan.metrics import segmentation
from jgan.ops import conv
from jgan.programs import translator
from jgan.systems import system as system_lib


class Judge:
    """What a trained segmenter finds in photos, beside the label maps that they were made from.

    Attributes:
        palette: {class: (r, g, b)} of the label maps.
        size: pixels a side of the photos that the segmenter was trained on.
        digest: by which its weights are known again.
    """

    def __init__(self, workdir: str) -> None:
        """The judge of the segmenter in a run directory, at its latest checkpoint.

        Raises:
            jgan.UserError: there is no run, or one of another system.
        """
        run = trained.load(workdir)
        if run.config.system != "segmenter":
            raise jgan.UserError(
                f"--segmenter={workdir} is a run of {run.config.system}: one of configs/segmenter.py would work."
            )
        names = map(str, run.config.palette.names)
        self.palette = dict(zip(names, run.config.palette.colours, strict=True))
        self.size: int = run.config.data.size
        self.digest = run.digest
        self._channels = fields.of(run.config.data)["a"].channels
        way, weights = run.way(), run.weights
        statistics = run.system.statistics(run.step)
        made = conv.Frugal(lambda weights, x: way.run(weights, {"a": x}, statistics=statistics))
        multiple = way.tiling.multiple
        self._run = lambda images: translator.padded(lambda x: made(weights, x), images, multiple)["output"]

    def check(self, way: system_lib.Way, known: dict[str, Any]) -> None:
        """Refuses a way that the judge cannot judge with a `jgan.UserError`: it has to make photos of label maps."""
        if not way.inputs or not way.target:
            raise jgan.UserError(
                "--segmenter judges photos that are made of label maps, and this run makes none."
            )
        for name, number in ((way.inputs[0], 3), (way.target, self._channels)):
            if known[name].channels != number:
                raise jgan.UserError(
                    f"--segmenter: for it {name} would have {number} channels, and it has {known[name].channels}."
                )

    def counts(self, photos: np.ndarray | jax.Array, labels: np.ndarray) -> np.ndarray:
        """Pixels [n, class of the label map, class that is found] of photos [n, h, w, c] in [-1, 1] and label maps."""
        found = np.asarray(self._run(np.asarray(photos)))
        return np.stack([segmentation.counts(a, b, self.palette) for a, b in zip(found, labels, strict=True)])
