"""The interface of the policy gradient's routes, and the objective that they share."""

import abc
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, Protocol, final, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from beeline._module import Module
from beeline.envs._declared import takes_next_state
from beeline.gradients._lagrangian import Lagrangian
from beeline.models import WorldModel
from beeline.policies import Policy

RewardFunction = Callable[..., Float[Array, ""]]
"""The reward of a state, an action in [-1, 1] and a step index; known and differentiable.

One that has a parameter `next_state` is given the state after the action as well. That of an
environment is `beeline.envs.reward_of(env)`.
"""

Termination = Callable[..., Bool[Array, ""]]
"""Whether a state, an action in [-1, 1], a step index and the next state end an episode."""


def rewards_along(
    reward: RewardFunction,
    states: Float[Array, "time state"],
    actions: Float[Array, "time action"],
    last: Float[Array, " state"] | None = None,
    first: Int[Array, ""] | None = None,
) -> Float[Array, " time"]:
    """Reward every step of an episode or a window.

    Args:
        reward: The reward.
        states: State before each action.
        actions: Actions in [-1, 1].
        last: State after the last action, for a reward that takes the next state.
        first: Index of the first step of a window; left out for whole episodes.

    Returns:
        The rewards.

    Raises:
        ValueError: If the reward takes the next state and there is no last one.
    """
    times = steps_from(first, actions.shape[0])
    if not takes_next_state(reward):
        return jax.vmap(reward)(states, actions, times)
    if last is None:
        raise ValueError("the reward takes the next state: give the state after the last action")
    following = jnp.concatenate([states[1:], last[None]])
    return jax.vmap(reward)(states, actions, times, next_state=following)


def terminated_along(
    termination: Termination,
    states: Float[Array, "time state"],
    actions: Float[Array, "time action"],
    last: Float[Array, " state"] | None = None,
    first: Int[Array, ""] | None = None,
) -> Bool[Array, " time"]:
    """Tell of every step of an episode or a window whether it ends an episode.

    Args:
        termination: What tells of one.
        states: State before each action.
        actions: Actions in [-1, 1].
        last: State after the last action.
        first: Index of the first step of a window; left out for whole episodes.

    Returns:
        Whether it does; `alive` makes of it which steps there are at all.

    Raises:
        ValueError: If there is no last state.
    """
    if last is None:
        raise ValueError("termination takes the next state: give the state after the last action")
    following = jnp.concatenate([states[1:], last[None]])
    return jax.vmap(termination)(states, actions, steps_from(first, len(actions)), following)


def alive(terminated: Bool[Array, "*batch time"]) -> Bool[Array, "*batch time"]:
    """Tell which steps belong to the episode that is under way at first.

    Args:
        terminated: Whether a step ends its episode.

    Returns:
        True up to the first that does, that one included.
    """
    return jnp.cumsum(terminated, axis=-1) - terminated == 0


def steps_from(first: Int[Array, ""] | None, length: int) -> Int[Array, " time"]:
    """Number the steps of a window as in its episode.

    Args:
        first: Index of its first step; None for a whole episode.
        length: Steps in it.

    Returns:
        The indices.
    """
    times = jnp.arange(length)
    return times if first is None else first + times


class Imagined(NamedTuple):
    """Episodes or windows that a policy rolls out in a model."""

    states: Float[Array, "batch time state"]
    actions: Float[Array, "batch time action"]
    entropy: Float[Array, "batch time"]
    return_: Float[Array, " batch"]
    """Discounted sum of the rewards, and what the critic expects to follow where there is one;
    both until an episode terminates."""


@runtime_checkable
class Value(Protocol):
    """What a window is scored by at its end: see `beeline.training.critic.Critic`."""

    def __call__(self, state: Float[Array, " state"], t: Int[Array, ""]) -> Float[Array, ""]:
        """Value a state."""
        ...

    def unit(self, state: Float[Array, " state"], t: Int[Array, ""]) -> Float[Array, ""]:
        """Say what difference of values counts as 1 at a state."""
        ...


@final
class Objective(Module):
    """Mean imagined return in its unit, plus the weighted mean entropy.

    The unit of whole episodes is `return_scale`. That of a window is the critic's where the window
    starts, so that no start counts for more because there is more to lose; which policy is
    best in every state does not depend on it. The critic scores the state that a window ends in.
    The gradient passes through that state only, never through the critic's weights. After a step
    that terminates the episode, nothing is earned and nothing expected. That is a mask, which has
    no gradient. What constraints cost is taken off the score, and is not part of any return.

    References:
        Paper, Eqs. 1 to 3, and Appendix C for the entropy.
    """

    reward: RewardFunction
    return_scale: Float[Array, ""]
    entropy_weight: Float[Array, ""]
    critic: Value | None = None
    """The value of a state at a step index; None for whole episodes, at whose end it is zero."""
    discount: float = eqx.field(static=True, default=1.0)
    """Factor on the worth of a reward for each step that it comes later."""
    termination: Termination | None = None
    """Whether a step ends an episode; None where the horizon alone does."""
    lagrangian: Lagrangian | None = None
    """What constraints take off the score; None where there are none."""

    @property
    def takes_last_state(self) -> bool:
        """Whether the state after the last action matters.

        Returns:
            True with a critic, a termination, constraints, or a reward that takes the next state.
        """
        with_it = self.critic, self.termination, self.lagrangian
        return any(one is not None for one in with_it) or takes_next_state(self.reward)

    def __call__(
        self,
        states: Float[Array, "batch time state"],
        actions: Float[Array, "batch time action"],
        entropy: Float[Array, "batch time"],
        last: Float[Array, "batch state"] | None = None,
        first: Int[Array, " batch"] | None = None,
    ) -> tuple[Float[Array, ""], Imagined]:
        """Score episodes or windows.

        Args:
            states: State before each action.
            actions: Actions taken.
            entropy: Entropy estimates of the policy there.
            last: State after the last action, if `takes_last_state`.
            first: Index of the first step of each window; left out for whole episodes.

        Returns:
            The objective, and the episodes with their returns.

        Raises:
            ValueError: If there is a critic, a termination or a constraint, and no last state.
        """
        rewards = jax.vmap(partial(rewards_along, self.reward))(states, actions, last, first)
        length, terminated = actions.shape[1], None
        if self.termination is not None:
            along = partial(terminated_along, self.termination)
            terminated = jax.vmap(along)(states, actions, last, first)
            rewards, entropy = (jnp.where(alive(terminated), x, 0) for x in (rewards, entropy))
        if self.discount < 1:
            rewards = rewards * self.discount ** jnp.arange(length)
        returns = rewards.sum(axis=1)
        if self.critic is None:
            score = returns.mean() / self.return_scale
        else:
            if last is None:
                raise ValueError("there is a critic, but no last state for it to score")
            begin = jnp.zeros(len(returns), int) if first is None else first
            values = jax.vmap(self.critic)(last, begin + length)
            if terminated is not None:
                values = jnp.where(terminated.any(axis=1), 0, values)
            returns = returns + self.discount**length * values
            score = jnp.mean(returns / jax.vmap(self.critic.unit)(states[:, 0], begin))
        if self.lagrangian is not None:
            if last is None:
                raise ValueError("there are constraints, but no last state to hold against them")
            whole = jnp.concatenate([states, last[:, None]], axis=1)
            counted = None if terminated is None else alive(terminated)
            score -= jax.vmap(self.lagrangian)(whole, actions, first, counted).mean()
        value = score + self.entropy_weight * entropy.mean()
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
        first: Int[Array, " batch"] | None = None,
        disturbances: Float[Array, "batch time code"] | None = None,
    ) -> tuple[tuple[Float[Array, ""], Imagined], Policy]:
        """Compute the objective and its gradient.

        Args:
            policy: The policy.
            model: The world model it imagines with.
            objective: What to maximise.
            initial_states: Where the episodes or windows start.
            noise: Standard normal draws for the policy; their time axis is the horizon or the
                length of a window.
            first: Index of the first step of each window; left out for whole episodes.
            disturbances: What is added to each standardised state that the model predicts, as
                `beeline.models.residuals` gives it; nothing if not given.

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
