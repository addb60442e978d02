"""Write down what every recorded run reached: eight tasks, each horizon, each model.

Reads the runs of all grids, computes no run.
"""

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from beeline import statistics
from beeline.storage.atomic import replacing
from experiments._benchmark import LEAST_SEEDS, bracketed, with_bounds
from experiments._grid import TASKS, Cell, GridError
from experiments._runner import RESULTS
from experiments._store import Row, Store

PAGE = Path(__file__).parents[1] / "docs" / "results.md"

Finals = dict[Cell, Row]

_HEAD = """# Results

Normalised return of the deterministic policy after the last iteration: 0 is the mean of uniformly
random actions, 1 the best open-loop return of exactly that task. Each entry is the median of the
seeds, with the worst of them in brackets; the last row of a table is the interquartile mean over
all its tasks and seeds, with its 95% interval by stratified bootstrap where there are at least
{least} seeds. Updates and episodes that are not finite are left out of training; the last table
counts them. A run that such a number stopped before its last step has no result: it is counted
beside the others of its entry, and no number rests on it. Models that miss some task have no last
row.

Variants: {variants}. Where a column is not of the first, its head names it. Made from
[experiments/results/finals.csv](../experiments/results/finals.csv), whose rows name the command of
each run, by

```
{command}
```
"""


def main() -> None:
    """Write the page; mistakes end the process in one line."""
    parser = argparse.ArgumentParser(prog="python -m experiments.table", description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder with the runs")
    parser.add_argument(
        "--variants",
        nargs="+",
        default=["default"],
        metavar="VARIANT",
        help="each a preset and what differs from it, the one to compare others with first",
    )
    parser.add_argument("--out", type=Path, default=PAGE, help="the page to write")
    arguments = parser.parse_args()
    try:
        text = page(Store(arguments.results).finals(), arguments.variants)
    except GridError as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    with replacing(arguments.out) as file:
        file.write(text.encode())


def page(finals: Finals, variants: Sequence[str]) -> str:
    """Put the runs of some variants into tables.

    Args:
        finals: How the runs ended.
        variants: The variants, at least one.

    Returns:
        A page in Markdown.

    Raises:
        GridError: If no run of a variant is recorded.
    """
    for variant in variants:
        if all(cell.variant != variant for cell in finals):
            known = ", ".join(sorted({repr(cell.variant) for cell in finals})) or "none"
            raise GridError(f"no run of the variant {variant!r} is recorded: choose from {known}")
    columns: dict[str, Finals] = {}
    for cell, row in finals.items():
        if cell.variant in variants:
            first = cell.variant == variants[0]
            name = cell.model if first else f"{cell.model}, {cell.variant}"
            columns.setdefault(name, {})[cell] = row
    names = " ".join(f'"{variant}"' for variant in variants)
    command = f"python -m experiments.table --variants {names}"
    listed = ", ".join(f"`{variant}`" for variant in variants)
    parts = [_HEAD.format(variants=listed, command=command, least=LEAST_SEEDS)]
    for horizon in sorted({cell.horizon for runs in columns.values() for cell in runs}):
        parts.append(f"## H = {horizon}\n\n{_of_horizon(columns, horizon)}")
    parts.append(f"## Where they come from\n\n{_origins(columns)}")
    return "\n".join(parts)


def _of_horizon(columns: dict[str, Finals], horizon: int) -> str:
    scores = {
        name: [_scores(runs, task, horizon) for task in TASKS]
        for name, runs in columns.items()
        if any(cell.horizon == horizon and cell.task in TASKS for cell in runs)
    }
    lines = [["task", *scores]]
    for place, task in enumerate(TASKS):
        stopped = (_stopped(columns[name], task, horizon) for name in scores)
        entries = (_entry(tasks[place]) for tasks in scores.values())
        lines.append([task, *(_beside(*pair) for pair in zip(entries, stopped, strict=True))])
    lines.append(["all tasks", *(_aggregate(tasks) for tasks in scores.values())])
    return _markdown(lines)


def _scores(runs: Finals, task: str, horizon: int) -> np.ndarray:
    values = [
        float(row["normalized_return"] or "nan")
        for cell, row in runs.items()
        if (cell.task, cell.horizon) == (task, horizon) and row["stopped"] != "1"
    ]
    # A run without a single finite return has nothing to show but random actions.
    return statistics.fill_failures(np.reshape(values, (-1, 1)))[:, 0]


def _stopped(runs: Finals, task: str, horizon: int) -> int:
    at = (task, horizon)
    return sum((c.task, c.horizon) == at and row["stopped"] == "1" for c, row in runs.items())


def _beside(entry: str, stopped: int) -> str:
    return ", ".join(part for part in (entry, f"{stopped} stopped" if stopped else "") if part)


def _entry(scores: np.ndarray) -> str:
    if scores.size < 2:
        return "".join(f"{score:.3f}" for score in scores)
    return f"{np.median(scores):.3f} ({scores.min():.3f})"


def _aggregate(scores: Sequence[np.ndarray]) -> str:
    if any(task.size == 0 for task in scores):
        return ""
    interval = statistics.bootstrap(statistics.interquartile_mean, scores)
    return bracketed(with_bounds(interval, scores), digits=3)


def _origins(columns: dict[str, Finals]) -> str:
    lines = [
        ["column", "runs", "seeds", "environment steps", "stopped", "left out", "dates", "machines"]
    ]
    for name, runs in columns.items():
        steps = sorted(int(row["env_steps"]) for row in runs.values())
        dates = sorted(row["date"] for row in runs.values())
        machines = sorted({row["machine"] for row in runs.values()})
        seeds = len({cell.seed for cell in runs})
        lines.append(
            [
                name,
                str(len(runs)),
                str(seeds),
                _span(f"{number:,}" for number in steps),
                str(sum(row["stopped"] == "1" for row in runs.values())),
                _left_out([row["skipped"] for row in runs.values()]),
                _span(dates),
                "; ".join(machines),
            ]
        )
    return _markdown(lines)


def _left_out(counts: Sequence[str]) -> str:
    return "" if "" in counts else str(sum(map(int, counts)))


def _span(sorted_texts: Iterable[str]) -> str:
    texts = list(sorted_texts)
    return texts[0] if texts[0] == texts[-1] else f"{texts[0]} to {texts[-1]}"


def _markdown(lines: Sequence[Sequence[str]]) -> str:
    ruled = [lines[0], ["---"] * len(lines[0]), *lines[1:]]
    return "".join(f"| {' | '.join(line)} |\n" for line in ruled)


if __name__ == "__main__":
    main()
