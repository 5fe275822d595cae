"""Distances of two sets of examples as distributions, of the features that a net has for them.

Features are arrays [n, d], one row for each example. Everything is computed in float64, and nothing here knows what net
they are of: numbers of different nets, of different numbers of examples (but for the kernel distance) and of pictures
that were resized in different ways must not be compared.
"""

from typing import NamedTuple

import numpy as np

_ROWS = 1_000  # of a matrix of all pairs that are in memory at once


class Estimate(NamedTuple):
    """A mean of independent estimates of one number.

    Attributes:
        value: the mean.
        error: its standard error.
        blocks: how many estimates there were.
    """

    value: float
    error: float
    blocks: int


class Coverage(NamedTuple):
    """How two sets cover each other.

    Attributes:
        precision: the share of generated examples that lie where real ones are.
        recall: the share of real examples that lie where generated ones are.
    """

    precision: float
    recall: float


def frechet(mean_a: np.ndarray, cov_a: np.ndarray, mean_b: np.ndarray, cov_b: np.ndarray) -> float:
    """The squared Fréchet distance of two normal distributions: 0 for equal ones, and never below.

    Heusel et al., "GANs Trained by a Two Time-Scale Update Rule" (2017), equation 6: |m_a - m_b|^2 + tr(C_a + C_b -
    2 (C_a C_b)^(1/2)). The trace of that root is the sum of the roots of the eigenvalues of A C_b A with A the root of
    C_a. Both are symmetric, so that nothing becomes complex, and no number has to be added to the diagonals of
    covariances without full rank, as those of fewer examples than features are.

    Args:
        mean_a: [d].
        cov_a: [d, d], symmetric.
        mean_b: [d].
        cov_b: [d, d], symmetric.
    """
    mean_a, cov_a, mean_b, cov_b = (np.asarray(x, np.float64) for x in (mean_a, cov_a, mean_b, cov_b))
    values, vectors = np.linalg.eigh(cov_a)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    product = root @ cov_b @ root
    shared = np.sqrt(np.maximum(np.linalg.eigvalsh((product + product.T) / 2), 0)).sum()
    between = float(np.sum((mean_a - mean_b) ** 2))
    return max(0.0, between + float(np.trace(cov_a) + np.trace(cov_b) - 2 * shared))


def kernel(a: np.ndarray, b: np.ndarray, block: int = _ROWS) -> float:
    """The kernel distance of two sets of features: 0 on average for two sets of one distribution, and never bounded.

    Bińkowski et al., "Demystifying MMD GANs" (2018), section 4: the unbiased estimate of the squared maximum mean
    discrepancy under the kernel (x y / d + 1)^3 of features of d numbers. Near 0 it may be below 0.

    Args:
        a: [n, d], n at least 2.
        b: [m, d], m at least 2.
        block: rows of the kernel's matrix that are in memory at once.
    """
    a, b = (np.asarray(x, np.float64) for x in (a, b))

    def total(x: np.ndarray, y: np.ndarray) -> float:
        parts = (x[k : k + block] @ y.T for k in range(0, len(x), block))
        return float(sum(np.sum((part / x.shape[1] + 1) ** 3) for part in parts))

    def within(x: np.ndarray) -> float:
        # A feature's similarity to itself says nothing of the distribution.
        own = float(np.sum((np.sum(x * x, 1) / x.shape[1] + 1) ** 3))
        return (total(x, x) - own) / (len(x) * (len(x) - 1))

    return within(a) + within(b) - 2 * total(a, b) / (len(a) * len(b))


def kernel_blocks(
    a: np.ndarray, b: np.ndarray, size: int = 1_000, least: int = 10, seed: int = 0
) -> Estimate:
    """The mean of `kernel` over blocks of both sets, with its standard error.

    Both sets are shuffled and cut into equally many blocks, none of which share an example. So the mean is as unbiased
    as each block, whatever the size of blocks, and the blocks are independent, so that the spread over them tells how
    far the mean is off by chance. The 100 subsets of 1,000 that other programs draw overlap; their mean has the same
    expectation, and their deviation is that of one subset.

    Args:
        a: [n, d], n at least 4.
        b: [m, d], m at least 4.
        size: the largest number of examples of a set in a block.
        least: the smallest number of blocks, as far as each has two examples of both sets.
        seed: of the order.
    """
    number = max(least, -(-max(len(a), len(b)) // size))
    number = max(1, min(number, len(a) // 2, len(b) // 2))
    rng = np.random.default_rng(seed)
    parts = (np.array_split(rng.permutation(len(x)), number) for x in (a, b))
    found = np.array([kernel(a[i], b[j]) for i, j in zip(*parts, strict=True)])
    error = float(np.std(found, ddof=1) / np.sqrt(number)) if number > 1 else float("nan")
    return Estimate(float(found.mean()), error, number)


def coverage(generated: np.ndarray, real: np.ndarray, k: int = 3) -> Coverage:
    """Precision and recall of Kynkäänniemi et al., "Improved Precision and Recall Metric" (2019), equations 1 and 2.

    A set lies where the balls around its examples are, each of which reaches to the k-th nearest other example of the
    set. Precision is the share of generated examples in a ball of real ones, recall the reverse.

    Args:
        generated: [n, d], n above k.
        real: [m, d], m above k.
        k: 3 in the paper.
    """
    # Distances do not change, and squares of long vectors would leave few digits for their differences.
    middle = np.mean(np.asarray(real, np.float64), 0)
    generated, real = (np.asarray(x, np.float64) - middle for x in (generated, real))
    return Coverage(_inside(generated, real, k), _inside(real, generated, k))


def _inside(examples: np.ndarray, others: np.ndarray, k: int) -> float:
    """The share of examples in a ball of the others."""
    radii = np.empty(len(others))
    for at in range(0, len(others), _ROWS):
        rows = _squares(others[at : at + _ROWS], others)
        rows[np.arange(len(rows)), at + np.arange(len(rows))] = np.inf
        radii[at : at + _ROWS] = np.partition(rows, k - 1, 1)[:, k - 1]
    inside = [
        np.any(_squares(examples[at : at + _ROWS], others) <= radii, 1)
        for at in range(0, len(examples), _ROWS)
    ]
    return float(np.mean(np.concatenate(inside)))


def _squares(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Squared distances [n, m] of rows."""
    return np.maximum(np.sum(a * a, 1)[:, None] + np.sum(b * b, 1) - 2 * (a @ b.T), 0)
