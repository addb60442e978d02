"""The environment of a run: a task by name, or one of the user's own, which has to be handed over.

A run's files tell what its environment was, never where to import it from.
"""

import dataclasses
from pathlib import Path
from typing import Any

from beeline.config import Config
from beeline.envs import Environment, check
from beeline.envs._given import given_environment, name_of
from beeline.envs._identity import differences, identity
from beeline.run._errors import RunError

_UNKNOWN = "not traced yet"


def fields_of(env: Environment) -> dict[str, Any]:
    """Name an environment in a configuration, before anything is computed.

    Args:
        env: The environment that was handed over.

    Returns:
        Fields of the configuration; what it is made of is for `identified` to say.
    """
    own = {} if name_of(env) else {"environment": _UNKNOWN}
    return {"task": env.name, "horizon": env.horizon, **own}


def identified(config: Config, env: Environment, *, checked: bool) -> Config:
    """Say in a configuration what its environment is, once JAX may compute.

    Args:
        config: The run, with the fields of `fields_of`.
        env: Its environment.
        checked: Whether to refuse one that breaks the contract.

    Returns:
        The configuration; the same for a task of the library's own.

    Raises:
        RunError: If the environment breaks the contract.
    """
    if not config.environment:
        return config
    report = check(env) if checked else None
    if report is not None and not report.ok:
        raise RunError(
            f"{env.name} breaks the contract of an environment ({report.violations[0]}): "
            "beeline.envs.check tells all, and check=False or --no-check goes on all the same"
        )
    return dataclasses.replace(config, environment=identity(env))


def environment_of(config: Config, given: Any, source: Path) -> Environment | None:
    """Find the environment of a run that is read from its directory.

    Args:
        config: The run.
        given: The environment that was handed over, or `module:Name`; None if none was.
        source: The run's directory, for errors.

    Returns:
        The environment; None for a task, which its name tells.

    Raises:
        RunError: If it has to be handed over and was not, or is another than the run's.
    """
    if given is None:
        if not config.environment:
            return None
        raise RunError(
            f"{source} was trained on an environment of its own, {config.task!r}: hand it over "
            "with env=, or on the command line with --env module:Name"
        )
    try:
        env = given_environment(given, horizon=config.horizon)
    except (TypeError, ValueError) as error:
        raise RunError(str(error)) from error
    if env.name != config.task:
        raise RunError(f"{source} was trained on {config.task!r}, not on {env.name!r}")
    if not config.environment:
        if name_of(env) is None:
            raise RunError(
                f"{source} was trained on the task {config.task!r} as it is: leave env out"
            )
        return None
    wrong = differences(config.environment, identity(env))
    if wrong:
        raise RunError(
            f"{source} was trained on another {config.task!r} than the one handed over, which "
            f"differs in {', '.join(wrong)}"
        )
    return env
