"""Fitting a reward model to the rewards seen, for tasks whose reward is not known."""

from typing import NamedTuple, final

import equinox as eqx
import optax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, PRNGKeyArray

from beeline._module import Module
from beeline.models import RewardModel
from beeline.training._optimiser import Descent, Optimiser
from beeline.training.episodes import Buffer


class FittedReward(NamedTuple):
    """A reward model after an update, and how the update went."""

    reward: RewardModel
    optimiser_state: optax.OptState
    loss: Float[Array, ""]
    descent: Descent


@final
class RewardFitting(Module):
    """Mean squared error on episodes drawn uniformly from the buffer."""

    optimiser: Optimiser
    batch_size: int = eqx.field(static=True)

    def update(
        self,
        reward: RewardModel,
        optimiser_state: optax.OptState,
        buffer: Buffer,
        progress: Float[Array, ""],
        *,
        rate: Float[ArrayLike, ""] = 1.0,
        key: PRNGKeyArray,
    ) -> FittedReward:
        """Take one step on one batch.

        Args:
            reward: The reward model.
            optimiser_state: Its optimiser's state.
            buffer: Episodes to draw from.
            progress: Share of the run that is done.
            rate: Factor on the learning rate.
            key: Random key.

        Returns:
            The reward model after the step.
        """
        states, actions, rewards = buffer.draw_rewarded(self.batch_size, key=key)

        def loss(reward: RewardModel) -> Float[Array, ""]:
            return reward.loss(states, actions, rewards)

        value, gradient = eqx.filter_value_and_grad(loss)(reward)
        step = self.optimiser.step(
            reward, gradient, optimiser_state, progress, value=value, rate=rate
        )
        return FittedReward(step.weights, step.state, value, step.descent)
