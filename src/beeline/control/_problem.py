"""What a plan is to be the best for: a model, a reward, and how far ahead to look."""

from typing import Any, NamedTuple, final

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from beeline._module import Module
from beeline.envs._constraints import Constraints, Limits
from beeline.gradients import (
    RewardFunction,
    Termination,
    Value,
    alive,
    open_loop,
    rewards_along,
    terminated_along,
)
from beeline.models import WorldModel, knows_windows


class Prediction(NamedTuple):
    """What a model says that a plan leads to."""

    states: Float[Array, "times state"]
    """One more than there are actions."""
    rewards: Float[Array, " time"]
    return_: Float[Array, ""]
    """The sum of the rewards, and what the end is worth."""
    limits: Limits
    """Values of the constraints."""


@final
class Problem(Module):
    """A return to maximise over the actions of some steps.

    Attributes:
        model: The world model.
        reward: The reward of a state, an action in [-1, 1] and a step index.
        termination: Whether a step ends the episode; None where the horizon alone does.
        value: What a state is worth where the plan ends before its episode does; None for nothing.
        constraints: What a plan has to keep.
        horizon: Steps of a plan.
        episode: Steps of an episode: later ones earn nothing. None for no end.
    """

    model: WorldModel
    reward: RewardFunction
    termination: Termination | None = None
    value: Value | None = None
    constraints: tuple[Constraints, ...] = ()
    horizon: int = eqx.field(static=True, kw_only=True)
    episode: int | None = eqx.field(static=True, default=None)

    def predict(
        self,
        state: Float[Array, " state"],
        actions: Float[Array, "time action"],
        first: Int[ArrayLike, ""] = 0,
        previous: Float[Array, " action"] | None = None,
    ) -> Prediction:
        """Roll a plan out in the model.

        Args:
            state: Where it begins.
            actions: The plan.
            first: Index of its first step in the episode.
            previous: The action before it, if any.

        Returns:
            States, rewards and the return.
        """
        first = jnp.asarray(first)
        times = first + jnp.arange(self.horizon)
        begun = (first,) if knows_windows(self.model) else ()
        after = open_loop(self.model, state, actions, *begun)
        states = jnp.concatenate([state[None], after])
        counted = jnp.ones(self.horizon, bool) if self.episode is None else times < self.episode
        # Beyond the episode a state may be anything, and its reward have no slope.
        seen = jnp.where(jnp.append(True, counted)[:, None], states, state)
        along = seen[:-1], actions, seen[-1], first
        rewards = rewards_along(self.reward, *along)
        if self.termination is not None:
            counted &= alive(terminated_along(self.termination, *along))
        rewards = jnp.where(counted, rewards, 0.0)
        return_ = jnp.sum(rewards)
        if self.value is not None:
            return_ += self._worth(self.value, seen[-1], along, counted)
        limits = {
            kind if number == 0 else f"{kind} {number + 1}": values
            for number, constraints in enumerate(self.constraints)
            for kind, values in constraints.along(
                seen, actions, first, counted=counted, previous=previous
            ).items()
        }
        return Prediction(states, rewards, return_, limits)

    def _worth(self, value: Value, last: Array, along: Any, counted: Array) -> Array:
        # Nothing is to come once the episode is over.
        t = along[-1] + self.horizon
        over = ~counted[-1] if self.episode is None else ~counted[-1] | (t >= self.episode)
        if self.termination is not None:
            over |= jnp.any(terminated_along(self.termination, *along))
        return jnp.where(over, 0.0, value(last, t))
