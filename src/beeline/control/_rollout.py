"""Open-loop episodes: what a fixed sequence of actions earns."""

import functools
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, PRNGKeyArray

from beeline.control._starts import starting_actions
from beeline.envs import Environment
from beeline.envs._constraints import Constraints
from beeline.envs._transition import Moment, advance, transition

_KEPT = 1e-5
"""How far above 0 a constraint may be, in units of its mean magnitude, and count as kept."""
_MEASURED = 15
"""Plans that the magnitude of a constraint is taken from."""


def open_loop(
    env: Environment, actions: Float[Array, "time action"]
) -> tuple[Float[Array, "time+1 state"], Float[Array, ""]]:
    """Play actions from the start of an episode without process noise or feedback.

    Args:
        env: The task.
        actions: One action for each step of the episode.

    Returns:
        The states visited, the start and the end among them, and the return.
    """
    # Always a key, as the contract says, though the task is deterministic.
    key = jax.random.key(0)
    start = env.initial_state(key=key)

    def advance(state, inputs):
        action, t = inputs
        following, reward = transition(env, state, action, t, key=key)
        return following, (following, reward)

    steps = jnp.arange(env.horizon)
    _, (states, rewards) = jax.lax.scan(advance, start, (actions, steps))
    return jnp.concatenate([start[None], states]), jnp.sum(rewards)


@final
class Player:
    """Plays plans on a task, with a program that is compiled once."""

    def __init__(self, env: Environment, constraints: tuple[Constraints, ...] = ()) -> None:
        """Take a task.

        Args:
            env: The task.
            constraints: What plans have to keep.
        """
        self.env, self.constraints = env, constraints
        self._play = jax.jit(lambda actions: open_loop(env, actions))
        self._limits = jax.jit(
            lambda states, actions: [one.along(states, actions) for one in constraints]
        )

    def __call__(
        self, plans: Float[np.ndarray, "plan time action"]
    ) -> tuple[Float[np.ndarray, "plan time+1 state"], Float[np.ndarray, " plan"]]:
        """Play plans of any precision.

        Args:
            plans: The plans.

        Returns:
            The states visited, and the returns, finite or not; minus infinity where a plan breaks a
            constraint.
        """
        states, returns = self._played(plans)
        if self.constraints:
            returns = np.where(self.broken(plans) <= _KEPT, returns, -np.inf)
        return states, returns

    def broken(self, plans: Float[np.ndarray, "plan time action"]) -> Float[np.ndarray, " plan"]:
        """Measure how far plans break the constraints, in units of their mean magnitude.

        Args:
            plans: The plans.

        Returns:
            The largest of their values in these units, or 0; infinite where one is not finite.
        """
        rows = [jax.tree.map(np.divide, self._values(plan), self._units) for plan in plans]
        return np.array([_largest(row) for row in rows])

    def worst(self, plan: Float[np.ndarray, "time action"]) -> float:
        """Measure how far a plan breaks the constraints.

        Args:
            plan: The plan.

        Returns:
            The largest of their values, or 0.
        """
        return _largest(self._values(plan))

    def _played(self, plans: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        states, returns = zip(*(self._play(jnp.asarray(plan)) for plan in plans), strict=True)
        return np.stack(states), np.stack(returns)

    def _values(self, plan: np.ndarray) -> Any:
        states, _ = self._play(jnp.asarray(plan))
        return jax.tree.map(np.asarray, self._limits(states, jnp.asarray(plan)))

    @functools.cached_property
    def _units(self) -> Any:
        env = self.env
        plans = starting_actions(env.horizon, env.action_dim, _MEASURED)
        values = jax.tree.map(lambda *x: np.stack(x), *map(self._values, plans))
        return jax.tree.map(_magnitude, values)


def _largest(values: Any) -> float:
    highest = max((float(np.max(x, initial=0.0)) for x in jax.tree.leaves(values)), default=0.0)
    return highest if np.isfinite(highest) else np.inf


def _magnitude(values: np.ndarray) -> np.ndarray:
    size = np.ma.filled(np.ma.masked_invalid(np.abs(values)).mean((0, 1)), 1.0)
    return np.where(size > 0, size, 1.0)


def open_loop_from(
    env: Environment,
    state: Float[Array, " state"],
    actions: Float[Array, "time action"],
    first: Int[ArrayLike, ""] = 0,
    *,
    key: PRNGKeyArray,
) -> tuple[Float[Array, "times state"], Float[Array, " time"]]:
    """Play actions from a state on, up to the end of the episode if it terminates.

    Args:
        env: The task.
        state: Where to begin.
        actions: The actions.
        first: Index of the first step.
        key: Randomness.

    Returns:
        The states visited, the first and the last among them, and the rewards.
    """

    def step(moment, inputs):
        action, t, step_key = inputs
        after, reward = advance(env, moment, action, t, key=step_key)
        return after, (after.state, reward)

    moment = Moment(state, None if env.terminated is None else jnp.asarray(False))
    keys = jax.random.split(key, len(actions))
    inputs = actions, jnp.asarray(first) + jnp.arange(len(actions)), keys
    _, (states, rewards) = jax.lax.scan(step, moment, inputs)
    return jnp.concatenate([state[None], states]), rewards
