"""The interface of the policy gradient's routes, and the objective that they share."""

import abc
from typing import NamedTuple, Protocol, final, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from beeline._module import Module
from beeline.models import WorldModel
from beeline.policies import Policy


@runtime_checkable
class RewardFunction(Protocol):
    """The reward of a state, an action and a step index; known and differentiable."""

    def __call__(
        self, state: Float[Array, " state"], action: Float[Array, " action"], t: Int[Array, ""]
    ) -> Float[Array, ""]:
        """Reward one step.

        Args:
            state: State before the action.
            action: Action in [-1, 1].
            t: Index of the step.

        Returns:
            The reward.
        """
        ...


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
    ) -> tuple[Float[Array, ""], Imagined]:
        """Score episodes.

        Args:
            states: State before each action.
            actions: Actions taken.
            entropy: Entropy estimates of the policy there.

        Returns:
            The objective, and the episodes with their returns.
        """
        over_time = jax.vmap(self.reward)
        rewards = jax.vmap(over_time, in_axes=(0, 0, None))(
            states, actions, jnp.arange(actions.shape[1])
        )
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
