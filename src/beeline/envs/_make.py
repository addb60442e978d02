"""Make a task from its name."""

import dataclasses
import importlib
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
    entry = choose("task", name, ENTRIES)
    horizon = check_horizon(horizon)
    task_class = getattr(importlib.import_module(entry.module), entry.class_name)
    if issubclass(task_class, ControlSystem):
        own = {"process_noise": options.pop("process_noise")} if "process_noise" in options else {}
        system = task_class(**_known(name, options, task_class, "process_noise"))
        return ControlTask(system, horizon=horizon, **own)
    return task_class(horizon=horizon, **_known(name, options, task_class))


def _known(name: str, options: dict[str, Any], made: type, *more: str) -> dict[str, Any]:
    allowed = {field.name: None for field in dataclasses.fields(made) if field.init}
    for option in options:
        choose(f"option of {name}", option, allowed | dict.fromkeys(more))
    return options
