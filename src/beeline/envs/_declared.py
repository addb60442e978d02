"""What an environment may declare beside what it has to: bounds of its actions, names, units."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike
from jaxtyping import Array, Float

_ENTRIES = {
    "state_names": "state_dim",
    "state_units": "state_dim",
    "action_names": "action_dim",
    "action_units": "action_dim",
}
_FULL = "(state, action, t, next_state)"
_FORMS = f"(state, action, t) or {_FULL}"


def scale(
    action: Float[Array, "*batch action"],
    low: ArrayLike | Sequence[float],
    high: ArrayLike | Sequence[float],
) -> Float[Array, "*batch action"]:
    """Scale actions to bounds: low + (action + 1) / 2 · (high - low).

    Args:
        action: Actions, each entry in [-1, 1].
        low: The lowest ones, a number or one for each entry.
        high: The highest ones, likewise.

    Returns:
        The same actions between the bounds; as they are where these are the numbers -1 and 1.
    """
    if is_plain(low, high):
        return action
    # In the precision of the action: a float64 bound would promote a float32 action under x64.
    low, high = jnp.asarray(low, action.dtype), jnp.asarray(high, action.dtype)
    return low + 0.5 * (action + 1.0) * (high - low)


def is_plain(low: Any, high: Any) -> bool:
    """Tell whether bounds are those of the library, so that nothing is to be scaled.

    Args:
        low: The lower bounds.
        high: The upper ones.

    Returns:
        True for the numbers -1 and 1.
    """
    numbers = isinstance(low, (int, float)) and isinstance(high, (int, float))
    return numbers and (low, high) == (-1, 1)


def takes_next_state(reward: Callable[..., Any]) -> bool:
    """Tell which form a reward has.

    Args:
        reward: A function of a state, an action and a step index, or of the next state as well.

    Returns:
        Whether it has a parameter `next_state`.
    """
    return "next_state" in inspect.signature(reward).parameters


def check_declared(env: Any) -> None:
    """Refuse declarations that mean nothing.

    Bounds that are traced have no values yet, and only their shapes are looked at.

    Args:
        env: An `Environment`.

    Raises:
        ValueError: If bounds have the wrong length, are not finite or upside down, there are too
            few or too many names or units, another member is of the wrong kind, or the reward,
            `terminated` or `context` takes other arguments.
    """
    _check_reward(env)
    _check_method(env, "terminated", _FULL)
    _check_method(env, "context", "(t)")
    if not is_plain(env.action_low, env.action_high):
        _check_bounds(env)
    for member, size in _ENTRIES.items():
        given, count = getattr(env, member), getattr(env, size)
        texts = isinstance(given, (tuple, list)) and all(isinstance(one, str) for one in given)
        if not texts or (given and len(given) != count):
            raise ValueError(
                f"{env.name}: {member} must be {count} texts, one for each entry, or none, "
                f"got {given!r}"
            )
    if not isinstance(env.time_unit, str):
        raise ValueError(f"{env.name}: time_unit must be a text, got {env.time_unit!r}")
    if env.deterministic not in (True, False, None):
        raise ValueError(
            f"{env.name}: deterministic must be True, False or None, got {env.deterministic!r}"
        )
    if not isinstance(env.continuing, bool):
        raise ValueError(f"{env.name}: continuing must be True or False, got {env.continuing!r}")
    if env.continuing and env.context is not None:
        raise ValueError(
            f"{env.name}: a task that is continuing has no context, for nothing may depend on the "
            "time: leave continuing out, or make what varies part of the state"
        )


def _check_reward(env: Any) -> None:
    # The class knows its parameters even where a wrapper of the bound method does not.
    given = {"next_state": None} if takes_next_state(type(env).reward) else {}
    signature = inspect.signature(env.reward)
    try:
        signature.bind(None, None, None, **given)
    except TypeError:
        names = ", ".join(signature.parameters)
        raise ValueError(f"{env.name}: reward takes ({names}): let it take {_FORMS}") from None


def _check_method(env: Any, name: str, takes: str) -> None:
    method = getattr(env, name)
    if method is None:
        return
    if not callable(method):
        raise ValueError(f"{env.name}: {name} must be a method that takes {takes}, got {method!r}")
    signature = inspect.signature(method)
    try:
        signature.bind(*takes.split(","))
    except TypeError:
        names = ", ".join(signature.parameters)
        raise ValueError(f"{env.name}: {name} takes ({names}): let it take {takes}") from None


def _check_bounds(env: Any) -> None:
    bounds = {name: getattr(env, name) for name in ("action_low", "action_high")}
    for name, bound in bounds.items():
        values = bound if isinstance(bound, Tracer) else np.asarray(bound)
        if values.dtype.kind not in "iuf" or values.shape not in ((), (env.action_dim,)):
            raise ValueError(
                f"{env.name}: {name} must be a number or {env.action_dim} numbers, one for each "
                f"entry of an action, got {bound!r}"
            )
    if any(isinstance(bound, Tracer) for bound in bounds.values()):
        return
    with np.errstate(over="ignore"):
        # As training has them: bounds may be too large or too close for single precision.
        low, high = (np.asarray(bound).astype(np.float32) for bound in bounds.values())
    if not np.all(np.isfinite(low) & np.isfinite(high) & (low < high)):
        raise ValueError(
            f"{env.name}: action_low must be below action_high, both finite in single precision, "
            f"got {bounds['action_low']!r} and {bounds['action_high']!r}"
        )
