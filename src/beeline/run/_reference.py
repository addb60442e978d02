"""The two ends of the scale that returns are measured on."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from beeline._module import ArraysInside
from beeline.control import Optimum, normalized_return, random_return, solve_optimum
from beeline.envs import Environment
from beeline.run._errors import RunError


@dataclass(frozen=True, eq=False)
class Reference(ArraysInside):
    """The optimum of a task and what its random policy earns."""

    optimum: Optimum
    random_return: float

    @classmethod
    def of(cls, env: Environment) -> "Reference":
        """Solve a task, or look the solution up.

        Args:
            env: The task.

        Returns:
            Its reference.

        Raises:
            RunError: If the two returns are no scale to measure on.
        """
        reference = cls(solve_optimum(env), random_return(env).mean)
        try:
            normalized_return(0.0, reference.random_return, reference.optimum.return_)
        except ValueError as error:
            raise RunError(f"{env.name} at horizon {env.horizon}: {error}") from error
        return reference

    def normalize(self, returns: Float[np.ndarray, " seed"]) -> Float[np.ndarray, " seed"]:
        """Measure returns between the random policy's and the optimum.

        Args:
            returns: Returns in the task's unit.

        Returns:
            Returns on the scale where the random policy is 0 and the optimum 1.
        """
        return np.asarray(
            [
                normalized_return(float(value), self.random_return, self.optimum.return_)
                for value in returns
            ]
        )
