"""How the library moves an environment: by actions in [-1, 1], whatever its bounds and reward.

Nothing else calls `step` and `reward` of an environment, so that nothing else has to know which
actions it takes, or whether its reward looks at the next state.
"""

from collections.abc import Callable
from typing import Any, final

from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, PRNGKeyArray

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


def _scaled(env: Any, action: Array) -> Array:
    return scale(action, env.action_low, env.action_high)
