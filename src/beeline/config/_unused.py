"""Options that a model or baseline does not have."""

from typing import Any

from beeline.config._catalogue import CATALOGUE, entry_of
from beeline.config._fields import flag, leaves


def check_unused(config: Any, *defaults: Any) -> None:
    """Refuse options that the model or baseline does not have.

    Args:
        config: The configuration.
        defaults: All fields as presets have them.

    Raises:
        ValueError: If a field that plays no part differs from all of these.
    """
    known = [dict(leaves(fields)) for fields in defaults]
    for path, value in leaves(config):
        asked = all(value != fields[path] for fields in known)
        if asked and not plays_a_part(path, config.model):
            raise ValueError(
                f"{flag(path)} is {value}, but the model {config.model!r} has no such option: "
                "leave it out"
            )


def plays_a_part(path: str, model: str) -> bool:
    """Say whether a field means something to a model.

    Args:
        path: The field, with its group before it.
        model: Name of the model or baseline.

    Returns:
        Whether it is an option of that model, or of none in particular.
    """
    own = entry_of(model).options
    anyones = {option for entry in CATALOGUE.values() for option in entry.options}
    ways = {path, path.partition(".")[0]}
    return bool(ways & set(own)) or not ways & anyones
