"""Aggregates of the scores of many runs."""

import numpy as np
from jaxtyping import Float, Real

from beeline.statistics._scores import Scores, check_numbers, checked_scores


def interquartile_mean(scores: Scores) -> Float[np.ndarray, "..."]:
    """Average the middle half of all runs on all tasks.

    Less noisy than the median, less swayed by outliers than the mean. A quarter of the runs,
    rounded down, is left out at either end.

    Args:
        scores: Scores by task.

    Returns:
        The mean; infinite if there are infinite scores in the middle half.

    Raises:
        ValueError: If a task has no runs or a score that is not a number, or the middle half
            reaches from -inf to inf.
    """
    runs = np.sort(np.concatenate(checked_scores(scores), axis=-1), axis=-1)
    cut = runs.shape[-1] // 4
    middle = runs[..., cut : runs.shape[-1] - cut]
    if np.any(np.isneginf(middle[..., 0]) & np.isposinf(middle[..., -1])):
        raise ValueError(
            "the middle half of the scores reaches from -inf to inf, which has no mean: "
            "score failed runs with fill_failures first"
        )
    return np.asarray(middle.mean(axis=-1))


def performance_profile(
    scores: Scores, thresholds: Real[np.ndarray, " threshold"]
) -> Float[np.ndarray, "... threshold"]:
    """Count the runs that score above each threshold.

    Args:
        scores: Scores by task.
        thresholds: The thresholds.

    Returns:
        The share of all runs on all tasks above each.

    Raises:
        ValueError: If a task has no runs, or a score or a threshold is not a number.
    """
    check_numbers("thresholds", thresholds)
    runs = np.concatenate(checked_scores(scores), axis=-1)
    return (runs[..., None, :] > thresholds[:, None]).mean(axis=-1)


def probability_of_improvement(scores: Scores, others: Scores) -> Float[np.ndarray, "..."]:
    """How likely a run of one method beats a run of another on a task drawn at random.

    Args:
        scores: Scores of the one by task.
        others: Scores of the other, of the same tasks in the same order.

    Returns:
        The mean over the tasks of P(X > Y) + P(X = Y) / 2; equal infinities are a tie.

    Raises:
        ValueError: If the numbers of tasks differ, or a task has no runs or a score that is not
            a number.
    """
    if len(scores) != len(others):
        raise ValueError(
            f"compare methods on the same tasks: got {len(scores)} and {len(others)} tasks"
        )
    chances = []
    for task, other in zip(checked_scores(scores), checked_scores(others), strict=True):
        ours, theirs = task[..., :, None], other[..., None, :]
        # Compared, not subtracted: infinities have no difference.
        wins = np.where(ours == theirs, 0.5, ours > theirs)
        chances.append(wins.mean(axis=(-2, -1)))
    return np.asarray(np.mean(chances, axis=0))
