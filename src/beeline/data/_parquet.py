"""Columns of a Parquet file, by the optional package pyarrow."""

import importlib
from pathlib import Path
from typing import Any

import numpy as np

from beeline.data._episodes import DataError
from beeline.data._table import LARGEST_FILE, Columns, Table, check_count
from beeline.storage.untrusted import opened

_ROWS_AT_ONCE = 2**15


def read_parquet(path: Path, columns: Columns) -> Table:
    """Read the columns that are named, and no others.

    Args:
        path: The file.
        columns: What they are called.

    Returns:
        The columns.

    Raises:
        DataError: If pyarrow is not installed, or the file is too large or no such table.
    """
    try:
        arrow = importlib.import_module("pyarrow")
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise DataError(
            "needs the package pyarrow: pip install 'beeline[data]', or save the table as CSV"
        ) from None
    with opened(path) as (file, size):
        if size > LARGEST_FILE:
            raise DataError(f"has {size} bytes, more than the {LARGEST_FILE} that it may have")
        try:
            table = parquet.ParquetFile(file)
            places = columns.places(table.schema_arrow.names)
            return _table(arrow, table, columns, list(places))
        except (arrow.ArrowException, OSError) as error:
            why = " ".join(str(error).split())[:200]
            raise DataError(f"is not a whole Parquet file ({why})") from None


def _table(arrow: Any, table: Any, columns: Columns, names: list[str]) -> Table:
    parts: dict[str, list[np.ndarray]] = {name: [] for name in columns.numbers}
    episodes: list[Any] = []
    rows = 0
    # In batches, for a small file may unfold to any size.
    for batch in table.iter_batches(_ROWS_AT_ONCE, columns=names):
        rows += batch.num_rows
        check_count(rows, len(names))
        for name in columns.numbers:
            parts[name].append(_numbers(arrow, batch.column(name), name))
        if columns.episode is not None:
            episodes += [str(label) for label in batch.column(columns.episode).to_pylist()]
    return Table(
        {name: np.concatenate(part) if part else np.zeros(0) for name, part in parts.items()},
        None if columns.episode is None else episodes,
        lambda row: f"row {row}",
    )


def _numbers(arrow: Any, column: Any, name: str) -> np.ndarray:
    kind = column.type
    if arrow.types.is_timestamp(kind):
        micros = column.cast(arrow.timestamp("us", kind.tz), safe=False).cast(arrow.int64())
        return np.asarray(micros.to_numpy(zero_copy_only=False), float) / 1e6
    plain = arrow.types.is_floating(kind) or arrow.types.is_integer(kind)
    if not plain and not arrow.types.is_boolean(kind):
        raise DataError(f"has column {name!r} of type {kind}: give numbers")
    return np.asarray(column.to_numpy(zero_copy_only=False), float)
