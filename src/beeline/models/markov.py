"""Markov world models: f(s_t, a_t) -> s_{t+1}, one step at a time.

References:
    Paper, section 2 (loss) and Appendix C (difference prediction, two ReLU layers of 64).
"""

from typing import ClassVar, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, PRNGKeyArray
from typing_extensions import override

from beeline.models._base import WorldModel, check_length
from beeline.networks.layers import MLP, Activation
from beeline.networks.scaling import StateScaling
from beeline.networks.schedule import Schedule, step_feature_count, step_features

_SMALLEST_CHANGE = 1e-6


@final
class MarkovModel(WorldModel[None]):
    """An MLP on state, action and time that predicts the change of the state."""

    one_step: ClassVar[bool] = True
    network: MLP
    scaling: StateScaling
    change: Float[Array, " code"] | None
    """Unit of each entry of the network's output, in standardised states; 1 if None."""
    horizon: int = eqx.field(static=True)
    frequencies: int | None = eqx.field(static=True)
    schedule: Schedule | None
    """Context that is seen beside the time; None where there is none."""
    state_fed = True

    def __init__(
        self,
        state_dim: int,
        action_dim: int,
        horizon: int,
        *,
        hidden_sizes: tuple[int, ...] = (64, 64),
        activation: Activation = jax.nn.relu,
        frequencies: int | None = 0,
        scaling: StateScaling | None = None,
        schedule: Schedule | None = None,
        change: Float[Array, " code"] | None = None,
        key: PRNGKeyArray,
    ) -> None:
        """Draw the network.

        Args:
            state_dim: Number of state entries.
            action_dim: Number of action entries.
            horizon: Steps in an episode, for the time features.
            hidden_sizes: Hidden layers.
            activation: Function between them.
            frequencies: Sine and cosine pairs among the time features; None for no time at all.
            scaling: Coordinates in which states are seen; physical units if not given.
            schedule: Context that is seen beside the time; none if not given.
            change: Units in which changes are predicted, in standardised states; `calibrate` sets
                them to the spread of the changes seen. Left out, they are 1 and stay so.
            key: Random key.
        """
        self.scaling = StateScaling.identity(state_dim) if scaling is None else scaling
        codes = self.scaling.width
        inputs = codes + action_dim + step_feature_count(frequencies, schedule)
        self.network = MLP((inputs, *hidden_sizes, codes), activation, key=key)
        self.change = change
        self.horizon = horizon
        self.frequencies = frequencies
        self.schedule = schedule

    def in_units_of_change(self, states: Float[Array, "batch times state"]) -> "MarkovModel":
        """Let the network predict changes in units of their spread, however short a step is.

        Args:
            states: Whole episodes, in physical units.

        Returns:
            The model in these units.
        """
        spread = jnp.std(jnp.diff(self.scaling.encode(states), axis=-2), axis=(0, 1))
        modes = self.scaling.modes
        spread = spread if modes is None else modes.units(spread)
        return eqx.tree_at(
            lambda m: m.change,
            self,
            jnp.maximum(spread, _SMALLEST_CHANGE),
            is_leaf=lambda x: x is None,
        )

    def change_loss(
        self,
        states: Float[Array, "batch times state"],
        actions: Float[Array, "batch time action"],
        first: Int[Array, " batch"] | None = None,
        weights: Float[Array, "batch time"] | None = None,
    ) -> Float[Array, ""]:
        """Mean squared error of the predicted changes, in their own units.

        Args:
            states: Whole episodes or windows, one state more than actions.
            actions: The actions taken.
            first: Index of the first step of each window; left out for whole episodes.
            weights: What each step counts, with mean 1; left out where all count the same.

        Returns:
            The loss.
        """
        values, t = self.scaling.encode(states), jnp.arange(actions.shape[1])
        changes = jnp.diff(values, axis=1) / self._unit()
        times = t if first is None else first[:, None] + t
        along = jax.vmap(self._changes, in_axes=(0, 0, None if first is None else 0))
        predicted = along(values[:, :-1], actions, times)
        squares = (predicted - changes) ** 2
        return jnp.mean(squares if weights is None else weights[..., None] * squares)

    @override
    def calibrate(self, states: Float[Array, "batch times state"]) -> "MarkovModel":
        return self if self.change is None else self.in_units_of_change(states)

    @override
    def fitting_loss(
        self,
        states: Float[Array, "batch times state"],
        actions: Float[Array, "batch time action"],
        first: Int[Array, " batch"] | None = None,
        weights: Float[Array, "batch time"] | None = None,
    ) -> Float[Array, ""]:
        if self.change is None:
            return super().fitting_loss(states, actions, first, weights)
        return self.change_loss(states, actions, first, weights)

    @override
    def standardised(
        self,
        states: Float[Array, "time state"],
        actions: Float[Array, "time action"],
        first: Int[ArrayLike, ""] = 0,
    ) -> Float[Array, "time code"]:
        check_length(actions.shape[0], self.horizon)
        return self._next(states, actions, first + jnp.arange(actions.shape[0]))

    @override
    def start(
        self, state: Float[Array, " state"], length: int, first: Int[ArrayLike, ""] = 0
    ) -> None:
        check_length(length, self.horizon)

    @override
    def step(
        self,
        carry: None,
        state: Float[Array, " state"],
        action: Float[Array, " action"],
        t: Int[ArrayLike, ""],
    ) -> tuple[None, Float[Array, " state"]]:
        return None, self.scaling.decode(self._next(state, action, t))

    def _next(
        self,
        states: Float[Array, "*time state"],
        actions: Float[Array, "*time action"],
        t: Int[ArrayLike, "*time"],
    ) -> Float[Array, "*time code"]:
        values = self.scaling.encode(states)
        return values + self._unit() * self._changes(values, actions, t)

    def _changes(
        self,
        values: Float[Array, "*time code"],
        actions: Float[Array, "*time action"],
        t: Int[ArrayLike, "*time"],
    ) -> Float[Array, "*time code"]:
        time = step_features(t, self.horizon, self.frequencies, self.schedule)
        return self.network(jnp.concatenate([values, actions, time], axis=-1))

    def _unit(self) -> Float[Array, " code"]:
        change = jnp.ones_like(self.scaling.mean) if self.change is None else self.change
        return jax.lax.stop_gradient(change)
