"""What is known ahead of each step of an episode, as inputs of networks."""

from collections.abc import Callable
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from beeline._module import Module
from beeline.networks.scaling import time_feature_count, time_features

AHEAD = (0, 1, 2, 4, 8, 16)
"""Steps ahead at which policies and critics see the context: near ones all, far ones coarsely."""
_SMALLEST_SPREAD = 1e-6
"""Relative to the size of an entry: one that varies less does not vary."""


@final
class Schedule(Module):
    """The context of every step of an episode, in units of its spread over the episode.

    Setpoints and known disturbances are a function of the step index, so that no state has to carry
    them: a network that is told the index looks them up. They are data, not weights: no gradient
    reaches them, and no optimiser moves them.
    """

    values: Float[Array, "time entry"]
    """Standardised; 0 for an entry that does not vary."""
    ahead: tuple[int, ...] = eqx.field(static=True)
    """Steps ahead of the index that are seen beside each other."""

    @classmethod
    def of(
        cls, context: Callable[..., Any] | None, horizon: int, ahead: tuple[int, ...] = (0,)
    ) -> "Schedule | None":
        """Look a context up for a whole episode.

        Args:
            context: A function of the step index; None for no context.
            horizon: Steps in an episode.
            ahead: Steps ahead that are seen beside each other; after the last step its context
                goes on.

        Returns:
            The schedule; None where there is no context.
        """
        if context is None:
            return None
        values = jax.vmap(context)(jnp.arange(horizon))
        mean, spread = jnp.mean(values, axis=0), jnp.std(values, axis=0)
        varies = spread > _SMALLEST_SPREAD * jnp.max(jnp.abs(values), axis=0)
        values = jnp.where(varies, (values - mean) / jnp.where(varies, spread, 1), 0)
        return cls(values.astype(jnp.zeros(()).dtype), ahead)

    @property
    def width(self) -> int:
        """Number of inputs that it makes.

        Returns:
            That of the context's entries, once for each step ahead.
        """
        return self.values.shape[1] * len(self.ahead)

    def __call__(self, t: Int[ArrayLike, "*time"]) -> Float[Array, "*time features"]:
        """Look up what is known at a step.

        Args:
            t: Index of the step in its episode.

        Returns:
            The context of the steps ahead, one after the other.
        """
        steps = jnp.asarray(t)[..., None] + jnp.asarray(self.ahead)
        steps = jnp.clip(steps, 0, self.values.shape[0] - 1)
        seen = jax.lax.stop_gradient(self.values)[steps]
        return seen.reshape(*seen.shape[:-2], self.width)


def step_features(
    t: Int[ArrayLike, "*time"],
    horizon: int,
    frequencies: int | None,
    schedule: Schedule | None,
) -> Float[Array, "*time features"]:
    """Say what there is to know of a step beside its state and action.

    Args:
        t: Index of the step.
        horizon: Steps in an episode.
        frequencies: As in `time_features`.
        schedule: The context; None where there is none.

    Returns:
        The time features, followed by those of the context.
    """
    time = time_features(t, horizon, frequencies)
    return time if schedule is None else jnp.concatenate([time, schedule(t)], axis=-1)


def step_feature_count(frequencies: int | None, schedule: Schedule | None) -> int:
    """Count the features of `step_features`.

    Args:
        frequencies: As there.
        schedule: As there.

    Returns:
        Their number.
    """
    return time_feature_count(frequencies) + (0 if schedule is None else schedule.width)
