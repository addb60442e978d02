"""A learned termination, for tasks that tell when an episode ends and not why."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from beeline._module import Module
from beeline.networks.layers import MLP
from beeline.networks.scaling import StateScaling


@final
class TerminationModel(Module):
    """An MLP on state, action and next state, in standardised units: the log odds of an end.

    It sees no time. What is more likely than not to end an episode does.
    """

    network: MLP
    scaling: StateScaling

    def __init__(
        self,
        state_dim: int,
        action_dim: int,
        *,
        hidden_sizes: tuple[int, ...] = (64, 64),
        scaling: StateScaling | None = None,
        key: PRNGKeyArray,
    ) -> None:
        """Draw the network.

        Args:
            state_dim: Number of state entries.
            action_dim: Number of action entries.
            hidden_sizes: Hidden layers.
            scaling: Coordinates in which states are seen; physical units if not given.
            key: Random key.
        """
        self.scaling = StateScaling.identity(state_dim) if scaling is None else scaling
        sizes = (2 * self.scaling.width + action_dim, *hidden_sizes, 1)
        self.network = MLP(sizes, jax.nn.silu, last_scale=0.01, key=key)

    def standardise(self, scaling: StateScaling) -> "TerminationModel":
        """Take coordinates from data.

        Args:
            scaling: Coordinates in which states are seen.

        Returns:
            The model in these.
        """
        return eqx.tree_at(lambda model: model.scaling, self, scaling)

    def __call__(
        self,
        state: Float[Array, " state"],
        action: Float[Array, " action"],
        t: Int[ArrayLike, ""],
        next_state: Float[Array, " state"],
    ) -> Bool[Array, ""]:
        """Tell whether a step ends the episode.

        Args:
            state: State before the action, in physical units.
            action: Action in [-1, 1].
            t: Index of the step; not used.
            next_state: State after the action.

        Returns:
            Whether it does.
        """
        del t
        return self.log_odds(state, action, next_state) > 0

    def log_odds(
        self,
        states: Float[Array, "*batch state"],
        actions: Float[Array, "*batch action"],
        next_states: Float[Array, "*batch state"],
    ) -> Float[Array, "*batch"]:
        """Predict how likely steps are to end an episode.

        Args:
            states: State before each action, in physical units.
            actions: Actions in [-1, 1].
            next_states: State after each action.

        Returns:
            The logarithms of the odds, where ends are as frequent as their absence.
        """
        values = self.scaling.encode(states), actions, self.scaling.encode(next_states)
        return self.network(jnp.concatenate(values, axis=-1))[..., 0]

    def loss(
        self,
        states: Float[Array, "batch times state"],
        actions: Float[Array, "batch time action"],
        terminated: Bool[Array, "batch time"],
        counted: Bool[Array, "batch time"],
    ) -> Float[Array, ""]:
        """Binary cross-entropy, all ends together weighing as much as all other steps.

        Args:
            states: Windows, one state more than actions.
            actions: The actions taken.
            terminated: Whether each step ended its episode.
            counted: Which steps to learn from.

        Returns:
            The loss.
        """
        odds = self.log_odds(states[:, :-1], actions, states[:, 1:])
        # -log of the probability of what happened.
        surprise = jax.nn.softplus(jnp.where(terminated, -odds, odds))
        kinds = counted & terminated, counted & ~terminated
        means = [jnp.sum(surprise * kind) / jnp.maximum(kind.sum(), 1) for kind in kinds]
        return 0.5 * (means[0] + means[1])
