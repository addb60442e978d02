"""Fitting a termination model to the ends seen, for tasks whose termination is not known."""

from typing import final

import equinox as eqx
from jaxtyping import Array, Float, PRNGKeyArray
from typing_extensions import override

from beeline.models import TerminationModel
from beeline.training.learner import Context, Learner, Slope
from beeline.training.windows import Windows


@final
class TerminationFitting(Learner):
    """Balanced cross-entropy on windows drawn uniformly from the buffer."""

    name = "termination"
    windows: Windows

    @override
    def slope(self, weights: TerminationModel, context: Context, *, key: PRNGKeyArray) -> Slope:
        window = self.windows.draw(context.buffer, self.batch_size, key=key)
        terminated, counted = window.terminated, window.alive
        if terminated is None or counted is None:
            raise ValueError(
                "a learned termination was asked for, but the episodes come without ends: "
                "leave it out, or give the buffer their ends"
            )

        def loss(model: TerminationModel) -> Float[Array, ""]:
            return model.loss(window.states, window.actions, terminated, counted)

        value, gradient = eqx.filter_value_and_grad(loss)(weights)
        return Slope(value, gradient, (value,))
