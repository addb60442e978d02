"""Open-loop episodes: what a fixed sequence of actions earns."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from beeline.envs import Environment
from beeline.envs._transition import transition

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
