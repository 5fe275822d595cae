"""Distances of two sets of examples as distributions, of the features that a classifier has for them."""

import numpy as np


def kernel(a: np.ndarray, b: np.ndarray, block: int = 1000) -> float:
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
