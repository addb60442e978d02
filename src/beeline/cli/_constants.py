"""Constants of an environment from the text of the command line."""

import ast
import inspect
import re
import types
import typing
from collections.abc import Sequence
from typing import Any

_LITERALS = {"true": True, "false": False, "none": None}
_KINDS: dict[Any, str] = {
    float: "a number",
    int: "an integer",
    bool: "true or false",
    str: "a text",
    types.NoneType: "none",
}


def constant(flag: str, text: str, parameter: inspect.Parameter | None) -> Any:
    """Read a constant as what its class or function annotates, or else as what it has by itself.

    Args:
        flag: What it is called, for the error.
        text: What was given: a number, true or false, none, numbers with commas between, a text.
        parameter: As the class or function declares it; None where it takes any.

    Returns:
        The value.

    Raises:
        ValueError: If the text is of another type.
    """
    annotated, default = (Any, inspect.Parameter.empty)
    if parameter is not None:
        annotated, default = parameter.annotation, parameter.default
    kind = annotated if _is_readable(annotated) else _kind_of(default)
    try:
        return _as(kind, _literal(text), text)
    except ValueError:
        several = typing.get_origin(kind) is tuple
        wanted = "numbers with commas between" if several else _KINDS.get(kind, "another")
        example = "" if default is inspect.Parameter.empty else f", such as {default!r}"
        raise ValueError(f"{flag} is {text!r}: give {wanted}{example}") from None


def _literal(text: str) -> Any:
    if text.lower() in _LITERALS:
        return _LITERALS[text.lower()]
    try:
        # Python has infinity as no literal but a number that is too large.
        return ast.literal_eval(re.sub(r"\binf\b", "1e999", text))
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return text


def _as(kind: Any, value: Any, text: str) -> Any:
    of = typing.get_args(kind)
    if typing.get_origin(kind) is tuple:
        return _entries(of, value if isinstance(value, tuple | list) else (value,))
    if _is_union(kind):
        return _first(of, value, text)
    if kind is str:
        return text
    if kind is float and type(value) is int:
        return float(value)
    if kind in _KINDS and type(value) is not kind:
        raise ValueError(f"{text} is not of type {kind}")
    return value


def _entries(kinds: tuple[Any, ...], values: Sequence[Any]) -> tuple[Any, ...]:
    if not kinds:
        return tuple(values)
    every = kinds[:1] * len(values) if kinds[1:] == (...,) else kinds
    return tuple(_as(k, value, str(value)) for k, value in zip(every, values, strict=True))


def _first(kinds: tuple[Any, ...], value: Any, text: str) -> Any:
    for kind in sorted(kinds, key=lambda kind: kind is str):
        try:
            return _as(kind, value, text)
        except ValueError:
            continue
    raise ValueError(f"{text} is of none of the types {kinds}")


def _is_readable(annotation: Any) -> bool:
    simple = any(annotation is kind for kind in _KINDS)
    return simple or typing.get_origin(annotation) is tuple or _is_union(annotation)


def _is_union(annotation: Any) -> bool:
    return typing.get_origin(annotation) in (typing.Union, types.UnionType)


def _kind_of(default: Any) -> Any:
    if isinstance(default, tuple) and default:
        return tuple[_kind_of(default[0]), ...]
    return type(default) if type(default) in _KINDS and default is not None else Any
