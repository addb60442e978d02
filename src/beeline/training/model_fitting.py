"""Fitting the world model to whole episodes: lines 3 to 5 of Algorithm 1."""

from typing import NamedTuple, final

import equinox as eqx
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from beeline._devices import mean_over_devices
from beeline._microbatch import group_size, mean_in_groups
from beeline.models import WorldModel, prediction_loss
from beeline.training._optimiser import Optimiser
from beeline.training.episodes import Buffer


class Fitted(NamedTuple):
    """A world model after an update, and how the update went."""

    model: WorldModel
    optimiser_state: optax.OptState
    loss: Float[Array, ""]
    gradient_norm: Float[Array, ""]


@final
class ModelFitting(eqx.Module):
    """Mean squared prediction error, on episodes drawn uniformly from the buffer."""

    optimiser: Optimiser
    batch_size: int = eqx.field(static=True)

    def update(
        self,
        model: WorldModel,
        optimiser_state: optax.OptState,
        buffer: Buffer,
        progress: Float[Array, ""],
        *,
        key: PRNGKeyArray,
    ) -> Fitted:
        """Take one step on one batch.

        Args:
            model: The world model.
            optimiser_state: Its optimiser's state.
            buffer: Episodes to draw from.
            progress: Share of the run that is done.
            key: Random key.

        Returns:
            The model after the step.
        """
        states, actions = buffer.draw(self.batch_size, key=key)

        def share(
            model: WorldModel, states: Array, actions: Array
        ) -> tuple[tuple[Array, WorldModel], None]:
            def group(states: Array, actions: Array) -> tuple[tuple[Array, WorldModel], None]:
                return eqx.filter_value_and_grad(prediction_loss)(model, states, actions), None

            size = group_size(*actions.shape[:2])
            return mean_in_groups(group, states, actions, size=size)

        (loss, gradient), _ = mean_over_devices(share, model, states, actions)
        step = self.optimiser.step(model, gradient, optimiser_state, progress)
        return Fitted(step.weights, step.state, loss, step.gradient_norm)

    def error(
        self,
        model: WorldModel,
        states: Float[Array, "times state"],
        actions: Float[Array, "time action"],
    ) -> Float[Array, ""]:
        """Measure the model on an episode it has not seen.

        Args:
            model: The world model.
            states: The episode's states.
            actions: Its actions.

        Returns:
            Root mean squared error of the predicted states, in standardised units.
        """
        return jnp.sqrt(prediction_loss(model, states[None], actions[None]))
