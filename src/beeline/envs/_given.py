"""An environment however it was given: as an object, by name, or as `module:Name`."""

import importlib
import inspect
import os
import sys
from typing import Any, SupportsIndex

import equinox as eqx

from beeline._choices import choose
from beeline.envs._base import Environment
from beeline.envs._make import make
from beeline.envs._registry import ENTRIES

_USUAL_HORIZON = 100


def given_environment(given: Any, *, horizon: SupportsIndex | None = None) -> Environment:
    """Take an environment, or make the one that is named.

    Args:
        given: An environment; the name of a task; or `module:Name` of an environment, or of a
            class or function that makes one and takes `horizon=`, in a module that can be imported
            from here. Nothing but what the caller wrote may be handed in: it is imported.
        horizon: Steps in an episode, at least 2; left out, those of the environment, or 100.

    Returns:
        The environment.

    Raises:
        TypeError: If it is no environment, saying what is missing.
        ValueError: If there is no such task, module or name, the class needs more arguments, or
            the environment has another horizon.
    """
    made = given
    if isinstance(given, str):
        if ":" not in given:
            return make(given, horizon=_USUAL_HORIZON if horizon is None else horizon)
        made = _imported(given)
        if not isinstance(made, Environment) and callable(made):
            made = _called(made, given, horizon)
    if not isinstance(made, Environment):
        lacks = [name for name in ("initial_state", "step", "reward") if not hasattr(made, name)]
        missing = f" and lacks {', '.join(lacks)}" if lacks else ""
        raise TypeError(
            f"{_shown(given)} is of type {type(made).__name__}, which is no subclass of "
            f"beeline.envs.Environment{missing}: docs/environments.md shows one"
        )
    if horizon is not None and made.horizon != horizon:
        raise ValueError(
            f"horizon is {horizon}, but the environment {made.name!r} has {made.horizon}: leave it "
            "out, or make the environment with the other"
        )
    return made


def name_of(env: Environment) -> str | None:
    """Find the task that an environment is, if it is one of the library's own as it is made.

    Args:
        env: The environment.

    Returns:
        A name with which `make` gives the same, or None.
    """
    if env.name not in ENTRIES:
        return None
    same = make(env.name, horizon=env.horizon)
    return env.name if type(same) is type(env) and eqx.tree_equal(same, env) is True else None


def _imported(path: str) -> Any:
    module_name, _, name = path.partition(":")
    if not module_name or not name:
        raise ValueError(f"{path!r} names no environment: give module:Name, such as my_tasks:Tank")
    if os.getcwd() not in sys.path and "" not in sys.path:
        # A program's own folder is on the path in place of the one that it was called from.
        sys.path.insert(0, os.getcwd())
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and not module_name.startswith(error.name):
            raise ValueError(f"{module_name} cannot be imported: {error}") from error
        raise ValueError(
            f"there is no module {module_name!r} in {os.getcwd()} or among what is installed"
        ) from None
    public = {key: value for key, value in vars(module).items() if not key.startswith("_")}
    return choose(f"name in {module_name}", name, public)


def _called(make_one: Any, path: str, horizon: SupportsIndex | None) -> Any:
    given = {}
    takes = inspect.signature(make_one).parameters.get("horizon")
    if takes is not None and (horizon is not None or takes.default is takes.empty):
        given = {"horizon": _USUAL_HORIZON if horizon is None else horizon}
    try:
        return make_one(**given)
    except TypeError as error:
        with_what = "a horizon alone" if given else "no arguments"
        raise ValueError(
            f"{path} cannot be made with {with_what} ({error}): "
            "name a function that makes one, or hand over an environment in Python"
        ) from error


def _shown(given: Any) -> str:
    return given if isinstance(given, str) else "what was given as an environment"
