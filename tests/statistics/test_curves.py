"""Learning curves: what a failure counts, what a budget buys, what it takes."""

import numpy as np
import pytest

from beeline.statistics import (
    bootstrap,
    fill_failures,
    first_reach,
    hold,
    interquartile_mean,
    reach_ratio,
)

NAN, INF = np.nan, np.inf


def test_a_failure_counts_with_what_was_there_before():
    curves = np.array([[NAN, 0.2, NAN, INF, 0.1], [0.3, -5.0, 0.4, -INF, NAN], [NAN] * 5])
    expected = [[0, 0.2, 0.2, 0.2, 0.1], [0.3, -5, 0.4, 0.4, 0.4], [0, 0, 0, 0, 0]]
    np.testing.assert_array_equal(fill_failures(curves), expected)
    np.testing.assert_array_equal(fill_failures(curves[0]), expected[0])


def test_a_curve_is_held_from_record_to_record():
    held = hold(
        np.array([200.0, 300.0, 400.0]),
        np.array([0.5, NAN, 0.9]),
        np.array([0.0, 199.0, 200.0, 299.0, 300.0, 400.0, 1e9]),
    )
    np.testing.assert_array_equal(held, [0, 0, 0.5, 0.5, 0.5, 0.9, 0.9])


def test_the_first_budget_that_reaches_a_level():
    budgets = np.array([10.0, 20.0, 30.0])
    curves = np.array([[0.9, 0.1, 1.0], [0.1, 0.89, 0.9], [0.1, 0.2, 0.3]])
    np.testing.assert_array_equal(first_reach(curves, budgets, 0.9), [10, 30, INF])


def test_a_ratio_never_flatters_ours():
    theirs, ours = np.array([20.0, INF, 20.0, INF]), np.array([10.0, 10.0, INF, INF])
    np.testing.assert_array_equal(reach_ratio(theirs, ours), [2, INF, 0, 0])


def test_a_ratio_of_efficiency_has_an_interval():
    # One of four seeds of theirs never gets there; ours do after 100 steps, each of them.
    budgets = np.arange(50.0, 1001.0, 50.0)
    ours = [np.stack([hold(np.array([100.0]), np.array([0.95]), budgets)] * 4, axis=-1)]
    arrivals = (300.0, 400.0, 500.0, 1e9)
    theirs = [
        np.stack([hold(np.array([at]), np.array([0.95]), budgets) for at in arrivals], axis=-1)
    ]

    def ratio(others, scores):
        needs = [first_reach(interquartile_mean(s), budgets, 0.9) for s in (others, scores)]
        return reach_ratio(*needs)

    value, low, high = bootstrap(ratio, theirs, ours)
    # The middle half of four seeds is two: the mean of both is above 0.9 from 500 steps on.
    assert value == pytest.approx(5)
    assert low == pytest.approx(3)
    assert high == INF
