"""The environment of a run: a task by name, or one of the user's own.

A run's files tell what its environment was, never where to import it from: one of the user's own
has to be handed over, or be known by the name that the files give it.
"""

import dataclasses
import warnings
from pathlib import Path
from typing import Any

from beeline.build._hosted import hosted
from beeline.config import Config
from beeline.envs import Environment, check, make, names
from beeline.envs._given import UNTRACED, fields_of, given_environment, name_of
from beeline.envs._identity import differences, identity
from beeline.envs._making import DEFAULT_HORIZON
from beeline.envs._registry import ENTRIES
from beeline.envs._simulator import Simulator
from beeline.envs._simulator_names import is_looked_up
from beeline.offline import System
from beeline.run._errors import RunError, RunWarning
from beeline.run._system_file import read_system
from beeline.run.directory.layout import SYSTEM


def chosen(
    given: Any, horizon: int | None, config: Config | None
) -> tuple[Environment | None, dict[str, Any]]:
    """Find what is to be trained on, and name it in a configuration, before anything is computed.

    Args:
        given: An environment, a name or `module:Name`; None for that of the configuration, which
            is looked up by its name.
        horizon: Steps in an episode, if they were given.
        config: The configuration that was given, if any.

    Returns:
        The environment, None for a task of the library, which its name tells; and fields of the
        configuration.
    """
    if given is None:
        if config is None or _is_of_library(config):
            return None, {}
        env = make(config.task, horizon=config.horizon if horizon is None else horizon)
        return env, {"environment": config.environment or UNTRACED}
    if isinstance(given, str) and given in ENTRIES:
        return None, {"task": given, "environment": ""}
    default = DEFAULT_HORIZON if config is None else config.horizon
    env = given_environment(given, horizon=horizon, default=default)
    return env, fields_of(env, given)


def identified(config: Config, env: Environment, *, checked: bool) -> Config:
    """Say in a configuration what its environment is, once JAX may compute.

    Args:
        config: The run, with the fields of `chosen`.
        env: Its environment.
        checked: Whether to refuse one that breaks the contract; one that is learned from data
            is not tried, for the library made it.

    Returns:
        The configuration; the same for a task of the library's own.

    Raises:
        RunError: If the environment breaks the contract, is another than the configuration's, or
            cannot be learned from with its model.
    """
    if not config.environment:
        return config
    if isinstance(env, Simulator):
        try:
            config = hosted(config, env)
        except ValueError as error:
            raise RunError(str(error)) from error
        return dataclasses.replace(config, environment=env.identity)
    report = check(env) if checked and not isinstance(env, System) else None
    if report is not None and not report.ok:
        raise RunError(
            f"{env.name} breaks the contract of an environment ({report.violations[0]}): "
            "beeline.envs.check tells all, and check=False or --no-check goes on all the same"
        )
    traced = identity(env)
    wrong = [] if config.environment == UNTRACED else differences(config.environment, traced)
    if wrong:
        raise RunError(
            f"the configuration is of another {config.task!r} than that of this name, which "
            f"differs in {', '.join(wrong)}: hand the environment over"
        )
    return dataclasses.replace(config, environment=traced)


def check_known(config: Config, source: Path) -> None:
    """Refuse a run whose environment is known by no name, before anything is computed.

    Args:
        config: The run.
        source: The run's directory, for errors.

    Raises:
        RunError: If the environment has to be handed over.
    """
    # A name that is looked up, never imported: the file may be somebody else's.
    if is_looked_up(config.task):
        return
    if config.task not in names() and not (source / SYSTEM).exists():
        raise RunError(
            f"{source} was trained on an environment of its own, {config.task!r}: hand it over "
            "with env=, or on the command line with --env module:Name"
        )


def environment_of(config: Config, given: Any, source: Path) -> Environment | None:
    """Find the environment of a run that is read from its directory.

    Args:
        config: The run.
        given: The environment that was handed over, or what names it; None if none was, for one
            that is known by its name.
        source: The run's directory, for errors.

    Returns:
        The environment; None for a task of the library, which its name tells.

    Raises:
        RunError: If it has to be handed over and was not, or is another than the run's.
    """
    of_library = _is_of_library(config)
    if given is None and of_library:
        return None
    if not of_library and (source / SYSTEM).exists():
        return _of_data(config, given, source)
    env = _found(config, given, source)
    if of_library:
        if env.name != config.task:
            raise RunError(f"{source} was trained on {config.task!r}, not on {env.name!r}")
        if name_of(env) is None:
            raise RunError(
                f"{source} was trained on the task {config.task!r} as it is: leave env out, and "
                "every --env.NAME"
            )
        return None
    ours = env.identity if isinstance(env, Simulator) else identity(env)
    wrong = differences(config.environment, ours)
    if wrong and given is not None and env.name != config.task:
        raise RunError(f"{source} was trained on {config.task!r}, not on {env.name!r}")
    if wrong:
        other = "that of this name" if given is None else "the one handed over"
        raise RunError(
            f"{source} was trained on another {config.task!r} than {other}, which differs in "
            f"{', '.join(wrong)}: give the constants that it was trained with, each as --env.NAME "
            "VALUE, or hand the environment over with env="
        )
    return env


def warn_of_unsaved(env: Environment) -> None:
    """Say what of an environment a run that goes on does not find as it was.

    Args:
        env: The environment of the run.
    """
    if isinstance(env, Simulator):
        warnings.warn(
            f"the state of {env.name} and of its randomness is its own and not saved: an episode "
            "begins anew, and the run goes on, but not with the same bits",
            RunWarning,
            stacklevel=4,
        )


def _of_data(config: Config, given: Any, source: Path) -> Environment:
    env = read_system(source / SYSTEM, config, given)
    wrong = differences(config.environment, identity(env))
    if wrong:
        raise RunError(
            f"{source} was learned from data with another reward, or its {SYSTEM} is not its own: "
            f"they differ in {', '.join(wrong)}"
        )
    return env


def _found(config: Config, given: Any, source: Path) -> Environment:
    try:
        if given is not None:
            return given_environment(given, horizon=config.horizon)
        check_known(config, source)
        if is_looked_up(config.task):
            return given_environment(config.task, horizon=config.horizon)
        return make(config.task, horizon=config.horizon)
    except RunError:
        raise
    except (TypeError, ValueError) as error:
        raise RunError(str(error)) from error


def _is_of_library(config: Config) -> bool:
    return not config.environment and config.task in ENTRIES
