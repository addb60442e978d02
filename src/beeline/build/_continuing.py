"""What a task that does not end has no use for."""

import operator

from beeline.config import BASELINES, Config
from beeline.config._fields import flag
from beeline.config._unused import plays_a_part
from beeline.envs import Environment


def check_continuing(config: Config, env: Environment) -> None:
    """Refuse options that take a task to end at the horizon.

    Args:
        config: The run.
        env: Its environment, which does not end.

    Raises:
        ValueError: If a discount is 1, or something would see the time.
    """
    if config.imagination == "episodes" and config.model not in BASELINES:
        raise ValueError(
            f"imagination is 'episodes', but {env.name} does not end, and whole episodes would "
            "teach the policy that nothing comes after them: take imagination = windows"
        )
    for path in ("windows.discount", "sac.discount"):
        if plays_a_part(path, config) and operator.attrgetter(path)(config) == 1:
            raise ValueError(
                f"{flag(path)} is 1, but {env.name} does not end, so that no value would be "
                "finite: give a discount below 1"
            )
    if plays_a_part("windows.clock", config) and config.windows.clock != "none":
        raise ValueError(
            f"windows.clock is {config.windows.clock!r}, but {env.name} does not end, so that no "
            "step has an index to tell: take windows.clock = none"
        )
