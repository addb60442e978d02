"""Confidence intervals of a statistic by a stratified bootstrap over seeds."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from beeline.statistics._scores import Scores, checked_scores


class Interval(NamedTuple):
    """A statistic of the scores, and the ends of its confidence interval."""

    value: Float[np.ndarray, "*statistic"]
    low: Float[np.ndarray, "*statistic"]
    high: Float[np.ndarray, "*statistic"]


def bootstrap(
    statistic: Callable[..., Float[np.ndarray, "..."]],
    *methods: Scores,
    confidence: float = 0.95,
    samples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Estimate a percentile interval by a stratified bootstrap.

    Each sample draws as many runs as there are, with replacement, within each task and method:
    tasks are fixed, seeds are random. The statistic may be infinite.

    Args:
        statistic: From scores by task, one for each method, to a number or an array; seeds are
            their last axis and samples come as a new first one.
        methods: The scores of each method.
        confidence: Probability of the interval, between 0 and 1.
        samples: How many samples.
        seed: Of the random draws.

    Returns:
        The statistic of the scores themselves, and the interval.

    Raises:
        ValueError: If the confidence is out of range, there is no sample, a task has no runs or a
            score that is not a number, or the statistic of a sample is not a number.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}: give a number between 0 and 1")
    if samples < 1:
        raise ValueError(f"samples is {samples}: give an integer of at least 1")
    given = [checked_scores(scores) for scores in methods]
    random = np.random.default_rng(seed)
    drawn = [[_resample(task, samples, random) for task in scores] for scores in given]
    # The outer of two order statistics, not a mean of both: that of -inf and inf does not exist.
    outside = (1 - confidence) / 2
    values, value = np.asarray(statistic(*drawn)), np.asarray(statistic(*given))
    if np.isnan(values).any() or np.isnan(value).any():
        raise ValueError("the statistic is not a number for some runs: it has no interval")
    low = np.quantile(values, outside, axis=0, method="lower")
    high = np.quantile(values, 1 - outside, axis=0, method="higher")
    return Interval(value, np.asarray(low), np.asarray(high))


def _resample(
    scores: Float[np.ndarray, "*batch seed"], samples: int, random: np.random.Generator
) -> Float[np.ndarray, "samples *batch seed"]:
    # One draw of seeds for a whole curve, whose points belong together.
    chosen = random.integers(scores.shape[-1], size=(samples, scores.shape[-1]))
    return np.moveaxis(scores[..., chosen], -2, 0)
