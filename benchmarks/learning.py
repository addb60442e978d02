"""What the default recipe reaches on every task, with how many steps and how much time."""

import csv
import datetime
import statistics
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

import beeline
from beeline.envs import names

FIELDS = (
    "task", "horizon", "model", "seed", "env_steps", "normalized_return", "return", "steps_to_0.9",
    "steps_to_0.97", "wall_seconds", "compile_seconds", "machine", "date", "command",
)  # fmt: skip


def run(
    tasks: list[str],
    horizons: list[int],
    models: list[str],
    seeds: int,
    env_steps: int,
    out: Path,
) -> None:
    """Train, append a row a seed, and print a table of medians.

    Args:
        tasks: Tasks; all of them if empty.
        horizons: Steps in an episode.
        models: World models.
        seeds: Runs of each, side by side.
        env_steps: Environment steps, the warm-up included.
        out: CSV file to append to.
    """
    from benchmarks.speed import device

    console = Console(width=120)
    table = Table("task", "horizon", "model", "median", "worst", "steps to 0.97", "training s")
    out.parent.mkdir(parents=True, exist_ok=True)
    for task in tasks or names():
        for horizon in horizons:
            for model in models:
                rows = _train(task, horizon, model, seeds, env_steps, device())
                _append(out, rows)
                table.add_row(task, str(horizon), model, *_summary(rows))
                console.print(task, horizon, model, *_summary(rows))
    console.print(table)


def _train(
    task: str, horizon: int, model: str, seeds: int, env_steps: int, machine: str
) -> list[dict[str, object]]:
    result = beeline.train(task, horizon=horizon, model=model, seeds=seeds, env_steps=env_steps)
    summary = result.summary
    command = "python -m benchmarks " + " ".join(sys.argv[1:])
    return [
        {
            "task": task,
            "horizon": horizon,
            "model": model,
            "seed": seed,
            "env_steps": summary["env_steps"],
            "normalized_return": f"{summary['normalized_return'][seed]:.5f}",
            "return": f"{summary['return'][seed]:.6g}",
            "steps_to_0.9": _steps_to(0.9, result.records, seed),
            "steps_to_0.97": _steps_to(0.97, result.records, seed),
            "wall_seconds": f"{summary['wall_seconds']:.1f}",
            "compile_seconds": f"{summary['compile_seconds']:.1f}",
            "machine": machine,
            "date": datetime.date.today().isoformat(),
            "command": command,
        }
        for seed in range(seeds)
    ]


def _steps_to(level: float, records: list[dict], seed: int) -> int | None:
    """First environment step from which the normalised return stays at the level or above."""
    reached = None
    for record in records:
        if record["normalized_return"][seed] < level:
            reached = None
        elif reached is None:
            reached = record["env_steps"]
    return reached


def _append(out: Path, rows: list[dict[str, object]]) -> None:
    new = not out.exists()
    with out.open("a", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        if new:
            writer.writeheader()
        writer.writerows(rows)


def _summary(rows: list[dict[str, object]]) -> tuple[str, ...]:
    returns = [float(str(row["normalized_return"])) for row in rows]
    steps = [row["steps_to_0.97"] for row in rows]
    reached = sorted(int(str(s)) for s in steps if s is not None)
    return (
        f"{statistics.median(returns):.4f}",
        f"{min(returns):.4f}",
        f"{reached[len(reached) // 2]}" if 2 * len(reached) > len(steps) else "not reached",
        str(rows[0]["wall_seconds"]),
    )
