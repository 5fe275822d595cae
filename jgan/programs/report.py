"""A report on the runs of a sweep: what they make of the same examples, and the files that tell it.

`report_table` has the means, errors and intervals, and `report_page` the page.
"""

from collections.abc import Callable
from collections.abc import Sequence
import itertools
import os
from typing import Any

import jgan
from jgan import frozen
from jgan import output
from jgan import paths
from jgan import trained
from jgan.programs import judge as judge_lib
from jgan.programs import report_page
from jgan.programs import report_projections
from jgan.programs import report_scores
from jgan.programs import report_table
from jgan.programs import set_scores
from jgan.programs import sweep as sweep_lib
from jgan.programs import sweep_file
from jgan.programs import sweep_projections
from jgan.runs import config as run_config


def report(
    workdir: str,
    *,
    segmenter: str = "",
    palette: str = "",
    way: str = "",
    reference: str = "",
    split: str = "",
    sets: bool = False,
    inception: str = "",
    resize: str = "half_pixel",
    classifier: str = "",
    number: int = set_scores.NUMBER,
    features: Callable[[trained.Run], frozen.Features | None] | None = None,
) -> str:
    """Scores all finished runs below a directory; writes report.md, report.csv and report.html there.

    Args:
        workdir: of a sweep, or of trainings in VARIANT/seedN.
        segmenter: a run of configs/segmenter.py, for the FCN score.
        palette: JSON file of the colours of classes, for the accuracies and IoUs of label maps.
        way: of the runs; by default their first.
        reference: the variant that the others are compared with; by default the sweep's own.
        split: of the data; by default that of the runs' validation, and for what is drawn from codes that of training.
        sets: whether sets are scored as well.
        inception: as in `scoring.scores`, as `resize` and `number`.
        classifier: file of the classifier; by default it is kept in the directory, and read by the next report.
        features: `run -> those of LPIPS`, which all runs share; None: no scores by LPIPS.

    Returns:
        The table in Markdown.

    Raises:
        jgan.UserError: no finished run, runs of two systems, runs without scores, an unknown reference, or what does
            not go with projections.
    """
    facts = sweep_file.facts(workdir)
    if facts.get("program") == "project":
        others = {"segmenter": segmenter, "palette": palette, "way": way, "split": split, "set_scores": sets}
        others["number"] = number != set_scores.NUMBER
        for name, value in others.items():
            if value:
                raise jgan.UserError(f"--{name} goes with a sweep of trainings alone.")
        places, missing = report_projections.found(workdir, facts)
        reference = _reference(reference, places, facts)
        results, notes = report_projections.results(places, facts, features)
        return _written(workdir, facts, results, reference, notes, missing)
    places, missing = found(workdir, facts)
    reference = _reference(reference, places, facts)
    judge = judge_lib.Judge(segmenter) if segmenter else None
    # Of the data of one run, so that all are compared with the same pictures by the same nets.
    model = trained.load(next(place for place in places if place.variant == reference).workdir)
    one = (way or next(iter(model.system.ways))) if len(model.system.ways) > 1 else ""
    net = features(model) if features else None
    known = None
    if sets:
        if not (classifier or inception):
            classifier = os.path.join(workdir, f"classifier{f'_{one}' if one else ''}.npz")
        known = report_scores.of_sets(
            model,
            way,
            split=split,
            inception=inception,
            resize=resize,
            classifier=classifier,
            number=number,
        )
    results = {
        place: report_scores.score(
            trained.load(place.workdir),
            way,
            judge=judge,
            palette=palette,
            split=split,
            features=net,
            known=known,
            number=number,
        )
        for place in output.progress_over(places, unit="run")
    }
    first, notes = results[places[0]], []
    if net:
        told = [
            name for name in ("lpips", "diversity_lpips", "ppl") if name in {*first.values, *first.numbers}
        ]
        notes += [f"{', '.join(told)}: {net.name}."] if told else []
    if first.numbers:
        notes.append(_of_sets(first, reference, bool(known)))
    if judge:
        notes.append(
            f"fcn: what the segmenter in {segmenter} finds in the pictures ({judge.size} pixels a side)."
        )
    if first.classes:
        notes.append(
            "iou, accuracies: a pixel is of the class with the nearest colour; one confusion matrix over all examples."
        )
    return _written(workdir, facts, results, reference, notes, missing, report_page.curves(places, one))


def _reference(asked: str, places: Sequence[report_table.Place], facts: dict[str, Any]) -> str:
    """The variant that the others are compared with: what is asked for, the sweep's own, or the first."""
    variants = tuple(dict.fromkeys(place.variant for place in places))
    reference = asked or facts.get("reference", "")
    if reference not in variants:
        if reference and reference not in facts.get("variants", ()):
            raise jgan.UserError(f"--reference={reference}: the variants are {', '.join(variants)}.")
        return variants[0]
    return reference


def _written(
    workdir: str,
    facts: dict[str, Any],
    results: dict[report_table.Place, report_table.Result],
    reference: str,
    told: Sequence[str],
    missing: Sequence[str],
    curves: str = "",
) -> str:
    """Writes the files of a report and returns its table in Markdown.

    Args:
        workdir: where.
        facts: of the sweep.
        results: of all finished runs.
        reference: the variant that the others are compared with.
        told: how some scores were measured.
        missing: names of runs that are not finished.
        curves: as `report_page.curves` gives them; empty: none.

    Raises:
        jgan.UserError: runs were scored on different examples.
    """
    places = list(results)
    first, variants = results[places[0]], tuple(dict.fromkeys(place.variant for place in places))
    for place, result in results.items():
        if result.names != first.names:
            raise jgan.UserError(f"{place.workdir} is scored on other examples than {places[0].workdir}.")
    table = report_table.table(results, reference)
    notes = ["Means and standard errors over seeds; the best in bold."]
    if first.names:
        notes.append(
            f"{len(first.names)} examples. Differences to {reference} have 95 % intervals of a paired bootstrap over "
            "examples and seeds."
        )
    notes += told
    if missing:
        notes.append(f"Not finished: {', '.join(missing)}.")
    blocks = report_table.blocks(table, report_table.real(first), reference, facts)
    text = report_table.markdown(blocks, notes)
    output.replace(os.path.join(workdir, "report.md"), text.encode())
    output.replace(os.path.join(workdir, "report.csv"), report_table.to_csv(table).encode())
    grid = report_page.grid({place.variant: results[place] for place in reversed(places)}, variants)
    page = report_page.html(workdir, blocks, notes, curves, grid, variants)
    output.replace(os.path.join(workdir, "report.html"), page.encode())
    return text


def found(workdir: str, facts: dict[str, Any]) -> tuple[list[report_table.Place], list[str]]:
    """(the finished runs of a sweep in the order of its variants, names of those that are not finished).

    Raises:
        jgan.UserError: no finished run, runs of two systems, or projections among them.
    """
    names = facts.get("runs") or _below(workdir)
    projections = [name for name in names if sweep_projections.told(os.path.join(workdir, name))]
    if projections:
        path, others = os.path.join(workdir, projections[0]), [x for x in names if x not in projections]
        raise jgan.UserError(
            f"{os.path.join(workdir, others[0])} is a training and {path} a projection: a table is of one kind."
            if others
            else f"{path} is a projection of no sweep: launch.sweep with configs/sweeps/projection.py makes a table's."
        )
    places, missing, systems = [], [], {}
    for name in names:
        path = os.path.join(workdir, *name.split("/"))
        if not paths.exists(os.path.join(path, "config.json")):
            missing.append(name)
            continue
        config = run_config.read(path)
        if sweep_lib.progress(path) < config.steps:
            missing.append(name)
            continue
        systems.setdefault(config.system, path)
        places.append(report_table.Place(name.split("/")[0], int(config.get("seed", 0)), path))
    if not places:
        more = f": {', '.join(missing[:5])} is not finished" if missing else ""
        raise jgan.UserError(f"{workdir} holds no finished run{more}; launch.sweep makes them.")
    if len(systems) > 1:
        (a, at), (b, there) = itertools.islice(systems.items(), 2)
        raise jgan.UserError(f"{at} is a run of {a} and {there} one of {b}: a table is of one system.")
    return places, missing


def _below(workdir: str) -> list[str]:
    """The runs and projections in a directory and in its directories, by their relative paths."""
    names = []
    for folder, below, files in paths.walk(workdir):
        depth = os.path.relpath(folder, workdir).count(os.sep)
        if {"config.json", "projection.json"} & {*files} and folder != workdir:
            names.append(os.path.relpath(folder, workdir).replace(os.sep, "/"))
            below.clear()
        elif depth > 1:
            below.clear()
    return sorted(names)


def _of_sets(result: report_table.Result, reference: str, compared: bool) -> str:
    """How the scores were measured that a run has one of."""
    told = (
        f"{', '.join(report_table.listed(result.numbers))}: one number for each run, so that the intervals of their "
        f"differences to {reference} are Student's, 95 %, over seeds alone."
    )
    if compared:
        told += f" Real pictures are those of {reference}; {next(iter(result.protocol.values()))}."
    return told
