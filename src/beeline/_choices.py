"""One way to look a name up, and one error for a name that is not there."""

import difflib
from collections.abc import Iterable, Mapping
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
    near = nearest(name, options)
    hint = f"did you mean {near!r}? " if near else ""
    raise ValueError(f"unknown {kind} {name!a}: {hint}choose from {', '.join(sorted(options))}")


def nearest(name: str, options: Iterable[str]) -> str | None:
    """Guess what was meant by a name that is not there.

    Args:
        name: The name given.
        options: What is allowed.

    Returns:
        The option that is most like it; None if none is.
    """
    known = sorted(options)
    near = [option for option in known if name and name in option]
    near = near or difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    return near[0] if near else None
