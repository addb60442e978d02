"""Constants with which a control system means nothing, refused where they enter."""

import dataclasses
import math
from typing import Any

import numpy as np
from jax.core import Tracer

_SHAPED = ("x_0", "state_bounds", "control_bounds")
_GREATEST = float(np.finfo(np.float32).max)


def check_system(system: Any) -> None:
    """Refuse constants with which a system means nothing.

    Constants that are traced have no values yet, and are not looked at.

    Args:
        system: A `ControlSystem`.

    Raises:
        TypeError: If a constant is not a number, or the start or the bounds are not tuples.
        ValueError: If a constant is not finite or not above 0 where it has to be, or the start and
            the bounds do not fit each other.
    """
    for field in dataclasses.fields(system):
        if field.name not in _SHAPED:
            _check_constant(system.name, field.name, getattr(system, field.name))
    _check_positive(system, "duration")
    states, controls = len(system.state_names), len(system.control_names)
    _check_start(system, states)
    _check_bounds(system, "state_bounds", states, math.inf)
    _check_bounds(system, "control_bounds", controls, _GREATEST)
    for name in system.positive:
        _check_positive(system, name)
    for value, (low, high) in zip(system.x_0, system.state_bounds, strict=True):
        if not low <= value <= high:
            raise ValueError(
                f"{system.name}: x_0 must lie within state_bounds, got {value} in [{low}, {high}]"
            )


def _check_constant(name: str, constant: str, value: Any) -> None:
    if isinstance(value, Tracer):
        return
    array = np.asarray(value)
    if array.ndim or array.dtype.kind not in "iuf":
        raise TypeError(f"{name}: {constant} must be a number, got {value!r}")
    if not np.isfinite(array):
        raise ValueError(f"{name}: {constant} must be finite, got {value}")


def _check_positive(system: Any, name: str) -> None:
    value = getattr(system, name)
    least = min(low for low, _ in value) if name in _SHAPED else value
    if not isinstance(least, Tracer) and not least > 0:
        raise ValueError(f"{system.name}: {name} must be above 0, got {least}")


def _check_start(system: Any, entries: int) -> None:
    if not isinstance(system.x_0, tuple):
        raise TypeError(f"{system.name}: x_0 must be a tuple of numbers, got {system.x_0!r}")
    if len(system.x_0) != entries:
        raise ValueError(f"{system.name}: x_0 must have {entries} entries, got {system.x_0}")
    for value in system.x_0:
        _check_constant(system.name, "x_0", value)


def _check_bounds(system: Any, name: str, entries: int, greatest: float) -> None:
    bounds = getattr(system, name)
    if not isinstance(bounds, tuple) or not all(isinstance(pair, tuple) for pair in bounds):
        raise TypeError(f"{system.name}: {name} must be a tuple of pairs, got {bounds!r}")
    if len(bounds) != entries or any(len(pair) != 2 for pair in bounds):
        raise ValueError(
            f"{system.name}: {name} must have {entries} (lowest, highest) pairs, got {bounds}"
        )
    for low, high in bounds:
        if not -greatest <= low < high <= greatest:
            finite = "" if greatest == math.inf else ", finite,"
            raise ValueError(
                f"{system.name}: {name} must go{finite} from a lower to a higher number, got "
                f"[{low}, {high}]"
            )
