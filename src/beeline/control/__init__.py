"""References to measure a policy against: the optimum of a task, and its random policy."""

from beeline.control.chance import is_deterministic
from beeline.control.optimum import Optimum, solve_optimum
from beeline.control.random_return import RandomReturn, normalized_return, random_return

__all__ = [
    "Optimum",
    "RandomReturn",
    "is_deterministic",
    "normalized_return",
    "random_return",
    "solve_optimum",
]
