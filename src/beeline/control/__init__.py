"""Control without learning: references to measure a policy against, and plans in a world model."""

from beeline.control.ascent import LBFGS, Adam
from beeline.control.chance import is_deterministic, is_noisy
from beeline.control.closed_loop import ClosedLoopReturn, closed_loop_return
from beeline.control.grid import Grid, GridSolution, solve_grid
from beeline.control.lqr import LinearFeedback, lqr
from beeline.control.mpc import MPC, Controller
from beeline.control.optimum import Optimum, solve_optimum
from beeline.control.plan import Plan, plan
from beeline.control.random_return import RandomReturn, normalized_return, random_return
from beeline.control.reference import reference_return
from beeline.control.sampling import CEM, MPPI
from beeline.control.search import Found, Search
from beeline.envs._constraints import Constraints

__all__ = [
    "CEM",
    "LBFGS",
    "MPC",
    "MPPI",
    "Adam",
    "ClosedLoopReturn",
    "Constraints",
    "Controller",
    "Found",
    "Grid",
    "GridSolution",
    "LinearFeedback",
    "Optimum",
    "Plan",
    "RandomReturn",
    "Search",
    "closed_loop_return",
    "is_deterministic",
    "is_noisy",
    "lqr",
    "normalized_return",
    "plan",
    "random_return",
    "reference_return",
    "solve_grid",
    "solve_optimum",
]
