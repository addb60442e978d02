"""Results as CSV files that say where they come from, and the interval of a mean."""

import argparse
import csv
import datetime
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float

SCALES = ("smoke", "reduced", "full")
"""Seconds; minutes on one core; the paper's size."""


class Mean(NamedTuple):
    """A mean and its bootstrap interval."""

    value: float
    low: float
    high: float


def parse(module: str, description: str) -> tuple[str, Path]:
    """Read the command line of an experiment.

    Args:
        module: The experiment's module.
        description: What it does, in one line.

    Returns:
        The scale, and the folder for the results.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=description)
    parser.add_argument("--scale", choices=SCALES, required=True, help="how much to compute")
    parser.add_argument("--out", type=Path, help="folder for the results; the committed one if not")
    arguments = parser.parse_args()
    folder = Path(__file__).parent / module.split(".")[1] / "results"
    return arguments.scale, arguments.out or folder


def save(file: Path, rows: Sequence[Mapping[str, Any]], command: str) -> None:
    """Write rows under a heading of comments that says how they came to be.

    Args:
        file: The file to make or replace.
        rows: One mapping a row, all with the same keys, at least one.
        command: The exact command.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    heading = {
        "command": command,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": f"python {platform.python_version()}, jax {jax.__version__}",
    }
    with file.open("w", newline="", encoding="utf-8") as target:
        target.writelines(f"# {name}: {value}\n" for name, value in heading.items())
        writer = csv.DictWriter(target, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: _short(value) for name, value in row.items()} for row in rows)


def load(file: Path) -> list[dict[str, str]]:
    """Read rows back.

    Args:
        file: A file that `save` wrote.

    Returns:
        The rows, all values as text.
    """
    with file.open(newline="", encoding="utf-8") as source:
        return list(csv.DictReader(line for line in source if not line.startswith("#")))


def column(rows: Sequence[Mapping[str, str]], name: str) -> Float[np.ndarray, " row"]:
    """Take one column as numbers.

    Args:
        rows: Rows that `load` read.
        name: The column.

    Returns:
        Its values.
    """
    return np.array([float(row[name]) for row in rows])


def mean(values: Float[np.ndarray, " sample"]) -> Mean:
    """Average with a 95 % bootstrap interval over 10,000 resamples of the samples.

    Args:
        values: Independent samples.

    Returns:
        The mean and its interval; without width for a single sample, and NaN where a sample is
        not finite.
    """
    values = np.asarray(values, dtype=float)
    if not np.all(np.isfinite(values)):
        with np.errstate(invalid="ignore"):
            return Mean(float(values.mean()), np.nan, np.nan)
    draws = np.random.default_rng(0).integers(0, len(values), (10_000, len(values)))
    low, high = np.percentile(values[draws].mean(axis=1), [2.5, 97.5])
    return Mean(float(values.mean()), float(low), float(high))


def machine() -> str:
    """Name the machine that computes.

    Returns:
        Its accelerator or processor, number of cores and system.
    """
    device = jax.devices()[0]
    kind = device.device_kind if device.platform != "cpu" else _processor()
    return f"{kind}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "CPU"
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else "CPU"


def _short(value: Any) -> Any:
    return f"{value:.6g}" if isinstance(value, (float, np.floating)) else value
