"""Statistics of a few seeds on a few tasks, with bootstrap intervals.

Scores come as one array of seeds for each task, so that tasks may have different numbers of
seeds; axes before that of the seeds are batch axes, such as points of a learning curve. A run that
failed is scored like any other: see `fill_failures`.

References:
    Agarwal et al. 2021, "Deep reinforcement learning at the edge of the statistical precipice".
"""

from beeline.statistics._aggregates import (
    interquartile_mean,
    performance_profile,
    probability_of_improvement,
)
from beeline.statistics._bootstrap import Interval, bootstrap
from beeline.statistics._curves import fill_failures, first_reach, hold, reach_ratio
from beeline.statistics._scores import Scores

__all__ = [
    "Interval",
    "Scores",
    "bootstrap",
    "fill_failures",
    "first_reach",
    "hold",
    "interquartile_mean",
    "performance_profile",
    "probability_of_improvement",
    "reach_ratio",
]
