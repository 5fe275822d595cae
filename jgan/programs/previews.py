"""What a run is scored by and shows while it trains, from what its system declares of its ways."""

from collections.abc import Callable
import itertools
from typing import Any

import jax
import ml_collections
import numpy as np

import jgan
from jgan import fields
from jgan import pictures
from jgan.data import examples as examples_lib
from jgan.data import images as image_files
from jgan.data import pipeline
from jgan.data.sources import entry as entry_lib
from jgan.metrics import images as image_metrics
from jgan.metrics import scores
from jgan.ops import conv
from jgan.programs import controls
from jgan.programs import draws
from jgan.programs import evaluate
from jgan.programs import translator
from jgan.runs import warnings
from jgan.systems import system as system_lib

_ROWS = 6  # of a grid of examples
_CODES = 8  # rows of a grid of codes under each value of a control
_COLUMNS = 12  # values of a control at most
_EXAMPLES = 24  # images that are shown beside what their codes give


def held_out(config: ml_collections.ConfigDict, system: system_lib.System) -> Any:
    """The examples of the validation split; a sentence where there is none, None where nothing is asked of them.

    All that a file can lack is looked for here, before the first step.

    Raises:
        jgan.UserError: files that cannot be used, unless data.skip_bad.
    """
    inputs = any(way.inputs for way in system.ways.values())
    if not inputs and not any(codes.predict for codes in system.spaces.values()):
        return None
    try:
        examples = pipeline.evaluation(config.data, config.data.val_split)
    except entry_lib.Absent as error:
        return str(error)
    if inputs and examples.paired:
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


class Previews:
    """Scores and pictures of a run while it trains, as far as its system has a use for examples."""

    def __init__(
        self,
        config: ml_collections.ConfigDict,
        system: system_lib.System,
        held: Any,
        make: Callable[..., dict[str, jax.Array]],
        predict: Callable[..., Any] | None,
    ):
        """Of a run's config and system.

        Args:
            config: the run's.
            system: built from it.
            held: examples as `held_out` gives them.
            make: `(weights, inputs, key, way=NAME, statistics=...) -> images` of a way, as the caller compiled it.
            predict: the default space's `predict` likewise; None where there is none.
        """
        self._config, self._system, self._held, self._make, self._predict = (
            config,
            system,
            held,
            make,
            predict,
        )
        self._shown = held
        self.warnings: list[str] = []  # signs in the newest pictures

    def scores(self, weights: dict[str, Any], step: int) -> dict[str, float] | None:
        """The scores after so many steps by name; None where there is nothing to compare with."""
        asked = {name: self._asked(way, step) for name, way in self._system.ways.items()}
        if self._held is None or not any(asked.values()):
            return None
        # By the plan of the run and not by how many have passed: one that was interrupted scores to the same bits.
        count = min(len(self._held), self._config.val_examples)
        times = self._config.steps // self._config.validate_every
        values = {}
        with conv.prefer(conv.form_for(times * count * self._config.data.size**2)):
            for name, way in self._system.ways.items():
                scored = evaluate.scores(
                    lambda inputs, given, seed=0, name=name: self._scored(
                        name, weights, inputs, given, step, seed
                    ),
                    (self._held[i] for i in range(count)),
                    way,
                    asked[name],
                    predict=lambda images, given: self._codes(weights, images, given),
                    batch_size=1 if way.inputs else draws.BATCH,
                )
                scored.pop("examples")
                prefix = f"{name}_" if len(self._system.ways) > 1 else ""
                values |= {prefix + score: value for score, value in scored.items()}
        return values

    def pictures(self, weights: dict[str, Any], step: int) -> dict[str, np.ndarray]:
        """{"": a grid}, and at the end of the run {file name: a picture, or the images of a film} besides.

        Rows are fixed examples where the system has ways that start from one, and else fixed codes. Columns are the
        inputs of each way, its pictures, the output once for each value worth showing of its first control, and what
        the code of an example gives; of a single way the target of pairs comes last.
        """
        with conv.prefer("lax"):  # they are few, and the first of them come before the first step
            ways = {name: way for name, way in self._system.ways.items() if way.inputs}
            if ways:
                shown = {"": self._examples_grid(weights, step, ways)}
            elif self._predicts(step):
                shown = {"": self._reconstructions(weights, step)}
            else:
                shown = {"": self._codes_grid(weights, step)}
            if step == self._config.steps and self._system.spaces:
                shown |= self._walks(weights, step)
            return shown

    def _predicts(self, step: int) -> bool:
        """Whether after so many steps codes of images have begun to be learnt."""
        return self._predict is not None and step > self._space().learnt

    def _space(self) -> system_lib.Codes:
        return next(iter(self._system.spaces.values()))

    def _asked(self, way: system_lib.Way, step: int) -> tuple[str, ...]:
        paired = self._held is not None and self._held.paired
        return scores.of(way, paired=paired, predicts=self._predicts(step))

    def _examples(self) -> Any:
        """Those of the validation split, or of training where there is none."""
        if self._shown is None:
            self._shown = pipeline.evaluation(self._config.data, self._config.data.split)
        return self._shown

    def _scored(
        self,
        name: str,
        weights: dict[str, Any],
        images: np.ndarray,
        given: dict[str, Any],
        step: int,
        seed: int,
    ) -> dict[str, jax.Array]:
        """What `evaluate.scores` asks for: of a way without inputs, images by way of their codes."""
        if self._system.ways[name].inputs:
            return self._run(name, weights, images, given, step, seed)
        images = image_files.convert(images, np.float32)
        return self._run(name, weights, None, given | self._codes(weights, images, given), step, seed)

    def _run(
        self, name: str, weights: dict[str, Any], inputs: Any, given: dict[str, Any], step: int, seed: int = 0
    ) -> dict[str, jax.Array]:
        """What a way makes of inputs, {} or {the first of its fields: images [n, h, w, c]}, and of its controls."""
        way, statistics = self._system.ways[name], self._system.statistics(step)
        key = jax.random.key(self._config.seed + seed)

        def apply(images: np.ndarray) -> dict[str, jax.Array]:
            return self._make(weights, {way.inputs[0]: images, **given}, key, way=name, statistics=statistics)

        if not way.inputs:
            return self._make(weights, given, key, way=name, statistics=statistics)
        return translator.padded(apply, inputs, way.tiling.multiple if way.tiling else 1)

    def _codes(self, weights: dict[str, Any], images: np.ndarray, given: dict[str, Any]) -> dict[str, Any]:
        """{control: codes [n, ...]} of images, for the ways that take them."""
        name = next(iter(self._system.spaces))
        return {name: self._predict(weights, images, given)}

    def _values(self, way: system_lib.Way) -> list[tuple[str, dict[str, Any]]]:
        """[(title, {control: value})] of the first control's values that are worth showing; [("", {})] without one."""
        if not way.controls:
            return [("", {})]
        name, field = next(iter(way.controls.items()))
        shown = [(title, {name: value}) for title, value in itertools.islice(field.spread(), _COLUMNS)]
        if isinstance(field, fields.Code):
            codes = draws.codes(self._space().space({}, {}), self._config.seed, len(shown))
            shown = [
                (title, {name: jax.tree.map(lambda x, k=k: x[k], codes)})
                for k, (title, _) in enumerate(shown)
            ]
        return shown

    def _examples_grid(
        self, weights: dict[str, Any], step: int, ways: dict[str, system_lib.Way]
    ) -> np.ndarray:
        examples, rows, data = self._examples(), [], self._config.data
        known = fields.of(data)
        seen: dict[str, list[Any]] = {name: [] for name in ways}
        titles: list[str] = []
        plain: list[bool] = []
        for i in range(min(len(examples), _ROWS)):
            example = examples[i]
            if any(way.inputs[0] not in example for way in ways.values()):
                break  # one domain has fewer images than the other
            row = []
            for name, way in ways.items():
                cells = self._example(weights, step, name, example)
                if len(ways) == 1 and examples.paired and way.target:
                    cells.append(("target", example[way.target], way.target))
                image = image_files.convert(example[way.inputs[0]], np.float32)
                for k, (title, shown, field) in enumerate(cells):
                    shown = image_files.convert(shown, np.float32) if k else image
                    row.append(examples_lib.shown(data, {way.inputs[0]: image}, shown) if k else shown)
                    if i == 0:
                        titles.append(title)
                        plain.append(known[field].plain if field in known else False)
                if way.target in example:
                    seen[name].append((image, cells[1][1], example[way.target]))
            rows.append(row)
        if step >= warnings.WARM_UP:
            self.warnings = warnings.of_pictures(seen, paired=examples.paired)
        return pictures.grid(rows, titles, plain)

    def _example(
        self, weights: dict[str, Any], step: int, name: str, example: dict[str, Any]
    ) -> list[tuple[str, np.ndarray, str]]:
        """(title, image, the field it is like) of an example's input and all that a way makes of it."""
        way = self._system.ways[name]
        source, several = way.inputs[0], len(self._system.ways) > 1
        here, there = source.upper(), way.target.upper()
        cells = [(here if several else "input", example[source], source)]
        # In the file's own type, as it is scored: one program serves both.
        inputs, backs = example[source][None], []
        for title, value in self._values(way):
            made = self._run(name, weights, inputs, controls.repeated(value, 1), step)
            usual = f"{here} to {there}" if several else "output"
            cells.append((title or usual, np.asarray(made[way.returns[0]])[0], way.target or source))
            for extra in way.returns[1:] if not backs else ():
                usual = f"{here} to {there} to {here}" if several and extra == "back" else extra
                backs.append((usual, np.asarray(made[extra])[0], source))
        cells += backs
        if self._predicts(step) and way.target in example:
            target = image_files.convert(example[way.target], np.float32)[None]
            codes = self._codes(weights, target, {source: inputs})
            made = self._run(name, weights, inputs, codes, step)
            cells.append(("by its code", np.asarray(made[way.returns[0]])[0], way.target))
        return cells

    def _codes_grid(self, weights: dict[str, Any], step: int) -> np.ndarray:
        name, way = next(iter(self._system.ways.items()))
        code = next(name for name, field in way.controls.items() if isinstance(field, fields.Code))
        space = self._space().space({}, {})
        first = next(iter(way.controls))
        if first == code:
            codes = draws.codes(space, self._config.seed, draws.BATCH)
            images = draws.draw(lambda z: self._output(name, weights, {code: z}, step), codes)
            return pictures.mosaic(images, "the same codes at every step")
        codes, values = draws.codes(space, self._config.seed, _CODES), self._values(way)
        columns = [
            draws.draw(
                lambda z, value=value: self._output(
                    name, weights, {code: z, **controls.repeated(value, draws.BATCH)}, step
                ),
                codes,
            )
            for _, value in values
        ]
        return pictures.grid(
            [list(row) for row in zip(*columns, strict=True)], [title for title, _ in values]
        )

    def _reconstructions(self, weights: dict[str, Any], step: int) -> np.ndarray:
        examples = self._examples()
        name, way = next(iter(self._system.ways.items()))
        shown = [examples[i][way.target] for i in range(min(len(examples), _EXAMPLES))]
        images = np.stack([image_files.convert(image, np.float32) for image in shown])

        def back(images: np.ndarray) -> jax.Array:
            return self._output(name, weights, self._codes(weights, images, {}), step)

        both = zip(images, draws.draw(back, images), strict=True)
        return pictures.mosaic(
            [x for pair in both for x in pair], "images, and what their codes give, in turn"
        )

    def _walks(self, weights: dict[str, Any], step: int) -> dict[str, np.ndarray]:
        """Interpolations and a walk of the default space, of the first example where its way starts from one."""
        name, way = next(item for item in self._system.ways.items() if _code(item[1]))
        space, fixed = self._space().space({}, {}), controls.drawn(way, 1, self._config.seed)
        example = self._examples()[0] if way.inputs else {}

        def generate(codes: Any) -> jax.Array:
            n = len(jax.tree.leaves(codes)[0])
            inputs = np.repeat(example[way.inputs[0]][None], n, 0) if way.inputs else None
            given = {control: np.repeat(x, n, 0) for control, x in fixed.items()}
            return self._run(name, weights, inputs, {_code(way): codes, **given}, step)[way.returns[0]]

        rows = draws.interpolations(space, generate, self._config.seed)
        return {
            "interpolation.png": pictures.grid(rows, [""] * len(rows[0])),
            "walk.webp": draws.walk(space, generate, self._config.seed),
        }

    def _output(self, name: str, weights: dict[str, Any], given: dict[str, Any], step: int) -> jax.Array:
        """The output of a way without inputs."""
        return self._run(name, weights, None, given, step)[self._system.ways[name].returns[0]]


def _code(way: system_lib.Way) -> str:
    """The control of a way that is a code; empty where there is none."""
    return next((name for name, field in way.controls.items() if isinstance(field, fields.Code)), "")
