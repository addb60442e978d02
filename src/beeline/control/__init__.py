"""References to measure a policy against: the optimum of a task, feedbacks, its random policy."""

from beeline.control.chance import is_deterministic, is_noisy
from beeline.control.closed_loop import ClosedLoopReturn, closed_loop_return
from beeline.control.grid import Grid, GridSolution, solve_grid
from beeline.control.lqr import LinearFeedback, lqr
from beeline.control.optimum import Optimum, solve_optimum
from beeline.control.random_return import RandomReturn, normalized_return, random_return
from beeline.control.reference import reference_return

__all__ = [
    "ClosedLoopReturn",
    "Grid",
    "GridSolution",
    "LinearFeedback",
    "Optimum",
    "RandomReturn",
    "closed_loop_return",
    "is_deterministic",
    "is_noisy",
    "lqr",
    "normalized_return",
    "random_return",
    "reference_return",
    "solve_grid",
    "solve_optimum",
]
