"""The table of a report: from what runs make of examples to means, errors and intervals, in Markdown and CSV."""

from collections.abc import Mapping
from collections.abc import Sequence
import csv
import io
import math
import types
from typing import Any
from typing import NamedTuple

import numpy as np

from jgan.metrics import bootstrap
from jgan.metrics import scores as score_lib
from jgan.metrics import segmentation
from jgan.programs import evaluate

_DIGITS = {"psnr": 2, "evaluations": 0}
_EMPTY: Mapping[str, Any] = types.MappingProxyType({})
# Of what `Result.numbers` has: the standard errors of a kernel distance within one run, and what real pictures have.
_UNLISTED = ("kid_error", "classifier_kd_error", "classifier_accuracy")
# Of label maps in the colours of a palette, beside the IoU of each class: {score: of a confusion matrix}.
_SEGMENTED = {
    "pixel_accuracy": segmentation.pixel_accuracy,
    "class_accuracy": segmentation.class_accuracy,
    "mean_iou": segmentation.mean_iou,
}


class Place(NamedTuple):
    """A finished run of a sweep."""

    variant: str
    seed: int
    workdir: str


class Result(NamedTuple):
    """What one run makes of the examples.

    Attributes:
        names: of the examples.
        values: {score: [n]}.
        counts: {prefix: [n, k, k]}, as `evaluate.Scored` has them.
        rows: [input, target, output] of the first examples; the target is None where there is none.
        classes: of the palette whose confusion is under the prefix "".
        numbers: {score: number} of those that a run has one of, as scores of sets.
        protocol: {score: how it was measured}.
    """

    names: tuple[str, ...]
    values: dict[str, np.ndarray]
    counts: dict[str, np.ndarray]
    rows: list[list[Any]]
    classes: tuple[str, ...] = ()
    numbers: Mapping[str, float] = _EMPTY
    protocol: Mapping[str, str] = _EMPTY


class Cell(NamedTuple):
    """One score of one variant.

    Attributes:
        mean: over seeds.
        error: its standard error; None of a single seed.
        runs: how many seeds.
        difference: the mean over the seeds that the reference has too, less that of the reference; None of the
            reference itself.
        interval: of the difference; None of a single seed without scores of examples.
    """

    mean: float
    error: float | None
    runs: int
    difference: float | None = None
    interval: tuple[float, float] | None = None


Table = dict[str, dict[str, Cell]]  # {variant: {score: cell}}


_Score = tuple[
    float, np.ndarray | None
]  # of a run; the same over each resample of the examples, where it has any


def _tables(results: dict[Place, Result]) -> dict[str, dict[Place, _Score]]:
    """{score: {run: score}}."""
    made: dict[str, dict[Place, _Score]] = {}
    for place, result in results.items():
        for name, score in {**_of_examples(result), **_of_run(result)}.items():
            made.setdefault(name, {})[place] = score
    return made


def _of_examples(result: Result) -> dict[str, _Score]:
    """The scores that examples have one by one."""
    if not result.names:
        return {}
    drawn = bootstrap.weights(len(result.names))
    made = {
        name: (float(np.mean(values)), bootstrap.of_values(values, drawn))
        for name, values in result.values.items()
    }
    for prefix, counts in result.counts.items():
        if prefix == "fcn_real_":
            continue  # the same of all runs
        for name, score in (evaluate.JUDGED if prefix else _SEGMENTED).items():
            resampled = bootstrap.of_counts(counts, drawn, score)
            made[prefix + name] = float(score(counts.sum(0))), resampled
    return made | (_of_classes(result, drawn) if result.classes else {})


def _of_run(result: Result) -> dict[str, _Score]:
    """The scores that a run has one of."""
    return {name: (result.numbers[name], None) for name in listed(result.numbers)}


def listed(numbers: Mapping[str, float]) -> list[str]:
    """The names of those that have a column."""
    return [name for name in numbers if name not in _UNLISTED]


def _of_classes(result: Result, drawn: np.ndarray) -> dict[str, _Score]:
    """{iou_CLASS: score} of the classes that the targets have."""
    counts = result.counts[""]
    whole, resampled = _ious(counts.sum(0)), bootstrap.of_counts(counts, drawn, _ious)
    return {
        f"iou_{name}": (float(whole[k]), resampled[:, k])
        for k, name in enumerate(result.classes)
        if not np.isnan(whole[k])
    }


def _ious(matrix: np.ndarray) -> np.ndarray:
    """The IoU of each class [k], NaN for one that no target has."""
    return np.array([np.nan if value is None else value for value in segmentation.iou(matrix)])


def table(results: dict[Place, Result], reference: str) -> Table:
    """The means over seeds of all scores of all variants, with the differences to one of them.

    Differences are paired: of the seeds that both have, and over the same resamples of examples. A score that a run has
    one of has Student's interval, of the differences of seeds.
    """
    made: Table = {}
    for score, runs in _tables(results).items():
        seeds = {place.seed: place for place in runs if place.variant == reference}
        for variant in dict.fromkeys(place.variant for place in runs):
            own = {place.seed: place for place in runs if place.variant == variant}
            values = np.array([runs[place][0] for place in own.values()])
            cell = Cell(float(values.mean()), bootstrap.standard_error(values), len(values))
            both = sorted(own.keys() & seeds.keys())
            if variant != reference and both:
                a, b = ([runs[of[seed]] for seed in both] for of in (own, seeds))
                differences = np.array([x[0] - y[0] for x, y in zip(a, b, strict=True)])
                if a[0][1] is None:
                    interval = bootstrap.student(differences)
                else:
                    interval = bootstrap.interval(np.stack([x[1] for x in a]), np.stack([x[1] for x in b]))
                cell = cell._replace(difference=float(np.mean(differences)), interval=interval)
            made.setdefault(variant, {})[score] = cell
    return made


def real(result: Result) -> dict[str, float]:
    """{score: number} of real pictures, as far as a judge or a classifier has seen them."""
    known = {}
    if "fcn_real_" in result.counts:
        matrix = result.counts["fcn_real_"].sum(0)
        known = {f"fcn_{name}": float(score(matrix)) for name, score in evaluate.JUDGED.items()}
    if "label_agreement" in result.numbers:
        known["label_agreement"] = result.numbers["classifier_accuracy"]
    return known


Block = tuple[str, list[str], list[list[str]]]  # title, head, rows; what is bold begins and ends with **


def blocks(scores: Table, known: dict[str, float], reference: str, facts: dict[str, Any]) -> list[Block]:
    """The tables of the report.

    Args:
        scores: as `table` gives them.
        known: {score: number} of real pictures.
        reference: the variant of the differences.
        facts: of the sweep, as `sweep_file.facts` reads them.
    """
    names = list(dict.fromkeys(score for cells in scores.values() for score in cells))
    best, digits = {}, {}
    for name in names:
        means = [cells[name].mean for cells in scores.values() if name in cells]
        best[name] = {"min": min, "max": max}[score_lib.better(name)](means)
        digits[name] = _digits(name, means)
    rows, differences = [], []
    for variant, cells in scores.items():
        runs = str(max(cell.runs for cell in cells.values()))
        row = [_mean(digits[name], cells.get(name), best[name]) for name in names]
        rows.append([variant, runs, *row])
        if variant != reference:
            differences.append([variant, *(_difference(digits[name], cells.get(name)) for name in names)])
    if known:
        rows.append(["real pictures", "", *(_number(digits[name], known.get(name)) for name in names)])
    arrows = [f"{name} {'↓' if score_lib.better(name) == 'min' else '↑'}" for name in names]
    made = [("Scores", ["variant", "seeds", *arrows], rows)]
    if differences:
        made.append((f"Differences to {reference}", ["variant", *arrows], differences))
    paper = {variant: facts["paper"][variant] for variant in scores if variant in facts.get("paper", {})}
    if paper:
        named = list(dict.fromkeys(score for told in paper.values() for score in told))
        told = [
            [variant, *(_number(_DIGITS.get(n, 3), one.get(n)) for n in named)]
            for variant, one in paper.items()
        ]
        title = f"The paper's numbers, of another data set ({facts.get('source', '')})"
        made.append((title, ["variant", *named], told))
    return made


def _digits(score: str, means: Sequence[float]) -> int:
    """How many digits a column has: of a distance three significant ones of its smallest number."""
    least = min((abs(mean) for mean in means if mean), default=1.0)
    if least >= 0.01 or score_lib.better(score) == "max":
        return _DIGITS.get(score, 3)
    return min(2 - math.floor(math.log10(least)), 8)


def _number(digits: int, value: float | None) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _mean(digits: int, cell: Cell | None, best: float) -> str:
    if cell is None:
        return ""
    text = _number(digits, cell.mean) + ("" if cell.error is None else f" ± {_number(digits, cell.error)}")
    return f"**{text}**" if cell.mean == best else text


def _difference(digits: int, cell: Cell | None) -> str:
    if cell is None or cell.difference is None:
        return ""
    told = f"{cell.difference:+.{digits}f}"
    if cell.interval is None:
        return told
    low, high = cell.interval
    return f"{told} [{low:+.{digits}f}, {high:+.{digits}f}]"


def markdown(tables: Sequence[Block], notes: Sequence[str]) -> str:
    """The tables of `blocks` and sentences below them."""
    lines = []
    for title, head, rows in tables:
        escaped = ([cell.replace("|", "\\|") for cell in row] for row in [head, ["---"] * len(head), *rows])
        lines += [f"### {title}", "", *("| " + " | ".join(row) + " |" for row in escaped), ""]
    return "\n".join([*lines, *notes]) + "\n"


def to_csv(scores: Table) -> str:
    """One line for each variant and score, with all digits."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["variant", "score", "seeds", "mean", "standard_error", "difference", "low", "high"])
    for variant, cells in scores.items():
        for score, cell in cells.items():
            low, high = cell.interval or (None, None)
            writer.writerow(
                [variant, score, cell.runs, cell.mean, cell.error, cell.difference, low, high]
            )  # None is written as nothing
    return file.getvalue()
