"""Results as tables: to read, and as CSV."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from beeline.storage.atomic import replacing


class Table(NamedTuple):
    """Rows that share their columns."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, Any]]) -> "Table":
        """Take the columns from the first row.

        Args:
            rows: One mapping per row, at least one, all with the same keys.

        Returns:
            The table.
        """
        columns = tuple(rows[0])
        return cls(columns, tuple(tuple(row[name] for name in columns) for row in rows))

    def text(self) -> str:
        """Lay the table out for reading, in Markdown.

        Returns:
            A line for the columns, one for the rule and one per row.
        """
        cells = [self.columns, *(tuple(map(_shown, row)) for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = [
            "| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |"
            for row in cells
        ]
        rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
        return "\n".join([lines[0], rule, *lines[1:]])

    def save(self, file: Path) -> None:
        """Write the table as CSV, with all digits.

        Args:
            file: The file to make or replace.
        """
        lines = io.StringIO()
        writer = csv.writer(lines, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows(self.rows)
        with replacing(file) as target:
            target.write(lines.getvalue().encode())


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return "nan" if math.isnan(value) else f"{value:.4g}"
    return str(value)
