"""When actions models are worth it, one dial a task: draw."""

from pathlib import Path
from typing import Any

import numpy as np

from beeline._drawing import Figure
from experiments._benchmark import Line, Recorded
from experiments._benchmark_figures import main
from experiments._grid import Cell
from experiments._lines import finish, style_of
from experiments.when_actions import tasks


def draw(recorded: Recorded, results: Path) -> list[dict[str, Any]]:
    """Draw what every line costs by the setting of each dial, at the longest horizon.

    Costs are means over a step, so that those of several horizons compare; no task has less
    than none.

    Args:
        recorded: The grid and what is recorded.
        results: Folder for the figure.

    Returns:
        A row for each task, horizon and line.
    """
    named = {made: name for name, made in vars(tasks).items() if made in _settings()}
    size = (2.6 * len(tasks.FAMILIES) + 2.4, 3.2)
    figure = Figure(figsize=size, dpi=130, layout="constrained")
    places = figure.subplots(1, len(tasks.FAMILIES), squeeze=False)[0]
    places[0].set_ylabel("cost of a step")
    longest = max(recorded.horizons)
    for axes, (family, settings) in zip(places, tasks.FAMILIES.items(), strict=True):
        axes.set_title(family, fontsize=8)
        axes.set_yscale("log")
        axes.grid(alpha=0.25)
        names = [named[made] for made in settings]
        axes.set_xticks(range(len(names)), [n.partition("_")[2] for n in names], fontsize=8)
        for line in recorded.lines:
            costs = [_costs(recorded, line, name, longest) for name in names]
            there = [at for at, found in enumerate(costs) if found.size]
            if there:
                middle = [np.median(costs[at]) for at in there]
                low, high = ([f(costs[at]) for at in there] for f in (np.min, np.max))
                style = style_of(line, recorded)
                axes.plot(there, middle, marker="o", markersize=3, **style)
                axes.fill_between(there, low, high, color=style["color"], alpha=0.15)
    finish(figure, results / "dials.png")
    return [
        _row(recorded, line, name, horizon)
        for name in named.values()
        for horizon in recorded.horizons
        for line in recorded.lines
        if _task(name) in line.block.tasks
    ]


def _settings() -> list[Any]:
    return [made for settings in tasks.FAMILIES.values() for made in settings]


def _task(name: str) -> str:
    return f"{tasks.__name__}:{name}"


def _cells(line: Line, name: str, horizon: int) -> list[Cell]:
    return [cell for cell in line.all_cells(horizon) if cell.task == _task(name)]


def _costs(recorded: Recorded, line: Line, name: str, horizon: int) -> np.ndarray:
    ran = recorded.ran(_cells(line, name, horizon))
    ended = [cell for cell in ran if not recorded.stopped(cell)]
    return -np.array([float(recorded.finals[cell]["return"]) for cell in ended]) / horizon


def _row(recorded: Recorded, line: Line, name: str, horizon: int) -> dict[str, Any]:
    costs = _costs(recorded, line, name, horizon)
    ran = recorded.ran(_cells(line, name, horizon))
    said = (f"{f(costs):.4g}" if costs.size else "" for f in (np.median, np.min, np.max))
    return {
        "task": name,
        "horizon": horizon,
        "line": line.name,
        "runs": costs.size,
        "wanted": len(_cells(line, name, horizon)),
        **recorded.faults(ran),
        **dict(zip(("median cost of a step", "least", "greatest"), said, strict=True)),
    }


if __name__ == "__main__":
    main(Path(__file__).parent, draw)
