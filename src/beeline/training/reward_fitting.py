"""Fitting a reward model to the rewards seen, for tasks whose reward is not known."""

from typing import final

import equinox as eqx
from jaxtyping import Array, Float, PRNGKeyArray
from typing_extensions import override

from beeline.models import RewardModel
from beeline.training.learner import Context, Learner, Slope


@final
class RewardFitting(Learner):
    """Mean squared error on episodes drawn uniformly from the buffer."""

    name = "reward"

    @override
    def slope(self, weights: RewardModel, context: Context, *, key: PRNGKeyArray) -> Slope:
        buffer, times = context.buffer, None
        states, actions, rewards = buffer.draw_rewarded(self.batch_size, key=key)
        if buffer.ends is not None:
            times = buffer.ends.times[buffer.choose(self.batch_size, key=key)]

        def loss(reward: RewardModel) -> Float[Array, ""]:
            return reward.loss(states, actions, rewards, times)

        value, gradient = eqx.filter_value_and_grad(loss)(weights)
        return Slope(value, gradient, (value,))
