"""All scores of a run: of each example, of sets, of paths between styles; each where it applies."""

from collections.abc import Sequence
from typing import Any

import jgan
from jgan import frozen
from jgan import sharding
from jgan import trained
from jgan.programs import classifier as classifier_lib
from jgan.programs import describers
from jgan.programs import evaluate
from jgan.programs import judge as judge_lib
from jgan.programs import path_length
from jgan.programs import set_scores


def scores(
    run: trained.Run,
    ways: Sequence[str],
    *,
    sets: bool = False,
    inception: str = "",
    resize: str = "half_pixel",
    classifier: str = "",
    number: int = set_scores.NUMBER,
    features: frozen.Features | None = None,
    palette: str = "",
    judge: judge_lib.Judge | None = None,
    **options: Any,
) -> dict[str, dict[str, Any]]:
    """{way: {score: number, "protocol": {score: how it was measured}}}.

    Several processes that are connected share the work, and each has the result.

    Args:
        run: as `trained.load` gives it.
        ways: names of them.
        sets: whether sets are scored as well.
        inception: file of the net by which they are; empty: a classifier that is trained on the data.
        resize: of its pictures, as in `frozen.load_inception`.
        classifier: file of that classifier, which is read, or written where it is missing.
        number: of pictures in each set, and of pairs for the path length.
        features: those of LPIPS, as `frozen.load_lpips` gives them; None: no scores by LPIPS.
        palette: as in `evaluate.each_of`.
        judge: as in `evaluate.each_of`.
        **options: `data`, `split`, `size`, `batch_size`, `statistics`, `dropout` and `seed`, as in `evaluate.each_of`.

    Raises:
        jgan.UserError: there is nothing to be scored, or data and files that cannot be used.
    """
    share = sharding.share()
    lpips = frozen.lpips(features) if features else None
    paths = features is not None and path_length.applies(run)
    found: dict[str, dict[str, Any]] = {}
    for name in ways:
        way, result = run.way(name), {}
        if way.inputs or run.predicts or not (sets or paths):
            result = evaluate.evaluate(
                run,
                name,
                palette=palette,
                judge=judge,
                lpips=lpips,
                share=share,
                required=not sets,
                **options,
            )
        elif palette:
            raise jgan.UserError(f"--palette={palette}: a run of {run.config.system} translates no pictures.")
        protocol = {
            score: f"{features.name}; a mean over examples"
            for score in ("lpips", "diversity_lpips")
            if score in result
        }
        if sets:
            field = set_scores.with_target(run, name).target
            describer, made = described_by(run, field, inception, resize, classifier)
            more = set_scores.scores(
                run, name, describer=describer, classifier=made, number=number, share=share, **options
            )
            protocol |= more.pop("protocol")
            result |= more
        if paths:
            values = path_length.gathered(
                path_length.distances(run, features, number=number, seed=options.get("seed", 0), share=share)
            )
            result["ppl"] = path_length.score(values)
            protocol["ppl"] = (
                f"{features.name}; {len(values)} pairs, ends of paths in W, epsilon {path_length.EPSILON:g}, without "
                "the lowest and the highest hundredth"
            )
        found[name] = result | ({"protocol": protocol} if protocol else {})
    return found


def speaks() -> bool:
    """Whether this process is the one that prints."""
    return sharding.share()[0] == 0


def described_by(
    run: trained.Run, field: str, inception: str, resize: str, classifier: str
) -> tuple[describers.Describer, classifier_lib.Classifier | None]:
    """(the net whose features are compared, the classifier), the second None where it is not asked for.

    Beside Inception-v3 it is asked for where its file is named. Several processes have that of the first.

    Args:
        run: on whose data the classifier is trained.
        field: of its batches, which holds the pictures.
        inception: as in `scores`, as `resize` and `classifier`.

    Raises:
        jgan.UserError: files that cannot be used.
    """
    made = None
    if classifier or not inception:
        packed = b""
        if sharding.share()[0] == 0:
            packed = classifier_lib.dump(classifier_lib.of_run(run.config, field, classifier))
        made = classifier_lib.of_bytes(sharding.gathered(packed)[0])
    return describers.of_inception(inception, resize) if inception else describers.of_classifier(made), made
