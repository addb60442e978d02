"""Columns of a file, in memory that is bounded, before episodes are made of them."""

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np

from beeline.data._episodes import DataError
from beeline.storage.untrusted import shorten

LARGEST_FILE = 2**30
"""Bytes of a file."""

LARGEST_COUNT = 2**27
"""Numbers that are taken out of one, a gibibyte of memory."""


class Columns(NamedTuple):
    """What the columns of a file in long form are called."""

    states: tuple[str, ...]
    actions: tuple[str, ...]
    episode: str | None = None
    step: str | None = None
    reward: str | None = None
    terminated: str | None = None

    @property
    def numbers(self) -> tuple[str, ...]:
        """List the columns that hold numbers.

        Returns:
            Their names: all but that of the episodes.
        """
        others = (self.step, self.reward, self.terminated)
        return (*self.states, *self.actions, *(name for name in others if name is not None))

    def check(self) -> None:
        """Refuse names that cannot be meant.

        Raises:
            DataError: If there is no state or action, or a column is named twice.
        """
        for what in ("states", "actions"):
            if not getattr(self, what):
                raise DataError(f"no {what} are named: name the columns, such as {what} a,b")
        named = [*self.numbers, *(() if self.episode is None else (self.episode,))]
        for name in named:
            if named.count(name) > 1:
                raise DataError(f"column {name!r} is named twice: give each column one part")

    def places(self, header: Sequence[str]) -> dict[str, int]:
        """Find the columns.

        Args:
            header: What the columns of the file are called.

        Returns:
            Their places by name.

        Raises:
            DataError: If one is missing, or there are two of its name.
        """
        names = [*self.numbers, *(() if self.episode is None else (self.episode,))]
        for name in names:
            if header.count(name) != 1:
                there = ", ".join(shorten(name) for name in header[:20])
                more = ", ..." if len(header) > 20 else ""
                times = "no" if name not in header else f"{header.count(name)} times the"
                raise DataError(f"has {times} column {name!r}: its columns are {there}{more}")
        return {name: header.index(name) for name in names}


class Table(NamedTuple):
    """Columns of one length."""

    columns: dict[str, np.ndarray]
    """Numbers by name; NaN where a cell is empty."""
    episodes: Sequence[Any] | None
    """The episode of each row; None where all are of one."""
    where: Callable[[int], str]
    """Says where in the file a row is."""


def check_count(rows: int, columns: int) -> None:
    """Refuse more numbers than there may be.

    Args:
        rows: How many rows were read.
        columns: How many columns of each.

    Raises:
        DataError: If it is too many.
    """
    if rows * columns > LARGEST_COUNT:
        raise DataError(
            f"has more than {LARGEST_COUNT // columns} rows of {columns} columns, which is all "
            "that is read of one file: cut it into several, or name fewer columns"
        )


def number(text: str) -> float:
    """Read a cell.

    Args:
        text: What stands there.

    Returns:
        The number; NaN for an empty cell.

    Raises:
        ValueError: If it is none.
    """
    text = text.strip()
    if "_" in text:
        # Python reads 1_000, which no measurement means.
        raise ValueError(text)
    return float(text) if text else float("nan")


def moment(text: str) -> float:
    """Read a step's number or time.

    Args:
        text: A number, or a date and time in ISO 8601.

    Returns:
        The number, or seconds.

    Raises:
        ValueError: If it is neither.
    """
    if not re.match(r"\s*\d{4}-\d\d", text):
        return number(text)
    time = datetime.fromisoformat(text.strip())
    # Without a zone, clocks that are set back would make steps of different lengths.
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def truth(text: str) -> float:
    """Read whether an episode terminated.

    Args:
        text: 0, 1, true or false.

    Returns:
        0 or 1.

    Raises:
        ValueError: If it is something else.
    """
    words = {"true": "1", "false": "0"}
    return number(words.get(text.strip().lower(), text))


def first_of(rows: Iterable[Any]) -> int:
    """Find the first row that holds.

    Args:
        rows: Whether each does; one has to.

    Returns:
        Its index.
    """
    return int(np.argmax(np.asarray(rows)))
