"""Single shooting: the return as a function of the actions alone."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from beeline.control._rollout import open_loop
from beeline.envs import Environment

Search = Callable[
    [Float[np.ndarray, "start time action"]],
    Float[np.ndarray, "start time action"],
]


def shooter(env: Environment) -> Search:
    """Compile a search that climbs the return from each starting point.

    The gradient goes through the true dynamics, and L-BFGS-B climbs along it within the bounds
    of the actions.

    Args:
        env: The task, without process noise. Call this, and what it returns, with float64 enabled.

    Returns:
        A function of starting points (start, time, action). It returns where each search ended,
        entries in [-1, 1].
    """
    return_and_gradient = jax.jit(jax.value_and_grad(lambda actions: open_loop(env, actions)[1]))

    def shoot(starts: np.ndarray) -> np.ndarray:
        return np.stack([_climb(return_and_gradient, start) for start in starts])

    return shoot


def _climb(return_and_gradient, start: np.ndarray) -> np.ndarray:
    # Returns range over four orders of magnitude across the tasks, and the solver's tolerances
    # are absolute: let it see a function whose value is about 1.
    scale = max(abs(float(return_and_gradient(jnp.asarray(start))[0])), 1.0)

    def loss(flat):
        return_, gradient = return_and_gradient(jnp.asarray(flat.reshape(start.shape)))
        return -float(return_) / scale, -np.asarray(gradient, dtype=np.float64).ravel() / scale

    # Imported here because it takes long, and an optimum that is on disk needs none of it.
    from scipy.optimize import minimize

    found = minimize(
        loss,
        start.ravel(),
        jac=True,
        method="L-BFGS-B",
        bounds=[(-1.0, 1.0)] * start.size,
        options={"maxcor": 10, "ftol": 1e-12, "gtol": 1e-9, "maxiter": 5000, "maxfun": 20000},
    )
    end = found.x.reshape(start.shape)
    return np.clip(end, -1.0, 1.0) if np.all(np.isfinite(end)) else start
