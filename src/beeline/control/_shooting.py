"""Single shooting: the return as a function of the actions alone."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from beeline.control._augmented import search_constrained
from beeline.control._problem import Problem
from beeline.control._rollout import open_loop
from beeline.control.ascent import LBFGS
from beeline.control.random_return import default_key
from beeline.envs import Environment, reward_of
from beeline.envs._constraints import Constraints
from beeline.models import SimulatorModel

_ITERATIONS, _TOLERANCE = 300, 1e-11
"""Of each round of a search under constraints."""

Search = Callable[
    [Float[np.ndarray, "start time action"]],
    Float[np.ndarray, "start time action"],
]


def shooter(env: Environment, constraints: tuple[Constraints, ...] = ()) -> Search:
    """Compile a search that climbs the return from each starting point.

    The gradient goes through the true dynamics, and L-BFGS-B climbs along it within the bounds
    of the actions.

    Args:
        env: The task, without process noise. Call this, and what it returns, with float64 enabled.
        constraints: What plans have to keep: the search is that of `plan` then, through the task.

    Returns:
        A function of starting points (start, time, action). It returns where each search ended,
        entries in [-1, 1].
    """
    if constraints:
        return _constrained(env, constraints)
    return_and_gradient = jax.jit(jax.value_and_grad(lambda actions: open_loop(env, actions)[1]))

    def shoot(starts: np.ndarray) -> np.ndarray:
        return np.stack([_climb(return_and_gradient, start) for start in starts])

    return shoot


def _constrained(env: Environment, constraints: tuple[Constraints, ...]) -> Search:
    problem = Problem(
        SimulatorModel(env), reward_of(env), constraints=constraints, horizon=env.horizon
    )
    search = LBFGS(iterations=_ITERATIONS, tolerance=_TOLERANCE)
    key = default_key()
    start = env.initial_state(key=key)

    @jax.jit
    def climb(starts: Array) -> Array:
        found = search_constrained(problem, search, start, starts, jnp.asarray(0), key=key)
        finite = jnp.isfinite(found.actions).all((1, 2), keepdims=True)
        return jnp.where(finite, found.actions, starts)

    return lambda starts: np.asarray(climb(jnp.asarray(starts)))


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
