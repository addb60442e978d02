"""Fitting the one-step model that imagines episodes for a sequence model."""

from typing import final

import equinox as eqx
import jax
from jaxtyping import Array, Int, PRNGKeyArray
from typing_extensions import override

from beeline.models import MarkovModel
from beeline.training.learner import Context, Learner, Slope


@final
class OneStepFitting(Learner):
    """Mean squared error of single steps, on episodes drawn uniformly from the buffer."""

    name = "one_step"

    @override
    def slope(self, weights: MarkovModel, context: Context, *, key: PRNGKeyArray) -> Slope:
        states, actions = context.buffer.draw(self.batch_size, key=key)
        value, gradient = eqx.filter_value_and_grad(
            lambda model: model.change_loss(states, actions)
        )(weights)
        return Slope(value, gradient, (value,))

    @override
    def update_key(self, key: PRNGKeyArray, index: Int[Array, ""]) -> PRNGKeyArray:
        # The even ones are the sequence model's.
        return jax.random.fold_in(key, 2 * index + 1)
