"""Windows and whole episodes where starts vary: draw."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments._benchmark import Line, Recorded
from experiments._benchmark_figures import learning, main
from experiments._grid import Block, Cell
from experiments._store import Curve
from experiments.any_start.rival import FILE, REFERENCE, Row, read

_SHOWN = {"pendulum": (4000, 6000, 10_000), "cart-pole": (20_000, 50_000)}
"""Steps after which the rival's table has a row; of others, the last."""
_MARK = re.compile(r"(<!-- rival -->\n).*?(<!-- end -->)", re.DOTALL)


def draw(recorded: Recorded, results: Path) -> list[dict[str, Any]]:
    """Draw learning curves, the rival's among them, and put the rival's table into the README.

    Args:
        recorded: The grid and what is recorded.
        results: Folder for the figures; the README is beside it.

    Returns:
        The rows of the experiment's table.
    """
    rival, readme = read(FILE), results.parent / "README.md"
    if readme.exists():
        old = readme.read_text(encoding="utf-8")
        new = _MARK.sub(lambda found: f"{found[1]}{rival_table(rival)}{found[2]}", old)
        readme.write_text(new, encoding="utf-8")
    return learning(with_rival(recorded, rival), results)


def with_rival(recorded: Recorded, rows: Sequence[Row]) -> Recorded:
    """Add a line for the rival, on the tasks and horizons of the first line.

    Its seconds are those of the processor: with one thread, what an idle core takes.

    Args:
        recorded: The grid and what is recorded.
        rows: What is recorded of the rival.

    Returns:
        Both.
    """
    runs: dict[Cell, list[Row]] = {}
    for row in rows:
        if row["settings"] != REFERENCE:
            cell = Cell(row["task"], int(row["horizon"]), "sac", "recommended", int(row["seed"]))
            runs.setdefault(cell, []).append(row)
    first = recorded.lines[0].block
    seeds = 1 + max((cell.seed for cell in runs), default=0)
    block = Block(
        "Stable-Baselines3", first.tasks, first.horizons, ("sac",), ("recommended",), seeds
    )
    names = ("env_steps", "processor_seconds", "normalized_return")
    curves = {
        cell: Curve(*(np.array([float(row[name]) for row in found]) for name in names))
        for cell, found in runs.items()
    }
    return Recorded(
        [*recorded.lines, Line("sac", block)],
        recorded.finals | {cell: found[-1] for cell, found in runs.items()},
        recorded.curves | curves,
    )


def rival_table(rows: Sequence[Row]) -> str:
    """Lay out what the rival earns, beside what the references earn in the same episodes.

    Args:
        rows: What is recorded of it.

    Returns:
        The table, as Markdown.
    """
    lines = [
        "| task | steps of an episode | settings | environment steps | seeds | return: median "
        "[least, greatest] | reference | processor seconds |",
        "|---" * 8 + "|",
    ]
    references = {row["task"]: row["return"] for row in rows if row["settings"] == REFERENCE}
    kinds = dict.fromkeys((row["task"], row["horizon"], row["settings"]) for row in rows)
    for task, horizon, settings in kinds:
        if settings == REFERENCE:
            continue
        mine = [r for r in rows if (r["task"], r["settings"]) == (task, settings)]
        last = max(int(row["env_steps"]) for row in mine)
        for steps in _SHOWN.get(task, (last,)):
            reached = [row for row in mine if int(row["env_steps"]) == steps]
            if reached:
                returns = np.array([float(row["return"]) for row in reached])
                seconds = np.median([float(row["processor_seconds"]) for row in reached])
                lines.append(
                    f"| {task} | {horizon} | {settings} | {steps:,} | {len(reached)} "
                    f"| {np.median(returns):.4g} [{returns.min():.4g}, {returns.max():.4g}] "
                    f"| {references.get(task, 'none')} | {seconds:.0f} |"
                )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main(Path(__file__).parent, draw)
