"""A learned reward that sees where a step led, for simulators whose reward is not known."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, PRNGKeyArray

from beeline._module import Module
from beeline.networks.layers import MLP
from beeline.networks.scaling import StateScaling

_SMALLEST_SCALE = 1e-6


@final
class TransitionReward(Module):
    """An MLP on state, action and next state, in standardised units within.

    Many simulators reward what a step led to, a speed or a distance covered. It sees no time.
    """

    network: MLP
    scaling: StateScaling
    mean: Float[Array, ""]
    """Mean reward."""
    scale: Float[Array, ""]
    """Standard deviation of the rewards."""

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
        self.network = MLP(sizes, jax.nn.silu, key=key)
        self.mean, self.scale = jnp.zeros(()), jnp.ones(())

    def standardise(
        self, scaling: StateScaling, rewards: Float[Array, "batch time"], *, ends: bool = False
    ) -> "TransitionReward":
        """Take coordinates and statistics from data.

        Args:
            scaling: Coordinates in which states are seen.
            rewards: Rewards of rows of episodes.
            ends: Not used.

        Returns:
            The model in these units.
        """
        del ends
        statistics = rewards.mean(), jnp.maximum(rewards.std(), _SMALLEST_SCALE)
        return eqx.tree_at(lambda m: (m.scaling, m.mean, m.scale), self, (scaling, *statistics))

    def __call__(
        self,
        state: Float[Array, " state"],
        action: Float[Array, " action"],
        t: Int[ArrayLike, ""],
        next_state: Float[Array, " state"],
    ) -> Float[Array, ""]:
        """Predict the reward of one step.

        Args:
            state: State before the action, in physical units.
            action: Action in [-1, 1].
            t: Index of the step; not used.
            next_state: State after the action.

        Returns:
            The reward.
        """
        del t
        mean, scale = jax.lax.stop_gradient((self.mean, self.scale))
        return mean + scale * self._standardised(state, action, next_state)

    def loss(
        self,
        states: Float[Array, "batch state"],
        actions: Float[Array, "batch action"],
        next_states: Float[Array, "batch state"],
        rewards: Float[Array, " batch"],
    ) -> Float[Array, ""]:
        """Mean squared error of single steps.

        Args:
            states: State before each.
            actions: The actions taken.
            next_states: State after each.
            rewards: The rewards observed.

        Returns:
            The loss, in standardised units.
        """
        mean, scale = jax.lax.stop_gradient((self.mean, self.scale))
        predicted = self._standardised(states, actions, next_states)
        return jnp.mean((predicted - (rewards - mean) / scale) ** 2)

    def _standardised(
        self,
        states: Float[Array, "*batch state"],
        actions: Float[Array, "*batch action"],
        next_states: Float[Array, "*batch state"],
    ) -> Float[Array, "*batch"]:
        values = self.scaling.encode(states), actions, self.scaling.encode(next_states)
        return self.network(jnp.concatenate(values, axis=-1))[..., 0]
