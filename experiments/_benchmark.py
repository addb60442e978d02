"""What the runs of a grid say, line by line of a figure."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from beeline.statistics import (
    Interval,
    bootstrap,
    fill_failures,
    first_reach,
    hold,
    interquartile_mean,
    probability_of_improvement,
    reach_ratio,
)
from experiments._grid import Block, Cell, read_blocks
from experiments._store import Curve, Row, Store

POINTS = 60
"""Points of an aggregated learning curve."""


class Line(NamedTuple):
    """One line of a figure: a model as a block has it."""

    model: str
    block: Block

    @property
    def name(self) -> str:
        """What it is called.

        Returns:
            The model, and the block's label if it has one.
        """
        return f"{self.model}, {self.block.label}" if self.block.label else self.model

    def cells(self, task: str, horizon: int, variant: str) -> list[Cell]:
        """List its runs of one kind.

        Args:
            task: The task.
            horizon: The horizon.
            variant: The variant.

        Returns:
            One a seed.
        """
        seeds = range(self.block.seeds)
        return [Cell(task, horizon, self.model, variant, seed) for seed in seeds]


class Point(NamedTuple):
    """Where a line is at one horizon: its best variant."""

    variant: str
    interval: Interval
    """Interquartile mean over tasks and seeds."""
    scores: list[Float[np.ndarray, " seed"]]
    """Final returns by task, of all runs that it rests on."""

    @property
    def runs(self) -> int:
        """Count the runs that it rests on.

        Returns:
            Their number.
        """
        return sum(task.size for task in self.scores)


class Recorded(NamedTuple):
    """A grid and what is recorded of it."""

    lines: list[Line]
    finals: dict[Cell, Row]
    curves: dict[Cell, Curve]

    @classmethod
    def of(cls, grid: Path, scale: str, store: Store) -> "Recorded":
        """Read both.

        Args:
            grid: The grid file.
            scale: Which of its scales.
            store: Where runs are recorded.

        Returns:
            The lines of the grid, and all that is recorded.
        """
        blocks = read_blocks(grid, scale)
        lines = [Line(model, block) for block in blocks for model in block.models]
        return cls(lines, store.finals(), store.curves())

    @property
    def horizons(self) -> list[int]:
        """The horizons of the grid.

        Returns:
            Each once, in order.
        """
        return sorted({horizon for line in self.lines for horizon in line.block.horizons})

    def final(self, cell: Cell) -> float:
        """Score a run.

        Args:
            cell: The run, which is recorded.

        Returns:
            Its final normalised return; a run without a finite one counts like random actions.
        """
        final = float(self.finals[cell]["normalized_return"])
        return float(fill_failures(np.array([final]))[0])

    def point(self, line: Line, horizon: int) -> Point | None:
        """Aggregate a line over its tasks and seeds at one horizon.

        Args:
            line: The line.
            horizon: The horizon.

        Returns:
            The variant with the greatest interquartile mean; None unless there is one with a run
            of every task: a mean over other tasks than the other lines' would mislead.
        """
        points = []
        for variant in line.block.variants if horizon in line.block.horizons else ():
            scores = [
                np.array([self.final(cell) for cell in cells])
                for cells in self._recorded(line, horizon, variant)
            ]
            if all(task.size for task in scores):
                interval = bootstrap(interquartile_mean, scores)
                points.append(Point(variant, interval, scores))
        return max(points, key=lambda point: float(point.interval.value), default=None)

    def learning(
        self, line: Line, horizon: int, budgets: Float[np.ndarray, " budget"], spent: str
    ) -> list[Float[np.ndarray, "budget seed"]] | None:
        """Read the learning curves of a line's best variant at the same budgets.

        Args:
            line: The line.
            horizon: The horizon.
            budgets: Where to read them.
            spent: Of what: `env_steps` or `wall_seconds`.

        Returns:
            Curves by task, or None where `point` gives none.
        """
        point = self.point(line, horizon)
        if point is None:
            return None
        return [
            np.stack(
                [hold(getattr(c, spent), c.normalized_return, budgets) for c in curves], axis=-1
            )
            for cells in self._recorded(line, horizon, point.variant)
            for curves in [[self.curves[cell] for cell in cells]]
        ]

    def spent(self, line: Line, horizon: int, spent: str) -> float:
        """Find where the learning curves of a line's best variant end.

        Args:
            line: The line.
            horizon: The horizon.
            spent: In terms of what: `env_steps` or `wall_seconds`.

        Returns:
            The greatest budget that a run of it spent, or zero where `point` gives none.
        """
        point = self.point(line, horizon)
        if point is None:
            return 0.0
        tasks = self._recorded(line, horizon, point.variant)
        return max(float(getattr(self.curves[c], spent)[-1]) for cells in tasks for c in cells)

    def learned(self, horizon: int) -> list[Curve]:
        """List the learning curves that belong to the grid.

        Args:
            horizon: The horizon.

        Returns:
            Those at this horizon; other experiments' runs are not among them.
        """
        mine = {
            cell: None
            for line in self.lines
            if horizon in line.block.horizons
            for task in line.block.tasks
            for variant in line.block.variants
            for cell in line.cells(task, horizon, variant)
        }
        return [self.curves[cell] for cell in mine if cell in self.curves]

    def _recorded(self, line: Line, horizon: int, variant: str) -> list[list[Cell]]:
        wanted = (line.cells(task, horizon, variant) for task in line.block.tasks)
        return [[cell for cell in cells if cell in self.finals] for cells in wanted]


def reach(
    ours: Sequence[Float[np.ndarray, "budget seed"]],
    theirs: Sequence[Float[np.ndarray, "budget seed"]],
    budgets: Float[np.ndarray, " budget"],
    level: float = 0.9,
    end: float = np.inf,
) -> Interval:
    """Compare what two lines spend until their interquartile means reach a level.

    Args:
        ours: Learning curves of the one by task.
        theirs: Those of the other.
        budgets: Where they were read.
        level: The normalised return to reach.
        end: What they are taken to need where they never reach it; where their curves end, to
            bound the ratio from below.

    Returns:
        How many times our budget they need, with its interval.
    """

    def ratio(ours: Any, theirs: Any) -> np.ndarray:
        means = (interquartile_mean(theirs), interquartile_mean(ours))
        needed, ours_needed = (first_reach(mean, budgets, level) for mean in means)
        return reach_ratio(np.asarray(np.minimum(needed, end)), ours_needed)

    return bootstrap(ratio, list(ours), list(theirs))


def rows_by_horizon(recorded: Recorded) -> list[dict[str, Any]]:
    """Tabulate every line at every horizon.

    The interquartile mean leaves a quarter of the runs out at either end: the mean of all and the
    least of them stand beside it, and how often the first line's run is better than this one's.

    Args:
        recorded: The grid and what is recorded.

    Returns:
        A row for each; with empty numbers where runs are missing.
    """
    rows = []
    for horizon in recorded.horizons:
        first = recorded.point(recorded.lines[0], horizon)
        for line in recorded.lines:
            if horizon not in line.block.horizons:
                continue
            point = recorded.point(line, horizon)
            numbers = dict.fromkeys(("iqm", "low", "high", "mean", "least", "first is better"), "")
            rows.append(
                {
                    "horizon": horizon,
                    "line": line.name,
                    "best_variant": "" if point is None else point.variant,
                    "runs": 0 if point is None else point.runs,
                    "wanted": len(line.block.tasks) * line.block.seeds,
                }
                | (
                    numbers
                    if point is None
                    else _numbers(point, None if line == recorded.lines[0] else first)
                )
            )
    return rows


def _numbers(point: Point, first: Point | None) -> dict[str, Any]:
    value, low, high = map(float, point.interval)
    better = ""
    if first is not None and len(first.scores) == len(point.scores):
        chance = bootstrap(probability_of_improvement, first.scores, point.scores)
        better = f"{chance.value:.2f} [{chance.low:.2f}, {chance.high:.2f}]"
    return {
        "iqm": value,
        # Resampling one seed gives that seed: no interval, not one without width.
        "low": "" if low == high else low,
        "high": "" if low == high else high,
        "mean": float(np.mean([task.mean() for task in point.scores])),
        "least": float(min(task.min() for task in point.scores)),
        "first is better": better,
    }
