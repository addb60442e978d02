"""Time, memory and compile time of each operation, and how they grow with the horizon."""

import datetime
import itertools
import json
import math
import os
import platform
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.cases import OPERATIONS, Case, Measured, measure, median_seconds

LONGEST_UNROLLED = 500
"""A scan gradient through a transformer stores a cache a step: beyond this it needs tens of GB."""


def cases(models: list[str], horizons: list[int], operations: list[str]) -> list[Case]:
    """List what makes sense to measure.

    Args:
        models: Names of world models.
        horizons: Steps in an episode.
        operations: Names of operations.

    Returns:
        The cases.
    """
    every = itertools.product(models, horizons, operations)
    return [Case(*case) for case in every if _makes_sense(*case)]


def _makes_sense(model: str, horizon: int, operation: str) -> bool:
    actions_only = model.endswith("-awm")
    quadratic = model.startswith(("transformer", "attention")) and horizon > LONGEST_UNROLLED
    if operation.startswith("reference"):
        return model == "transformer-awm" and not quadratic
    if operation in ("direct", "sweeps"):
        return actions_only
    if operation == "unrolled":
        return not quadratic
    if operation == "iteration":
        return not quadratic
    return not (model == "simulator" and operation == "fit")


def matrix_rate() -> float:
    """Measure the machine's own rate on a large float32 matrix product.

    Returns:
        Floating-point operations a second.
    """
    import jax
    import jax.numpy as jnp

    side = 4096
    matrix = jnp.ones((side, side))
    product = jax.jit(jnp.matmul)
    jax.block_until_ready(product(matrix, matrix))
    return 2 * side**3 / median_seconds(lambda: product(matrix, matrix).block_until_ready())


def device() -> str:
    """Name the machine.

    Returns:
        The kind of device and how many processors there are.
    """
    import jax

    kind = jax.devices()[0].device_kind
    return f"{kind}, {os.cpu_count()} cores, {platform.machine()}"


def growth(rows: list[Measured], quantity: str) -> dict[str, float]:
    """Fit the exponent of a power law between the two longest horizons of each operation.

    Args:
        rows: Measurements.
        quantity: `milliseconds`, or `megabytes` for the peak above the base.

    Returns:
        The exponent by "model operation"; only where both horizons were measured.
    """

    def value(row: Measured) -> float:
        if quantity == "milliseconds":
            return row.milliseconds
        return max(1.0, row.peak_megabytes - (row.base_megabytes or 0))

    exponents = {}
    for model, operation in dict.fromkeys((r.model, r.operation) for r in rows):
        series = sorted(
            (r for r in rows if (r.model, r.operation) == (model, operation)),
            key=lambda r: r.horizon,
        )
        if len(series) >= 2:
            short, long = series[-2:]
            ratio = math.log(value(long) / value(short))
            exponents[f"{model} {operation}"] = ratio / math.log(long.horizon / short.horizon)
    return exponents


def run(
    models: list[str],
    horizons: list[int],
    operations: list[str],
    out: Path | None,
    together: int = 1,
) -> None:
    """Measure, print and save.

    Args:
        models: Names of world models.
        horizons: Steps in an episode.
        operations: Names of operations.
        out: JSON file to write, if any.
        together: How many cases compile side by side; each is timed alone.
    """
    unknown = set(operations) - set(OPERATIONS)
    if unknown:
        raise SystemExit(f"unknown operation {unknown}: choose from {', '.join(OPERATIONS)}")
    # Processes that share an accelerator take of its memory what they need, not most of it.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    console = Console(width=120)
    rate = matrix_rate()
    console.print(f"{device()}; large matrix product {rate / 1e9:.0f} GFLOP/s")
    rows = []
    wanted = cases(models, horizons, operations)
    for position in range(0, len(wanted), together):
        for row in measure(wanted[position : position + together]):
            rows.append(row)
            console.print(_line(row, rate))
    console.print(_table(rows, rate))
    for quantity in ("milliseconds", "megabytes"):
        for name, exponent in growth(rows, quantity).items():
            console.print(f"{quantity} of {name} grow as horizon^{exponent:.2f}")
    for line in ratios(rows):
        console.print(line)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        record = {
            "device": device(),
            "date": datetime.date.today().isoformat(),
            "matrix_rate": rate,
            "rows": [asdict(r) for r in rows],
        }
        out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def ratios(rows: list[Measured]) -> list[str]:
    """Compare the two routes and the plain baselines, all of the same run.

    Args:
        rows: Measurements.

    Returns:
        A line a comparison.
    """
    found = {(r.model, r.horizon, r.operation): r for r in rows}
    lines = []
    for fast, slow in (
        ("direct", "unrolled"),
        ("direct", "reference-gradient"),
        ("fit", "reference-fit"),
    ):
        for (model, horizon, operation), row in found.items():
            other = found.get((model, horizon, slow))
            if operation == fast and other is not None:
                time = other.milliseconds / row.milliseconds
                memory = other.peak_megabytes / row.peak_megabytes
                lines.append(
                    f"{model} H={horizon}: {fast} is {time:.1f} times faster than {slow}, "
                    f"in a process {memory:.1f} times smaller"
                )
    return lines


def compare(before: Path, after: Path) -> None:
    """Print the ratio of two files, case by case.

    Args:
        before: JSON file of an earlier run.
        after: JSON file of a later run.
    """
    first, second = (
        {(r["model"], r["horizon"], r["operation"]): r for r in json.loads(p.read_bytes())["rows"]}
        for p in (before, after)
    )
    table = Table("model", "horizon", "operation", "before ms", "after ms", "speed-up", "memory")
    for key in first.keys() & second.keys():
        old, new = first[key], second[key]
        table.add_row(
            *map(str, key),
            f"{old['milliseconds']:.1f}",
            f"{new['milliseconds']:.1f}",
            f"{old['milliseconds'] / new['milliseconds']:.2f}",
            f"{old['peak_megabytes'] / new['peak_megabytes']:.2f}",
        )
    Console(width=120).print(table)


def markdown(paths: tuple[Path, ...]) -> str:
    """Set what `run` saved as a table for a page.

    Args:
        paths: JSON files, all of one machine.

    Returns:
        Markdown.
    """
    records = [json.loads(path.read_bytes()) for path in paths]
    lines = [
        "| model | steps | operation | episodes | ms | of rate | peak MB | compile s | again s |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for record in records:
        for row in (Measured(**r) for r in record["rows"]):
            fraction = _fraction(row, record["matrix_rate"])
            lines.append(
                f"| {row.model} | {row.horizon:,} | {row.operation} | {row.batch} "
                f"| {row.milliseconds:,.1f} | {fraction} | {row.peak_megabytes:,.0f} "
                f"| {_one_place(row.compile_seconds)} | {_one_place(row.cached_seconds)} |"
            )
    machines = {(r["device"], r["date"], f"{r['matrix_rate'] / 1e9:.0f}") for r in records}
    about = (
        f"{device}, {date}; a large matrix product ran at {rate} GFLOP/s."
        for device, date, rate in sorted(machines)
    )
    return "\n".join((*about, "", *lines))


def _fraction(row: Measured, rate: float) -> str:
    return f"{100 * row.operations / (1e-3 * row.milliseconds) / rate:.0f}%"


def _one_place(number: float | None) -> str:
    return "" if number is None else f"{number:.1f}"


def _line(row: Measured, rate: float) -> str:
    return (
        f"{row.model} H={row.horizon} {row.operation}: {row.milliseconds:.1f} ms, "
        f"{row.peak_megabytes:.0f} MB, {_fraction(row, rate)}"
    )


def _table(rows: list[Measured], rate: float) -> Table:
    table = Table(
        "model",
        "horizon",
        "operation",
        "batch",
        "ms",
        "of rate",
        "peak MB",
        "base MB",
        "compile s",
        "cached s",
    )
    for r in rows:
        table.add_row(
            r.model,
            str(r.horizon),
            r.operation,
            str(r.batch),
            f"{r.milliseconds:.1f}",
            _fraction(r, rate),
            f"{r.peak_megabytes:.0f}",
            _one_place(r.base_megabytes),
            _one_place(r.compile_seconds),
            _one_place(r.cached_seconds),
        )
    return table
