"""The two ends of the scale that returns are measured on."""

import math
import warnings
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from beeline._module import ArraysInside
from beeline.config import REFERENCES
from beeline.control import (
    Optimum,
    normalized_return,
    random_return,
    reference_return,
    solve_optimum,
)
from beeline.control.chance import has_best_plan
from beeline.envs import Environment
from beeline.envs._simulator import Simulator
from beeline.run._errors import RunWarning

_OPTIMUM = "optimum"


@dataclass(frozen=True, eq=False)
class Reference(ArraysInside):
    """What returns are compared with: the best there is, if that is known, and random actions."""

    optimum: Optimum | None
    """The best plan; None where chance has a part, or it was not to be solved for."""
    best_return: float | None
    """What it earns, or what the environment or the user names; None where there is no scale."""
    random_return: float
    """NaN where it is not known."""

    @classmethod
    def of(cls, env: Environment, kind: str = _OPTIMUM) -> "Reference":
        """Solve a task, or look the solution up, where that means something.

        Args:
            env: The task.
            kind: `optimum`, `none`, or a number: the return that counts as 1.

        Returns:
            Its reference. It has no scale, with a warning, if no solution is found or the two ends
            of the scale are none.
        """
        if isinstance(env, Simulator):
            # It is not asked for a thousand episodes of random actions.
            return cls(None, None, math.nan)
        random = random_return(env).mean
        optimum = None
        best = None if kind in REFERENCES else float(kind)
        try:
            if kind == _OPTIMUM:
                best = reference_return(env)
            if kind == _OPTIMUM and best is None and has_best_plan(env):
                optimum = solve_optimum(env)
                best = optimum.return_
            if best is not None:
                normalized_return(0.0, random, best)
        except Exception as error:
            # Whatever a user's environment makes of it, the run does without.
            what = f"{env.name} at horizon {env.horizon} has no scale to measure returns on"
            warnings.warn(f"{what} ({error}): they are told as they are", RunWarning, stacklevel=2)
            optimum = best = None
        return cls(optimum, best, random)

    def normalize(self, returns: Float[np.ndarray, " seed"]) -> Float[np.ndarray, " seed"]:
        """Measure returns between the random policy's and the best.

        Args:
            returns: Returns in the task's unit.

        Returns:
            Returns on the scale where the random policy is 0 and the best 1; NaN without a scale.
        """
        best = self.best_return
        if best is None:
            return np.full(np.shape(returns), np.nan)
        return np.asarray(
            [normalized_return(float(value), self.random_return, best) for value in returns]
        )
