"""Make a task from its name."""

import dataclasses
import importlib
from collections.abc import Iterable
from typing import Any, SupportsIndex

from beeline._choices import choose
from beeline.envs._base import Environment
from beeline.envs._checks import check_horizon
from beeline.envs._control_system import ControlSystem, ControlTask
from beeline.envs._registry import ENTRIES


def make(name: str, *, horizon: SupportsIndex, **options: Any) -> Environment:
    """Make a task from its name.

    Args:
        name: One of `beeline.envs.names()`.
        horizon: The number of steps in an episode, at least 2. More steps cut the same stretch of
            time finer.
        **options: What to change in the task: `process_noise`, or a constant of the system under
            the name that its class documents, such as `delta` of "cancer-treatment".

    Returns:
        The environment.

    Raises:
        TypeError: If the horizon or the process noise is not a number of the right kind.
        ValueError: If there is no such task or option, or a value is out of range.
    """
    task_class = _class_of(name)
    check_options(name, options)
    horizon = check_horizon(horizon)
    if issubclass(task_class, ControlSystem):
        own = {"process_noise": options.pop("process_noise")} if "process_noise" in options else {}
        return ControlTask(task_class(**options), horizon=horizon, **own)
    return task_class(horizon=horizon, **options)


def check_options(name: str, options: Iterable[str]) -> None:
    """Refuse options that a task does not have.

    Args:
        name: One of `beeline.envs.names()`.
        options: Names of options.

    Raises:
        ValueError: If there is no such task, or it has no such option.
    """
    task_class = _class_of(name)
    allowed = [field.name for field in dataclasses.fields(task_class) if field.init]
    more = ["process_noise"] if issubclass(task_class, ControlSystem) else []
    for option in options:
        choose(f"option of {name}", option, dict.fromkeys(allowed + more))


def _class_of(name: str) -> type:
    entry = choose("task", name, ENTRIES)
    return getattr(importlib.import_module(entry.module), entry.class_name)
