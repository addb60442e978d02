"""A world model with what is needed to use it in the units of the data."""

from typing import Any, NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from beeline._choices import choose
from beeline._module import Module
from beeline.config import MODELS, Config
from beeline.data import DataError
from beeline.data._episodes import to_box
from beeline.gradients import open_loop
from beeline.models import WorldModel

NOT_FITTED = "simulator"
"""The model that is the environment itself, of which data has none."""


class Sizes(NamedTuple):
    """What a world model has to know of a system to be drawn for it."""

    state_dim: int
    action_dim: int
    horizon: int
    name: str = "logged data"


@final
class Forecaster(Module):
    """Predicts states from a state and actions, all in physical units."""

    model: WorldModel
    config: Config = eqx.field(static=True)
    """What it was drawn and fitted with."""
    state_names: tuple[str, ...] = eqx.field(static=True)
    action_names: tuple[str, ...] = eqx.field(static=True)
    action_low: tuple[float, ...] = eqx.field(static=True)
    """The actions that the model sees as -1."""
    action_high: tuple[float, ...] = eqx.field(static=True)
    """Those that it sees as 1."""
    longest: int = eqx.field(static=True)
    """Most steps of a forecast."""
    believed: int = eqx.field(static=True)
    """Steps ahead up to which its forecasts can be believed, as `Errors.believed` has it."""
    dt: float | None = eqx.field(static=True, default=None)
    """Time between steps, where it is known."""

    def predict(self, state: Any, actions: Any) -> Float[np.ndarray, "time state"]:
        """Forecast the states that some actions lead to.

        Args:
            state: The state before the first action.
            actions: An array of (steps, action entries).

        Returns:
            The state after each action.

        Raises:
            DataError: If there are more or fewer entries than the model knows, or too many steps.
        """
        state, actions = np.asarray(state, float), np.asarray(actions, float)
        entries = len(self.state_names), len(self.action_names)
        if state.shape != entries[:1] or actions.ndim != 2 or actions.shape[1] != entries[1]:
            raise DataError(
                f"the state has shape {state.shape} and the actions {actions.shape}: give "
                f"{entries[0]} state entries, and actions of (steps, {entries[1]})"
            )
        if not 1 <= len(actions) <= self.longest:
            raise DataError(f"{len(actions)} actions were given: give 1 to {self.longest}")
        box = to_box(actions, np.asarray(self.action_low), np.asarray(self.action_high))
        return np.asarray(_open_loop(self.model, jnp.asarray(state), jnp.asarray(box)), np.float64)


_open_loop = eqx.filter_jit(open_loop)


def draw(config: Config, sizes: Sizes) -> WorldModel:
    """Draw the world model of a configuration.

    Args:
        config: The configuration.
        sizes: What the model is of.

    Returns:
        The model, not fitted.
    """
    key = jax.random.key(config.seed)
    return choose("model", config.model, known_models()).make(config, sizes, key=key)


def known_models() -> dict[str, Any]:
    """List the models that can be fitted to data alone.

    Returns:
        The library's, by name.
    """
    return {
        name: entry for name, entry in MODELS.items() if entry.own is None and name != NOT_FITTED
    }
