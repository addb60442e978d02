"""Which options a model or baseline has."""

import dataclasses
from collections.abc import Iterator
from typing import Any

from beeline.config._fields import flag

_SHARED = (
    "task",
    "environment",
    "reference",
    "horizon",
    "model",
    "preset",
    "seed",
    "seeds",
    "env_steps",
)
"""Fields that all models and baselines have."""

_OWN = {
    "sac": ("sac", "exploration.warmup_steps"),
    "online-dt": ("online_dt", "exploration.warmup_steps", "exploration.correlated"),
}
"""What a baseline has beside them; its first entry is nobody else's."""


def check_unused(config: Any, *usual: dict[str, Any]) -> None:
    """Refuse options that the model or baseline does not have.

    Args:
        config: The configuration.
        usual: Its fields as presets have them.

    Raises:
        ValueError: If a field that plays no part differs from all of these.
    """
    given = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    known = [dict(_leaves(fields)) for fields in usual]
    for path, value in _leaves(given):
        asked = all(value != fields[path] for fields in known)
        if asked and not _plays_a_part(path, config.model):
            raise ValueError(
                f"{flag(path)} is {value}, but the model {config.model!r} has no such option: "
                "leave it out"
            )


def _leaves(fields: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in fields.items():
        if dataclasses.is_dataclass(value):
            for inner in dataclasses.fields(value):
                yield f"{name}.{inner.name}", getattr(value, inner.name)
        else:
            yield name, value


def _plays_a_part(path: str, model: str) -> bool:
    group = path.partition(".")[0]
    if model in _OWN:
        return path in _SHARED + _OWN[model] or group in _OWN[model]
    return group not in {own[0] for own in _OWN.values()}
