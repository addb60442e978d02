"""What the runs of a grid say, line by line of a figure."""

from collections.abc import Iterable, Sequence
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

LEAST_SEEDS = 3
"""Runs of every task below which there is no interval."""


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

    def all_cells(self, horizon: int, variant: str | None = None) -> list[Cell]:
        """List its runs at one horizon.

        Args:
            horizon: The horizon.
            variant: The variant; every one if left out.

        Returns:
            One a task and seed.
        """
        variants = self.block.variants if variant is None else (variant,)
        return [
            cell
            for name in variants
            for task in self.block.tasks
            for cell in self.cells(task, horizon, name)
        ]


class Point(NamedTuple):
    """Where a line is at one horizon: its best variant."""

    variant: str
    interval: Interval
    """Interquartile mean over tasks and seeds; without bounds below `LEAST_SEEDS`."""
    scores: list[Float[np.ndarray, " seed"]]
    """Final returns by task, of all runs that it rests on; those that stopped have none."""

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

    def ran(self, cells: Iterable[Cell]) -> list[Cell]:
        """Choose the runs that are recorded.

        Args:
            cells: Some runs.

        Returns:
            Those of them, ended or stopped.
        """
        return [cell for cell in cells if cell in self.finals]

    def stopped(self, cell: Cell) -> bool:
        """Say whether a number that was not finite stopped a run, so that it has no result.

        Args:
            cell: The run, which is recorded; what others than the runner recorded did not stop.

        Returns:
            Whether it did.
        """
        return self.finals[cell].get("stopped") == "1"

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
            of every task that ended: a mean over other tasks than the other lines' would mislead.
        """
        points = []
        for variant in line.block.variants if horizon in line.block.horizons else ():
            scores = [
                np.array([self.final(cell) for cell in cells])
                for cells in self._ended(line, horizon, variant)
            ]
            if all(task.size for task in scores):
                interval = with_bounds(bootstrap(interquartile_mean, scores), scores)
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
            for cells in self._ended(line, horizon, point.variant)
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
        tasks = self._ended(line, horizon, point.variant)
        return max(float(getattr(self.curves[c], spent)[-1]) for cells in tasks for c in cells)

    def learned(self, horizon: int) -> list[Curve]:
        """List the learning curves that belong to the grid.

        Args:
            horizon: The horizon.

        Returns:
            Those at this horizon of runs that ended; other experiments' are not among them.
        """
        lines = [line for line in self.lines if horizon in line.block.horizons]
        mine = dict.fromkeys(cell for line in lines for cell in line.all_cells(horizon))
        return [self.curves[cell] for cell in self.ran(mine) if not self.stopped(cell)]

    def faults(self, cells: Iterable[Cell]) -> dict[str, Any]:
        """Count what was not finite in some runs.

        Args:
            cells: The runs; those that are not recorded do not count.

        Returns:
            How many runs stopped, and how many updates and episodes were left out in how many
            others; nothing where some of these were not counted.
        """
        cells = self.ran(cells)
        counts = [self.finals[cell].get("skipped", "") for cell in cells if not self.stopped(cell)]
        some = [int(count) for count in counts if count not in ("", "0")]
        said = f"{sum(some)} in {len(some)}" if some else "0"
        return {
            "stopped": sum(self.stopped(cell) for cell in cells),
            "skipped": "" if "" in counts else said,
        }

    def _ended(self, line: Line, horizon: int, variant: str) -> list[list[Cell]]:
        wanted = (self.ran(line.cells(task, horizon, variant)) for task in line.block.tasks)
        return [[cell for cell in cells if not self.stopped(cell)] for cells in wanted]


def with_bounds(interval: Interval, *scores: Sequence[Float[np.ndarray, "*any seed"]]) -> Interval:
    """Leave the bounds of an interval out where there are too few runs for one.

    Args:
        interval: The interval.
        *scores: What it rests on, each by task.

    Returns:
        The same from `LEAST_SEEDS` runs of every task on; below, bounds that are not a number.
    """
    if all(task.shape[-1] >= LEAST_SEEDS for tasks in scores for task in tasks):
        return interval
    none = np.full_like(interval.value, np.nan)
    return Interval(interval.value, none, none)


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
        How many times our budget they need, with its interval where there are seeds for one.
    """

    def ratio(ours: Any, theirs: Any) -> np.ndarray:
        means = (interquartile_mean(theirs), interquartile_mean(ours))
        needed, ours_needed = (first_reach(mean, budgets, level) for mean in means)
        return reach_ratio(np.asarray(np.minimum(needed, end)), ours_needed)

    return with_bounds(bootstrap(ratio, list(ours), list(theirs)), ours, theirs)


def bracketed(interval: Interval, digits: int = 2) -> str:
    """Write an interval down.

    Args:
        interval: The interval.
        digits: Digits after the point.

    Returns:
        The value, and its bounds in brackets if it has any.
    """
    value, low, high = (f"{float(number):.{digits}f}" for number in interval)
    return value if np.isnan(interval.low) else f"{value} [{low}, {high}]"


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
                    **recorded.faults(line.all_cells(horizon, point and point.variant)),
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
        better = bracketed(with_bounds(chance, first.scores, point.scores))
    return {
        "iqm": value,
        "low": "" if np.isnan(low) else low,
        "high": "" if np.isnan(high) else high,
        "mean": float(np.mean([task.mean() for task in point.scores])),
        "least": float(min(task.min() for task in point.scores)),
        "first is better": better,
    }
