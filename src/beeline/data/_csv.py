"""Columns of a text file with a header."""

import csv
import io
from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from beeline.data._episodes import DataError
from beeline.data._table import LARGEST_FILE, Columns, Table, check_count, moment, number, truth
from beeline.storage.untrusted import opened, shorten

_LONGEST_LINE = 2**20


def read_csv(path: Path, columns: Columns) -> Table:
    """Read the columns that are named, and no others.

    Args:
        path: The file, in UTF-8; commas, semicolons or tabs between cells, as in its first line.
        columns: What they are called.

    Returns:
        The columns.

    Raises:
        DataError: If the file is too large or no such table, naming the line and the column.
    """
    with opened(path) as (file, size):
        if size > LARGEST_FILE:
            raise DataError(f"has {size} bytes, more than the {LARGEST_FILE} that it may have")
        with io.TextIOWrapper(file, encoding="utf-8-sig", newline="") as text:
            try:
                return _table(_lines(text), columns)
            except UnicodeDecodeError:
                raise DataError("is not text in UTF-8: save it as such") from None
            except csv.Error as error:
                raise DataError(f"is no table of cells ({error})") from None


def _table(lines: Iterator[str], columns: Columns) -> Table:
    first = next(lines, "")
    delimiter = max(",;\t", key=first.count)
    header = next(csv.reader([first], delimiter=delimiter), [])
    header = [name.strip() for name in header]
    if not header:
        raise DataError("is empty, or begins with an empty line: give a line of names first")
    places = columns.places(header)
    values = {name: array("d") for name in columns.numbers}
    read = dict.fromkeys(columns.numbers, number)
    read |= {columns.step or "": moment, columns.terminated or "": truth}
    episodes: list[str] = []
    numbers = array("q")
    rows = csv.reader(lines, delimiter=delimiter, strict=True)
    for row in rows:
        # The header is a line too.
        line = rows.line_num + 1
        if not row:
            continue
        if len(row) != len(header):
            raise DataError(
                f"has {len(row)} cells in line {line}, but {len(header)} names in the first"
            )
        for name in values:
            try:
                values[name].append(read[name](row[places[name]]))
            except ValueError:
                raise DataError(
                    f"has {shorten(row[places[name]])} in line {line}, column {name!r}: "
                    f"{_wanted(name, columns)}"
                ) from None
        if columns.episode is not None:
            # One text for all rows of an episode.
            label = row[places[columns.episode]].strip()
            episodes.append(episodes[-1] if episodes[-1:] == [label] else label)
        numbers.append(line)
        check_count(len(numbers), len(header))
    return Table(
        {name: np.frombuffer(column, np.float64) for name, column in values.items()},
        None if columns.episode is None else episodes,
        lambda row: f"line {numbers[row]}",
    )


def _wanted(name: str, columns: Columns) -> str:
    if name == columns.step:
        return "give a number, or a time such as 2024-01-31T12:00:00"
    return "give 0 or 1" if name == columns.terminated else "give a number"


def _lines(text: io.TextIOWrapper) -> Iterator[str]:
    while line := text.readline(_LONGEST_LINE):
        if len(line) == _LONGEST_LINE:
            raise DataError(f"has a line of more than {_LONGEST_LINE} characters")
        yield line
