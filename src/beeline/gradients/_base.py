"""The interface of the policy gradient's routes, and the objective that they share."""

import abc
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, final

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from beeline._module import Module
from beeline.envs._declared import takes_next_state
from beeline.models import WorldModel
from beeline.policies import Policy

RewardFunction = Callable[..., Float[Array, ""]]
"""The reward of a state, an action in [-1, 1] and a step index; known and differentiable.

One that has a parameter `next_state` is given the state after the action as well. That of an
environment is `beeline.envs.reward_of(env)`.
"""


def rewards_along(
    reward: RewardFunction,
    states: Float[Array, "time state"],
    actions: Float[Array, "time action"],
    last: Float[Array, " state"] | None = None,
) -> Float[Array, " time"]:
    """Reward every step of an episode.

    Args:
        reward: The reward.
        states: State before each action.
        actions: Actions in [-1, 1].
        last: State after the last action, for a reward that takes the next state.

    Returns:
        The rewards.

    Raises:
        ValueError: If the reward takes the next state and there is no last one.
    """
    times = jnp.arange(actions.shape[0])
    if not takes_next_state(reward):
        return jax.vmap(reward)(states, actions, times)
    if last is None:
        raise ValueError("the reward takes the next state: give the state after the last action")
    following = jnp.concatenate([states[1:], last[None]])
    return jax.vmap(reward)(states, actions, times, next_state=following)


class Imagined(NamedTuple):
    """Episodes that a policy rolls out in a model."""

    states: Float[Array, "batch time state"]
    actions: Float[Array, "batch time action"]
    entropy: Float[Array, "batch time"]
    return_: Float[Array, " batch"]


@final
class Objective(Module):
    """Mean imagined return over `return_scale`, plus the weighted mean entropy.

    References:
        Paper, Eqs. 1 to 3, and Appendix C for the entropy.
    """

    reward: RewardFunction
    return_scale: Float[Array, ""]
    entropy_weight: Float[Array, ""]

    def __call__(
        self,
        states: Float[Array, "batch time state"],
        actions: Float[Array, "batch time action"],
        entropy: Float[Array, "batch time"],
        last: Float[Array, "batch state"] | None = None,
    ) -> tuple[Float[Array, ""], Imagined]:
        """Score episodes.

        Args:
            states: State before each action.
            actions: Actions taken.
            entropy: Entropy estimates of the policy there.
            last: State after the last action, for a reward that takes the next state.

        Returns:
            The objective, and the episodes with their returns.
        """
        rewards = jax.vmap(partial(rewards_along, self.reward))(states, actions, last)
        returns = rewards.sum(axis=1)
        value = returns.mean() / self.return_scale + self.entropy_weight * entropy.mean()
        return value, Imagined(states, actions, entropy, returns)


class PolicyGradient(Module):
    """A route that the gradient takes from rewards to the policy's weights."""

    @abc.abstractmethod
    def __call__(
        self,
        policy: Policy,
        model: WorldModel,
        objective: Objective,
        initial_states: Float[Array, "batch state"],
        noise: Float[Array, "batch time action"],
    ) -> tuple[tuple[Float[Array, ""], Imagined], Policy]:
        """Compute the objective and its gradient.

        Args:
            policy: The policy.
            model: The world model it imagines with.
            objective: What to maximise.
            initial_states: Where the episodes start.
            noise: Standard normal draws for the policy; their time axis is the horizon.

        Returns:
            The objective with the imagined episodes, and the gradient, shaped as the policy.
        """


def draw_noise(
    batch: int, horizon: int, action_dim: int, *, key: PRNGKeyArray
) -> Float[Array, "batch time action"]:
    """Draw the policy's noise in antithetic pairs, which cancels odd terms of its effect.

    Args:
        batch: Number of episodes.
        horizon: Steps in an episode.
        action_dim: Number of action entries.
        key: Random key.

    Returns:
        Standard normal draws, the second half minus the first.
    """
    half = jax.random.normal(key, (-(-batch // 2), horizon, action_dim))
    return jnp.concatenate([half, -half])[:batch]
