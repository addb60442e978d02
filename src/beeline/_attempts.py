"""Trying what may fail without harm."""

import textwrap
from collections.abc import Callable
from typing import Any


def failure_of(attempt: Callable[[], Any]) -> str | None:
    """Try something whose failure must not stop what is around it, such as drawing.

    Args:
        attempt: What to try.

    Returns:
        The kind of its error and the beginning of the message, for use within a line; None if it
        went well.
    """
    try:
        attempt()
    except Exception as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())
        return textwrap.shorten(said, 200, placeholder=" ...")
    return None
