"""Refuse bad inputs where they enter, with one line that says what to pass instead."""

import math
import operator
from typing import SupportsIndex

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import PRNGKeyArray

ROUNDING = 1e-6
"""How far past ±1 a concrete action may lie: float32 rounding of a squashed one."""


def check_horizon(horizon: object) -> int:
    """Take a horizon as a plain integer.

    Args:
        horizon: The number of steps in an episode; a Python or NumPy integer, at least 2.

    Returns:
        The same number as an `int`.

    Raises:
        TypeError: If it is not an integer. Booleans are not, nor are floats such as 20.0.
        ValueError: If it is below 2.
    """
    if isinstance(horizon, (bool, np.bool_)) or not isinstance(horizon, SupportsIndex):
        raise TypeError(f"horizon must be an integer of at least 2, got {horizon!r}")
    steps = operator.index(horizon)
    if steps < 2:
        raise ValueError(f"horizon must be at least 2, got {steps}")
    return steps


def check_process_noise(process_noise: object) -> float:
    """Take a noise scale as a plain float.

    Args:
        process_noise: The standard deviation of the noise, zero or more.

    Returns:
        The same number as a `float`.

    Raises:
        TypeError: If it is not a real number.
        ValueError: If it is negative, infinite or NaN.
    """
    if isinstance(process_noise, (bool, np.bool_)) or not isinstance(
        process_noise, (int, float, np.integer, np.floating)
    ):
        raise TypeError(f"process_noise must be a number of at least 0, got {process_noise!r}")
    scale = float(process_noise)
    if not 0.0 <= scale < np.inf:
        raise ValueError(f"process_noise must be finite and at least 0, got {scale}")
    return scale


def check_state(state: object, state_dim: int) -> None:
    """Refuse a state of the wrong kind or shape.

    Args:
        state: What was given as one state.
        state_dim: How many entries a state has.

    Raises:
        TypeError: If it is not an array of floating-point numbers.
        ValueError: If it has another shape, for example that of a whole batch.
    """
    _check_vector("state", state, state_dim)


def check_action(action: object, action_dim: int, bound: float = 1.0) -> None:
    """Refuse an action of the wrong kind, shape or range.

    Values are looked at only where there are any: a traced action has none yet.

    Args:
        action: What was given as one action.
        action_dim: How many entries an action has.
        bound: The largest magnitude of an entry.

    Raises:
        TypeError: If it is not an array of floating-point numbers.
        ValueError: If it has another shape, or holds NaN or a value beyond the bound.
    """
    array = _check_vector("action", action, action_dim)
    if isinstance(array, Tracer):
        return
    values = np.asarray(array)
    if not np.all(np.abs(values) <= bound * (1.0 + ROUNDING)):
        raise ValueError(
            f"action entries must lie in [{-bound:g}, {bound:g}], got {values.tolist()}: "
            "clip or squash the action first"
        )


def check_constant(task: str, name: str, value: float, *, positive: bool = False) -> None:
    """Refuse a constant with which a task means nothing.

    Args:
        task: The task's name.
        name: The constant's name.
        value: Its value.
        positive: Whether it has to be above 0.

    Raises:
        ValueError: If it is not finite, or not above 0 where it has to be.
    """
    if not math.isfinite(value) or (positive and value <= 0):
        kind = "finite and above 0" if positive else "finite"
        raise ValueError(f"{task}: {name} must be {kind}, got {value}")


def check_key(task: str, key: PRNGKeyArray | None, function: str) -> PRNGKeyArray:
    """Take the key of a function that draws.

    Args:
        task: The task's name.
        key: What was given as its key.
        function: The function's name.

    Returns:
        The key.

    Raises:
        ValueError: If there is none.
    """
    if key is None:
        raise ValueError(f"{task} leaves something to chance: pass key= to {function}")
    return key


def check_step_index(t: object) -> None:
    """Refuse a step index that is not one integer.

    A fractional index would silently miss the terminal reward.

    Args:
        t: What was given as the step index; it may be traced.

    Raises:
        TypeError: If it is not an integer scalar.
    """
    if isinstance(t, int) and not isinstance(t, bool):
        return
    array = isinstance(t, (jax.Array, np.ndarray, np.generic))
    if not array or t.shape != () or not jnp.issubdtype(t.dtype, jnp.integer):
        raise TypeError(f"t must be one integer step index, got {_describe(t)}")


def _check_vector(what: str, value: object, size: int) -> jax.Array | np.ndarray:
    if not isinstance(value, (jax.Array, np.ndarray)):
        raise TypeError(f"{what} must be an array of shape ({size},), got {_describe(value)}")
    if value.shape != (size,):
        hint = "; use jax.vmap for a batch" if value.ndim > 1 else ""
        raise ValueError(f"{what} must have shape ({size},), got {tuple(value.shape)}{hint}")
    if not jnp.issubdtype(value.dtype, jnp.floating):
        raise TypeError(f"{what} must hold floating-point numbers, got {value.dtype}")
    return value


def _describe(value: object) -> str:
    if isinstance(value, (jax.Array, np.ndarray)):
        return f"an array of {value.dtype} and shape {tuple(value.shape)}"
    return f"{value!r} ({type(value).__name__})"
