"""A learned reward, for tasks whose reward is observed but has no known formula.

The paper's rewards are known functions (section 2); a model of them is fitted with the world
model, to the rewards of the same episodes.
"""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from beeline._module import Module
from beeline.networks.layers import MLP
from beeline.networks.scaling import StateScaling
from beeline.networks.schedule import Schedule, step_feature_count, step_features

_SMALLEST_SCALE = 1e-6


@final
class RewardModel(Module):
    """An MLP on state, action and time, in standardised units within.

    The last step has a network of its own, because a terminal reward is unlike the others.
    """

    running: MLP
    last: MLP
    scaling: StateScaling
    mean: Float[Array, " two"]
    """Mean reward of the steps before the last, and of the last."""
    scale: Float[Array, " two"]
    """Their standard deviations."""
    horizon: int = eqx.field(static=True)
    frequencies: int | None = eqx.field(static=True)
    schedule: Schedule | None
    """Context that is seen beside the time; None where there is none."""

    def __init__(
        self,
        state_dim: int,
        action_dim: int,
        horizon: int,
        *,
        hidden_sizes: tuple[int, ...] = (64, 64),
        frequencies: int | None = 0,
        scaling: StateScaling | None = None,
        schedule: Schedule | None = None,
        key: PRNGKeyArray,
    ) -> None:
        """Draw both networks.

        Args:
            state_dim: Number of state entries.
            action_dim: Number of action entries.
            horizon: Steps in an episode.
            hidden_sizes: Hidden layers.
            frequencies: Sine and cosine pairs among the time features; None for a reward that
                does not depend on time, whose last step is like any other.
            scaling: Coordinates in which states are seen; physical units if not given.
            schedule: Context that is seen beside the time; none if not given.
            key: Random key.
        """
        running_key, last_key = jax.random.split(key)
        self.scaling = StateScaling.identity(state_dim) if scaling is None else scaling
        inputs = self.scaling.width + action_dim
        features = step_feature_count(frequencies, schedule)
        self.running = MLP((inputs + features, *hidden_sizes, 1), jax.nn.silu, key=running_key)
        self.last = MLP((inputs, *hidden_sizes, 1), jax.nn.silu, key=last_key)
        self.mean = jnp.zeros(2)
        self.scale = jnp.ones(2)
        self.horizon = horizon
        self.frequencies = frequencies
        self.schedule = schedule

    def standardise(
        self,
        scaling: StateScaling,
        rewards: Float[Array, "batch time"],
        *,
        ends: bool = False,
    ) -> "RewardModel":
        """Take coordinates and statistics from data.

        Args:
            scaling: Coordinates in which states are seen.
            rewards: Rewards of whole episodes, or of rows of them.
            ends: Whether episodes may terminate, so that few have a last step.

        Returns:
            The model in these units.
        """
        alike = ends or self.frequencies is None
        before, last = (rewards, rewards) if alike else (rewards[:, :-1], rewards[:, -1])
        mean = jnp.stack([before.mean(), last.mean()])
        scale = jnp.maximum(jnp.stack([before.std(), last.std()]), _SMALLEST_SCALE)
        return eqx.tree_at(lambda m: (m.scaling, m.mean, m.scale), self, (scaling, mean, scale))

    def __call__(
        self, state: Float[Array, " state"], action: Float[Array, " action"], t: Int[ArrayLike, ""]
    ) -> Float[Array, ""]:
        """Predict the reward of one step.

        Args:
            state: State before the action, in physical units.
            action: Action in [-1, 1].
            t: Index of the step.

        Returns:
            The reward.
        """
        which = self._is_last(t).astype(int)
        mean, scale = jax.lax.stop_gradient((self.mean[which], self.scale[which]))
        return mean + scale * self._standardised(state, action, t)

    def loss(
        self,
        states: Float[Array, "batch times state"],
        actions: Float[Array, "batch time action"],
        rewards: Float[Array, "batch time"],
        times: Int[Array, "batch time"] | None = None,
    ) -> Float[Array, ""]:
        """Mean squared error, the last step weighing as much as all before it.

        Args:
            states: Whole episodes or rows of them, one state more than actions.
            actions: The actions taken.
            rewards: The rewards observed.
            times: Index of each step in its episode, where rows hold several: then every step
                weighs the same.

        Returns:
            The loss, in standardised units.
        """
        rows = times is not None
        times = jnp.arange(actions.shape[1]) if times is None else times
        each = jax.vmap(jax.vmap(self._standardised), in_axes=(0, 0, 0 if rows else None))
        predicted = each(states[:, :-1], actions, times)
        which = self._is_last(times).astype(int)
        targets = (rewards - self.mean[which]) / self.scale[which]
        error = (predicted - jax.lax.stop_gradient(targets)) ** 2
        if rows or self.frequencies is None:
            return error.mean()
        return 0.5 * (error[:, :-1].mean() + error[:, -1].mean())

    def _standardised(
        self, state: Float[Array, " state"], action: Float[Array, " action"], t: Int[ArrayLike, ""]
    ) -> Float[Array, ""]:
        inputs = jnp.concatenate([self.scaling.encode(state), action])
        time = step_features(t, self.horizon, self.frequencies, self.schedule)
        running = self.running(jnp.concatenate([inputs, time]))[0]
        return jnp.where(self._is_last(t), self.last(inputs)[0], running)

    def _is_last(self, t: Int[ArrayLike, "*time"]) -> Bool[Array, "*time"]:
        last = jnp.asarray(t) == self.horizon - 1
        return last if self.frequencies is not None else jnp.zeros_like(last)
