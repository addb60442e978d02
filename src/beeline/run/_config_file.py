"""A configuration as plain JSON, and back with every field checked."""

import dataclasses
import math
import typing
from typing import Any

from beeline.config import Config
from beeline.run._errors import RunError

_HINT = ": another version of beeline wrote this run"


def to_json(config: Any) -> dict[str, Any]:
    """Turn a configuration into what JSON can hold.

    Args:
        config: The configuration, or a group of its fields.

    Returns:
        Its fields by name; an infinite number, which JSON lacks, is the text "inf".
    """
    return {field.name: _plain(getattr(config, field.name)) for field in dataclasses.fields(config)}


def from_json(data: Any, source: str) -> Config:
    """Read a configuration, trusting nothing in it.

    Args:
        data: What `to_json` gave.
        source: Where it comes from, for errors.

    Returns:
        The configuration.

    Raises:
        RunError: If a field is missing, unknown, of another type or out of range.
    """
    try:
        return _group(Config, data, "")
    except (TypeError, ValueError) as error:
        raise RunError(f"{source}: {error}") from error


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return to_json(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def _group(group: type, data: Any, prefix: str) -> Any:
    if not isinstance(data, dict):
        raise TypeError(f"{prefix.rstrip('.') or 'the configuration'} is not a group of fields")
    types = typing.get_type_hints(group)
    names = [field.name for field in dataclasses.fields(group)]
    for name in names:
        if name not in data:
            raise ValueError(f"the field {prefix}{name} is missing{_HINT}")
    for name in data:
        if name not in names:
            raise ValueError(f"there is no field {prefix}{name}{_HINT}")
    return group(**{name: _value(types[name], data[name], prefix + name) for name in names})


def _value(wanted: Any, value: Any, path: str) -> Any:
    if dataclasses.is_dataclass(wanted):
        return _group(typing.cast(type, wanted), value, path + ".")
    if typing.get_origin(wanted) is tuple and isinstance(value, list):
        entry = typing.get_args(wanted)[0]
        return tuple(_value(entry, item, path) for item in value)
    if wanted is float and value in ("inf", "-inf", "nan"):
        return float(value)
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(wanted, type) or type(value) is not wanted:
        raise TypeError(f"{path} is {value!r}, not of type {getattr(wanted, '__name__', wanted)}")
    return value
