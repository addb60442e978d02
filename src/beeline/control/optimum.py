"""The best return that any sequence of actions earns in a task."""

import operator
from dataclasses import dataclass
from typing import SupportsIndex

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from beeline._module import ArraysInside
from beeline.control import _optimum_store as store
from beeline.control._rollout import open_loop
from beeline.control._starts import starting_actions
from beeline.envs import Environment

AGREEMENT = 1e-5
"""Relative difference in return within which two starts count as having met."""


@dataclass(frozen=True, eq=False)
class Optimum(ArraysInside):
    """The best open-loop plan that was found.

    Attributes:
        actions: The plan, entries in [-1, 1].
        states: The states it visits, from the start to the end of the episode.
        return_: What it earns.
        starts: Where each starting point of the search ended up, best first.
    """

    actions: Float[np.ndarray, "time action"]
    states: Float[np.ndarray, "time+1 state"]
    return_: float
    starts: Float[np.ndarray, "start"]

    @property
    def agreement(self) -> float:
        """The share of starting points that came within 1e-5 of the best, relative to it.

        A share well below one tells of a task with many local optima, in which the best found
        may not be the best there is.
        """
        reach = AGREEMENT * max(abs(self.return_), 1e-12)
        return float(np.mean(self.starts >= self.return_ - reach))


def solve_optimum(env: Environment, *, starts: SupportsIndex = 20, cache: bool = True) -> Optimum:
    """Find the best open-loop plan by gradient ascent from many starting points.

    Single shooting: the return is a function of the actions alone, differentiated through the
    true dynamics in float64 and climbed with L-BFGS-B within the action bounds. In a
    deterministic task that starts from one state, no closed-loop policy can do better.

    Args:
        env: The task, without process noise. Precision is raised to float64 for the call only.
        starts: How many starting points to climb from, at least 1; always the same ones.
        cache: Whether to look the result up on disk, and to keep it there.

    Returns:
        The best plan found, and how the starting points agreed.

    Raises:
        TypeError: If `starts` is not an integer.
        ValueError: If `starts` is below 1, the task has process noise, or the return is not
            finite from any starting point.
    """
    if isinstance(starts, bool) or not isinstance(starts, SupportsIndex):
        raise TypeError(f"starts must be an integer of at least 1, got {starts!r}")
    count = operator.index(starts)
    if count < 1:
        raise ValueError(f"starts must be at least 1, got {count}")
    with jax.enable_x64(True):
        path = store.entry_path(env, count) if cache else None
        arrays = store.load(path, env) if path else None
        if arrays is None:
            arrays = _search(env, count)
            if path:
                store.save(path, arrays)
    return Optimum(
        actions=arrays["actions"],
        states=arrays["states"],
        return_=float(arrays["return_"]),
        starts=arrays["starts"],
    )


def _search(env: Environment, starts: int) -> dict[str, np.ndarray]:
    shape = (env.horizon, env.action_dim)

    @jax.jit
    def return_and_gradient(actions):
        return jax.value_and_grad(lambda actions: open_loop(env, actions)[1])(actions)

    ends, returns = [], []
    for start in starting_actions(*shape, starts):
        end, return_ = _climb(return_and_gradient, start)
        ends.append(end)
        returns.append(return_)
    if not np.any(np.isfinite(returns)):
        raise ValueError(f"{env.name} has no finite return at horizon {env.horizon}")
    best = ends[int(np.nanargmax(returns))]
    states, return_ = jax.jit(lambda actions: open_loop(env, actions))(jnp.asarray(best))
    return {
        "actions": best,
        "states": np.asarray(states),
        "return_": np.asarray(return_),
        "starts": np.sort(np.nan_to_num(returns, nan=-np.inf))[::-1],
    }


def _climb(return_and_gradient, start: np.ndarray) -> tuple[np.ndarray, float]:
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
    return found.x.reshape(start.shape), -float(found.fun) * scale
