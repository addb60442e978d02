"""What the runs of grids reached: two CSV files, one row a run in each.

`finals.csv` has how a run ended: `skipped` counts the updates and the episodes that were left out
because a number was not finite, and `stopped` is 1 where such a number ended the run before its
last step, so that it has no result. `curves.csv` has its learning curve, thinned, as lists with a
space between the numbers.
"""

import contextlib
import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from jaxtyping import Float

from beeline.storage.atomic import replacing
from experiments._grid import Cell, GridError

FINAL_COLUMNS = (
    *Cell._fields, "env_steps", "wall_seconds", "compile_seconds", "return", "normalized_return",
    "skipped", "stopped", "date", "machine", "command",
)  # fmt: skip
CURVE_COLUMNS = (*Cell._fields, "env_steps", "wall_seconds", "normalized_return")

Row = dict[str, str]


@dataclass(frozen=True)
class Curve:
    """How a run learned."""

    env_steps: Float[np.ndarray, " point"]
    wall_seconds: Float[np.ndarray, " point"]
    normalized_return: Float[np.ndarray, " point"]


@dataclass(frozen=True)
class Store:
    """A folder with the two files; several processes may write to it at once."""

    folder: Path

    def finals(self) -> dict[Cell, Row]:
        """Read how the runs ended.

        Returns:
            A row for each run.

        Raises:
            GridError: If the file has other columns.
        """
        return _read(self.folder / "finals.csv", FINAL_COLUMNS)

    def curves(self) -> dict[Cell, Curve]:
        """Read how the runs learned.

        Returns:
            A curve for each run.

        Raises:
            GridError: If the file has other columns.
        """
        rows = _read(self.folder / "curves.csv", CURVE_COLUMNS)
        names = CURVE_COLUMNS[len(Cell._fields) :]
        return {
            cell: Curve(**{name: np.array(row[name].split(), float) for name in names})
            for cell, row in rows.items()
        }

    def record(self, cell: Cell, final: Mapping[str, Any], curve: Mapping[str, Any]) -> None:
        """Keep one run, in place of an earlier record of it.

        Args:
            cell: The run.
            final: The columns of `finals.csv` that are not the cell's.
            curve: Those of `curves.csv`, as sequences of numbers.
        """
        lists = {name: " ".join(f"{value:.5g}" for value in curve[name]) for name in curve}
        with self.locked():
            # The final row last: it is what says that the run is recorded.
            _add(self.folder / "curves.csv", CURVE_COLUMNS, cell, lists)
            _add(self.folder / "finals.csv", FINAL_COLUMNS, cell, final)

    def restate(self, cell: Cell, final: float, curve: Float[np.ndarray, " point"]) -> None:
        """Change a recorded run's normalised returns.

        Args:
            cell: The run.
            final: How it ended.
            curve: How it learned, at the points recorded.
        """
        with self.locked():
            curves, finals = self.folder / "curves.csv", self.folder / "finals.csv"
            points = " ".join(f"{value:.5g}" for value in curve)
            # The final value last, since it is what says on which scale the run is.
            _add(curves, CURVE_COLUMNS, cell, {"normalized_return": points})
            _add(finals, FINAL_COLUMNS, cell, {"normalized_return": f"{final:.5f}"})

    @contextlib.contextmanager
    def locked(self, name: str = "", *, wait: bool = True) -> Iterator[bool]:
        """Hold a lock that the system gives back when the process ends, however it ends.

        Args:
            name: Which lock.
            wait: Whether to wait for it.

        Yields:
            Whether it is held.
        """
        folder = self.folder / ".running"
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock = FileLock(folder / f"{name}.lock", fallback_to_soft=False).acquire(blocking=wait)
        except Timeout:
            yield False
            return
        with lock:
            yield True


def _read(file: Path, columns: tuple[str, ...]) -> dict[Cell, Row]:
    if not file.exists():
        return {}
    with file.open(newline="", encoding="utf-8") as source:
        reader = csv.DictReader(source)
        if tuple(reader.fieldnames or ()) != columns:
            raise GridError(
                f"{file} has the columns {','.join(reader.fieldnames or ())}, not "
                f"{','.join(columns)}: move it away, or name another folder with --out"
            )
        rows = list(reader)
    try:
        return {
            Cell(r["task"], int(r["horizon"]), r["model"], r["variant"], int(r["seed"])): r
            for r in rows
        }
    except (TypeError, ValueError) as error:
        raise GridError(f"{file} is damaged: {error}") from None


def _add(file: Path, columns: tuple[str, ...], cell: Cell, values: Mapping[str, Any]) -> None:
    rows = _read(file, columns)
    rows[cell] = {**rows.get(cell, {}), **cell._asdict(), **values}
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows.values())
    with replacing(file) as target:
        target.write(text.getvalue().encode())
