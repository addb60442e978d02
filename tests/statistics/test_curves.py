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


def test_needing_nothing_at_all():
    theirs, ours = np.array([0, 3, 0, INF]), np.array([0.0, 0.0, 3.0, 0.0])
    np.testing.assert_array_equal(reach_ratio(theirs, ours), [1, INF, 0, INF])


def test_levels_and_curves_at_infinity():
    budgets, curve = np.array([10, 20]), np.array([-INF, INF])
    assert first_reach(curve, budgets, 0.9) == first_reach(curve, budgets, INF) == 20
    assert first_reach(curve, budgets, -INF) == 10
    assert first_reach(np.array([1, 2]), budgets, 2.0) == 20


def test_a_run_without_records_acts_at_random():
    nothing = np.zeros(0)
    np.testing.assert_array_equal(hold(nothing, nothing, np.array([0, 5])), [0, 0])
    assert fill_failures(nothing).size == 0
    np.testing.assert_array_equal(fill_failures(np.array([1, 2])), [1, 2])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: hold(np.array([2.0, 1.0]), np.ones(2), np.ones(1)), "records must be in order"),
        (lambda: hold(np.array([1.0, NAN]), np.ones(2), np.ones(1)), "records hold a value that"),
        (lambda: hold(np.ones(1), np.ones(1), np.array([NAN])), "budgets hold a value that is"),
        (lambda: first_reach(np.array([NAN]), np.ones(1), 0.9), "curves hold a value that is not"),
        (lambda: first_reach(np.ones(1), np.ones(1), NAN), "levels hold a value that is not"),
        (lambda: first_reach(np.zeros(0), np.zeros(0), 0.9), "at least one: got 0 budgets for 0"),
        (lambda: first_reach(np.ones(2), np.array([2, 1]), 0.9), "budgets must be in order"),
        (lambda: reach_ratio(np.array([-1.0]), np.ones(1)), "at least 0, infinite where it is"),
        (lambda: reach_ratio(np.array([NAN]), np.ones(1)), "at least 0, infinite where it is"),
    ],
)
def test_curves_that_cannot_be_read(call, message):
    with pytest.raises(ValueError, match=message):
        call()


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
