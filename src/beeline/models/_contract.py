"""Try a world model of the user's own against what training takes, without computing anything."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from beeline._tracing import Traced, described, outline, trace_module
from beeline.envs import Environment
from beeline.models._base import WorldModel
from beeline.networks.scaling import StateScaling


def check_model(model: Any, env: Environment) -> str:
    """Refuse a world model whose predictions are not those of an environment's states.

    Args:
        model: What was drawn, with `jax.ShapeDtypeStruct` in place of arrays.
        env: The environment.

    Returns:
        A fingerprint of what it computes.

    Raises:
        TypeError: If it is no world model.
        ValueError: If a prediction has another shape or type than states, or it cannot be traced.
    """
    if not isinstance(model, WorldModel):
        raise TypeError(
            f"an object of type {type(model).__name__}, which is no subclass of "
            "beeline.models.WorldModel: docs/models.md shows one"
        )
    scaling = jax.eval_shape(lambda: StateScaling.identity(env.state_dim))
    if outline(model.scaling) != outline(scaling):
        raise ValueError(
            f"a model whose `scaling` is {outline(model.scaling)}: give it a StateScaling of "
            f"{env.state_dim} entries, such as StateScaling.identity(env.state_dim)"
        )
    if not isinstance(model.state_fed, bool):
        raise ValueError(
            f"a model whose `state_fed` is {described(model.state_fed)}: give True or False"
        )
    states = jax.ShapeDtypeStruct((env.horizon, env.state_dim), scaling.mean.dtype)
    actions = jax.ShapeDtypeStruct((env.horizon, env.action_dim), scaling.mean.dtype)
    whole = _trace("standardised", model, lambda m, s, a: m.standardised(s, a), states, actions)
    _expect("standardised", whole.shapes, states)
    stages = _stages(model, env.horizon)
    walked = _trace("start, step and reserve", model, _walk(stages), states, actions)
    for before, after, state in walked.shapes:
        _expect("step", state, jax.ShapeDtypeStruct(states.shape[1:], states.dtype))
        if outline(before) != outline(after):
            raise ValueError(
                f"a model whose `step` returns the carry {outline(after)}, where it took "
                f"{outline(before)}: keep shapes and types"
            )
    return whole.fingerprint[:8] + walked.fingerprint[:8]


def _walk(stages: Sequence[int]) -> Callable[..., Any]:
    def walk(model: WorldModel, states: Any, actions: Any) -> Any:
        walked, carry = [], None
        for room in stages:
            carry = model.start(states[0], room) if not walked else model.reserve(carry, room)
            before = carry
            carry, state = model.step(carry, states[0], actions[0], jnp.asarray(0))
            walked.append((before, carry, state))
        return walked

    return walk


def _stages(model: WorldModel, length: int) -> Sequence[int]:
    stages = model.stages(length)
    increasing = all(a < b for a, b in zip((0, *stages), stages, strict=False))
    if not stages or not increasing or stages[-1] != length:
        raise ValueError(
            f"a model whose stages({length}) are {stages!r}: give increasing sizes, the last of "
            f"them {length}"
        )
    return stages


def _trace(method: str, model: WorldModel, function: Callable[..., Any], *arguments: Any) -> Traced:
    try:
        return trace_module(function, model, *arguments)
    except Exception as error:
        shapes = " and ".join(map(described, arguments))
        raise ValueError(
            f"a model whose `{method}` fails on states and actions of {shapes} "
            f"({type(error).__name__}: {str(error).partition(chr(10))[0]})"
        ) from error


def _expect(method: str, given: Any, wanted: jax.ShapeDtypeStruct) -> None:
    if described(given) != described(wanted):
        raise ValueError(
            f"a model whose `{method}` predicts {described(given)}, not {described(wanted)}"
        )
