"""Which scores the pictures of a way have, and whether a greater or a smaller one is better."""

from collections.abc import Callable
from typing import Any
from typing import NamedTuple

import jgan
from jgan import fields


class Score(NamedTuple):
    """One number by which a run is judged.

    Attributes:
        better: `min` or `max`.
        applies: `(way, paired, predicts) -> bool`, from a `systems.system.Way`, whether examples are pairs, and whether
            the system has learnt to predict codes from images.
    """

    better: str
    applies: Callable[[Any, bool, bool], bool]


def _has_targets(way: Any, paired: bool, predicts: bool) -> bool:
    """Whether outputs have targets to equal; without inputs the target is the image whose code was predicted."""
    return bool(way.target) and (paired if way.inputs else predicts)


def _has_code(way: Any) -> bool:
    """Whether a person can set a latent of this way."""
    return any(isinstance(field, fields.Code) for field in way.controls.values())


SCORES = {
    "l1": Score("min", _has_targets),
    "psnr": Score("max", _has_targets),
    "ssim": Score("max", _has_targets),
    "cycle": Score("min", lambda way, paired, predicts: "back" in way.returns),
    "diversity": Score("max", lambda way, paired, predicts: bool(way.inputs) and _has_code(way)),
    "reconstruction": Score(
        "min", lambda way, paired, predicts: bool(way.inputs) and paired and predicts and _has_code(way)
    ),
}

# Other numbers of which a smaller one is better; of those that are nowhere here a greater one is.
_SMALLER = frozenset({"lpips", "fid", "kid", "classifier_fd", "classifier_kd", "ppl", "cost", "evaluations"})


def better(name: str) -> str:
    """Whether a smaller (`min`) or a greater (`max`) number of a score is better."""
    return SCORES[name].better if name in SCORES else "min" if name in _SMALLER else "max"


def of(way: Any, *, paired: bool, predicts: bool) -> tuple[str, ...]:
    """The names of the scores that a way has."""
    return tuple(name for name, score in SCORES.items() if score.applies(way, paired, predicts))


def best_policy(best: str, system: Any) -> tuple[str, str] | None:
    """(metric, "min" or "max") of `config.best`; None if it is empty.

    With several ways the name of a metric begins with that of its way, as in `AtoB_cycle`.

    Raises:
        jgan.UserError: there is no such score.
    """
    if not best:
        return None
    predicts = any(codes.predict is not None for codes in system.spaces.values())
    known = {}
    for name, way in system.ways.items():
        prefix = f"{name}_" if len(system.ways) > 1 else ""
        known |= {prefix + score: SCORES[score].better for score in of(way, paired=True, predicts=predicts)}
    if best not in known:
        use = (
            f"use one of {', '.join(known)}, or nothing"
            if known
            else "such a run has no score; leave it empty"
        )
        raise jgan.UserError(f"best={best!r} is unknown: {use}.")
    return best, known[best]
