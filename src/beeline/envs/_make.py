"""Make a task from its name."""

from typing import Any, SupportsIndex

from beeline.envs._base import Environment
from beeline.envs._checks import check_horizon
from beeline.envs._making import made
from beeline.envs._registered import factory_of


def make(name: str, *, horizon: SupportsIndex, **options: Any) -> Environment:
    """Make a task from its name.

    Args:
        name: One of `beeline.envs.names()`.
        horizon: The number of steps in an episode, at least 2. More steps cut the same stretch of
            time finer, but in the tasks of `beeline.envs.classic` and `double-pendulum` and
            `one-bounce`: their step has a fixed length.
        **options: What to change in the task: `process_noise`, or a constant of the system under
            the name that its class documents, such as `delta` of "cancer-treatment".

    Returns:
        The environment.

    Raises:
        TypeError: If the horizon or an option is not a number of the right kind.
        ValueError: If there is no such task or option, or a value is out of range.
    """
    return made(factory_of(name), name, horizon=check_horizon(horizon), options=options)
