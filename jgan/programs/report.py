"""A report on the runs of a sweep: one table of scores with errors, in Markdown, CSV and HTML, and a picture grid."""

from collections.abc import Sequence
import csv
from html import escape
import io
import itertools
import os
from typing import Any
from typing import NamedTuple

import numpy as np

import jgan
from jgan import output
from jgan import pictures
from jgan import trained
from jgan.data import images as image_files
from jgan.metrics import bootstrap
from jgan.metrics import scores as score_lib
from jgan.metrics import segmentation
from jgan.programs import evaluate
from jgan.programs import judge as judge_lib
from jgan.programs import sweep as sweep_lib
from jgan.runs import config as run_config
from jgan.runs import page

_ROWS = 6  # of the picture grid
_DIGITS = {"psnr": 2}
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
    """

    names: tuple[str, ...]
    values: dict[str, np.ndarray]
    counts: dict[str, np.ndarray]
    rows: list[list[Any]]
    classes: tuple[str, ...] = ()


class Cell(NamedTuple):
    """One score of one variant.

    Attributes:
        mean: over seeds.
        error: its standard error; None of a single seed.
        runs: how many seeds.
        difference: the mean over the seeds that the reference has too, less that of the reference; None of the
            reference itself.
        interval: of the difference.
    """

    mean: float
    error: float | None
    runs: int
    difference: float | None = None
    interval: tuple[float, float] | None = None


Table = dict[str, dict[str, Cell]]  # {variant: {score: cell}}


def report(
    workdir: str,
    *,
    segmenter: str = "",
    palette: str = "",
    way: str = "",
    reference: str = "",
    split: str = "",
) -> str:
    """Scores all finished runs below a directory; writes report.md, report.csv and report.html there.

    Args:
        workdir: of a sweep, or of runs in VARIANT/seedN.
        segmenter: a run of configs/segmenter.py, for the FCN score.
        palette: JSON file of the colours of classes, for the accuracies and IoUs of label maps.
        way: of the runs; by default their first.
        reference: the variant that the others are compared with; by default the sweep's own.
        split: of the data; by default that of the runs' validation.

    Returns:
        The table in Markdown.

    Raises:
        jgan.UserError: no finished run, runs of two systems, runs without scores, or an unknown reference.
    """
    facts = sweep_lib.facts(workdir)
    places, missing = found(workdir, facts)
    variants = tuple(dict.fromkeys(place.variant for place in places))
    reference = reference or facts.get("reference", "")
    if reference not in variants:
        if reference and reference not in facts.get("variants", ()):
            raise jgan.UserError(f"--reference={reference}: the variants are {', '.join(variants)}.")
        reference = variants[0]
    judge = judge_lib.Judge(segmenter) if segmenter else None
    results = {
        place: _score(place, way, judge=judge, palette=palette, split=split)
        for place in output.progress_over(places, unit="run")
    }
    first = results[places[0]]
    for place, result in results.items():
        if result.names != first.names:
            raise jgan.UserError(f"{place.workdir} is scored on other examples than {places[0].workdir}.")
    table = _table(results, reference)
    real = _real(first)
    notes = [
        f"{len(first.names)} examples; mean and standard error over seeds; the best in bold. Differences to "
        f"{reference} with 95 % intervals of a paired bootstrap over examples and seeds."
    ]
    if judge:
        notes.append(
            f"fcn: what the segmenter in {segmenter} finds in the pictures ({judge.size} pixels a side)."
        )
    if first.classes:
        notes.append(
            "iou, accuracies: a pixel is of the class with the nearest colour; one confusion matrix over all examples."
        )
    if missing:
        notes.append(f"Not finished: {', '.join(missing)}.")
    blocks = _blocks(table, real, reference, facts)
    text = _markdown(blocks, notes)
    output.replace(os.path.join(workdir, "report.md"), text.encode())
    output.replace(os.path.join(workdir, "report.csv"), _csv(table).encode())
    grid = _grid({place.variant: results[place] for place in reversed(places)}, variants)
    output.replace(os.path.join(workdir, "report.html"), _html(workdir, blocks, notes, grid).encode())
    return text


def found(workdir: str, facts: dict[str, Any]) -> tuple[list[Place], list[str]]:
    """(the finished runs of a sweep in the order of its variants, names of those that are not finished).

    Raises:
        jgan.UserError: no finished run, or runs of two systems.
    """
    names = facts.get("runs") or _below(workdir)
    places, missing, systems = [], [], {}
    for name in names:
        path = os.path.join(workdir, *name.split("/"))
        if not os.path.exists(os.path.join(path, "config.json")):
            missing.append(name)
            continue
        config = run_config.read(path)
        if sweep_lib.progress(path) < config.steps:
            missing.append(name)
            continue
        systems.setdefault(config.system, path)
        places.append(Place(name.split("/")[0], int(config.get("seed", 0)), path))
    if not places:
        more = f": {', '.join(missing[:5])} is not finished" if missing else ""
        raise jgan.UserError(f"{workdir} holds no finished run{more}; launch.sweep makes them.")
    if len(systems) > 1:
        (a, at), (b, there) = itertools.islice(systems.items(), 2)
        raise jgan.UserError(f"{at} is a run of {a} and {there} one of {b}: a table is of one system.")
    return places, missing


def _below(workdir: str) -> list[str]:
    """The runs in a directory and in its directories, by their relative paths."""
    names = []
    for folder, below, files in os.walk(workdir):
        depth = os.path.relpath(folder, workdir).count(os.sep)
        if "config.json" in files and folder != workdir:
            names.append(os.path.relpath(folder, workdir).replace(os.sep, "/"))
            below.clear()
        elif depth > 1:
            below.clear()
    return sorted(names)


def _score(place: Place, way: str, *, palette: str, **options: Any) -> Result:
    """The scores of one run, example by example; `options` are `judge` and `split` of `evaluate.each_of`."""
    run = trained.load(place.workdir)
    if palette and not way and len(run.system.ways) > 1:
        raise jgan.UserError(
            f"--palette={palette}: runs of {run.config.system} have several ways, and class colours belong to one; add "
            f"--way={' or --way='.join(run.system.ways)}."
        )
    known = run.way(way)
    options = evaluate.arguments(run, way, palette=palette, **options)
    scored, rows = [], []
    for one in evaluate.each(**options):
        if len(rows) < _ROWS:
            start = one.example[known.inputs[0]] if known.inputs else None
            rows.append([start, one.example.get(known.target), one.output])
        scored.append(one._replace(output=None, example={"name": one.example["name"]}))
    values = {name: np.array([one.values[name] for one in scored]) for name in scored[0].values}
    counts = {name: np.stack([one.counts[name] for one in scored]) for name in scored[0].counts}
    names = tuple(one.example["name"] for one in scored)
    return Result(names, values, counts, rows, tuple(options["palette"] or ()) if "" in counts else ())


def _tables(results: dict[Place, Result]) -> dict[str, dict[Place, tuple[float, np.ndarray]]]:
    """{score: {run: (the score, the same over each resample of the examples)}}, the score of the issue last."""
    drawn = bootstrap.weights(len(next(iter(results.values())).names))
    made: dict[str, dict[Place, tuple[float, np.ndarray]]] = {}
    for place, result in results.items():
        for name, values in result.values.items():
            made.setdefault(name, {})[place] = float(np.mean(values)), bootstrap.of_values(values, drawn)
        for prefix, counts in result.counts.items():
            if prefix == "fcn_real_":
                continue  # the same of all runs
            scores = evaluate.JUDGED if prefix else _SEGMENTED
            for name, score in scores.items():
                made.setdefault(prefix + name, {})[place] = (
                    float(score(counts.sum(0))),
                    bootstrap.of_counts(counts, drawn, score),
                )
        if result.classes:
            for name, score in _of_classes(result, drawn).items():
                made.setdefault(name, {})[place] = score
    return made


def _of_classes(result: Result, drawn: np.ndarray) -> dict[str, tuple[float, np.ndarray]]:
    """{iou_CLASS: (the score, the same over each resample)} of the classes that the targets have."""
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


def _table(results: dict[Place, Result], reference: str) -> Table:
    table: Table = {}
    for score, runs in _tables(results).items():
        seeds = {place.seed: place for place in runs if place.variant == reference}
        for variant in dict.fromkeys(place.variant for place in runs):
            own = {place.seed: place for place in runs if place.variant == variant}
            values = np.array([runs[place][0] for place in own.values()])
            cell = Cell(float(values.mean()), bootstrap.standard_error(values), len(values))
            both = sorted(own.keys() & seeds.keys())
            if variant != reference and both:
                a, b = ([runs[of[seed]] for seed in both] for of in (own, seeds))
                cell = cell._replace(
                    difference=float(np.mean([x[0] for x in a]) - np.mean([x[0] for x in b])),
                    interval=bootstrap.interval(np.stack([x[1] for x in a]), np.stack([x[1] for x in b])),
                )
            table.setdefault(variant, {})[score] = cell
    return table


def _real(result: Result) -> dict[str, float]:
    """{score: number} of the real photos, as far as a judge has seen them."""
    if "fcn_real_" not in result.counts:
        return {}
    matrix = result.counts["fcn_real_"].sum(0)
    return {f"fcn_{name}": float(score(matrix)) for name, score in evaluate.JUDGED.items()}


def _better(score: str) -> str:
    """Whether a smaller (`min`) or a greater (`max`) value of a score is better."""
    return score_lib.SCORES[score].better if score in score_lib.SCORES else "max"


Block = tuple[str, list[str], list[list[str]]]  # title, head, rows; what is bold begins and ends with **


def _blocks(table: Table, real: dict[str, float], reference: str, facts: dict[str, Any]) -> list[Block]:
    """The tables of the report."""
    names = list(dict.fromkeys(score for cells in table.values() for score in cells))
    best = {
        score: {"min": min, "max": max}[_better(score)](
            cells[score].mean for cells in table.values() if score in cells
        )
        for score in names
    }
    rows, differences = [], []
    for variant, cells in table.items():
        runs = str(max(cell.runs for cell in cells.values()))
        row = [_mean(name, cells.get(name), best[name]) for name in names]
        rows.append([variant, runs, *row])
        if variant != reference:
            differences.append([variant, *(_difference(name, cells.get(name)) for name in names)])
    if real:
        rows.append(["real photos", "", *(_number(name, real.get(name)) for name in names)])
    arrows = [f"{name} {'↓' if _better(name) == 'min' else '↑'}" for name in names]
    blocks = [("Scores", ["variant", "seeds", *arrows], rows)]
    if differences:
        blocks.append((f"Differences to {reference}", ["variant", *arrows], differences))
    paper = {variant: facts["paper"][variant] for variant in table if variant in facts.get("paper", {})}
    if paper:
        named = list(dict.fromkeys(score for scores in paper.values() for score in scores))
        told = [[variant, *(_number(n, scores.get(n)) for n in named)] for variant, scores in paper.items()]
        title = f"The paper's numbers, of another data set ({facts.get('source', '')})"
        blocks.append((title, ["variant", *named], told))
    return blocks


def _number(score: str, value: float | None) -> str:
    return "" if value is None else f"{value:.{_DIGITS.get(score, 3)}f}"


def _mean(score: str, cell: Cell | None, best: float) -> str:
    if cell is None:
        return ""
    text = _number(score, cell.mean) + ("" if cell.error is None else f" ± {_number(score, cell.error)}")
    return f"**{text}**" if cell.mean == best else text


def _difference(score: str, cell: Cell | None) -> str:
    if cell is None or cell.interval is None:
        return ""
    digits = _DIGITS.get(score, 3)
    low, high = cell.interval
    return f"{cell.difference:+.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}]"


def _markdown(blocks: list[Block], notes: Sequence[str]) -> str:
    lines = []
    for title, head, rows in blocks:
        table = [head, ["---"] * len(head), *rows]
        escaped = ([cell.replace("|", "\\|") for cell in row] for row in table)
        lines += [f"### {title}", "", *("| " + " | ".join(row) + " |" for row in escaped), ""]
    return "\n".join([*lines, *notes]) + "\n"


def _csv(table: Table) -> str:
    """One line for each variant and score, with all digits."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["variant", "score", "seeds", "mean", "standard_error", "difference", "low", "high"])
    for variant, cells in table.items():
        for score, cell in cells.items():
            low, high = cell.interval or (None, None)
            writer.writerow(
                [variant, score, cell.runs, cell.mean, cell.error, cell.difference, low, high]
            )  # None is written as nothing
    return file.getvalue()


def _grid(results: dict[str, Result], variants: Sequence[str]) -> np.ndarray:
    """A picture of what all variants make of the same inputs."""
    shown = [results[variant].rows for variant in variants]
    rows, titles = [], []
    for k in range(len(shown[0])):
        start, target, _ = shown[0][k]
        cells = [("input", start), ("target", target)]
        cells += [(variant, rows[k][2]) for variant, rows in zip(variants, shown, strict=True)]
        cells = [(title, image_files.convert(x, np.float32)) for title, x in cells if x is not None]
        titles = [title for title, _ in cells]
        rows.append([image for _, image in cells])
    return pictures.grid(rows, titles)


def _html(workdir: str, blocks: list[Block], notes: Sequence[str], grid: np.ndarray) -> str:
    name = output.readable(os.path.basename(os.path.abspath(workdir)))
    parts = [f"<header><div><h1>{escape(name)}</h1></div></header>"]
    for title, head, rows in blocks:
        cells = "".join(f"<th>{escape(cell)}</th>" for cell in head)
        body = "".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in rows)
        parts.append(
            f'<section class="facts"><h2>{escape(title)}</h2><div class="tables" style="overflow-x:auto">'
            f"<table><tr>{cells}</tr>{body}</table></div></section>"
        )
    parts += [f'<p class="sub">{escape(note)}</p>' for note in notes]
    parts.append(
        '<section><h2>The same inputs</h2><div class="stage">'
        f'<img src="{pictures.data_uri(grid)}" alt="inputs, targets and what each variant makes"></div></section>'
    )
    return page.framed(name, parts)


def _cell(text: str) -> str:
    bold = text.startswith("**")
    shown = escape(text.strip("*"))
    return f"<td>{f'<b>{shown}</b>' if bold else shown}</td>"
