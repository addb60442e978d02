"""Windows and whole episodes where starts vary: draw."""

import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from beeline.envs import make
from beeline.run._reference import Reference
from experiments._benchmark import Line, Recorded
from experiments._benchmark_figures import learning, main
from experiments._grid import Block, Cell
from experiments._results import save
from experiments._store import Curve
from experiments.any_start.rival import FILE, REFERENCE, Row, read
from experiments.any_start.same_starts import GAINS, NAME, read_gains

_SHOWN = {"pendulum": (4000, 6000, 10_000), "cart-pole": (15_000, 20_000, 50_000)}
"""Steps after which the rival's table has a row; of others, the last."""
_COMMAND = "python -m experiments.any_start.plot"


def draw(recorded: Recorded, results: Path) -> list[dict[str, Any]]:
    """Draw the pendulum's learning curves, and put the other tables into the README.

    Only the pendulum has a scale on which curves tell something: from random actions that let a
    linear task run away, almost any feedback is near 1, and the cart-pole's 1 is a bound.

    Args:
        recorded: The grid and what is recorded.
        results: Folder for the figures; the README is beside it.

    Returns:
        The rows of the experiment's table.
    """
    rival, readme = read(FILE), results.parent / "README.md"
    if readme.exists():
        text = readme.read_text(encoding="utf-8")
        tables = {"rival": rival_table(rival), "feedback": feedback_table(read_gains())}
        for name, table in tables.items():
            mark = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
            text = mark.sub(lambda found, table=table: f"{found[1]}{table}{found[2]}", text)
        readme.write_text(text, encoding="utf-8")
        save(results / "same_episodes.csv", in_same_episodes(rival), _COMMAND)
    of_pendulum = [line for line in recorded.lines if line.block.tasks == ("pendulum",)]
    shown = recorded._replace(lines=of_pendulum or recorded.lines)
    learning(with_rival(shown, rival), results)
    return returns(recorded)


def returns(recorded: Recorded) -> list[dict[str, Any]]:
    """Tell what runs earn at their end, in the tasks' own units.

    Args:
        recorded: The grid and what is recorded.

    Returns:
        A row for each line, task and horizon.
    """
    rows = []
    for line in recorded.lines:
        for task, horizon in itertools.product(line.block.tasks, line.block.horizons):
            (variant,) = line.block.variants
            wanted = line.cells(task, horizon, variant)
            ran = recorded.ran(wanted)
            ended = [cell for cell in ran if not recorded.stopped(cell)]
            earned = np.array([float(recorded.finals[cell]["return"]) for cell in ended])
            best = Reference.of(make(task, horizon=horizon)).best_return
            rows.append(
                {
                    "task": task,
                    "horizon": horizon,
                    "line": line.name,
                    "env_steps": recorded.finals[ended[0]]["env_steps"] if ended else "",
                    "runs": len(ended),
                    "wanted": len(wanted),
                    "stopped": len(ran) - len(ended),
                    "skipped": sum(int(recorded.finals[cell]["skipped"] or 0) for cell in ended),
                    "median": f"{np.median(earned):.4g}" if ended else "",
                    "least": f"{earned.min():.4g}" if ended else "",
                    "greatest": f"{earned.max():.4g}" if ended else "",
                    "reference": "none" if best is None else f"{best:.4g}",
                }
            )
    return sorted(rows, key=lambda row: row["task"])


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
        if row["settings"] not in {REFERENCE, NAME}:
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


def in_same_episodes(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Tell what the rival and the default earn in the same episodes, and the references there.

    Args:
        rows: What is recorded of them.

    Returns:
        A row for each task, settings and number of environment steps that is shown.
    """
    references = {row["task"]: row["return"] for row in rows if row["settings"] == REFERENCE}
    kinds = dict.fromkeys((row["task"], row["horizon"], row["settings"]) for row in rows)
    found = []
    for task, horizon, settings in kinds:
        mine = [r for r in rows if (r["task"], r["settings"]) == (task, settings)]
        last = max(int(row["env_steps"]) for row in mine)
        for steps in _SHOWN.get(task, (last,)) if settings != REFERENCE else ():
            reached = [row for row in mine if int(row["env_steps"]) == steps]
            if reached:
                returns = np.array([float(row["return"]) for row in reached])
                seconds = np.median([float(row["processor_seconds"]) for row in reached])
                found.append(
                    {
                        "task": task,
                        "horizon": horizon,
                        "settings": settings,
                        "env_steps": steps,
                        "seeds": len(reached),
                        "median": f"{np.median(returns):.4g}",
                        "least": f"{returns.min():.4g}",
                        "greatest": f"{returns.max():.4g}",
                        "reference": references.get(task, "none"),
                        "seconds": f"{seconds:.0f}",
                    }
                )
    return sorted(found, key=lambda row: row["task"])


def rival_table(rows: Sequence[Row]) -> str:
    """Lay out what the rival and the default earn in the same episodes.

    Args:
        rows: What is recorded of them.

    Returns:
        The table, as Markdown.
    """
    lines = [
        "| task | steps of an episode | settings | environment steps | seeds | return: median "
        "[least, greatest] | reference | processor seconds |",
        "|---" * 8 + "|",
    ]
    lines += [
        "| {task} | {horizon} | {settings} | {env_steps:,} | {seeds} | {median} [{least}, "
        "{greatest}] | {reference} | {seconds} |".format(**row)
        for row in in_same_episodes(rows)
    ]
    return "\n".join(lines) + "\n"


def feedback_table(rows: Sequence[dict[str, str]]) -> str:
    """Lay out how policies answer to the state, beside the regulator.

    Args:
        rows: The gains that are recorded.

    Returns:
        The table, as Markdown.
    """
    lines = [
        "| task | gain of | regulator | learned: median [least, greatest] | seeds |",
        "|---" * 5 + "|",
    ]
    for task, name in itertools.product(dict.fromkeys(r["task"] for r in rows), GAINS):
        found = {row["seed"]: float(row[name]) for row in rows if row["task"] == task}
        best = found.pop("regulator")
        learned = np.array(list(found.values()))
        told = f"{np.median(learned):.3f} [{learned.min():.3f}, {learned.max():.3f}]"
        lines.append(f"| {task} | {name} | {best:.3f} | {told} | {len(learned)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main(Path(__file__).parent, draw)
