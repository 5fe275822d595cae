"""The scores of one run of a report: of each example, of what it makes as a set, and of paths between styles."""

import itertools
from typing import Any
from typing import NamedTuple

import numpy as np

import jgan
from jgan import frozen
from jgan import trained
from jgan.metrics import sets
from jgan.programs import classifier as classifier_lib
from jgan.programs import controls
from jgan.programs import describers
from jgan.programs import draws
from jgan.programs import evaluate
from jgan.programs import judge as judge_lib
from jgan.programs import path_length
from jgan.programs import report_table
from jgan.programs import sample
from jgan.programs import scoring
from jgan.programs import set_scores

ROWS = 6  # of the picture grid
_LAB = "lab_intersection"


class Sets(NamedTuple):
    """What the sets of all runs of a report are compared with, and by what.

    Attributes:
        real: pictures of the data of one run.
        describer: whose features are compared.
        classifier: which names what is made; None without one.
        number: of pictures in each set.
    """

    real: sets.Described
    describer: describers.Describer
    classifier: classifier_lib.Classifier | None
    number: int


def of_sets(
    run: trained.Run, way: str, *, split: str, inception: str, resize: str, classifier: str, number: int
) -> Sets:
    """What all runs are compared with, from the data of one of them; arguments as in `scoring.scores`.

    Raises:
        jgan.UserError: data and files that cannot be used, or a way without a target.
    """
    field = set_scores.with_target(run, way).target
    describer, made = scoring.described_by(run, field, inception, resize, classifier)
    real = set_scores.reference(run, way, describer=describer, number=number, split=split)
    return Sets(real, describer, made, number)


def score(
    run: trained.Run,
    way: str,
    *,
    judge: judge_lib.Judge | None = None,
    palette: str = "",
    split: str = "",
    features: frozen.Features | None = None,
    known: Sets | None = None,
    number: int = set_scores.NUMBER,
) -> report_table.Result:
    """All scores of a run that were asked for.

    Args:
        run: as `trained.load` gives it.
        way: of it; the default one where it is empty.
        judge: of photos that are made of label maps.
        palette: as in `evaluate.each_of`.
        split: of the data; empty: validation, and for sets what `set_scores.scores` takes.
        features: those of LPIPS; None: no scores by LPIPS.
        known: what sets are compared with; None: they are not scored.
        number: of pairs for the path length.

    Raises:
        jgan.UserError: a run without scores, or data and files that cannot be used.
    """
    if palette and not way and len(run.system.ways) > 1:
        raise jgan.UserError(
            f"--palette={palette}: runs of {run.config.system} have several ways, and class colours belong to one; add "
            f"--way={' or --way='.join(run.system.ways)}."
        )
    made, examples = run.way(way), None
    if made.inputs or run.predicts or palette or judge:
        lpips = frozen.lpips(features) if features else None
        examples = evaluate.arguments(
            run, way, palette=palette, judge=judge, split=split, lpips=lpips, required=False
        )
    alone = examples and (examples["names"] or examples["palette"] or examples["judge"])
    paths = features is not None and path_length.applies(run)
    if not (alone or known or paths):
        raise jgan.UserError(
            f"a run of {run.config.system} on these data has no scores of single examples: add --set_scores, by a "
            "classifier that is trained on the data, or --inception=FILE."
        )
    if alone:
        result = _of_examples(examples)
    elif examples:
        first = itertools.islice(evaluate.each(**examples), ROWS)
        result = report_table.Result((), {}, {}, [_row(examples, one) for one in first])
    else:
        result = report_table.Result((), {}, {}, [[None, None, image] for image in _drawn(run)])
    numbers, protocol = {}, {}
    if known:
        numbers = set_scores.scores(
            run,
            way,
            describer=known.describer,
            classifier=known.classifier,
            number=known.number,
            split=split,
            real=known.real,
        )
        protocol = numbers.pop("protocol")
        numbers |= {f"{_LAB}_{name}": value for name, value in numbers.pop(_LAB, {}).items()}
    if paths:
        distances = path_length.distances(run, features, number=number, seed=0)
        numbers["ppl"] = path_length.score(distances)
    return result._replace(numbers=numbers, protocol=protocol)


def _of_examples(examples: dict[str, Any]) -> report_table.Result:
    """The scores of each example; of their pictures the first ones are kept."""
    scored, rows = [], []
    for one in evaluate.each(**examples):
        if len(rows) < ROWS:
            rows.append(_row(examples, one))
        scored.append(one._replace(output=None, example={"name": one.example["name"]}))
    values = {name: np.array([one.values[name] for one in scored]) for name in scored[0].values}
    counts = {name: np.stack([one.counts[name] for one in scored]) for name in scored[0].counts}
    names = tuple(one.example["name"] for one in scored)
    classes = tuple(examples["palette"] or ()) if "" in counts else ()
    return report_table.Result(names, values, counts, rows, classes)


def _row(examples: dict[str, Any], one: evaluate.Scored) -> list[Any]:
    """[input, target, output] of an example."""
    way = examples["way"]
    start = one.example[way.inputs[0]] if way.inputs else None
    return [start, one.example.get(way.target), one.output]


def _drawn(run: trained.Run) -> np.ndarray:
    """The first pictures that a run draws, [n, h, w, c]: those of the first codes of every set of seed 0."""
    way, made = run.way(), sample.generator(run)
    codes = draws.codes(run.space(), 0, ROWS)
    return np.asarray(made(run.weights, codes, controls.drawn(way, ROWS, 0)))
