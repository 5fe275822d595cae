"""Distances of sets of features: against definitions, closed forms and scikit-learn, and that nothing is biased."""

import numpy as np
import pytest

from jgan.metrics import distances
from jgan.metrics import sets

linalg = pytest.importorskip("scipy.linalg", reason="SciPy is not installed; requirements-test.txt has it")
neighbors = pytest.importorskip("sklearn.neighbors", reason="requirements-test.txt has scikit-learn")


def test_it_is_the_double_sum_of_its_definition():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((5, 3)), rng.standard_normal((7, 3)) + 1
    k = lambda x, y: (sum(p * q for p, q in zip(x, y, strict=True)) / 3 + 1) ** 3  # noqa: E731
    within = lambda s: np.mean([k(s[i], s[j]) for i in range(len(s)) for j in range(len(s)) if i != j])  # noqa: E731
    wanted = within(a) + within(b) - 2 * np.mean([[k(x, y) for y in b] for x in a])
    np.testing.assert_allclose(distances.kernel(a, b, block=2), wanted, rtol=1e-12)


def test_two_sets_of_one_distribution_are_at_0_on_average_and_others_are_not():
    rng = np.random.default_rng(1)
    draws = [distances.kernel(*rng.standard_normal((2, 20, 4))) for _ in range(400)]
    assert abs(np.mean(draws)) < 4 * np.std(draws) / 20
    assert min(draws) < 0 < distances.kernel(rng.standard_normal((200, 4)), rng.standard_normal((200, 4)) + 1)


@pytest.mark.parametrize("size", [4, 9])
def test_the_mean_over_blocks_is_unbiased_whatever_their_size_and_its_error_is_true(size):
    """In one dimension the distance of N(0, 1) and N(1, .25) is known: moments up to the third of both."""
    moments = [np.array([1, 0, 1, 0]), np.array([1, 1, 1.25, 1.75])]
    weights = np.array([1, 3, 3, 1])
    wanted = np.sum(weights * (moments[0] - moments[1]) ** 2)
    rng = np.random.default_rng(2)
    draws = [
        distances.kernel_blocks(
            rng.standard_normal((60, 1)), 1 + 0.5 * rng.standard_normal((40, 1)), size=size, seed=seed
        )
        for seed in range(600)
    ]
    values, errors = (np.array([getattr(one, name) for one in draws]) for name in ("value", "error"))
    assert abs(values.mean() - wanted) < 4 * values.std() / np.sqrt(len(values))
    np.testing.assert_allclose(np.sqrt(np.mean(errors**2)), values.std(), rtol=0.15)
    assert draws[0].blocks == (15 if size == 4 else 10)


def test_the_frechet_distance_of_normal_distributions_in_closed_form():
    """Covariances with the same eigenvectors: the distance of means and of the roots of eigenvalues."""
    rng = np.random.default_rng(3)
    turn = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    p, q = rng.uniform(0.1, 3, (2, 6))
    p[0] = q[1] = q[2] = 0  # without full rank
    mean = rng.standard_normal((2, 6))
    wanted = np.sum((mean[0] - mean[1]) ** 2) + np.sum((np.sqrt(p) - np.sqrt(q)) ** 2)
    found = distances.frechet(mean[0], turn * p @ turn.T, mean[1], turn * q @ turn.T)
    np.testing.assert_allclose(found, wanted, rtol=1e-7)
    assert distances.frechet(mean[0], turn * p @ turn.T, mean[0], turn * p @ turn.T) < 1e-7


def test_the_frechet_distance_of_any_covariances_is_that_of_a_matrix_root():
    rng = np.random.default_rng(4)
    a, b = rng.standard_normal((30, 5)) @ rng.standard_normal((5, 5)), rng.standard_normal((40, 5)) + 1
    ca, cb = np.cov(a.T), np.cov(b.T)
    wanted = np.sum((a.mean(0) - b.mean(0)) ** 2) + np.trace(ca + cb - 2 * linalg.sqrtm(ca @ cb).real)
    described = [sets.Described.empty(5).add(range(len(x)), x, []) for x in (a, b)]
    np.testing.assert_allclose(sets.frechet(*described), wanted, rtol=1e-5)  # rows are kept in float32


def test_samples_of_known_normal_distributions_come_near_their_distance():
    rng = np.random.default_rng(5)
    a, b = rng.standard_normal((20_000, 4)), 2 * rng.standard_normal((20_000, 4)) + 0.5
    described = [sets.Described.empty(4).add(range(len(x)), x, []) for x in (a, b)]
    np.testing.assert_allclose(sets.frechet(*described), 4 * 0.25 + 4 * 1, rtol=0.03)


def test_precision_and_recall_of_constructed_sets():
    real = np.array([[x, 0.0] for x in range(10)])
    # Each third neighbour of a row of points at distance 1 is at distance 2, and at the ends at 3.
    assert distances.coverage(real, real) == (1, 1)
    assert distances.coverage(real + [0, 100], real) == (0, 0)
    # Four generated points in the middle of the real ones: all are near real ones, and few real ones near them.
    few = np.array([[4.4, 0], [4.5, 0], [4.6, 0], [4.7, 0]])
    assert distances.coverage(few, real) == (1, 0)
    wide = np.array([[-8.0, 0], [4.5, 0], [18.0, 0], [30.0, 0]])
    found = distances.coverage(wide, real)
    assert found.precision == 0.25 and found.recall == 1
    assert distances.coverage(real[:5], real, k=1).recall == 0.6  # five of its own, and the one beside them


def test_precision_and_recall_are_those_of_nearest_neighbours_in_blocks(monkeypatch):
    monkeypatch.setattr(distances, "_ROWS", 7)
    rng = np.random.default_rng(6)
    a, b = rng.standard_normal((30, 3)) + 50, 0.7 * rng.standard_normal((40, 3)) + 51.5

    def inside(x, others):
        radii = neighbors.NearestNeighbors(n_neighbors=4).fit(others).kneighbors(others)[0][:, -1]
        apart = np.linalg.norm(x[:, None] - others, axis=-1)
        return np.mean((apart <= radii).any(1))

    found = distances.coverage(a, b)
    assert found == (inside(a, b), inside(b, a)) and 0 < found.recall < 1
