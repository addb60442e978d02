"""The scores that statistics are computed from, and their checks."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Real

Scores = Sequence[Real[np.ndarray, "... _"]]
"""The scores of one method: an array for each task, whose last axis is the seeds."""


def checked_scores(scores: Scores) -> list[Float[np.ndarray, "... _"]]:
    """Take scores as floating-point numbers, which may be infinite.

    Args:
        scores: Scores by task.

    Returns:
        The same, an array for each task.

    Raises:
        ValueError: If there is no task, or one has no runs or a score that is not a number.
    """
    tasks = [np.asarray(task, dtype=float) for task in scores]
    if any(task.ndim == 0 for task in tasks):
        raise ValueError("a task's scores are one number: give an array of runs for each task")
    if not tasks or any(task.shape[-1] == 0 for task in tasks):
        raise ValueError("there is nothing to draw from: give every task at least one run")
    if any(np.isnan(task).any() for task in tasks):
        raise ValueError("a score is not a number: score failed runs with fill_failures first")
    return tasks


def check_numbers(what: str, values: Real[np.ndarray, "..."]) -> None:
    """Refuse an array with NaN in it.

    Args:
        what: What the values are, for the error.
        values: The values, which may be infinite.

    Raises:
        ValueError: If one is not a number.
    """
    if np.isnan(values).any():
        raise ValueError(f"{what} hold a value that is not a number: leave it out or replace it")


def check_in_order(what: str, values: Real[np.ndarray, " _"]) -> None:
    """Refuse an axis whose values are not sorted.

    Args:
        what: What the values are, for the error.
        values: The values, which may repeat.

    Raises:
        ValueError: If one is not a number, or less than the one before it.
    """
    check_numbers(what, values)
    if np.any(values[1:] < values[:-1]):
        raise ValueError(f"{what} must be in order, from the least to the greatest: sort them")
