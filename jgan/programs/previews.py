"""What a run is scored by and shows while it trains: the examples of its validation split."""

from collections.abc import Callable
from typing import Any

import jax
import ml_collections
import numpy as np

import jgan
from jgan import pictures as pictures_lib
from jgan.data import images as image_files
from jgan.data import pairs
from jgan.data import pipeline
from jgan.data.sources import entry as entry_lib
from jgan.metrics import images as image_metrics
from jgan.ops import conv
from jgan.programs import evaluate
from jgan.programs import sample
from jgan.programs import translate
from jgan.systems import system as system_lib

_GRID_ROWS = 6


def held_out(config: ml_collections.ConfigDict, system: system_lib.System) -> Any:
    """The examples of the validation split; a sentence where there is none, None where nothing is asked of them.

    All that a file can lack is looked for here, before the first step.

    Raises:
        jgan.UserError: files that cannot be used, unless data.skip_bad.
    """
    if not system.translations and not system.predict:
        return None
    try:
        examples = pipeline.evaluation(config.data, config.data.val_split)
    except entry_lib.Absent as error:
        return str(error)
    if system.translations and examples.paired:
        least = image_metrics.WINDOW.size
        # Drawn pictures are all of one size, and drawing takes long.
        count = 1 if config.data.source in pipeline.DRAWN else config.val_examples
        for i in range(min(len(examples), count)):
            height, width = examples[i]["a"].shape[:2]
            if min(height, width) < least:
                raise jgan.UserError(
                    f"{examples.names[i]} of split {config.data.val_split!r} has {width}x{height} pixels: "
                    f"validation needs {least} a side."
                )
    return examples


class Validation:
    """Scores and pictures of a run on what was held out, as far as its system has a use for examples."""

    def __init__(
        self,
        config: ml_collections.ConfigDict,
        system: system_lib.System,
        held: Any,
        generate: Callable[..., dict[str, jax.Array]],
        predict: Callable[..., Any] | None,
    ):
        """Of examples held out or None, with `System.apply` and `System.predict` as the caller compiled them."""
        self._config, self._system, self._generate, self._held = config, system, generate, held
        self._shown = held
        # Of a system with a latent space; it has no inputs to show.
        self._previews = sample.Previews(config, system, generate, predict)

    def scores(self, weights: dict[str, Any], step: int) -> dict[str, float] | None:
        """The scores after so many steps by name; None where there is nothing to compare with."""
        if self._held is None or not self._system.translations and not self._previews.predicts(step):
            return None
        # By the plan of the run and not by how many have passed: one that was interrupted scores to the same bits.
        count = min(len(self._held), self._config.val_examples)
        times = self._config.steps // self._config.validate_every
        with conv.prefer(conv.form_for(times * count * self._config.data.size**2)):
            return self._scores(weights, count)

    def _scores(self, weights: dict[str, Any], count: int) -> dict[str, float]:
        examples, values = self._held, {}
        if not self._system.translations:
            values["l1"] = self._previews.score(weights, (examples[i] for i in range(count)))
        for direction, way in self._system.translations.items():
            found = evaluate.scores(
                lambda x, way=way: self._translate(weights, way, x),
                (examples[i] for i in range(count)),
                way,
                paired=examples.paired,
            )
            found.pop("examples")
            prefix = f"{direction}_" if len(self._system.translations) > 1 else ""
            values |= {prefix + name: value for name, value in found.items()}
        return values

    def pictures(self, weights: dict[str, Any], step: int) -> dict[str, np.ndarray]:
        """{"": a grid} of fixed examples or codes and what becomes of them, and {file name: picture} besides."""
        with conv.prefer("lax"):  # they are few, and the first of them come before the first step
            if not self._system.translations:
                return self._previews.pictures(weights, step, self._examples)
            return {"": self._translations(weights)}

    def _examples(self) -> Any:
        """Those of the validation split, or of training where there is none."""
        if self._shown is None:
            self._shown = pipeline.evaluation(self._config.data, self._config.data.split)
        return self._shown

    def _translate(
        self, weights: dict[str, Any], way: system_lib.Translation, inputs: np.ndarray
    ) -> dict[str, jax.Array]:
        return translate.padded(
            lambda x: self._generate(weights, {way.source: x}), inputs, self._system.multiple
        )

    def _translations(self, weights: dict[str, Any]) -> np.ndarray:
        """One direction shows input, output and target; two show each image, its translation and back."""
        examples = self._examples()
        rows, ways, data = [], self._system.translations, self._config.data
        pair, labels = data.get("pair", ""), data.get("labels", "")
        titles = ("input", "output", "target") if len(ways) == 1 else ()
        for i in range(min(len(examples), _GRID_ROWS)):
            example = examples[i]
            if any(way.source not in example for way in ways.values()):
                break  # one domain has fewer images than the other
            row = []
            for way in ways.values():
                # In the file's own type, as it is scored: one program serves both.
                made = self._translate(weights, way, example[way.source][None])
                image = image_files.convert(example[way.source], np.float32)
                shown = [np.asarray(made[name])[0] for name in (way.output, way.back) if name]
                if len(ways) == 1:
                    shown.append(image_files.convert(example[way.target], np.float32))
                row += [image, *(pairs.show(pair, image, x) if pair else x for x in shown)]
            rows.append(row)
        plain = [way.source in labels for way in ways.values() for _ in range(3)]
        if len(ways) > 1:
            for way in ways.values():
                here, there = way.source.upper(), way.target.upper()
                titles += (here, f"{here} to {there}", f"{here} to {there} to {here}")
        else:
            plain[1:] = [way.target in labels for way in ways.values()] * 2
        return pictures_lib.grid(rows, titles, plain)
