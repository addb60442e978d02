"""Open-loop episodes: what a fixed sequence of actions earns."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, PRNGKeyArray

from beeline.envs import Environment
from beeline.envs._transition import Moment, advance, transition

Player = Callable[
    [Float[np.ndarray, "plan time action"]],
    tuple[Float[np.ndarray, "plan time+1 state"], Float[np.ndarray, " plan"]],
]


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


def player(env: Environment) -> Player:
    """Compile a task's `open_loop` once, to play many plans with it.

    Args:
        env: The task.

    Returns:
        A function of plans (plan, time, action) in any precision. It returns the states
        visited (plan, time + 1, state) and the returns (plan,), finite or not.
    """
    play = jax.jit(lambda actions: open_loop(env, actions))

    def replay(plans: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        states, returns = zip(*(play(jnp.asarray(plan)) for plan in plans), strict=True)
        return np.stack(states), np.stack(returns)

    return replay


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
