"""What a run is held against before it begins or goes on."""

import dataclasses
import warnings
from pathlib import Path
from typing import Any

from beeline.build import Draws, imagination_of
from beeline.config import BASELINES, Config
from beeline.config._catalogue import entry_of
from beeline.config._fields import Count
from beeline.control.chance import has_best_plan
from beeline.envs import Environment
from beeline.run._compiling import compile_cache
from beeline.run._errors import RunError, RunWarning
from beeline.run.directory import layout as files
from beeline.run.directory.restore import Restored
from beeline.training.algorithm import Algorithm
from beeline.training.episodes import Episode


def check_packages(config: Config) -> None:
    """Refuse a model whose package is not installed.

    Args:
        config: The run.

    Raises:
        RunError: If it is not.
    """
    entry = entry_of(config)
    missing = entry.missing_package()
    if missing is not None:
        raise RunError(
            f"the model {config.model!r} needs {missing}, which is not installed: "
            f"pip install 'beeline[{entry.extra}]'"
        )


def lengthened(folder: Path, config: Config, env_steps: int | None) -> Config:
    """Make a run longer, if that is asked for.

    Args:
        folder: Its directory.
        config: The run as it was.
        env_steps: Environment steps in all; None for as many as before.

    Returns:
        The run as it is to be.

    Raises:
        RunError: If it would be shorter, or has ended and would not be longer.
    """
    longer = config
    if env_steps is not None:
        try:
            steps = Count(1)("env-steps", env_steps)
        except (TypeError, ValueError) as error:
            raise RunError(str(error)) from None
        if steps < config.env_steps:
            raise RunError(
                f"env-steps is {steps}, but {folder} is a run of {config.env_steps}: give more"
            )
        longer = dataclasses.replace(config, env_steps=steps)
    if files.read_summary(folder) is not None and longer.iterations == config.iterations:
        raise RunError(
            f"{folder} has ended after {config.env_steps} environment steps: make it longer with "
            f"--env-steps, at least {config.env_steps + config.horizon}"
        )
    return longer


def check_optimum(config: Config, algorithm: Algorithm) -> None:
    """Refuse a baseline that asks for the best return where there is none.

    Args:
        config: The run.
        algorithm: What trains.

    Raises:
        RunError: If it does.
    """
    if algorithm.asks_for_optimum and not has_best_plan(algorithm.env):
        raise RunError(
            f"the model {config.model!r} asks for a share of the best return, and {config.task!r} "
            "has none, for it starts or moves by chance, can terminate or does not end: choose "
            "another model"
        )


def warn_of_constraints(config: Config, env: Environment) -> None:
    """Warn where a method does not heed what an environment asks its policies to keep.

    Args:
        config: The run.
        env: Its environment.
    """
    if env.constraints is not None and config.model in BASELINES:
        warnings.warn(
            f"{config.model} heeds no constraints: it maximises the return alone, and beeline "
            f"evaluate tells how far its policy breaks those of {env.name}",
            RunWarning,
            stacklevel=4,
        )


def check_learner(path: Path | None, algorithm: Algorithm, restored: Restored) -> None:
    """Refuse to go on from a state that is enough to be evaluated alone.

    Args:
        path: Directory of the run.
        algorithm: What trains.
        restored: What was read from it.

    Raises:
        RunError: If it is.
    """
    if not algorithm.can_go_on(restored.state):
        raise RunError(
            f"{path} was saved with its policy alone, by an older version of beeline: evaluate it, "
            "or train it again with --overwrite"
        )


def check_origin(path: Path | None, restored: Restored, now: dict[str, Any]) -> None:
    """Warn where a run does not go on with the same bits.

    Args:
        path: Directory of the run.
        restored: What was read from it.
        now: What there is now.
    """
    for field in ("versions", "devices", "precision"):
        if field in restored.about and restored.about[field] != now[field]:
            warnings.warn(
                f"{path} was trained with other {field} than there are now: "
                "it goes on, but not with the same bits",
                RunWarning,
                stacklevel=4,
            )


def begins_again(path: Path | None) -> None:
    """Warn that a run begins again, and refuse to where its data is not there any more.

    Args:
        path: Directory of the run, which has no checkpoint.

    Raises:
        RunError: If it had data.
    """
    if path is not None and (path / files.DATA).exists():
        raise RunError(
            f"{path} has no checkpoint yet, and the data that it is to begin with is not in it: "
            "train again with that data and --overwrite"
        )
    warnings.warn(f"{path} has no checkpoint yet: it begins again", RunWarning, stacklevel=4)


def imagined(
    config: Config, env: Environment | None, draws: Draws, logged: Episode | None
) -> Config:
    """Choose whether whole episodes or windows are imagined, where the configuration does not.

    Args:
        config: The run.
        env: Its environment; None if there is none but logged data.
        draws: What draws its networks.
        logged: Episodes in the place of the warm-up's.

    Returns:
        The configuration with the choice.

    Raises:
        RunError: If neither can be.
    """
    try:
        with compile_cache():
            return imagination_of(config, env, draws, logged)
    except ValueError as error:
        # Such as windows that are longer than an episode of what takes no whole ones.
        raise RunError(str(error)) from error
