"""Fields of a configuration, each declared once: its default, what it may be, and since when it is.

A field's type is its annotation and its help is the text below it. `normalised` holds every
value against the rule of its field, and takes what NumPy has in the place of Python's own numbers.
"""

import abc
import dataclasses
import math
import numbers
import operator
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, final

from typing_extensions import override

from beeline._choices import choose

T = TypeVar("T")

LARGEST_COUNT = 2**31 - 1
"""The largest index of 32 bits, which JAX counts with."""


class Rule(abc.ABC):
    """What a field may be."""

    @abc.abstractmethod
    def __call__(self, flag: str, value: Any) -> Any:
        """Hold a value against the rule.

        Args:
            flag: What the field is called, for errors.
            value: What was given.

        Returns:
            The value, as Python's own type has it.

        Raises:
            TypeError: If it is of another type.
            ValueError: If it is out of range.
        """


@final
@dataclasses.dataclass(frozen=True)
class Count(Rule):
    """A whole number within bounds, both included."""

    least: int
    most: int = LARGEST_COUNT

    @override
    def __call__(self, flag: str, value: Any) -> int:
        advice = f"give an integer of at least {self.least}"
        if isinstance(value, bool) or not hasattr(value, "__index__"):
            raise TypeError(f"{flag} is {value!r}: {advice}")
        count = operator.index(value)
        if not self.least <= count <= self.most:
            above = f" and at most {self.most}" if count > self.most else ""
            raise ValueError(f"{flag} is {count}: {advice}{above}")
        return count


@final
@dataclasses.dataclass(frozen=True)
class Number(Rule):
    """A real number within bounds, the upper one included."""

    what: str
    """The numbers allowed, in words."""
    low: float = -math.inf
    high: float = math.inf
    with_low: bool = True
    infinite: bool = False

    @override
    def __call__(self, flag: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            raise TypeError(f"{flag} is {value!r}: give {self.what}")
        number = float(value)
        above = number > self.low or (self.with_low and number == self.low)
        if not above or number > self.high or (math.isinf(number) and not self.infinite):
            raise ValueError(f"{flag} is {number}: give {self.what}")
        return number


@final
class Sizes(Rule):
    """Sizes of layers."""

    @override
    def __call__(self, flag: str, value: Any) -> tuple[int, ...]:
        size = Count(1)
        try:
            sizes = tuple(size(flag, entry) for entry in value)
        except (TypeError, ValueError):
            sizes = ()
        if not sizes:
            raise ValueError(f"{flag} is {value!r}: give at least one positive integer")
        return sizes


@final
@dataclasses.dataclass(frozen=True)
class Choice(Rule):
    """One of some names."""

    options: Mapping[str, Any]

    @override
    def __call__(self, flag: str, value: Any) -> str:
        choose(flag, Text()(flag, value), self.options)
        return str(value)


@final
class Text(Rule):
    """Any text."""

    @override
    def __call__(self, flag: str, value: Any) -> str:
        if not isinstance(value, str):
            raise TypeError(f"{flag} is {value!r}: give a text")
        return str(value)


@final
@dataclasses.dataclass(frozen=True)
class ChoiceOrNumber(Rule):
    """One of some names, or a finite number, kept as a text."""

    options: Mapping[str, Any]

    @override
    def __call__(self, flag: str, value: Any) -> str:
        try:
            return repr(FINITE(flag, float(value)))
        except (TypeError, ValueError, OverflowError):
            if isinstance(value, str) and value in self.options:
                return str(value)
        names = ", ".join(self.options)
        raise ValueError(f"{flag} is {value!r}: give {names} or a finite number")


@final
@dataclasses.dataclass(frozen=True)
class ChoiceOrCount(Rule):
    """One of some names, or a whole number of at least 1, kept as a text."""

    options: Mapping[str, Any]

    @override
    def __call__(self, flag: str, value: Any) -> str:
        if isinstance(value, str) and value in self.options:
            return str(value)
        try:
            return str(Count(1)(flag, int(value) if isinstance(value, str) else value))
        except (TypeError, ValueError):
            names = ", ".join(self.options)
            raise ValueError(
                f"{flag} is {value!r}: give {names} or an integer of at least 1"
            ) from None


@final
class Switch(Rule):
    """True or false."""

    @override
    def __call__(self, flag: str, value: Any) -> bool:
        if type(value).__name__ not in ("bool", "bool_"):
            raise TypeError(f"{flag} is {value!r}: give True or False")
        return bool(value)


POSITIVE = Number("a number above 0", low=0.0, with_low=False, infinite=True)
FINITE_POSITIVE = Number("a finite number above 0", low=0.0, with_low=False)
FROM_ZERO = Number("a finite number of at least 0", low=0.0)
FINITE = Number("a finite number")
SHARE = Number("a share from 0 to 1", low=0.0, high=1.0)
DISCOUNT = Number("a discount above 0 and at most 1", low=0.0, high=1.0, with_low=False)

_RULE, _SINCE, _BEFORE, _SIZE = "rule", "since", "before", "size"

LAYER = 100
"""Numbers that a layer of a network takes at least."""


class Group:
    """Fields that belong together, as one field of the configuration."""

    def check(self, flag: str) -> None:
        """Refuse values that contradict each other; most groups have none.

        Args:
            flag: What the group is called, for errors.
        """


def field(
    default: T, rule: Rule, *, since: int = 1, before: Any = None, size: int | None = None
) -> T:
    """Declare a field.

    Args:
        default: Its default.
        rule: What it may be.
        since: The schema of run directories since which it is.
        before: The value that does as older versions did, for a field that came later.
        size: How many numbers of a saved state each unit of it takes at least, so that a forged
            configuration asks for no more than its file bears out.

    Returns:
        The field, for a dataclass.
    """
    metadata = {_RULE: rule, _SINCE: since, _BEFORE: before, _SIZE: size}
    return dataclasses.field(default=default, metadata=metadata)


def group(kind: type[T], *, since: int = 1) -> T:
    """Declare a group of fields.

    Args:
        kind: The dataclass that declares them.
        since: The schema of run directories since which it is; before, it was as by default.

    Returns:
        The field, for a dataclass.
    """
    return dataclasses.field(
        default_factory=kind, metadata={_SINCE: since, _BEFORE: kind() if since > 1 else None}
    )


def flag(path: str) -> str:
    """Write a path of fields as the command line does.

    Args:
        path: Names of groups and of a field, with dots between.

    Returns:
        The flag, without dashes before it.
    """
    return path.replace("_", "-")


def normalised(fields: Any, prefix: str = "") -> dict[str, Any]:
    """Hold every field of a configuration against its rule.

    Args:
        fields: The configuration, or a group of its fields.
        prefix: The group's path, with a dot after it.

    Returns:
        Its values by name, in Python's own types.

    Raises:
        TypeError: If a value is of another type.
        ValueError: If one is out of range, naming the field, the value and the range.
    """
    values = {}
    for one in dataclasses.fields(fields):
        value, path = getattr(fields, one.name), prefix + one.name
        if _RULE in one.metadata:
            values[one.name] = one.metadata[_RULE](flag(path), value)
        elif type(value) is one.type:
            values[one.name] = type(value)(**normalised(value, f"{path}."))
        else:
            kind = getattr(one.type, "__name__", one.type)
            raise TypeError(f"{flag(path)} is {value!r}: give the group of fields {kind}")
    return values


def leaves(fields: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """List the fields of a configuration, those of its groups among them.

    Args:
        fields: The configuration, or a group of its fields.
        prefix: The group's path, with a dot after it.

    Yields:
        The path and the value of each.
    """
    for path, value, _ in _leaves(fields, prefix):
        yield path, value


def numbers_saved(fields: Any) -> Iterator[tuple[str, int]]:
    """Count the numbers of a saved state that fields stand for, at the least.

    Args:
        fields: The configuration, or a group of its fields.

    Yields:
        The path of each field that says so, and their number.
    """
    for path, value, metadata in _leaves(fields):
        if isinstance(metadata[_RULE], Sizes):
            yield path, max(sum(value), LAYER * len(value))
        elif metadata[_SIZE] is not None:
            yield path, metadata[_SIZE] * value


def _leaves(fields: Any, prefix: str = "") -> Iterator[tuple[str, Any, Mapping[str, Any]]]:
    for one in dataclasses.fields(fields):
        value = getattr(fields, one.name)
        if isinstance(value, Group):
            yield from _leaves(value, f"{prefix}{one.name}.")
        else:
            yield prefix + one.name, value, one.metadata


def added_since(kind: type, schema: int, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """List the fields that a configuration of an older schema lacks.

    Args:
        kind: The configuration's dataclass, or that of a group.
        schema: The older schema.
        prefix: The group's path, with a dot after it.

    Yields:
        The path of each, and the value that does as before.
    """
    for one in dataclasses.fields(kind):
        path = prefix + one.name
        if one.metadata[_SINCE] > schema:
            yield path, one.metadata[_BEFORE]
        elif isinstance(one.type, type) and dataclasses.is_dataclass(one.type):
            yield from added_since(one.type, schema, f"{path}.")
