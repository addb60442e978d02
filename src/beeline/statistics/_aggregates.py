"""One number, or one curve, from the scores of many runs."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

Scores = Sequence[Float[np.ndarray, "... _"]]
"""The scores of one method: an array for each task, whose last axis is the seeds."""


def interquartile_mean(scores: Scores) -> Float[np.ndarray, "..."]:
    """Average the middle half of all runs on all tasks.

    Less noisy than the median, less swayed by outliers than the mean. A quarter of the runs,
    rounded down, is left out at either end.

    Args:
        scores: Scores by task.

    Returns:
        The mean.
    """
    runs = np.sort(np.concatenate(list(scores), axis=-1), axis=-1)
    cut = runs.shape[-1] // 4
    return np.asarray(runs[..., cut : runs.shape[-1] - cut].mean(axis=-1))


def performance_profile(
    scores: Scores, thresholds: Float[np.ndarray, " threshold"]
) -> Float[np.ndarray, "... threshold"]:
    """Count the runs that score above each threshold.

    Args:
        scores: Scores by task.
        thresholds: The thresholds.

    Returns:
        The share of all runs on all tasks above each.
    """
    runs = np.concatenate(list(scores), axis=-1)
    return (runs[..., None, :] > thresholds[:, None]).mean(axis=-1)


def probability_of_improvement(scores: Scores, others: Scores) -> Float[np.ndarray, "..."]:
    """How likely a run of one method beats a run of another on a task drawn at random.

    Args:
        scores: Scores of the one by task.
        others: Scores of the other, of the same tasks in the same order.

    Returns:
        The mean over the tasks of P(X > Y) + P(X = Y) / 2.

    Raises:
        ValueError: If the numbers of tasks differ.
    """
    if len(scores) != len(others):
        raise ValueError(
            f"compare methods on the same tasks: got {len(scores)} and {len(others)} tasks"
        )
    chances = []
    for one, other in zip(scores, others, strict=True):
        difference = one[..., :, None] - other[..., None, :]
        chances.append((0.5 + 0.5 * np.sign(difference)).mean(axis=(-2, -1)))
    return np.asarray(np.mean(chances, axis=0))
