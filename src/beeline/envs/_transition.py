"""How the library moves an environment: by actions in [-1, 1], whatever its bounds and reward.

Nothing else calls `step`, `reward` and `terminated` of an environment, so that nothing else has to
know which actions it takes, or whether its reward looks at the next state.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, final

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from beeline._module import Module
from beeline.envs._base import Environment
from beeline.envs._declared import scale, takes_next_state


def move(
    env: Environment,
    state: Float[Array, " state"],
    action: Float[Array, " action"],
    t: Int[ArrayLike, ""],
    *,
    key: PRNGKeyArray | None = None,
) -> Array:
    """Move by one step.

    Args:
        env: The environment.
        state: The state at step index `t`.
        action: The action, each entry in [-1, 1].
        t: The step index.
        key: Randomness.

    Returns:
        The state at step index `t` + 1.
    """
    return env.step(state, _scaled(env, action), t, key=key)


def transition(
    env: Environment,
    state: Float[Array, " state"],
    action: Float[Array, " action"],
    t: Int[ArrayLike, ""],
    *,
    key: PRNGKeyArray | None = None,
) -> tuple[Array, Array]:
    """Move by one step and reward it.

    Args:
        env: The environment.
        state: The state at step index `t`.
        action: The action, each entry in [-1, 1].
        t: The step index.
        key: Randomness.

    Returns:
        The state at step index `t` + 1, and the reward.
    """
    after = move(env, state, action, t, key=key)
    return after, reward_with(reward_of(env), state, action, t, lambda: after)


class Moment(NamedTuple):
    """Where an episode is."""

    state: Float[Array, " state"]
    over: Bool[Array, ""] | None
    """Whether it has terminated; None where none does."""


def begin(env: Environment, *, key: PRNGKeyArray | None = None) -> Moment:
    """Begin an episode.

    Args:
        env: The environment.
        key: Randomness.

    Returns:
        Its start.
    """
    over = None if env.terminated is None else jnp.asarray(False)
    return Moment(env.initial_state(key=key), over)


def advance(
    env: Environment,
    moment: Moment,
    action: Float[Array, " action"],
    t: Int[ArrayLike, ""],
    *,
    key: PRNGKeyArray | None = None,
) -> tuple[Moment, Array]:
    """Move by one step and reward it, as long as the episode has not terminated.

    Args:
        env: The environment.
        moment: Where the episode is.
        action: The action, each entry in [-1, 1].
        t: The step index.
        key: Randomness.

    Returns:
        Where it is then, and the reward: after its end the same state, and 0.
    """
    after, reward = transition(env, moment.state, action, t, key=key)
    terminated = termination_of(env)
    if terminated is None or moment.over is None:
        return Moment(after, None), reward
    over = moment.over | terminated(moment.state, action, t, after)
    state = jnp.where(moment.over, moment.state, after)
    return Moment(state, over), jnp.where(moment.over, 0, reward)


def termination_of(env: Environment) -> Callable[..., Bool[Array, ""]] | None:
    """Take the termination of an environment as a function of actions in [-1, 1].

    Args:
        env: The environment.

    Returns:
        A function of a state, an action in [-1, 1], a step index and the next state; None where
        episodes end with the horizon only.
    """
    return None if env.terminated is None else _Termination(env)


def reward_of(env: Environment) -> Callable[..., Array]:
    """Take the reward of an environment as a function of actions in [-1, 1].

    `Objective` and the diagnostics ask for such a one. It is a pytree that holds the environment.

    Args:
        env: The environment.

    Returns:
        A function of a state, an action in [-1, 1] and a step index, and of `next_state` if the
        environment's own is.
    """
    return _WithNextState(env) if takes_next_state(type(env).reward) else _OfState(env)


def reward_with(
    reward: Callable[..., Any],
    state: Float[Array, " state"],
    action: Float[Array, " action"],
    t: Int[ArrayLike, ""],
    next_state: Callable[[], Array],
) -> Any:
    """Reward one step, by a reward of either form.

    Args:
        reward: The reward, from `reward_of` say.
        state: The state at step index `t`.
        action: The action, each entry in [-1, 1].
        t: The step index.
        next_state: Gives the state at step index `t` + 1; not called if the reward takes none.

    Returns:
        The reward.
    """
    more = {"next_state": next_state()} if takes_next_state(reward) else {}
    return reward(state, action, t, **more)


@final
class _OfState(Module):
    env: Environment

    def __call__(self, state: Array, action: Array, t: ArrayLike) -> Any:
        return self.env.reward(state, _scaled(self.env, action), t)


@final
class _WithNextState(Module):
    env: Environment

    def __call__(self, state: Array, action: Array, t: ArrayLike, next_state: Array) -> Any:
        return self.env.reward(state, _scaled(self.env, action), t, next_state=next_state)


@final
class _Termination(Module):
    env: Environment

    def __call__(self, state: Array, action: Array, t: ArrayLike, next_state: Array) -> Any:
        return self.env.terminated(state, _scaled(self.env, action), t, next_state)


def _scaled(env: Any, action: Array) -> Array:
    return scale(action, env.action_low, env.action_high)
