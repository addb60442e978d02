"""Figures and tables of what the runs of a grid say. Each draws one kind of picture."""

import argparse
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from beeline._drawing import (
    Figure,
    LogLocator,
    NullFormatter,
    StrMethodFormatter,
    default_style,
)
from beeline.statistics import bootstrap, first_reach, hold, interquartile_mean, performance_profile
from experiments._benchmark import (
    LEAST_SEEDS,
    POINTS,
    Line,
    Recorded,
    reach,
    rows_by_horizon,
    with_bounds,
)
from experiments._figures import LABELS, panels
from experiments._grid import Cell, GridError
from experiments._lines import budgets_of, finish, mark_stopped, style_of
from experiments._results import SCALES, save
from experiments._runner import RESULTS
from experiments._store import Store

LEVEL = 0.9
"""The normalised return that lines are timed to."""

GOOD = 0.97
"""The normalised return that the recipe is to reach."""

_CLOSEST = 1e-4
"""What is closer to 1 is drawn as this close."""
_MARK = re.compile(r"(<!-- measured -->\n).*?(<!-- end -->)", re.DOTALL)

Draw = Callable[[Recorded, Path], list[dict[str, Any]]]
"""Draws into a folder, and returns the rows of its table."""


@default_style()
def main(folder: Path, draw: Draw) -> None:
    """Draw an experiment from the command line, and put its table into the README.

    Args:
        folder: Its folder.
        draw: What to draw.

    Raises:
        SystemExit: If the grid or the results cannot be used.
    """
    module = f"experiments.{folder.name}.plot"
    parser = argparse.ArgumentParser(prog=f"python -m {module}")
    parser.add_argument("--scale", choices=SCALES, default="reduced", help="which runs to show")
    parser.add_argument("--runs", type=Path, default=RESULTS, help="where the runs are recorded")
    parser.add_argument("--out", type=Path, default=folder, help="where to draw")
    arguments = parser.parse_args()
    try:
        recorded = Recorded.of(folder / "grid.toml", arguments.scale, Store(arguments.runs))
    except GridError as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    results = arguments.out / "results"
    results.mkdir(parents=True, exist_ok=True)
    rows = draw(recorded, results)
    save(results / "summary.csv", rows, f"python -m {module} --scale {arguments.scale}")
    text = table(rows, arguments.scale)
    readme = arguments.out / "README.md"
    if readme.exists():
        old = readme.read_text(encoding="utf-8")
        new = _MARK.sub(lambda found: f"{found[1]}{text}{found[2]}", old)
        readme.write_text(new, encoding="utf-8")
    print(text)


def table(rows: Sequence[dict[str, Any]], scale: str) -> str:
    """Lay rows out as Markdown.

    Args:
        rows: One mapping a row, all with the same keys, at least one.
        scale: The scale that they are of.

    Returns:
        The table, with a line before it that says how much was run.
    """
    names = list(rows[0])
    lines = [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]
    for row in rows:
        entries = (f"{v:.3f}" if isinstance(v, float) else str(v) for v in row.values())
        lines.append(f"| {' | '.join(entries)} |")
    empty = sum(not row["runs"] for row in rows)
    heading = f"At the scale `{scale}`"
    if empty:
        heading += f", where {empty} of {len(rows)} rows have not ended a run on every task"
    return f"{heading}:\n\n" + "\n".join(lines) + "\n"


def by_horizon(recorded: Recorded, results: Path) -> list[dict[str, Any]]:
    """Draw the final performance of every line against the horizon, and how its runs spread.

    Args:
        recorded: The grid and what is recorded.
        results: Folder for the figure.

    Returns:
        The rows that it shows.
    """
    figure, (axes, spread) = panels(2, width=5)
    for place, line in enumerate(recorded.lines):
        points = {h: recorded.point(line, h) for h in recorded.horizons}
        known = {h: point.interval for h, point in points.items() if point is not None}
        if known:
            value, low, high = (np.array([i[k] for i in known.values()]) for k in range(3))
            at = [
                recorded.horizons.index(h) + 0.03 * (place - len(recorded.lines) / 2) for h in known
            ]
            style = style_of(line, recorded) | {"marker": "o", "capsize": 3, "clip_on": False}
            axes.errorbar(at, value, [value - low, high - value], **style)
        for horizon in recorded.horizons:
            if _stopped(recorded, line.all_cells(horizon)):
                # Where its other runs are, or at the bottom if there are none.
                value = known[horizon].value if horizon in known else 0.0
                at = recorded.horizons.index(horizon)
                mark_stopped(axes, at, value, style_of(line, recorded))
    axes.axhline(0, color="grey", linestyle=":", label="random policy")
    axes.set_xticks(range(len(recorded.horizons)), [str(h) for h in recorded.horizons])
    axes.set_xlabel("horizon")
    # Most lines end close to 1, and how close is what tells them apart.
    axes.set_yscale("function", functions=(_nines, lambda nines: 1 - 10.0**-nines))
    axes.set_yticks([0, 0.5, 0.9, 0.99, 0.999, 1 - _CLOSEST])
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.set_ylabel("normalised return")
    axes.set_title("interquartile mean over tasks and seeds, 95 % interval", fontsize=10)
    _profiles(spread, recorded)
    finish(figure, results / "by_horizon.png")
    return rows_by_horizon(recorded)


def _stopped(recorded: Recorded, cells: Sequence[Cell]) -> list[Cell]:
    return [cell for cell in recorded.ran(cells) if recorded.stopped(cell)]


def _nines(returns: np.ndarray) -> np.ndarray:
    return -np.log10(np.maximum(1 - np.asarray(returns), _CLOSEST))


def _profiles(axes: Any, recorded: Recorded) -> None:
    # Where the most lines were run, and of those horizons the longest.
    found = {h: [recorded.point(line, h) for line in recorded.lines] for h in recorded.horizons}
    horizon = max(found, key=lambda h: (sum(point is not None for point in found[h]), h))
    gaps = np.geomspace(_CLOSEST, 1, POINTS)
    for line, point in zip(recorded.lines, found[horizon], strict=True):
        if point is None:
            continue
        style = style_of(line, recorded)
        value, low, high = bootstrap(
            lambda scores: performance_profile(scores, 1 - gaps), point.scores, samples=500
        )
        axes.plot(gaps, value, **style)
        if min(task.size for task in point.scores) >= LEAST_SEEDS:
            axes.fill_between(gaps, low, high, color=style["color"], alpha=0.15, linewidth=0)
    axes.set_xscale("log")
    axes.set_xlim(1, _CLOSEST)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("normalised return short of 1")
    axes.set_ylabel("share of runs that come closer")
    axes.set_title(f"performance profile at H = {horizon}", fontsize=10)


def learning(recorded: Recorded, results: Path) -> list[dict[str, Any]]:
    """Draw learning curves over all tasks, and compare what lines need to reach 0.9.

    Args:
        recorded: The grid and what is recorded; its first line is what others are compared with.
        results: Folder for the figure.

    Returns:
        The final performances, with the ratio of the budgets to the first line's.
    """
    rows = rows_by_horizon(recorded)
    for spent, name in (("env_steps", "environment steps"), ("wall_seconds", "seconds")):
        # The legend stands beside the panels.
        figure, places = panels(len(recorded.horizons), width=4.2 + 2.6 / len(recorded.horizons))
        for axes, horizon in zip(places, recorded.horizons, strict=True):
            budgets = budgets_of(recorded, horizon, spent)
            curves = {
                line: recorded.learning(line, horizon, budgets, spent) for line in recorded.lines
            }
            ends = {line: recorded.spent(line, horizon, spent) for line in recorded.lines}
            for line, tasks in curves.items():
                if tasks is not None:
                    interval = bootstrap(interquartile_mean, tasks, samples=500)
                    value, low, high = with_bounds(interval, tasks)
                    style, run = style_of(line, recorded), budgets <= ends[line] * (1 + 1e-9)
                    axes.plot(budgets[run], value[run], **style)
                    if _stopped(recorded, line.all_cells(horizon)):
                        mark_stopped(axes, budgets[run][-1], value[run][-1], style)
                    axes.fill_between(
                        budgets[run], low[run], high[run], color=style["color"], alpha=0.15
                    )
            axes.axhline(0, color="grey", linestyle=":")
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.10g}"))
            axes.xaxis.set_minor_formatter(NullFormatter())
            axes.tick_params(axis="x", labelsize=8)
            axes.set_ylim(-0.25, 1.05)
            axes.set_xlabel(name)
            axes.set_title(f"H = {horizon}", fontsize=10)
            for row in rows:
                if row["horizon"] == horizon:
                    row |= _reached(row["line"], curves, ends, budgets, spent)
        places[0].set_ylabel("normalised return, interquartile mean")
        finish(figure, results / f"learning_{spent}.png")
    return rows


def tasks(recorded: Recorded, results: Path) -> list[dict[str, Any]]:
    """Draw the learning curves of every task at every horizon.

    Args:
        recorded: The grid and what is recorded.
        results: Folder for the figure.

    Returns:
        The median, least and greatest final return of every line on every task.
    """
    names = list(dict.fromkeys(task for line in recorded.lines for task in line.block.tasks))
    run = {cell.horizon for cell in recorded.finals}
    shown = [horizon for horizon in recorded.horizons if horizon in run] or recorded.horizons[:1]
    size = (2.6 * len(shown) + 2, 1.8 * len(names))
    figure = Figure(figsize=size, dpi=110, layout="constrained")
    places = figure.subplots(len(names), len(shown), squeeze=False)
    rows = []
    for i, task in enumerate(names):
        for horizon in recorded.horizons:
            axes = places[i, shown.index(horizon)] if horizon in shown else None
            if axes is not None:
                axes.axhline(0, color="grey", linestyle=":", linewidth=0.8)
                axes.set_title(f"{task}, H = {horizon}", fontsize=8)
                axes.set_ylim(-0.25, 1.1)
            for line in recorded.lines:
                if task in line.block.tasks and horizon in line.block.horizons:
                    rows.append(_draw_task(axes, recorded, line, task, horizon))
    for axes in places[:, 0]:
        axes.set_ylabel("normalised return", fontsize=8)
    for axes in places[-1]:
        axes.set_xlabel("environment steps", fontsize=8)
    finish(figure, results / "tasks.png")
    return rows


def ingredients(recorded: Recorded, results: Path) -> list[dict[str, Any]]:
    """Draw how far from the optimum every run ends, task by task and label by label.

    Args:
        recorded: The grid and what is recorded; its first line is what others are compared with.
        results: Folder for the figure.

    Returns:
        The final performances, with the steps to `GOOD` and the median of every task.
    """
    labels = list(dict.fromkeys(line.block.label for line in recorded.lines))
    names = list(dict.fromkeys(task for line in recorded.lines for task in line.block.tasks))
    shown = [(horizon, task) for horizon in recorded.horizons for task in names]
    across = min(len(names), 4)
    down = -(-len(shown) // across)
    size = (2.2 * across + 4, down * (0.22 * len(labels) + 0.9))
    figure = Figure(figsize=size, dpi=130, layout="constrained")
    places = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True)
    panel = dict(zip(shown, places.flat, strict=False))
    for (horizon, task), axes in panel.items():
        axes.set_title(f"{task}, H = {horizon}", fontsize=9)
        axes.grid(alpha=0.25)
    places[0, 0].set_xscale("symlog", linthresh=1e-3)
    places[0, 0].set_yticks(range(len(labels)), labels)
    places[0, 0].invert_yaxis()
    for axes in places[:, 0]:
        axes.tick_params(axis="y", labelsize=8)
    for axes in places[-1]:
        axes.set_xlabel("return short of 1 (left is better)", fontsize=8)
    for axes in places.flat[len(shown) :]:
        axes.set_axis_off()
    rows = rows_by_horizon(recorded)
    by_name = {line.name: line for line in recorded.lines}
    for row in rows:
        line, horizon = by_name[row["line"]], row["horizon"]
        row[f"env_steps to {GOOD}"] = _steps_to_good(recorded, line, horizon)
        point = recorded.point(line, horizon)
        for cell in _stopped(recorded, line.all_cells(horizon)):
            at, short = labels.index(line.block.label), 1 - recorded.final(cell)
            mark_stopped(panel[horizon, cell.task], short, at, style_of(line, recorded))
        for task in names:
            row[task] = ""
            if point is not None and task in line.block.tasks:
                short = 1 - point.scores[line.block.tasks.index(task)]
                row[task] = float(1 - np.median(short))
                at = np.full(short.size, labels.index(line.block.label))
                label = LABELS.get(line.model, line.model)
                style = style_of(line, recorded) | {"linestyle": "", "label": label}
                axes = panel[horizon, task]
                axes.plot(short, at, marker="o", markersize=4, alpha=0.8, **style)
                if line == recorded.lines[0]:
                    axes.axvline(np.median(short), color="grey", linestyle=":")
    finish(figure, results / "ingredients.png")
    return rows


def _steps_to_good(recorded: Recorded, line: Line, horizon: int) -> str:
    budgets = budgets_of(recorded, horizon, "env_steps")
    curves = recorded.learning(line, horizon, budgets, "env_steps")
    if curves is None:
        return ""
    reached = float(first_reach(interquartile_mean(curves), budgets, GOOD))
    return _or_over(reached, recorded.spent(line, horizon, "env_steps"))


def _draw_task(
    axes: Any, recorded: Recorded, line: Line, task: str, horizon: int
) -> dict[str, Any]:
    row: dict[str, Any] = {"task": task, "horizon": horizon, "line": line.name, "best_variant": ""}
    ran = {v: recorded.ran(line.cells(task, horizon, v)) for v in line.block.variants}
    found = {v: [cell for cell in cells if not recorded.stopped(cell)] for v, cells in ran.items()}
    found = {variant: cells for variant, cells in found.items() if cells}
    numbers = {"runs": 0, "wanted": line.block.seeds}
    numbers |= recorded.faults([cell for cells in ran.values() for cell in cells])
    numbers |= dict.fromkeys(("median", "least", "greatest"), "")
    style = style_of(line, recorded)
    for cell in _stopped(recorded, [cell for cells in ran.values() for cell in cells]):
        end = recorded.curves[cell].env_steps[-1], recorded.final(cell)
        mark_stopped(axes, *end, style)
    if not found:
        return row | numbers
    final = {
        variant: np.array([recorded.final(cell) for cell in cells])
        for variant, cells in found.items()
    }
    best = max(final, key=lambda variant: float(np.median(final[variant])))
    budgets = budgets_of(recorded, horizon, "env_steps")
    curves = [recorded.curves[cell] for cell in found[best]]
    values = np.stack([hold(c.env_steps, c.normalized_return, budgets) for c in curves])
    axes.plot(budgets, np.median(values, axis=0), linewidth=1, **style)
    axes.fill_between(
        budgets, values.min(axis=0), values.max(axis=0), color=style["color"], alpha=0.15
    )
    low, high = float(final[best].min()), float(final[best].max())
    median = float(np.median(final[best]))
    numbers |= {"runs": len(curves), "median": median, "least": low, "greatest": high}
    return row | {"best_variant": best} | numbers


def _reached(
    name: str, curves: dict[Line, Any], ends: dict[Line, float], budgets: np.ndarray, spent: str
) -> dict[str, str]:
    ours = next(iter(curves.values()))
    line, theirs = next((line, tasks) for line, tasks in curves.items() if line.name == name)
    took, ratio = "", ""
    if theirs is not None:
        at = float(first_reach(interquartile_mean(theirs), budgets, LEVEL))
        took = _or_over(at, ends[line])
    if ours is not None and theirs is not None and theirs is not ours:
        exact = reach(ours, theirs, budgets, LEVEL)
        bound = reach(ours, theirs, budgets, LEVEL, ends[line])
        value, low, high = (_or_over(*map(float, pair)) for pair in zip(exact, bound, strict=True))
        ratio = value if np.isnan(exact.low) else f"{value} [{low}, {high}]"
    return {f"{spent} to {LEVEL}": took, f"{spent} to {LEVEL}, ratio": ratio}


def _or_over(value: float, bound: float) -> str:
    # A curve that ends before the level says only that more was needed.
    known = value if np.isfinite(value) else bound
    digits = f"{known:,.0f}" if known >= 100 else f"{known:.3g}"
    return digits if np.isfinite(value) else f"over {digits}"
