"""A configuration as plain JSON, and back with every field checked."""

import dataclasses
import math
import typing
from collections.abc import Sequence
from typing import Any

from beeline.config import Config
from beeline.config._fields import added_since
from beeline.run._errors import RunError
from beeline.storage.untrusted import shorten

_NEW_MEMORIES = 2
"""Since this schema the modes of a state-space core average their input."""

_STATE_SPACE = ("ssm-awm", "ssm-history")
_HINT = ": another version of beeline wrote this run"
_LONGEST, _LONGEST_TEXT = 100, 400
_LARGEST = 2**32 - 1


def to_json(config: Any) -> dict[str, Any]:
    """Turn a configuration into what JSON can hold.

    Args:
        config: The configuration, or a group of its fields.

    Returns:
        Its fields by name; an infinite number, which JSON lacks, is the text "inf".
    """
    return {field.name: _plain(getattr(config, field.name)) for field in dataclasses.fields(config)}


def from_json(data: Any, source: str, schema: Any) -> Config:
    """Read a configuration, trusting nothing in it.

    Args:
        data: What `to_json` gave.
        source: Where it comes from, for errors.
        schema: The schema of the run directory that it was written for.

    Returns:
        The configuration.

    Raises:
        RunError: If a field is missing, unknown, of another type or out of range.
    """
    try:
        return _group(Config, _migrated(data, schema), "")
    except (TypeError, ValueError) as error:
        raise RunError(f"{source}: {error}") from error


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return to_json(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def _migrated(data: Any, schema: Any) -> Any:
    if type(schema) is not int:
        raise TypeError(f"the schema is {shorten(schema)}, not an integer")
    if schema < _NEW_MEMORIES and isinstance(data, dict) and data.get("model") in _STATE_SPACE:
        raise ValueError(
            f"weights of {data['model']} have meant something else since schema {_NEW_MEMORIES}: "
            "train it again"
        )
    for path, value in added_since(Config, schema):
        data = _with(data, path.split("."), value)
    return data


def _with(data: Any, path: Sequence[str], value: Any) -> Any:
    name, *rest = path
    if not isinstance(data, dict) or (not rest and name in data):
        return data
    return data | {name: _with(data.get(name), rest, value) if rest else _plain(value)}


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
            raise ValueError(f"there is no field {shorten(prefix + name)}{_HINT}")
    return group(**{name: _value(types[name], data[name], prefix + name) for name in names})


def _value(expected: Any, value: Any, path: str) -> Any:
    if dataclasses.is_dataclass(expected):
        return _group(typing.cast(type, expected), value, path + ".")
    if typing.get_origin(expected) is tuple and isinstance(value, list):
        if len(value) > _LONGEST:
            raise ValueError(f"{path} has {len(value)} entries, more than {_LONGEST}")
        entry = typing.get_args(expected)[0]
        return tuple(_value(entry, item, path) for item in value)
    if expected is float and value in ("inf", "-inf", "nan"):
        return float(value)
    if expected is float and type(value) is int and abs(value) <= _LARGEST:
        return float(value)
    if not isinstance(expected, type) or type(value) is not expected:
        kind = getattr(expected, "__name__", expected)
        raise TypeError(f"{path} is {shorten(value)}, not of type {kind}")
    if isinstance(value, str) and len(value) > _LONGEST_TEXT:
        raise ValueError(f"{path} has {len(value)} characters, more than {_LONGEST_TEXT}")
    if isinstance(value, int) and abs(value) > _LARGEST:
        raise ValueError(f"{path} is {shorten(value)}, beyond {_LARGEST}")
    return value
