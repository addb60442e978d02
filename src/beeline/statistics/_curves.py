"""How much it takes to learn, by environment steps or by seconds."""

import numpy as np
from jaxtyping import Float

RANDOM = 0.0
"""Normalised return of the random policy, which acts until anything is learned."""


def fill_failures(returns: Float[np.ndarray, "*batch time"]) -> Float[np.ndarray, "*batch time"]:
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
    places = np.where(finite, np.arange(returns.shape[-1]), -1)
    latest = np.maximum.accumulate(places, axis=-1)
    held = np.take_along_axis(returns, np.maximum(latest, 0), axis=-1)
    return np.where(latest < 0, RANDOM, held)


def hold(
    spent: Float[np.ndarray, " time"],
    returns: Float[np.ndarray, " time"],
    budgets: Float[np.ndarray, " budget"],
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
    """
    scored = np.concatenate([[RANDOM], fill_failures(returns)])
    return scored[np.searchsorted(spent, budgets, side="right")]


def first_reach(
    curve: Float[np.ndarray, "*batch budget"], budgets: Float[np.ndarray, " budget"], level: float
) -> Float[np.ndarray, "*batch"]:
    """Find the least budget that reaches a level.

    Args:
        curve: Aggregated returns at each budget.
        budgets: The budgets, in order.
        level: The return to reach.

    Returns:
        The first budget at which the curve is at the level or above; infinite if there is none.
    """
    reached = curve >= level
    return np.asarray(np.where(reached.any(axis=-1), budgets[np.argmax(reached, axis=-1)], np.inf))


def reach_ratio(
    theirs: Float[np.ndarray, "*batch"], ours: Float[np.ndarray, "*batch"]
) -> Float[np.ndarray, "*batch"]:
    """How many times our budget another method needs to reach the same level.

    Args:
        theirs: What the other method needs, infinite if it never reaches the level.
        ours: What ours needs, likewise.

    Returns:
        theirs / ours: infinite where only theirs never reaches it, and 0 where ours never does.
    """
    theirs, ours = np.asarray(theirs, float), np.asarray(ours, float)
    never = np.isinf(ours)
    return np.asarray(np.where(never, 0.0, theirs / np.where(never, 1.0, ours)))
