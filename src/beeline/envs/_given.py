"""An environment however it was given: as an object, by name, or as `module:Name`."""

import functools
import os
import sys
from collections.abc import Mapping
from typing import Any, SupportsIndex

import equinox as eqx

from beeline.envs._base import Environment
from beeline.envs._from_gymnasium import from_gymnasium, is_gymnasium
from beeline.envs._from_jax import from_jax
from beeline.envs._functional import is_functional
from beeline.envs._make import make
from beeline.envs._making import DEFAULT_HORIZON, made
from beeline.envs._registered import factory_of, imported
from beeline.envs._registry import ENTRIES
from beeline.envs._simulator import Simulator
from beeline.envs._simulator_names import PREFIXES

UNTRACED = "not traced yet"
"""What an environment of one's own is, in a configuration, until JAX may compute."""


def given_environment(
    given: Any,
    *,
    horizon: SupportsIndex | None = None,
    default: int = DEFAULT_HORIZON,
    options: Mapping[str, Any] | None = None,
) -> Environment:
    """Take an environment, or make the one that is named.

    Args:
        given: An environment; a class or function that makes one; the name of a task; or
            `module:Name` of an environment, class or function. Nothing but what the caller wrote
            may be handed in: it is imported.
        horizon: Steps in an episode, at least 2; left out, those of the environment.
        default: Those of one that has none by itself, where none were given.
        options: Constants of the environment by name, for one that is yet to be made.

    Returns:
        The environment.

    Raises:
        TypeError: If it is no environment, saying what is missing.
        ValueError: If there is no such task, module, name or option, the class needs more
            arguments, or the environment has another horizon.
    """
    label = given if isinstance(given, str) else "what was given as an environment"
    factory = given
    if isinstance(given, str) or is_gymnasium(given) or is_functional(given):
        factory = given_factory(given)
    return made(factory, label, horizon=horizon, default=default, options=options)


def given_factory(given: Any) -> Any:
    """Find what a name or `module:Name` stands for, or makes an environment of a simulator.

    Args:
        given: The text, from the caller: it is imported, from the folder of the process too.
            Or the simulator.

    Returns:
        A class or function that makes an environment, or an environment.

    Raises:
        ValueError: If there is no such task, module or name.
    """
    if is_gymnasium(given):
        return functools.partial(from_gymnasium, given)
    if is_functional(given) or given.startswith(PREFIXES):
        return functools.partial(from_jax, given)
    if ":" not in given:
        return factory_of(given)
    here = os.getcwd()
    if here not in sys.path and "" not in sys.path:
        # A program's own folder is on the path in place of the one that it was called from.
        sys.path.insert(0, here)
    return imported(given, folder=here)


def fields_of(env: Environment, given: Any = None) -> dict[str, Any]:
    """Name an environment in a configuration, before anything is computed.

    Args:
        env: The environment.
        given: What the user gave for it: a registered name stays its name.

    Returns:
        Fields of the configuration; what the environment is made of is for its identity to say.
    """
    if name_of(env):
        return {"task": env.name, "horizon": env.horizon, "environment": ""}
    named = isinstance(given, str) and ":" not in given
    fields: dict[str, Any] = {"task": given if named else env.name, "environment": UNTRACED}
    if isinstance(env, Simulator):
        fields |= {} if env.host.count is None else {"seeds": env.host.count}
    return fields | {"horizon": env.horizon}


def name_of(env: Environment) -> str | None:
    """Find the task that an environment is, if it is one of the library's own as it is made.

    Args:
        env: The environment.

    Returns:
        A name with which `make` gives the same, or None.
    """
    if env.name not in ENTRIES:
        return None
    try:
        same = make(env.name, horizon=env.horizon)
    except ValueError:
        # With other constants it may take a horizon that means nothing with its own.
        return None
    return env.name if type(same) is type(env) and eqx.tree_equal(same, env) is True else None
