"""Arrays of a NumPy archive with names that are agreed upon."""

import errno
import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from beeline.data._episodes import DataError
from beeline.data._table import LARGEST_COUNT, LARGEST_FILE, Columns, Table
from beeline.storage.archive import Sparing, read_content, read_header
from beeline.storage.untrusted import UntrustedError, opened, shorten

_ARRAYS = {
    "states": (2, "fiu"),
    "actions": (2, "fiu"),
    "rewards": (1, "fiu"),
    "terminated": (1, "biu"),
    "episode": (1, "iuU"),
    "step": (1, "fiu"),
    "state_names": (1, "U"),
    "action_names": (1, "U"),
}
"""Axes of each, and kinds of its entries."""


def read_npz(path: Path) -> tuple[Table, Columns]:
    """Read the arrays `states`, `actions` and those beside them that are there.

    Args:
        path: The file.

    Returns:
        The columns, and what they are called.

    Raises:
        DataError: If an array is missing, unknown, of another shape or type, or too large.
        MemoryError: If there is none left.
    """
    try:
        with opened(path) as (file, size):
            if size > LARGEST_FILE:
                raise DataError(f"has {size} bytes, more than the {LARGEST_FILE} that it may have")
            with zipfile.ZipFile(Sparing(file)) as archive:
                arrays = _arrays(archive)
    except MemoryError:
        raise
    except Exception as error:
        fault = error.__context__ if isinstance(error, zipfile.BadZipFile) else error
        if isinstance(fault, OSError) and fault.errno != errno.EINVAL:
            raise fault from None
        if isinstance(error, UntrustedError | DataError):
            raise
        # A damaged archive fails in as many ways as there are bytes to damage.
        why = " ".join(str(error).split())[:200] or type(error).__name__
        raise DataError(f"is not a whole NumPy archive ({why})") from error
    return _table(arrays)


def _arrays(archive: zipfile.ZipFile) -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {}
    left = LARGEST_COUNT * 8
    for info in archive.infolist():
        name = info.filename.removesuffix(".npy")
        if name not in _ARRAYS or name in arrays:
            raise DataError(
                f"holds the array {shorten(name)}: give each of {', '.join(_ARRAYS)} at most once, "
                "and no others"
            )
        axes, kinds = _ARRAYS[name]
        with archive.open(info) as member:
            shape, fortran, kind = read_header(member)
            if len(shape) != axes or kind.kind not in kinds:
                raise DataError(
                    f"holds {name!r} of type {kind} and shape {shape}: give {axes} axes of "
                    f"{'texts' if kinds == 'U' else 'numbers'}"
                )
            left -= math.prod(shape) * kind.itemsize
            if left < 0:
                raise DataError(f"holds arrays of more than {LARGEST_COUNT * 8} bytes in all")
            arrays[name] = read_content(member, info.file_size, shape, fortran, kind)
    return arrays


def _table(arrays: dict[str, np.ndarray]) -> tuple[Table, Columns]:
    for name in ("states", "actions"):
        if name not in arrays:
            raise DataError(f"lacks the array {name!r}: give one of (rows, entries)")
    rows = len(arrays["states"])
    for name, array in arrays.items():
        if not name.endswith("_names") and len(array) != rows:
            raise DataError(
                f"holds {name!r} of {len(array)} rows and 'states' of {rows}: give the same"
            )
    named = {what: _names(arrays, what) for what in ("state", "action")}
    numbers = dict(zip(named["state"], arrays["states"].T, strict=True))
    numbers |= zip(named["action"], arrays["actions"].T, strict=True)
    numbers |= {n: arrays[n] for n in ("rewards", "terminated", "step") if n in arrays}
    columns = Columns(
        named["state"],
        named["action"],
        *(name if name in arrays else None for name in ("episode", "step", "rewards")),
        terminated="terminated" if "terminated" in arrays else None,
    )
    labels: Any = arrays["episode"].tolist() if "episode" in arrays else None
    floats = {name: np.asarray(column, np.float64) for name, column in numbers.items()}
    return Table(floats, labels, lambda row: f"row {row}"), columns


def _names(arrays: dict[str, np.ndarray], what: str) -> tuple[str, ...]:
    entries = arrays[f"{what}s"].shape[1]
    if f"{what}_names" not in arrays:
        return tuple(f"{what} {i}" for i in range(entries))
    names = tuple(arrays[f"{what}_names"].tolist())
    if len(names) != entries:
        raise DataError(f"holds {len(names)} {what}_names for {entries} {what} entries")
    return names
