"""What is known of a score from a few runs and a set of examples: standard errors, and intervals of differences.

A table is [runs, resamples]: the score of each run, over each of many resamples of the same examples. Efron and
Tibshirani, "An Introduction to the Bootstrap" (1993), chapters 13 (percentile intervals) and 6 (standard errors).
"""

from collections.abc import Callable
import math

import numpy as np

RESAMPLES = 1_000


def weights(number: int, resamples: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """How often each of `number` examples is drawn in each resample: int64 [resamples, number], in rows."""
    return np.random.default_rng(seed).multinomial(number, np.full(number, 1 / number), resamples)


def of_values(values: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """The mean of values [number] over each resample: [resamples]."""
    return drawn @ np.asarray(values, np.float64) / len(values)


def of_counts(
    counts: np.ndarray, drawn: np.ndarray, score: Callable[[np.ndarray], float | np.ndarray]
) -> np.ndarray:
    """The score of the sum of confusion matrices [number, k, k] over each resample: [resamples].

    A score may be several numbers [m], so that the result is [resamples, m]. One that a resample does not have, as that
    of a class which is in none of its examples, is NaN.
    """
    sums = drawn @ counts.reshape(len(counts), -1)
    return np.array([score(matrix.reshape(counts.shape[1:])) for matrix in sums])


def standard_error(values: np.ndarray) -> float | None:
    """That of the mean of a score over runs; None of one run, from which it cannot be known."""
    if len(values) < 2:
        return None
    return float(np.std(values, ddof=1) / np.sqrt(len(values)))


def interval(a: np.ndarray, b: np.ndarray, share: float = 0.95, seed: int = 0) -> tuple[float, float]:
    """The interval of mean(a) - mean(b) of two tables whose rows and columns belong together.

    Both are of the same seeds and of the same resamples, and seeds are drawn anew in each resample too. What all
    variants have in common, as the difficulty of an example, is no part of the interval. Resamples without the score
    (NaN) are left out.

    Args:
        a: [runs, resamples].
        b: the same of the variant that a is compared with.
        share: how much of all differences lies in the interval.
        seed: of the draws of runs.
    """
    difference = np.asarray(a) - np.asarray(b)
    runs, resamples = difference.shape
    drawn = weights(runs, resamples, seed + 1) / runs
    means = np.sum(drawn.T * difference, 0)
    low, high = np.nanquantile(means, ((1 - share) / 2, (1 + share) / 2))
    return float(low), float(high)


def student(differences: np.ndarray, share: float = 0.95) -> tuple[float, float] | None:
    """Student's interval of the mean of differences [runs], for scores that have one number for each run.

    It is exact for differences that are normal, also of two or three runs, of which nothing could be drawn anew. None
    of one run.
    """
    error = standard_error(np.asarray(differences))
    if error is None:
        return None
    mean, reach = float(np.mean(differences)), error * quantile(share, len(differences) - 1)
    return mean - reach, mean + reach


def quantile(share: float, freedom: int) -> float:
    """The t between whose negative and itself so large a share of Student's distribution lies (by bisection)."""
    low, high = 0.0, 1.0
    while _within(high, freedom) < share:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, freedom) < share else (low, middle)
    return low


def _within(t: float, freedom: int) -> float:
    """The share of Student's distribution between -t and t (Abramowitz and Stegun, 26.7.3 and 26.7.4)."""
    angle = math.atan(t / math.sqrt(freedom))
    odd = freedom % 2
    term, total = math.cos(angle) if odd else 1.0, 0.0
    for k in range(freedom // 2):
        total += term
        term *= math.cos(angle) ** 2 * (2 * k + 1 + odd) / (2 * k + 2 + odd)
    total *= math.sin(angle)
    return 2 / math.pi * (angle + total) if odd else total
