"""The recipe of windows without each of its ingredients: draw."""

from pathlib import Path
from typing import Any

import numpy as np

from beeline._drawing import Figure
from experiments._benchmark import Recorded
from experiments._benchmark_figures import main
from experiments._lines import finish
from experiments.any_start.plot import returns

_CLOSEST = 1e-3
"""A cost that is closer to the reference's, as a share of it, is drawn as this close."""


def draw(recorded: Recorded, results: Path) -> list[dict[str, Any]]:
    """Draw by how much every run's cost is above the reference's, task by task.

    Args:
        recorded: The grid and what is recorded; its first label is what others are held against.
        results: Folder for the figure.

    Returns:
        What each line earns on each task, in the task's own units.
    """
    labels = list(dict.fromkeys(line.block.label for line in recorded.lines))
    rows = returns(recorded)
    best = {row["task"]: float(row["reference"]) for row in rows if row["reference"] != "none"}
    size = (2.6 * len(best) + 3.2, 0.24 * len(labels) + 1.0)
    figure = Figure(figsize=size, dpi=130, layout="constrained")
    places = figure.subplots(1, max(len(best), 1), squeeze=False, sharey=True)[0]
    for axes, (task, reference) in zip(places, sorted(best.items()), strict=False):
        axes.set_title(task, fontsize=9)
        axes.set_xscale("log")
        axes.set_xlabel("cost above the best known, as a share of it", fontsize=8)
        axes.grid(alpha=0.25)
        for line in recorded.lines:
            above = (reference - _earned(recorded, line, task)) / abs(reference)
            if above.size:
                at = np.full(above.size, labels.index(line.block.label))
                axes.plot(np.maximum(above, _CLOSEST), at, "o", color="C0", markersize=4, alpha=0.7)
            if above.size and line.block.label == labels[0]:
                axes.axvline(max(np.median(above), _CLOSEST), color="grey", linestyle=":")
    places[0].set_yticks(range(len(labels)), labels, fontsize=8)
    places[0].invert_yaxis()
    finish(figure, results / "ingredients.png")
    return rows


def _earned(recorded: Recorded, line: Any, task: str) -> np.ndarray:
    cells = [
        cell
        for horizon in line.block.horizons
        for cell in recorded.ran(line.all_cells(horizon))
        if cell.task == task and not recorded.stopped(cell)
    ]
    return np.array([float(recorded.finals[cell]["return"]) for cell in cells])


if __name__ == "__main__":
    main(Path(__file__).parent, draw)
