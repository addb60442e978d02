"""Fitting a reward model to the rewards seen, for tasks whose reward is not known."""

from typing import final

import equinox as eqx
import jax
from jaxtyping import Array, Float, PRNGKeyArray
from typing_extensions import override

from beeline.models import RewardModel, TransitionReward
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


@final
class TransitionRewardFitting(Learner):
    """Mean squared error on single steps drawn uniformly from the buffer, `batch_size` of them."""

    name = "reward"

    @override
    def slope(self, weights: TransitionReward, context: Context, *, key: PRNGKeyArray) -> Slope:
        buffer = context.buffer
        if buffer.rewards is None or buffer.ends is None:
            raise ValueError("the buffer lacks rewards, or the state after each step: give it both")
        episode_key, step_key = jax.random.split(key)
        episode = buffer.choose(self.batch_size, key=episode_key)
        steps = jax.random.randint(step_key, episode.shape, 0, buffer.actions.shape[1])
        held = buffer.states, buffer.actions, buffer.ends.next_states, buffer.rewards
        drawn = [values[episode, steps] for values in held]
        value, gradient = eqx.filter_value_and_grad(lambda reward: reward.loss(*drawn))(weights)
        return Slope(value, gradient, (value,))
