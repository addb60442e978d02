"""Aggregates against those of rliable, and intervals against theirs and closed forms."""

import math

import numpy as np
import pytest
from rliable import metrics

from beeline import statistics
from beeline.statistics import (
    bootstrap,
    interquartile_mean,
    performance_profile,
    probability_of_improvement,
)


@pytest.fixture
def scores():
    """Rounded, so that there are ties."""
    random = np.random.default_rng(3)
    return np.round(random.normal(0.8, 0.2, (2, 5, 7)), 1)


def by_task(matrix):
    """From rliable's arrangement, runs by tasks, to ours."""
    return list(np.asarray(matrix).T)


@pytest.mark.parametrize("shape", [(1, 1), (3, 1), (2, 3), (10, 8), (3, 7)])
def test_the_interquartile_mean_is_rliables(shape):
    runs = np.random.default_rng(0).normal(size=shape)
    assert interquartile_mean(by_task(runs)) == pytest.approx(metrics.aggregate_iqm(runs))


def test_an_outlier_moves_the_interquartile_mean_by_its_rank_alone():
    runs = [np.array([0.1, 0.5, 0.7, 0.9])]
    far = [np.array([-1e9, 0.5, 0.7, 0.9])]
    assert interquartile_mean(runs) == interquartile_mean(far) == pytest.approx(0.6)


def test_the_probability_of_improvement_is_rliables(scores):
    for one, other in (scores, scores[::-1], (scores[0], scores[0])):
        ours = probability_of_improvement(by_task(one), by_task(other))
        # Rliable takes equal arrays as a special case, which is the same number.
        assert ours == pytest.approx(metrics.probability_of_improvement(one, other))
    with pytest.raises(ValueError, match="on the same tasks: got 7 and 6 tasks"):
        probability_of_improvement(by_task(scores[0]), by_task(scores[1])[1:])


INF = math.inf


@pytest.mark.parametrize(
    ("one", "other", "chance"),
    [
        ([INF], [INF], 0.5),
        ([-INF], [-INF], 0.5),
        ([INF], [-INF], 1.0),
        ([-INF], [0.0], 0.0),
        # Pairs in rows: a tie, a win, a win; a loss, a tie, a win; a loss, a loss, a tie.
        ([INF, 0.0, -INF], [INF, 0.0, -INF], 0.5),
        ([INF, INF], [INF, 3.0], 0.75),
        ([1e308], [-1e308], 1.0),
    ],
)
def test_improvement_at_infinity(one, other, chance):
    assert probability_of_improvement([np.array(one)], [np.array(other)]) == chance


def test_improvement_of_unsigned_integers():
    # As a difference of these, 1 - 2 would be 255.
    one, other = [np.array([1, 2], np.uint8)], [np.array([2, 2], np.uint8)]
    assert probability_of_improvement(one, other) == 0.25


def test_the_interquartile_mean_at_infinity():
    # One of four is left out at either end.
    assert interquartile_mean([np.array([-INF, 1.0, 2.0, INF])]) == 1.5
    assert interquartile_mean([np.array([-INF, -INF, 2.0, 3.0])]) == -INF
    assert interquartile_mean([np.array([1.0, INF, INF, INF])]) == INF
    assert interquartile_mean([np.array([-INF])]) == -INF
    with pytest.raises(ValueError, match="reaches from -inf to inf, which has no mean"):
        interquartile_mean([np.array([-INF, -INF, INF, INF])])


def test_integers_are_scores_like_any_other():
    assert interquartile_mean([np.array([0, 1, 2, 9])]) == 1.5
    assert bootstrap(interquartile_mean, [np.array([2, 2])]) == (2, 2, 2)
    assert performance_profile([np.array([1, 3])], np.array([2])) == pytest.approx([0.5])


def test_the_profile_at_infinity():
    runs = [np.array([-INF, 0.0, INF])]
    profile = performance_profile(runs, np.array([-INF, 0.0, INF]))
    assert profile == pytest.approx([2 / 3, 1 / 3, 0])


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ([], "there is nothing to draw from: give every task at least one run"),
        ([np.zeros(0)], "there is nothing to draw from"),
        ([np.array([1.0, np.nan])], "a score is not a number: score failed runs with fill_fail"),
    ],
)
def test_scores_that_say_nothing(scores, message):
    for statistic in (
        interquartile_mean,
        lambda scores: performance_profile(scores, np.zeros(1)),
        lambda scores: probability_of_improvement(scores, scores),
    ):
        with pytest.raises(ValueError, match=message):
            statistic(scores)


def test_what_is_not_a_number_is_refused_elsewhere_too():
    with pytest.raises(ValueError, match="thresholds hold a value that is not a number"):
        performance_profile([np.ones(2)], np.array([np.nan]))
    with pytest.raises(ValueError, match="the statistic is not a number for some runs"):
        bootstrap(lambda scores: scores[0].mean(axis=-1) * np.nan, [np.ones(2)])


def test_the_profile_counts_runs_above(scores):
    thresholds = np.array([-9.0, 0.6, 0.8, 9.0])
    profile = performance_profile(by_task(scores[0]), thresholds)
    assert profile == pytest.approx([(scores[0] > threshold).mean() for threshold in thresholds])
    assert profile[[0, -1]] == pytest.approx([1, 0])


def test_batches_are_as_one_by_one(scores):
    batch = [np.stack([a, b]) for a, b in zip(*map(by_task, scores), strict=True)]
    singly = [float(interquartile_mean(by_task(matrix))) for matrix in scores]
    assert interquartile_mean(batch) == pytest.approx(singly)
    others = by_task(scores[0])
    singly = [float(probability_of_improvement(by_task(matrix), others)) for matrix in scores]
    assert probability_of_improvement(batch, others) == pytest.approx(singly)
    assert performance_profile(batch, np.array([0.7])).shape == (2, 1)


def test_the_interval_of_a_mean_is_the_normal_one():
    runs = [np.random.default_rng(task).normal(task, 1 + task, 400) for task in range(3)]

    def mean(scores):
        return np.mean([task.mean(axis=-1) for task in scores], axis=0)

    # Stratified: the spread between tasks, here by far the greater, does not count.
    error = math.sqrt(sum(task.var() / task.size for task in runs)) / 3
    value, low, high = bootstrap(mean, runs, samples=4000)
    assert value == pytest.approx(mean(runs))
    assert value - low == pytest.approx(1.96 * error, rel=0.06)
    assert high - value == pytest.approx(1.96 * error, rel=0.06)
    narrow = bootstrap(mean, runs, confidence=0.5, samples=4000)
    assert narrow.high - narrow.low == pytest.approx(2 * 0.6745 * error, rel=0.06)


def test_a_seed_is_drawn_as_a_whole_curve():
    curves = [np.array([[0.0, 1.0, 2.0], [0.0, -1.0, -2.0]])]

    def products(scores):
        return (scores[0][..., 0, :] + scores[0][..., 1, :]).mean(axis=-1)

    assert bootstrap(products, curves) == (0, 0, 0)


def test_infinite_values_have_intervals():
    runs = [np.array([1.0, 2.0, np.inf, np.inf])]
    value, low, high = bootstrap(lambda scores: scores[0].max(axis=-1), runs)
    assert (value, low, high) == (np.inf, 2, np.inf)


@pytest.mark.parametrize(
    ("scores", "options", "message"),
    [
        ([[1.0]], {"confidence": 95.0}, "confidence is 95.0: give a number between 0 and 1"),
        ([[1.0]], {"samples": 0}, "samples is 0: give an integer of at least 1"),
        ([], {}, "nothing to draw from: give every task at least one run"),
        ([[1.0], []], {}, "nothing to draw from"),
        ([[1.0, np.nan]], {}, "score failed runs with fill_failures first"),
    ],
)
def test_scores_that_cannot_be_drawn_from(scores, options, message):
    with pytest.raises(ValueError, match=message):
        bootstrap(interquartile_mean, [np.array(task) for task in scores], **options)


def test_the_public_names():
    assert statistics.__all__ == sorted(statistics.__all__)
    assert all(getattr(statistics, name) is not None for name in statistics.__all__)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:random_state is deprecated:FutureWarning")
def test_intervals_are_rliables(scores):
    # Its libraries take seconds to import.
    from rliable import library

    one, other = scores
    thresholds = np.array([0.6, 0.8, 1.0])
    asked = {
        "iqm": (
            lambda x: np.array([metrics.aggregate_iqm(x)]),
            lambda x: interquartile_mean(x)[..., None],
            [one],
        ),
        "improvement": (
            lambda x, y: np.array([metrics.probability_of_improvement(x, y)]),
            lambda x, y: probability_of_improvement(x, y)[..., None],
            [one, other],
        ),
        "profile": (
            lambda x: library.score_distributions(x, thresholds),
            lambda x: performance_profile(x, thresholds),
            [one],
        ),
    }
    for theirs, ours, matrices in asked.values():
        given = {"method": matrices[0] if len(matrices) == 1 else matrices}
        points, intervals = library.get_interval_estimates(
            given, theirs, reps=4000, random_state=np.random.RandomState(0)
        )
        value, low, high = bootstrap(ours, *map(by_task, matrices), samples=4000)
        np.testing.assert_allclose(value, points["method"])
        # Two bootstraps of 4,000 samples differ by about a fortieth of the width.
        width = np.max(intervals["method"][1] - intervals["method"][0])
        np.testing.assert_allclose([low, high], intervals["method"], atol=0.12 * width)
