"""The paper's equalities as checks that can fail: Proposition 1 and Remark 1.

References:
    Paper, Proposition 1, Appendix B (Remark 1 and Eq. 6).
"""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from beeline.gradients import Objective, PolicyGradient
from beeline.models import WorldModel, prediction_loss
from beeline.policies import Policy
from beeline.theory.checks import Check


def check_equal_gradients(
    statement: str,
    policy: Policy,
    models: tuple[WorldModel, WorldModel],
    routes: tuple[PolicyGradient, PolicyGradient],
    objective: Objective,
    initial_states: Float[Array, "batch state"],
    noise: Float[Array, "batch time action"],
    horizons: Sequence[int],
    *,
    tolerance: float = 1e-10,
) -> Check:
    """Check that two models give one policy gradient, as Proposition 1 says of f and f-RNN.

    Args:
        statement: What is checked.
        policy: The policy.
        models: The two models.
        routes: How to differentiate each.
        objective: What to maximise.
        initial_states: Where the episodes start.
        noise: Standard normal draws for the policy.
        horizons: Lengths to cut the episodes to.
        tolerance: Largest relative difference that counts as rounding.

    Returns:
        The norm of the gradients' difference over the norm of the second, by horizon.

    References:
        Paper, Proposition 1.
    """
    differences = []
    for horizon in horizons:
        one, other = (
            ravel_pytree(
                eqx.filter_jit(route)(policy, model, objective, initial_states, noise[:, :horizon])[
                    1
                ]
            )[0]
            for route, model in zip(routes, models, strict=True)
        )
        differences.append(float(jnp.linalg.norm(one - other) / jnp.linalg.norm(other)))
    at = np.array(horizons)
    return Check(statement, at, np.array(differences), np.full(len(at), tolerance), {})


def check_remark_1(
    cell: WorldModel,
    states: Float[Array, "batch times state"],
    actions: Float[Array, "batch time action"],
    horizons: Sequence[int],
    *,
    forced: bool = True,
    tolerance: float = 1e-10,
) -> Check:
    """Check that teacher forcing a recurrent network trains its cell one step at a time.

    The network's hidden state is the state itself, as in f-RNN; a network that hides more than
    its outputs show cannot be forced to a true hidden state, and the remark is not about it.

    Args:
        cell: The recurrent cell.
        states: Whole episodes, one state more than actions.
        actions: The actions taken.
        horizons: Lengths to cut the episodes to.
        forced: Whether each step starts from the true state; if not, from the predicted one.
        tolerance: Largest relative difference that counts as rounding.

    Returns:
        The norm of the difference of the two losses' gradients in the cell's weights, over the
        norm of the one-step loss's gradient, by horizon.

    References:
        Paper, Remark 1 and Eq. 6.
    """
    differences = []
    for horizon in horizons:
        seen, taken = states[:, : horizon + 1], actions[:, :horizon]
        one = _loss_gradient(recurrent_loss)(cell, seen, taken, forced=forced)
        other = _loss_gradient(prediction_loss)(cell, seen, taken)
        one, other = ravel_pytree(one)[0], ravel_pytree(other)[0]
        differences.append(float(jnp.linalg.norm(one - other) / jnp.linalg.norm(other)))
    at = np.array(horizons)
    return Check("Remark 1", at, np.array(differences), np.full(len(at), tolerance), {})


def recurrent_loss(
    cell: WorldModel,
    states: Float[Array, "batch times state"],
    actions: Float[Array, "batch time action"],
    *,
    forced: bool,
) -> Float[Array, ""]:
    """Mean squared error of a recurrent network unrolled over actions.

    Args:
        cell: The recurrent cell, whose state is the network's hidden state.
        states: Whole episodes, one state more than actions.
        actions: The actions taken.
        forced: Whether each step starts from the true state; if not, from the predicted one.

    Returns:
        The loss in standardised units, averaged as `prediction_loss` averages.
    """

    def episode(states: Array, actions: Array) -> Array:
        def step(loop, inputs):
            carry, hidden = loop
            truth, action, t = inputs
            carry, hidden = cell.step(carry, truth if forced else hidden, action, t)
            return (carry, hidden), hidden

        length = actions.shape[0]
        first = (cell.start(states[0], length), states[0])
        _, predicted = jax.lax.scan(step, first, (states[:-1], actions, jnp.arange(length)))
        return cell.scaling.encode(predicted) - cell.scaling.encode(states[1:])

    return jnp.mean(jax.vmap(episode)(states, actions) ** 2)


def _loss_gradient(loss):
    return eqx.filter_jit(eqx.filter_grad(loss))
