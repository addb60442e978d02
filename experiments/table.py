"""Write down what every recorded run reached: eight tasks, each horizon, each model.

Reads the runs of all grids, computes no run.
"""

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from beeline import statistics
from beeline._atomic import replacing
from experiments._grid import TASKS, Cell, GridError
from experiments._runner import RESULTS
from experiments._store import Row, Store

PAGE = Path(__file__).parents[1] / "docs" / "results.md"

Finals = dict[Cell, Row]

_HEAD = """# Results

Normalised return of the deterministic policy after the last iteration: 0 is the mean of uniformly
random actions, 1 the best open-loop return of exactly that task. Each entry is the median of the
seeds, with the worst of them in brackets; the last row of a table is the interquartile mean over
all its tasks and seeds, with its 95% interval by stratified bootstrap where there are several
seeds. A run that diverged counts with the last finite return that its policy had. Models that miss
some task have no last row.

Variant `{variant}`. Made from [experiments/results/finals.csv](../experiments/results/finals.csv),
whose rows name the command of each run, by

```
{command}
```
"""


def main() -> None:
    """Write the page; mistakes end the process in one line."""
    parser = argparse.ArgumentParser(prog="python -m experiments.table", description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder with the runs")
    parser.add_argument("--variant", default="default", help="preset, and what differs from it")
    parser.add_argument("--out", type=Path, default=PAGE, help="the page to write")
    arguments = parser.parse_args()
    try:
        text = page(Store(arguments.results).finals(), arguments.variant)
    except GridError as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    with replacing(arguments.out) as file:
        file.write(text.encode())


def page(finals: Finals, variant: str) -> str:
    """Put the runs of a variant into tables.

    Args:
        finals: How the runs ended.
        variant: The variant.

    Returns:
        A page in Markdown.

    Raises:
        GridError: If no run of the variant is recorded.
    """
    runs = {cell: row for cell, row in finals.items() if cell.variant == variant}
    if not runs:
        known = ", ".join(sorted({repr(cell.variant) for cell in finals})) or "none"
        raise GridError(f"no run of the variant {variant!r} is recorded: choose from {known}")
    command = "python -m experiments.table"
    if variant != "default":
        command += f' --variant "{variant}"'
    parts = [_HEAD.format(variant=variant, command=command)]
    for horizon in sorted({cell.horizon for cell in runs}):
        at = {cell: row for cell, row in runs.items() if cell.horizon == horizon}
        parts.append(f"## H = {horizon}\n\n{_of_horizon(at)}")
    parts.append(f"## Where they come from\n\n{_origins(runs)}")
    return "\n".join(parts)


def _of_horizon(runs: Finals) -> str:
    models = _models(runs)
    lines = [["task", *models]]
    for task in TASKS:
        lines.append([task, *(_entry(_scores(runs, task, model)) for model in models)])
    lines.append(["all tasks", *(_aggregate(runs, model) for model in models)])
    return _markdown(lines)


def _scores(runs: Finals, task: str, model: str) -> np.ndarray:
    values = [
        float(row["normalized_return"] or "nan")
        for cell, row in runs.items()
        if (cell.task, cell.model) == (task, model)
    ]
    # A run without a single finite return has nothing to show but random actions.
    return statistics.fill_failures(np.reshape(values, (-1, 1)))[:, 0]


def _entry(scores: np.ndarray) -> str:
    if scores.size < 2:
        return "".join(f"{score:.3f}" for score in scores)
    return f"{np.median(scores):.3f} ({scores.min():.3f})"


def _aggregate(runs: Finals, model: str) -> str:
    scores = [_scores(runs, task, model) for task in TASKS]
    if any(task.size == 0 for task in scores):
        return ""
    mean, low, high = statistics.bootstrap(statistics.interquartile_mean, scores)
    # Resampling one seed gives that seed: no interval, not one without width.
    return f"{mean:.3f}" + ("" if low == high else f" [{low:.3f}, {high:.3f}]")


def _origins(runs: Finals) -> str:
    lines = [["model", "runs", "seeds", "environment steps", "dates", "machines"]]
    for model in _models(runs):
        mine = {cell: row for cell, row in runs.items() if cell.model == model}
        steps = sorted(int(row["env_steps"]) for row in mine.values())
        dates = sorted(row["date"] for row in mine.values())
        machines = sorted({row["machine"] for row in mine.values()})
        seeds = len({cell.seed for cell in mine})
        lines.append(
            [
                model,
                str(len(mine)),
                str(seeds),
                _span(f"{number:,}" for number in steps),
                _span(dates),
                "; ".join(machines),
            ]
        )
    return _markdown(lines)


def _span(sorted_texts: Iterable[str]) -> str:
    texts = list(sorted_texts)
    return texts[0] if texts[0] == texts[-1] else f"{texts[0]} to {texts[-1]}"


def _models(runs: Finals) -> list[str]:
    return list(dict.fromkeys(cell.model for cell in runs))


def _markdown(lines: Sequence[Sequence[str]]) -> str:
    ruled = [lines[0], ["---"] * len(lines[0]), *lines[1:]]
    return "".join(f"| {' | '.join(line)} |\n" for line in ruled)


if __name__ == "__main__":
    main()
