"""What a configuration must fulfil, by the paths of its fields."""

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

_COUNTS = {
    "horizon": 2,
    "seeds": 1,
    "env_steps": 1,
    "world_model.width": 1,
    "world_model.layers": 1,
    "world_model.heads": 1,
    "world_model.frequencies": 0,
    "world_model.harmonics": 0,
    "policy.frequencies": 0,
    "fitting.batch_size": 0,
    "improvement.batch_size": 0,
    "exploration.warmup_steps": 0,
    "sac.batch_size": 1,
    "sac.buffer_size": 1,
    "sac.env_steps_per_update": 1,
    "sac.env_steps_per_policy_update": 1,
    "online_dt.context": 1,
    "online_dt.acting_context": 1,
    "online_dt.width": 1,
    "online_dt.layers": 1,
    "online_dt.heads": 1,
    "online_dt.rate_warmup": 0,
    "online_dt.batch_size": 1,
    "online_dt.capacity": 1,
    "seed": 0,
}

_POSITIVE = (
    "policy.mean_bound",
    "policy.least_deviation",
    "policy.greatest_deviation",
    "fitting.learning_rate",
    "fitting.clip",
    "fitting.env_steps_per_update",
    "improvement.learning_rate",
    "improvement.clip",
    "improvement.first_noise",
    "improvement.env_steps_per_update",
    "sac.learning_rate",
    "online_dt.learning_rate",
    "online_dt.clip",
    "online_dt.temperature",
    "online_dt.temperature_rate",
    "online_dt.env_steps_per_update",
)

_MAYBE_INFINITE = ("clip", "env_steps_per_update")
"""Names of those that may be: nothing is clipped, or never updated."""

_FROM_ZERO = (
    "fitting.weight_decay",
    "improvement.entropy_weight",
    "exploration.amplitude",
    "sac.entropy_weight",
    "online_dt.weight_decay",
)

_SHARES = (
    "fitting.final_rate",
    "fitting.imagined",
    "improvement.final_rate",
    "improvement.through_policy",
    "improvement.through_states",
    "sac.discount",
    "sac.averaging",
)

_FINITE = ("online_dt.target",)

_SHARED = ("task", "horizon", "model", "preset", "seed", "seeds", "env_steps")
"""Fields that all models and baselines have."""

_OWN = {
    "sac": ("sac", "exploration.warmup_steps"),
    "online-dt": ("online_dt", "exploration.warmup_steps", "exploration.correlated"),
}
"""What a baseline has beside them; its first entry is nobody else's."""


def _read(config: Any, path: str) -> Any:
    value: Any = config
    for name in path.split("."):
        value = getattr(value, name)
    return value


def _flag(path: str) -> str:
    return path.replace("_", "-")


def check_counts(config: Any) -> None:
    """Refuse counts and sizes that are none.

    Args:
        config: The configuration.

    Raises:
        TypeError: If a count is not an integer.
        ValueError: If a count or a size is out of range.
    """
    for path, least in _COUNTS.items():
        value = _read(config, path)
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"{_flag(path)} is {value!r}: give an integer of at least {least}")
        if value < least:
            raise ValueError(f"{_flag(path)} is {value}: give an integer of at least {least}")
    for path in ("world_model.hidden", "world_model.recurrent", "policy.hidden", "sac.hidden"):
        sizes = _read(config, path)
        if not sizes or any(isinstance(n, bool) or not isinstance(n, int) or n < 1 for n in sizes):
            raise ValueError(f"{_flag(path)} is {sizes!r}: give at least one positive integer")


def check_rates(config: Any) -> None:
    """Refuse rates, weights and shares out of range.

    Args:
        config: The configuration.

    Raises:
        TypeError: If one is not a number.
        ValueError: If one is out of range, naming the field, the value and the range.
    """
    for path in (*_POSITIVE, *_FROM_ZERO, *_FINITE, *_SHARES):
        value, name = _read(config, path), _flag(path)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError(f"{name} is {value!r}: give a number")
        finite = path.rpartition(".")[2] not in _MAYBE_INFINITE
        if path in _POSITIVE and not value > 0:
            raise ValueError(f"{name} is {value}: give a number above 0")
        if path in _POSITIVE and finite and value == math.inf:
            raise ValueError(f"{name} is {value}: give a finite number above 0")
        if path in _FROM_ZERO and not 0 <= value < math.inf:
            raise ValueError(f"{name} is {value}: give a finite number of at least 0")
        if path in _FINITE and not math.isfinite(value):
            raise ValueError(f"{name} is {value}: give a finite number")
        if path in _SHARES and not 0 <= value <= 1:
            raise ValueError(f"{name} is {value}: give a share from 0 to 1")


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
                f"{_flag(path)} is {value}, but the model {config.model!r} has no such option: "
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
