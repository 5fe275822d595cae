"""The kernel distance: against the double sum of its definition, and that it is unbiased."""

import numpy as np

from jgan.metrics import distances


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
