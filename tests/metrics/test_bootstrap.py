"""Intervals of differences: they cover what they should, and what runs have in common is no part of them."""

import numpy as np
import pytest
from scipy import stats

from jgan.metrics import bootstrap
from jgan.metrics import segmentation


def test_a_resample_has_as_many_examples_as_there_are():
    drawn = bootstrap.weights(7, 50)
    assert drawn.shape == (50, 7) and (drawn.sum(1) == 7).all() and drawn.max() > 1
    values = np.arange(7.0)
    assert bootstrap.of_values(values, np.ones((1, 7))) == values.mean()


def test_counts_are_added_up_before_they_are_scored():
    counts = np.random.default_rng(0).integers(0, 9, (4, 3, 3))
    drawn = np.array([[1, 1, 1, 1], [2, 0, 2, 0]])
    found = bootstrap.of_counts(counts, drawn, segmentation.mean_iou)
    assert found == pytest.approx(
        [segmentation.mean_iou(counts.sum(0)), segmentation.mean_iou(2 * counts[0] + 2 * counts[2])]
    )


def test_the_standard_error_of_three_runs_by_hand():
    assert bootstrap.standard_error(np.array([1.0, 2.0, 3.0])) == pytest.approx(1 / np.sqrt(3))
    assert bootstrap.standard_error(np.array([1.0])) is None


def test_what_is_common_is_no_part_of_a_difference():
    rng = np.random.default_rng(0)
    common = rng.normal(0, 10, (3, 1000))
    low, high = bootstrap.interval(common + 1, common)
    assert low == pytest.approx(1) and high == pytest.approx(1)


def test_resamples_without_a_score_are_left_out():
    a, b = np.array([[1.0, np.nan, 3.0, 2.0]] * 2), np.array([[0.0, np.nan, 2.0, 1.0]] * 2)
    assert bootstrap.interval(a, b) == (1, 1)


def test_an_interval_covers_the_truth_about_as_often_as_it_says():
    """Of examples alone, which are many; of three seeds no interval could be exact."""
    rng, inside = np.random.default_rng(1), 0
    drawn = bootstrap.weights(50, 400)
    for _ in range(200):
        a, b = rng.normal(0.3, 1, 50), rng.normal(0, 1, 50)
        low, high = bootstrap.interval(
            bootstrap.of_values(a, drawn)[None], bootstrap.of_values(b, drawn)[None]
        )
        inside += low <= 0.3 <= high
    assert 0.88 <= inside / 200 <= 0.99


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 7, 30])
def test_students_interval_is_that_of_scipy(freedom):
    for share in (0.5, 0.95, 0.999):
        assert bootstrap.quantile(share, freedom) == pytest.approx(stats.t.ppf((1 + share) / 2, freedom))
    values = np.random.default_rng(freedom).normal(1, 3, freedom + 1)
    wanted = stats.t.interval(0.95, freedom, values.mean(), stats.sem(values))
    assert bootstrap.student(values) == pytest.approx(wanted)
    assert bootstrap.student(values[:1]) is None
