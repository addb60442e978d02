"""References to measure a policy against: the optimum of a task, and its random policy."""

from beeline.control.optimum import Optimum, solve_optimum
from beeline.control.random_return import RandomReturn, normalized_return, random_return

__all__ = ["Optimum", "RandomReturn", "normalized_return", "random_return", "solve_optimum"]
