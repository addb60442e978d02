"""Which options a run has: those of its model or baseline, and of its policy."""

from typing import Any

from beeline._choices import choose
from beeline.config._catalogue import BASELINES, CATALOGUE, entry_of, is_of_library
from beeline.config._fields import flag, leaves

_POLICY = "policy"


def check_model(config: Any) -> None:
    """Refuse a model that there is none of, or a policy of one's own where it has no place.

    Args:
        config: The configuration.

    Raises:
        ValueError: If there is no such model, one of the user's own has the name of another, or a
            baseline is given a policy.
    """
    if not config.own_model:
        choose("model", config.model, CATALOGUE)
    elif is_of_library(config.model):
        raise ValueError(
            f"model is {config.model!a}, which is one of the library's: give the function that "
            "draws yours another name"
        )
    if config.own_policy and config.model in BASELINES:
        raise ValueError(
            f"the model {config.model!a} has policies of its own kind: leave yours out, or choose "
            "a world model"
        )


def check_unused(config: Any, *defaults: Any) -> None:
    """Refuse options that the model, the baseline or the policy does not have.

    Args:
        config: The configuration.
        defaults: All fields as presets have them.

    Raises:
        ValueError: If a field that plays no part differs from all of these.
    """
    known = [dict(leaves(fields)) for fields in defaults]
    for path, value in leaves(config):
        asked = all(value != fields[path] for fields in known)
        if asked and not plays_a_part(path, config):
            whose = f"the model {config.model!a}"
            if config.own_policy and _group(path) == _POLICY:
                whose = "a policy of one's own"
            raise ValueError(
                f"{flag(path)} is {value}, but {whose} has no such option: leave it out"
            )


REPLACED = {
    "fitting.env_steps_per_update": "windows.env_steps_per_update",
    "improvement.env_steps_per_update": "windows.env_steps_per_update",
    "improvement.learning_rate": "windows.policy_rate",
    "exploration.amplitude": "windows.amplitude",
}
"""Fields of whole episodes, and those that windows have in their place."""


def check_replaced(config: Any, *defaults: Any) -> None:
    """Refuse options of whole episodes where windows are imagined.

    Args:
        config: The configuration, of windows.
        defaults: All fields as presets have them.

    Raises:
        ValueError: If one of these options differs from all of these.
    """
    known, given = [dict(leaves(fields)) for fields in defaults], dict(leaves(config))
    for path, instead in REPLACED.items():
        if all(given[path] != fields[path] for fields in known):
            raise ValueError(
                f"{flag(path)} is {given[path]}, but that is an option of whole episodes: give "
                f"{flag(instead)} for windows, or take imagination = episodes"
            )


def plays_a_part(path: str, config: Any) -> bool:
    """Say whether a field means something to a run.

    Args:
        path: The field, with its group before it.
        config: The run.

    Returns:
        Whether it is an option of what is trained, or of nothing in particular.
    """
    own = set(entry_of(config).options) - ({_POLICY} if config.own_policy else set())
    anyones = {option for entry in CATALOGUE.values() for option in entry.options}
    ways = {path, _group(path)}
    return bool(ways & own) or not ways & anyones


def _group(path: str) -> str:
    return path.partition(".")[0]
