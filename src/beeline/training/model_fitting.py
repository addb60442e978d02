"""Fitting the world model to whole episodes: lines 3 to 5 of Algorithm 1."""

from typing import NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, PRNGKeyArray

from beeline._module import Module
from beeline.compute.devices import mean_over_devices
from beeline.compute.microbatch import group_size, mean_in_groups
from beeline.gradients import open_loop
from beeline.models import WorldModel, prediction_loss
from beeline.training._optimiser import Descent, Optimiser
from beeline.training.episodes import Buffer, Sequences


class Fitted(NamedTuple):
    """A world model after an update, and how the update went."""

    model: WorldModel
    optimiser_state: optax.OptState
    loss: Float[Array, ""]
    descent: Descent


@final
class ModelFitting(Module):
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
        rate: Float[ArrayLike, ""] = 1.0,
        imagined: Sequences | None = None,
        key: PRNGKeyArray,
    ) -> Fitted:
        """Take one step on one batch.

        Args:
            model: The world model.
            optimiser_state: Its optimiser's state.
            buffer: Episodes to draw from.
            progress: Share of the run that is done.
            rate: Factor on the learning rate.
            imagined: Episodes that take the place of as many real ones in the batch.
            key: Random key.

        Returns:
            The model after the step.
        """
        if imagined is None:
            states, actions = buffer.draw(self.batch_size, key=key)
        else:
            real = buffer.draw(self.batch_size - imagined[0].shape[0], key=key)
            states, actions = jax.tree.map(lambda *x: jnp.concatenate(x), real, imagined)

        def share(
            model: WorldModel, states: Array, actions: Array
        ) -> tuple[tuple[Array, WorldModel], None]:
            def group(states: Array, actions: Array) -> tuple[tuple[Array, WorldModel], None]:
                return eqx.filter_value_and_grad(prediction_loss)(model, states, actions), None

            size = group_size(*actions.shape[:2])
            return mean_in_groups(group, states, actions, size=size)

        (loss, gradient), _ = mean_over_devices(share, model, states, actions)
        step = self.optimiser.step(
            model, gradient, optimiser_state, progress, value=loss, rate=rate
        )
        return Fitted(step.weights, step.state, loss, step.descent)

    def errors(
        self,
        model: WorldModel,
        states: Float[Array, "batch times state"],
        actions: Float[Array, "batch time action"],
    ) -> Float[Array, " batch"]:
        """Measure the model on each of some episodes.

        Args:
            model: The world model.
            states: The episodes' states.
            actions: Their actions.

        Returns:
            Root mean squared errors of the predicted states, in standardised units.
        """

        def error(states: Array, actions: Array) -> Array:
            return jnp.sqrt(prediction_loss(model, states[None], actions[None]))

        return jax.vmap(error)(states, actions)


def open_loop_error(
    model: WorldModel,
    states: Float[Array, "times state"],
    actions: Float[Array, "time action"],
) -> Float[Array, ""]:
    """Measure what a model makes of a real episode when it is fed by its own predictions.

    Args:
        model: The world model.
        states: The episode's states.
        actions: Its actions.

    Returns:
        Root mean squared error of its states, in standardised units.
    """
    imagined = open_loop(model, states[0], actions)
    wrong = model.scaling.encode(imagined) - model.scaling.encode(states[1:])
    return jnp.sqrt(jnp.mean(wrong**2))
