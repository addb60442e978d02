"""One way to look a name up, and one error for a name that is not there."""

import difflib
from collections.abc import Mapping
from typing import TypeVar

T = TypeVar("T")


def choose(kind: str, name: str, options: Mapping[str, T]) -> T:
    """Look `name` up in `options`, or say what was meant.

    Args:
        kind: What is being named, for the error: "task", "model", "preset".
        name: The name given.
        options: What is allowed.

    Returns:
        The entry of that name.

    Raises:
        ValueError: If there is no such entry; the message suggests the nearest one.
    """
    if name in options:
        return options[name]
    near = [option for option in sorted(options) if name and name in option]
    near = near or difflib.get_close_matches(name, options, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise ValueError(f"unknown {kind} {name!a}: {hint}choose from {', '.join(sorted(options))}")
