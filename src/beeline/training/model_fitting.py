"""Fitting the world model to whole episodes: lines 3 to 5 of Algorithm 1."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray
from typing_extensions import override

from beeline.compute.devices import mean_over_devices
from beeline.compute.microbatch import group_size, mean_in_groups
from beeline.gradients import open_loop
from beeline.models import WorldModel, prediction_loss
from beeline.training.dyna import Dyna
from beeline.training.episodes import Buffer, Ends
from beeline.training.learner import Context, Learner, Slope
from beeline.training.windows import Window, Windows


@final
class ModelFitting(Learner):
    """Mean squared prediction error, on episodes drawn uniformly from the buffer."""

    name = "model"
    dyna: Dyna | None = None
    """How episodes are imagined to stand beside the real ones; None to learn from these alone."""
    windows: Windows | None = None
    """Windows to learn from in the place of whole episodes."""

    @override
    def prepare(self, weights: WorldModel, buffer: Buffer) -> WorldModel:
        if self.windows is None:
            return weights
        scaling = self.windows.scaling(buffer, weights.scaling.modes)
        return eqx.tree_at(lambda model: model.scaling, weights, scaling)

    @override
    def slope(self, weights: WorldModel, context: Context, *, key: PRNGKeyArray) -> Slope:
        batch = self._batch(context, key)

        def share(model: WorldModel, *batch: Array) -> tuple[tuple[Array, WorldModel], None]:
            def group(*batch: Array) -> tuple[tuple[Array, WorldModel], None]:
                return eqx.filter_value_and_grad(type(model).fitting_loss)(model, *batch), None

            return mean_in_groups(group, *batch, size=group_size(*batch[1].shape[:2]))

        (loss, gradient), _ = mean_over_devices(share, weights, *batch)
        return Slope(loss, gradient, (loss,))

    @override
    def update_key(self, key: PRNGKeyArray, index: Int[Array, ""]) -> PRNGKeyArray:
        # The odd ones are the one-step model's.
        return jax.random.fold_in(key, 2 * index)

    def _batch(self, context: Context, key: PRNGKeyArray) -> tuple[Array, ...]:
        buffer = context.buffer
        if self.windows is not None:
            return _arrays(self.windows.draw(buffer, self.batch_size, key=key))
        if self.dyna is None:
            return buffer.draw(self.batch_size, key=key)
        key, dyna_key = jax.random.split(key)
        imagined = self.dyna.episodes(context, key=dyna_key)
        real = buffer.draw(self.batch_size - self.dyna.imagined, key=key)
        return jax.tree.map(lambda *x: jnp.concatenate(x), real, imagined)

    def errors(
        self,
        model: WorldModel,
        states: Float[Array, "batch times state"],
        actions: Float[Array, "batch time action"],
        ends: Ends | None = None,
    ) -> Float[Array, " batch"]:
        """Measure the model on each of some episodes.

        Args:
            model: The world model.
            states: The episodes' states.
            actions: Their actions.
            ends: Where they terminate, if they are rows of episodes.

        Returns:
            Root mean squared errors of the predicted states, in standardised units.
        """

        def error(states: Array, actions: Array, ends: Ends | None) -> Array:
            if self.windows is not None:
                windows = self.windows.all_of(states, actions, ends)
                return jnp.sqrt(prediction_loss(model, *_arrays(windows)))
            return jnp.sqrt(prediction_loss(model, states[None], actions[None]))

        return jax.vmap(error)(states, actions, ends)


def _arrays(window: Window) -> tuple[Array, ...]:
    given = window.states, window.actions, window.first
    return given if window.weights is None else (*given, window.weights)


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
