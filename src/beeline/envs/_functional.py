"""The functional interfaces of gymnax, brax and MuJoCo Playground, seen as one.

They are told apart by the members that they have, so that none of them is imported.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from beeline.envs._base import Environment

_FOREVER = 2**30
"""Steps that no episode has."""


class Transition(NamedTuple):
    """What one step gives; an episode that it ends is not begun anew."""

    observation: Any
    state: Any
    reward: Any
    terminated: Any
    truncated: Any


class Functional(NamedTuple):
    """An environment as two functions, of one key each."""

    reset: Callable[[Any], tuple[Any, Any]]
    """Gives an observation and a state, by a key."""
    step: Callable[[Any, Any, Any], Transition]
    """Steps, by a key, a state and an action."""
    action: Any
    """The space of actions; of any kind."""
    limit: int | None
    """Steps in an episode, where that is known."""
    constants: str = ""
    """What it was made with."""


def is_functional(given: Any) -> bool:
    """Tell whether something has one of the three interfaces.

    Args:
        given: Anything.

    Returns:
        Whether it has.
    """
    return _is_gymnax(given) or _is_brax(given)


def functional(
    given: Any, params: Any = None, action_low: Any = None, action_high: Any = None
) -> Functional:
    """Take an environment that has one of the three interfaces.

    Args:
        given: The environment.
        params: Those of gymnax; left out, its own.
        action_low: The lowest actions; left out, those that it says, or -1.
        action_high: The highest ones, likewise, or 1.

    Returns:
        The same as two functions.

    Raises:
        TypeError: If it has another interface.
    """
    if _is_gymnax(given):
        return _of_gymnax(given, params, action_low, action_high)
    if not _is_brax(given):
        raise TypeError(
            f"{given!r} is no environment of gymnax, brax or MuJoCo Playground: give one with "
            "reset, step_env and default_params, or with reset, step, observation_size and "
            "action_size"
        )
    if params is not None:
        raise TypeError("params are for environments of gymnax: leave them out")
    return _of_brax(given, action_low, action_high)


def _is_gymnax(given: Any) -> bool:
    return _has(given, "reset", "step_env", "default_params", "action_space")


def _is_brax(given: Any) -> bool:
    return _has(given, "reset", "step", "observation_size", "action_size")


def _has(given: Any, *names: str) -> bool:
    if isinstance(given, type | Environment):
        return False
    # An attribute may be computed, which for some environments takes long.
    return all(
        hasattr(type(given), name) or name in getattr(given, "__dict__", ()) for name in names
    )


def _of_gymnax(env: Any, params: Any, low: Any, high: Any) -> Functional:
    params = env.default_params if params is None else params
    limit = getattr(params, "max_steps_in_episode", None)
    endless = params if limit is None else params.replace(max_steps_in_episode=_FOREVER)

    def step(key: Any, state: Any, action: Any) -> Transition:
        # Unlike `step`, this one does not replace the last observation by that of a reset.
        observation, after, reward, done, _ = env.step_env(key, state, action, params)
        if hasattr(env, "is_truncated"):
            # Since gymnax 1.0.
            ends = done, env.is_truncated(after, params)
        else:
            # There the limit of steps is one of the ways to terminate.
            terminated = done & env.is_terminal(after, endless)
            ends = terminated, done & ~terminated
        return Transition(observation, after, reward, *ends)

    return Functional(
        lambda key: env.reset(key, params),
        step,
        _box(env.action_space(params), low, high),
        None if limit is None else int(limit),
        repr(params),
    )


def _of_brax(env: Any, low: Any, high: Any) -> Functional:
    def reset(key: Any) -> tuple[Any, Any]:
        state = env.reset(key)
        if any(name.endswith("first_obs") for name in state.info):
            raise ValueError(
                "it resets itself, so that the last observation of an episode is lost: make it "
                "without the wrapper that does so (auto_reset=False)"
            )
        return state.obs, state

    def step(key: Any, state: Any, action: Any) -> Transition:
        # Keys are a part of its states.
        del key
        after = env.step(state, action)
        done = jnp.asarray(after.done) > 0
        truncated = done & (jnp.asarray(after.info.get("truncation", 0)) > 0)
        return Transition(after.obs, after, after.reward, done & ~truncated, truncated)

    limit = getattr(env, "episode_length", None)
    low, high = -1.0 if low is None else low, 1.0 if high is None else high
    box = _Box(low, high, (int(env.action_size),))
    return Functional(reset, step, _box(box, None, None), None if limit is None else int(limit))


class _Box(NamedTuple):
    low: Any
    high: Any
    shape: tuple[int, ...]


def _box(space: Any, low: Any, high: Any) -> Any:
    from gymnasium.spaces import Box

    # What has a number of its values is discrete.
    if hasattr(space, "n") or not all(hasattr(space, name) for name in ("low", "high", "shape")):
        return space
    shape = space.shape
    low, high = (
        np.broadcast_to(np.asarray(own if given is None else given, np.float32), shape)
        for own, given in ((space.low, low), (space.high, high))
    )
    return Box(low, high, dtype=np.float32)


def flat(observation: Any) -> jax.Array:
    """Lay an observation flat, entries of a dictionary in the order of their names.

    Args:
        observation: Arrays in any containers.

    Returns:
        All numbers in single precision.
    """
    leaves = [jnp.ravel(x).astype(jnp.float32) for x in jax.tree.leaves(observation)]
    return jnp.concatenate(leaves) if leaves else jnp.zeros(0)
