"""What the iterations measured: as lines of JSON, as columns, and whether it is finite."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from beeline.run._errors import RunError
from beeline.run._reference import Reference
from beeline.training import Record

_ONLY_IF = {
    "model_loss": "model_updates",
    "model_gradient_norm": "model_updates",
    "imagined_return": "policy_updates",
    "entropy": "policy_updates",
    "policy_gradient_norm": "policy_updates",
}
_PER_RUN = ("iteration", "env_steps", "wall_seconds")


def first_fault(record: Record) -> tuple[str, int] | None:
    """Look for a number that is not finite and should be.

    Args:
        record: What an iteration measured, with an entry for each seed.

    Returns:
        The first such quantity in the record's order and the position of its seed, or None.
    """
    measured = record._asdict()
    for name, values in measured.items():
        counted = np.asarray(measured[_ONLY_IF[name]]) > 0 if name in _ONLY_IF else True
        bad = ~np.isfinite(values) & counted
        if bad.any():
            return name.rstrip("_"), int(np.argmax(bad))
    return None


def row(record: Record, reference: Reference) -> dict[str, list[Any]]:
    """Put the measurements of an iteration as JSON has them.

    Args:
        record: What it measured, with an entry for each seed.
        reference: The ends of the scale of normalised returns.

    Returns:
        A list with an entry for each seed by name, None where nothing was measured.
    """
    named = {name.rstrip("_"): np.asarray(values) for name, values in record._asdict().items()}
    named["normalized_imagined_return"] = reference.normalize(named["imagined_return"])
    named["normalized_return"] = reference.normalize(named["return"])
    return {
        name: [None if not math.isfinite(value) else value for value in values.tolist()]
        for name, values in named.items()
    }


def columns(rows: Sequence[dict[str, Any]]) -> dict[str, np.ndarray]:
    """Turn lines into columns.

    Args:
        rows: Whole lines of a run, in order.

    Returns:
        Arrays by name, of shape (iterations, seeds) or, for what seeds share, (iterations,).
    """
    return {name: np.asarray([row[name] for row in rows], dtype=float) for name in rows[0]}


def read_rows(file: Path, seeds: int) -> list[dict[str, Any]]:
    """Read the lines that a run has written.

    Args:
        file: The file of its metrics.
        seeds: Entries to expect in each list.

    Returns:
        The lines, in order.

    Raises:
        RunError: If the file is missing, empty or damaged, naming the line.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise RunError(f"{file} is missing: the run has no finished iteration") from None
    except ValueError as error:
        raise RunError(f"{file} is not text ({error})") from error
    if not lines:
        raise RunError(f"{file} is empty: the run has no finished iteration")
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            rows.append(json.loads(line))
        except ValueError as error:
            raise RunError(f"{file} line {number} is truncated or not JSON ({error})") from error
        if not _is_whole(rows[-1], rows[0], seeds):
            raise RunError(f"{file} line {number} does not hold the metrics of {seeds} seeds")
    return rows


def _is_whole(row: Any, first: dict[str, Any], seeds: int) -> bool:
    if not isinstance(row, dict) or row.keys() != first.keys():
        return False
    lists = [value for name, value in row.items() if name not in _PER_RUN]
    numbers = [row.get(name) for name in _PER_RUN]
    for values in lists:
        if not isinstance(values, list) or len(values) != seeds:
            return False
        numbers += [value for value in values if value is not None]
    named = {"return", "normalized_return", "normalized_imagined_return"} <= row.keys()
    return named and all(type(number) in (int, float) for number in numbers)
