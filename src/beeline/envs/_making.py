"""An environment from what makes one: a class, a function, or a control system."""

import inspect
from collections.abc import Iterable, Mapping
from typing import Any, SupportsIndex

from beeline._choices import choose
from beeline.envs._base import Environment
from beeline.envs._checks import check_horizon
from beeline.envs._control_system import ControlSystem, ControlTask
from beeline.envs._registered import check_registered

DEFAULT_HORIZON = 100
"""Of an environment that has none by itself, where none was given."""

_HORIZON, _NOISE = "horizon", "process_noise"


def made(
    factory: Any,
    label: str,
    *,
    horizon: SupportsIndex | None = None,
    default: int = DEFAULT_HORIZON,
    options: Mapping[str, Any] | None = None,
) -> Environment:
    """Make an environment, or take one that is made.

    Args:
        factory: An environment; a class or function that makes one; or a class of control systems.
        label: What the user called it, for errors.
        horizon: Steps in an episode, at least 2; left out, those that it has by itself.
        default: Those where it has none by itself and none were given.
        options: Its constants by name, where they differ from its defaults.

    Returns:
        The environment.

    Raises:
        TypeError: If it is no environment, saying what is missing, or the horizon is no integer.
        ValueError: If it has no such option, needs more of them, or has another horizon.
    """
    steps = None if horizon is None else check_horizon(horizon)
    given = dict(options or {})
    env = factory
    if isinstance(factory, Environment) and given:
        raise ValueError(f"{label} is made already: leave out {', '.join(given)}")
    if callable(factory) and not isinstance(factory, Environment):
        check_options(factory, label, given)
        env = _called(factory, label, steps, default, given)
    if not isinstance(env, Environment):
        lacks = [name for name in ("initial_state", "step", "reward") if not hasattr(env, name)]
        missing = f" and lacks {', '.join(lacks)}" if lacks else ""
        raise TypeError(
            f"{label} is of type {type(env).__name__}, which is no subclass of "
            f"beeline.envs.Environment{missing}: docs/environments.md shows one"
        )
    if steps is not None and env.horizon != steps:
        raise ValueError(
            f"horizon is {steps}, but the environment {env.name!r} has {env.horizon}: leave it "
            "out, or make the environment with the other"
        )
    check_registered(label, env.horizon)
    return env


def constants(factory: Any) -> dict[str, inspect.Parameter]:
    """List what can be changed in an environment as it is made.

    Args:
        factory: A class or function that makes one, or a class of control systems.

    Returns:
        What it takes by keyword beside the horizon.
    """
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    takes = _signature(factory).parameters
    return {name: one for name, one in takes.items() if one.kind in kinds and name != _HORIZON}


def check_options(factory: Any, label: str, options: Iterable[str]) -> None:
    """Refuse options that an environment does not have.

    Args:
        factory: A class or function that makes one, or a class of control systems.
        label: What the user called it, for errors.
        options: Names of options.

    Raises:
        ValueError: If it has no such option.
    """
    if any(one.kind is one.VAR_KEYWORD for one in _signature(factory).parameters.values()):
        return
    allowed = constants(factory)
    for option in options:
        if not allowed:
            raise ValueError(f"{label} has no options: leave out {option}")
        choose(f"option of {label}", option, allowed)


def _called(
    factory: Any, label: str, steps: int | None, default: int, options: Mapping[str, Any]
) -> Any:
    signature = _signature(factory)
    given = dict(options)
    takes = signature.parameters.get(_HORIZON)
    if takes is not None and (steps is not None or takes.default is takes.empty):
        given[_HORIZON] = default if steps is None else steps
    try:
        signature.bind(**given)
    except TypeError as error:
        what = "no arguments"
        if given:
            what = " and ".join(given) if options else "a horizon alone"
        raise ValueError(
            f"{label} cannot be made with {what} ({error}): give --env.NAME VALUE, name a function "
            "that makes one, or hand over an environment in Python"
        ) from error
    if not _is_system(factory):
        return factory(**given)
    beside = {name: given.pop(name) for name in (_HORIZON, _NOISE) if name in given}
    return ControlTask(factory(**given), **beside)


def _signature(factory: Any) -> inspect.Signature:
    try:
        signature = inspect.signature(factory, eval_str=True)
    except NameError:
        # Of annotations that only type checkers can read.
        signature = inspect.signature(factory)
    if not _is_system(factory):
        return signature
    task = inspect.signature(ControlTask).parameters
    beside = [
        task[name].replace(kind=inspect.Parameter.KEYWORD_ONLY) for name in (_HORIZON, _NOISE)
    ]
    return signature.replace(parameters=[*signature.parameters.values(), *beside])


def _is_system(factory: Any) -> bool:
    return isinstance(factory, type) and issubclass(factory, ControlSystem)
