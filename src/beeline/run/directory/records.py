"""What the iterations measured: as lines of JSON and as columns."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Shaped

from beeline.run._errors import RunError
from beeline.run._reference import Reference
from beeline.storage.untrusted import UntrustedError, parse_json, read_bytes, shorten
from beeline.training.record import MEASURED_IN

_PER_RUN = ("iteration", "env_steps", "wall_seconds")
_PER_SEED = ("return", "normalized_return")
_LARGEST = 2**28


def row(record: Any, reference: Reference) -> dict[str, list[Any]]:
    """Put the measurements of an iteration as JSON has them.

    Args:
        record: What it measured, with an entry for each seed.
        reference: The ends of the scale of normalised returns.

    Returns:
        A list with an entry for each seed by name, None where nothing was measured.
    """
    given = {name: values for name, values in record._asdict().items() if values is not None}
    named = {name.rstrip("_"): np.asarray(values) for name, values in given.items()}
    for name in named.keys() & MEASURED_IN.keys():
        named[name] = np.where(named[MEASURED_IN[name]] > 0, named[name], np.nan)
    for name in ("imagined_return", "return"):
        if name in named:
            named[f"normalized_{name}"] = reference.normalize(named[name])
    return {name: plain(values) for name, values in named.items()}


def plain(values: Shaped[np.ndarray, " seed"]) -> list[Any]:
    """Put numbers as JSON has them.

    Args:
        values: The numbers.

    Returns:
        The same, None in place of what is not finite.
    """
    return [value if math.isfinite(value) else None for value in values.tolist()]


def known(value: float) -> float | None:
    """Put a number as JSON has it.

    Args:
        value: The number.

    Returns:
        The same, None if it is not finite.
    """
    return value if math.isfinite(value) else None


def columns(rows: Sequence[dict[str, Any]]) -> dict[str, np.ndarray]:
    """Turn lines into columns.

    Args:
        rows: Whole lines of a run, in order.

    Returns:
        Arrays by name, of shape (iterations, seeds) or, for what seeds share, (iterations,).
    """
    return {name: np.asarray([row[name] for row in rows], dtype=float) for name in rows[0]}


def total(rows: Sequence[dict[str, Any]], name: str, seeds: int) -> Float[np.ndarray, " seed"]:
    """Add up what the iterations counted.

    Args:
        rows: Whole lines of a run.
        name: What was counted; nothing, where a row lacks it, as of an older version or a baseline.
        seeds: Entries in each list.

    Returns:
        The sums.
    """
    none = [0] * seeds
    counts = [[count or 0 for count in row.get(name, none)] for row in rows]
    return np.sum(counts or [none], axis=0, dtype=float)


def read_rows(file: Path, seeds: int) -> list[dict[str, Any]]:
    """Read the lines that a run has written, which may still be going on.

    Args:
        file: The file of its metrics.
        seeds: Entries to expect in each list.

    Returns:
        The whole lines, in order.

    Raises:
        RunError: If the file is missing, empty or damaged, naming the line.
    """
    try:
        content = read_bytes(file, _LARGEST)
    except FileNotFoundError:
        raise RunError(f"{file} is missing: the run has no finished iteration") from None
    except UntrustedError as error:
        raise RunError(f"{file} {error}") from error
    # The last line may be cut off: it is being written, or its writer was killed.
    rows = parse_rows(content[: content.rfind(b"\n") + 1], file, seeds)
    if not rows:
        raise RunError(f"{file} is empty: the run has no finished iteration")
    return rows


def parse_rows(content: bytes, file: Path, seeds: int) -> list[dict[str, Any]]:
    """Parse lines that a run has written, trusting nothing in them.

    Args:
        content: The lines.
        file: Where they come from, for errors.
        seeds: Entries to expect in each list.

    Returns:
        The lines, in order. What only later lines have is None in the earlier ones.

    Raises:
        RunError: If a line is damaged, naming it.
    """
    rows: list[dict[str, Any]] = []
    names: dict[str, None] = {}
    for number, line in enumerate(content.splitlines(), 1):
        try:
            row = parse_json(line)
        except UntrustedError as error:
            raise RunError(f"{file} line {number} {error}") from error
        fault = _fault(row, names, seeds, number)
        if fault:
            raise RunError(
                f"{file} line {number} does not hold the metrics of {seeds} seeds: {fault}"
            )
        rows.append(row)
        names = dict.fromkeys(row)
    if rows and rows[0].keys() != names.keys():
        nothing = [None] * seeds
        rows = [{name: row.get(name, nothing) for name in names} for row in rows]
    return rows


def _fault(row: Any, names: Mapping[str, Any], seeds: int, number: int) -> str | None:
    if not isinstance(row, dict):
        return "it is not an object"
    for name in (*_PER_RUN, *_PER_SEED, *names):
        if name not in row:
            return f"it lacks {name!r}"
    if row["iteration"] != number:
        return f"iteration is {shorten(row['iteration'])}"
    for name, value in row.items():
        per_run = name in _PER_RUN
        numbers = [value] if per_run else value
        if not isinstance(numbers, list) or len(numbers) != (1 if per_run else seeds):
            return f"{shorten(name)} is not a list of {seeds}"
        if not all(type(n) in (int, float) or (n is None and not per_run) for n in numbers):
            return f"{shorten(name)} does not hold numbers"
    return None
