"""Learning curves, and the environment steps or seconds that it takes to reach a level."""

import numpy as np
from jaxtyping import Float, Real

from beeline.statistics._scores import check_in_order, check_numbers

RANDOM = 0.0
"""Normalised return of the random policy, which acts until anything is learned."""


def fill_failures(returns: Real[np.ndarray, "*batch time"]) -> Float[np.ndarray, "*batch time"]:
    """Score every record of a run, of those too that are not finite.

    A run that failed counts with what it had to show: the last finite return before, or the
    random policy's if there was none. It is never left out.

    Args:
        returns: Normalised returns in the order in which they were recorded.

    Returns:
        The same, with every return that is not finite replaced.
    """
    returns = np.asarray(returns)
    finite = np.isfinite(returns)
    recorded = np.where(finite, np.arange(returns.shape[-1]), -1)
    latest = np.maximum.accumulate(recorded, axis=-1)
    held = np.take_along_axis(returns, np.maximum(latest, 0), axis=-1)
    return np.where(latest < 0, RANDOM, held)


def hold(
    spent: Real[np.ndarray, " time"],
    returns: Real[np.ndarray, " time"],
    budgets: Real[np.ndarray, " budget"],
) -> Float[np.ndarray, " budget"]:
    """Read a learning curve at given budgets.

    Between records the policy of the last one is what there is; before the first, the random
    policy; after the last, the final one, also of a run that was cut short.

    Args:
        spent: Environment steps, or seconds, at each record, in order.
        returns: Normalised return at each record; may hold failures.
        budgets: Where to read.

    Returns:
        The normalised return at each budget.

    Raises:
        ValueError: If there is not one return for each record, the records are out of order, or
            a budget is not a number.
    """
    if len(spent) != len(returns):
        raise ValueError(
            f"give one return for each record: got {len(returns)} returns at {len(spent)} records"
        )
    check_in_order("records", spent)
    check_numbers("budgets", budgets)
    scored = np.concatenate([[RANDOM], fill_failures(returns)])
    return scored[np.searchsorted(spent, budgets, side="right")]


def first_reach(
    curve: Real[np.ndarray, "*batch budget"], budgets: Real[np.ndarray, " budget"], level: float
) -> Float[np.ndarray, "*batch"]:
    """Find the least budget that reaches a level.

    Args:
        curve: Aggregated returns at each budget.
        budgets: The budgets, in order.
        level: The return to reach.

    Returns:
        The first budget at which the curve is at the level or above; infinite if there is none.

    Raises:
        ValueError: If there is no budget, they are not one for each point of the curve or out of
            order, or the curve or the level is not a number somewhere.
    """
    if not 0 < len(budgets) == curve.shape[-1]:
        raise ValueError(
            f"give a budget for each point of the curve, at least one: got {len(budgets)} budgets "
            f"for {curve.shape[-1]} points"
        )
    check_in_order("budgets", budgets)
    check_numbers("curves", curve)
    check_numbers("levels", np.asarray(level))
    reached = curve >= level
    return np.asarray(np.where(reached.any(axis=-1), budgets[np.argmax(reached, axis=-1)], np.inf))


def reach_ratio(
    theirs: Real[np.ndarray, "*batch"], ours: Real[np.ndarray, "*batch"]
) -> Float[np.ndarray, "*batch"]:
    """How many times our budget another method needs to reach the same level.

    Args:
        theirs: What the other method needs, infinite if it never reaches the level.
        ours: What ours needs, likewise.

    Returns:
        theirs / ours: infinite where only theirs never reaches it, and 0 where ours never does.
        Where both need nothing it is 1, and infinite where only ours does.

    Raises:
        ValueError: If a need is negative or not a number.
    """
    theirs, ours = np.asarray(theirs, float), np.asarray(ours, float)
    if not (np.all(theirs >= 0) and np.all(ours >= 0)):
        raise ValueError("what it takes must be at least 0, infinite where it is never enough")
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(theirs == ours, 1.0, theirs / ours)
    return np.asarray(np.where(np.isinf(ours), 0.0, ratio))
