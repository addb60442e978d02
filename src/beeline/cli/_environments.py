"""Environments on the command line: `module:Name`, and `--env.NAME VALUE` for their constants."""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from beeline.cli._constants import constant
from beeline.cli._mistakes import CommandError, mistakes

_FLAG = "--env."
_COMMANDS = ("train", "resume", "evaluate", "export", "plot", "diagnose")


def split_constants(arguments: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Take the constants of an environment out of the arguments: which there are, its class says.

    Args:
        arguments: What follows the program's name.

    Returns:
        The other arguments, and the text of each constant by its name.

    Raises:
        CommandError: If a constant has no value.
    """
    if not arguments or arguments[0] not in _COMMANDS:
        return list(arguments), {}
    others, constants = [], {}
    left = iter(arguments)
    for argument in left:
        if not argument.startswith(_FLAG):
            others.append(argument)
            continue
        name, equals, value = argument.partition("=")
        if not equals:
            following = next(left, "")
            value = "" if following.startswith("--") else following
        if not value:
            raise CommandError(f"{name} has no value: give one, such as {name} 0.5")
        constants[name.removeprefix(_FLAG).replace("-", "_")] = value
    return others, constants


def environment(given: Any, horizon: int | None, constants: Mapping[str, str]) -> Any:
    """Make an environment that a command names.

    Args:
        given: A name, or `module:Name`.
        horizon: Steps in an episode, if they were given.
        constants: What `split_constants` took out.

    Returns:
        The environment.

    Raises:
        CommandError: If it cannot be made.
    """
    from beeline.envs._given import given_environment

    with mistakes():
        return given_environment(given, horizon=horizon, options=read(given, constants))


def subject(given: str, constants: Mapping[str, str]) -> Any:
    """Say what to diagnose.

    Args:
        given: A name, or `module:Name`.
        constants: What `split_constants` took out.

    Returns:
        The environment, if it is made already, or else what makes it from `horizon=`.

    Raises:
        CommandError: If there is no such environment.
    """
    from beeline.envs import Environment
    from beeline.envs._given import given_factory

    with mistakes():
        factory = given_factory(given)
    if isinstance(factory, Environment) and not constants:
        return factory
    return functools.partial(environment, given, constants=constants)


def handed_over(run: Path, given: str | None, constants: Mapping[str, str]) -> Any:
    """Say what to hand over for a run: with constants, the environment that has them.

    Args:
        run: Directory of the run.
        given: What `--env` names, if it was given.
        constants: What `split_constants` took out.

    Returns:
        The environment; without constants, what `--env` names.

    Raises:
        CommandError: If there is no such run or environment.
    """
    if not constants:
        return given
    from beeline.run._environment import check_known
    from beeline.run.directory.layout import expand, read_config

    with mistakes():
        config = read_config(expand(run))
        if given is None:
            check_known(config, run)
        return environment(given or config.task, config.horizon, constants)


def read(given: str, constants: Mapping[str, str]) -> dict[str, Any]:
    """Read constants as the types that their environment has.

    Args:
        given: A name, or `module:Name`.
        constants: The text of each by its name.

    Returns:
        The value of each.

    Raises:
        ValueError: If there is no such environment or constant, or a text is of another type.
    """
    if not constants:
        return {}
    from beeline.envs._given import given_factory
    from beeline.envs._making import check_options
    from beeline.envs._making import constants as constants_of

    factory = given_factory(given)
    if not callable(factory):
        # Not one to be made: whoever takes it says so.
        return dict(constants)
    check_options(factory, given, constants)
    takes = constants_of(factory)
    return {name: constant(flag(name), text, takes.get(name)) for name, text in constants.items()}


def describe(given: str) -> dict[str, str]:
    """List the constants of an environment.

    Args:
        given: A name, or `module:Name`.

    Returns:
        The default of each by its flag.

    Raises:
        CommandError: If there is no such environment.
    """
    from beeline.envs._given import given_factory
    from beeline.envs._making import constants

    with mistakes():
        factory = given_factory(given)
        takes = constants(factory) if callable(factory) else {}
    return {
        flag(name): "has to be given" if one.default is one.empty else repr(one.default)
        for name, one in takes.items()
    }


def flag(name: str) -> str:
    """Spell a constant as the command line does.

    Args:
        name: Its name.

    Returns:
        Its flag.
    """
    return _FLAG + name.replace("_", "-")
