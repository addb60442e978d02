"""Several one-step models of the same data: where they disagree, the data does not tell."""

import dataclasses
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PRNGKeyArray

from beeline._module import Module
from beeline.config import Config
from beeline.models import MarkovModel
from beeline.networks.scaling import StateScaling
from beeline.offline._rows import Rows
from beeline.training.fit import fit, fitting_of

MEMBERS = 5
"""Models in an ensemble."""
_BATCH = 512
"""Steps in an update of each."""
_FINAL_RATE = 0.01
"""Share of the step size left at the end: errors of one step add up over an episode."""
_SMALLEST = 1e-6


@final
class Ensemble(Module):
    """Models that were drawn apart and fitted to the same steps in other orders.

    Attributes:
        members: One model, whose arrays have a leading axis of members. They see no time, so that
            they can be asked from any state on.
    """

    members: MarkovModel

    @property
    def hidden(self) -> tuple[int, ...]:
        """Tell the sizes of a member's hidden layers.

        Returns:
            The sizes.
        """
        return tuple(layer.weight.shape[-1] for layer in self.members.network.layers[:-1])

    @property
    def compress(self) -> bool:
        """Tell whether states pass a symlog first.

        Returns:
            Whether they do.
        """
        return self.members.scaling.compress

    def predict(
        self, state: Float[Array, " state"], action: Float[Array, " action"]
    ) -> tuple[Float[Array, " state"], Float[Array, ""]]:
        """Predict the next state, and say how far the members are apart.

        Args:
            state: The state.
            action: The action, in [-1, 1].

        Returns:
            The state after it in the mean of all members, and the standard deviation of their
            predictions, in units of how much the state changes in a step.
        """

        def one(member: MarkovModel) -> Array:
            return member.standardised(state[None], action[None])[0]

        codes = eqx.filter_vmap(one)(self.members)
        unit = jnp.ones(()) if self.members.change is None else self.members.change[0]
        mean, apart = codes.mean(axis=0), codes - codes.mean(axis=0)
        return self._scaling.decode(mean), jnp.sqrt(jnp.mean((apart / unit) ** 2) + _SMALLEST**2)

    @property
    def _scaling(self) -> StateScaling:
        return jax.tree.map(lambda x: x[0], self.members.scaling)


def draw_ensemble(
    state_dim: int,
    action_dim: int,
    horizon: int,
    hidden: tuple[int, ...],
    *,
    compress: bool,
    key: PRNGKeyArray,
) -> Ensemble:
    """Draw an ensemble that is yet to be fitted.

    Args:
        state_dim: Number of state entries.
        action_dim: Number of action entries.
        horizon: Steps in an episode.
        hidden: Hidden layers of each member.
        compress: Whether states pass a symlog first.
        key: Random key.

    Returns:
        The ensemble.
    """

    def one(key: PRNGKeyArray) -> MarkovModel:
        identity = StateScaling.identity(state_dim)
        scaling = StateScaling(identity.mean, identity.scale, compress=compress)
        return MarkovModel(
            state_dim,
            action_dim,
            horizon,
            hidden_sizes=hidden,
            frequencies=None,
            scaling=scaling,
            change=jnp.ones(state_dim),
            key=key,
        )

    return Ensemble(eqx.filter_vmap(one)(jax.random.split(key, MEMBERS)))


def fit_ensemble(
    ensemble: Ensemble,
    rows: Rows,
    config: Config,
    *,
    updates: int,
    key: PRNGKeyArray,
) -> Ensemble:
    """Fit all members at once, as one program.

    Args:
        ensemble: The ensemble, newly drawn.
        rows: What they learn from, a step at a time.
        config: The run: it has the optimiser.
        updates: Steps of the optimiser.
        key: Random key.

    Returns:
        The fitted ensemble.
    """
    fitting = fitting_of(config)
    optimiser = dataclasses.replace(fitting.optimiser, final_rate=_FINAL_RATE)
    fitting = dataclasses.replace(fitting, batch_size=_BATCH, optimiser=optimiser)
    before, actions, after = (
        jnp.asarray(x, dtype=float).reshape(-1, 1, x.shape[-1])
        for x in (rows.states[:, :-1], rows.actions, rows.after)
    )
    pairs = jnp.concatenate([before, after], axis=1), actions

    @eqx.filter_jit
    def every(members: MarkovModel, keys: Key[Array, " member"]) -> MarkovModel:
        def one(member: MarkovModel, key: PRNGKeyArray) -> Any:
            return fit(member, *pairs, fitting, updates=updates, key=key)

        return eqx.filter_vmap(one)(members, keys)

    return Ensemble(every(ensemble.members, jax.random.split(key, MEMBERS)))
