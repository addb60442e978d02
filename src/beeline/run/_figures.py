"""The figures of a run: how it learned, and what it learned to do."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.ticker import MaxNLocator

from beeline._atomic import replacing
from beeline.envs import ControlTask, Environment
from beeline.run import _directory as files
from beeline.run._errors import RunError
from beeline.run._records import columns, read_rows
from beeline.run._result import Evaluation, Run, evaluate_run

_LEARNED = "#1f6fb4"
_OPTIMAL = "#222222"
_RANDOM = "#999999"
_IMAGINED = "#d97706"
_RUNS = ("#1f6fb4", "#d1495b", "#2a9d6f", "#7b4fb5", "#c98a00", "#4c9bb8", "#8a5a44", "#5c6b73")
_LOWEST = -0.6
"""Least normalised return in view; early policies can be worse than random without limit."""


@dataclass(frozen=True)
class _Axis:
    name: str
    unit: str

    @property
    def label(self) -> str:
        unit = "" if self.unit in ("", "1") else f" [{self.unit}]"
        return textwrap.fill(self.name + unit, 20)


def draw_run(run: Run) -> tuple[Path, Path]:
    """Draw the two figures of a run into its directory.

    Args:
        run: The run, which has a directory.

    Returns:
        The files of the learning curve and of the trajectories.

    Raises:
        ValueError: If the run has no directory.
    """
    if run.path is None:
        raise ValueError("the run has no directory: train with out=")
    curve, trajectories = run.path / files.LEARNING_CURVE, run.path / files.TRAJECTORIES
    evaluation = evaluate_run(run)
    _save(_learning_curve(run, evaluation), curve)
    _save(_trajectories(run, evaluation), trajectories)
    return curve, trajectories


def draw_curves(paths: Sequence[str | Path], file: str | Path) -> None:
    """Draw the learning curves of several runs into one figure.

    Args:
        paths: Directories of the runs.
        file: The image to write; its suffix tells the format.

    Raises:
        RunError: If one of them is not a run that can be read.
    """
    figure, axes = _figure(7.5, 4.2 + 0.25 * len(paths))
    for position, path in enumerate(map(files.expand, paths)):
        config = files.read_config(path)
        measured = columns(read_rows(path / files.METRICS, config.seeds))
        colour = _RUNS[position % len(_RUNS)]
        label = f"{_literal(path.name)}: {config.task}, H = {config.horizon}, {config.model}"
        _draw_seeds(axes, measured["env_steps"], measured["normalized_return"], colour, label)
    _finish_curve(axes)
    axes.set_title("Normalised return of the deterministic policy")
    figure.legend(loc="outside lower center", frameon=False)
    _save(figure, files.expand(file))


def _literal(name: str) -> str:
    # A dollar would begin a formula, a label that begins with an underscore be left out, and what
    # the font lacks be drawn as boxes that are all alike.
    font = get_font(findfont(FontProperties()))
    escaped = (c.encode("ascii", "backslashreplace").decode() for c in name)
    drawn = (c if font.get_char_index(ord(c)) else e for c, e in zip(name, escaped, strict=True))
    text = "".join(drawn).replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text


def _learning_curve(run: Run, evaluation: Evaluation) -> Figure:
    figure, axes = _figure(7.5, 4.5)
    if not run.records:
        raise RunError(f"{run.path} has no finished iteration: there is nothing to draw")
    measured = columns(run.records)
    steps = measured["env_steps"]
    if "normalized_imagined_return" in measured:
        imagined = np.median(measured["normalized_imagined_return"], axis=1)
        style = {"color": _IMAGINED, "linewidth": 1.2, "linestyle": ":"}
        axes.plot(steps, imagined, label="in the world model", **style)
    final = float(np.median(measured["normalized_return"][-1]))
    real = f"real, {_count(run)}: {final:.3f} at the end"
    _draw_seeds(axes, steps, measured["normalized_return"], _LEARNED, real)
    _finish_curve(axes)
    warmup = run.config.warmup_episodes * run.config.horizon
    axes.axvspan(0, warmup, color=_RANDOM, alpha=0.15, linewidth=0)
    axes.text(warmup / 2, 0.5, "warm-up", ha="center", va="center", rotation=90, color=_RANDOM)
    low, high = evaluation.reference.random_return, evaluation.reference.optimum.return_
    in_units = axes.secondary_yaxis(
        "right",
        functions=(
            lambda y: low + np.asarray(y) * (high - low),
            lambda y: (np.asarray(y) - low) / (high - low),
        ),
    )
    in_units.set_ylabel("return")
    axes.set_title(_title(run))
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure


def _draw_seeds(axes: Axes, steps: Any, returns: np.ndarray, colour: str, label: str) -> None:
    if returns.shape[1] > 1:
        axes.plot(steps, returns, color=colour, linewidth=0.9, alpha=0.4)
    axes.plot(steps, np.median(returns, axis=1), color=colour, linewidth=2, label=label)


def _finish_curve(axes: Axes) -> None:
    axes.axhline(1, color=_OPTIMAL, linewidth=1, linestyle="--", label="optimum")
    axes.axhline(0, color=_RANDOM, linewidth=1, linestyle="--", label="random actions")
    lowest, highest = axes.get_ylim()
    axes.set_ylim(max(lowest, _LOWEST), min(max(highest, 1.05), 2))
    axes.set_xlim(left=0)
    axes.set_xlabel("environment steps, warm-up included")
    axes.set_ylabel("normalised return")


def _trajectories(run: Run, evaluation: Evaluation) -> Figure:
    env, optimum = run.env, evaluation.reference.optimum
    time, states, actions = _axes_of(env)
    panels = len(states) + len(actions)
    wide = 1 if panels <= 4 else 2
    rows = -(-panels // wide)
    figure = Figure(figsize=(7.5 * wide, 1.2 + 2.0 * rows), dpi=150, layout="constrained")
    grid = figure.subplots(rows, wide, sharex=True, squeeze=False)
    places = list(grid.T.flat)
    at = np.arange(env.horizon + 1) * env.dt
    for entry, (axes, axis) in enumerate(zip(places, states, strict=False)):
        axes.set_ylabel(axis.label)
        _draw_entry(axes, at, evaluation.states[..., entry], optimum.states[..., entry], evaluation)
    controls = _controls(env, evaluation.actions), _controls(env, optimum.actions)
    for entry, (axes, axis) in enumerate(zip(places[len(states) :], actions, strict=False)):
        axes.set_ylabel(axis.label)
        learned, best = (_held(values[..., entry]) for values in controls)
        _draw_entry(axes, at, learned, best, evaluation, drawstyle="steps-post")
    for axes in places[panels:]:
        axes.set_visible(False)
    for axes in {id(column[-1]): column[-1] for column in _columns(places[:panels], rows)}.values():
        axes.set_xlabel(time.label)
        axes.tick_params(labelbottom=True)
    lines = {str(line.get_label()): line for line in places[0].lines}
    figure.legend(
        lines.values(), lines.keys(), loc="outside lower center", ncols=len(lines), frameon=False
    )
    figure.suptitle(_title(run))
    return figure


def _draw_entry(
    axes: Axes,
    at: np.ndarray,
    learned: np.ndarray,
    optimal: np.ndarray,
    evaluation: Evaluation,
    **style: Any,
) -> None:
    order = np.argsort(evaluation.normalized_return)
    median = order[(len(order) - 1) // 2]
    for seed, values in enumerate(learned):
        if seed != median:
            other = {"color": _LEARNED, "linewidth": 0.9, "alpha": 0.4, "label": "other seeds"}
            axes.plot(at, values, **other, **style)
    score = f"learned, normalised return {evaluation.normalized_return[median]:.3f}"
    axes.plot(at, learned[median], color=_LEARNED, linewidth=2, label=score, **style)
    best = {"color": _OPTIMAL, "linewidth": 1.3, "linestyle": "--", "label": "optimal"}
    axes.plot(at, optimal, **best, **style)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.margins(x=0.01)


def _columns(places: list[Axes], rows: int) -> list[list[Axes]]:
    return [places[start : start + rows] for start in range(0, len(places), rows)]


def _axes_of(env: Environment) -> tuple[_Axis, list[_Axis], list[_Axis]]:
    if isinstance(env, ControlTask):
        system = env.system
        return (
            _Axis("time", system.time_unit),
            [_Axis(*pair) for pair in zip(system.state_names, system.state_units, strict=True)],
            [_Axis(*pair) for pair in zip(system.control_names, system.control_units, strict=True)],
        )
    return (
        _Axis("time", ""),
        [_Axis(f"state {entry}", "") for entry in range(env.state_dim)],
        [_Axis(f"action {entry}", "") for entry in range(env.action_dim)],
    )


def _controls(env: Environment, actions: np.ndarray) -> np.ndarray:
    if not isinstance(env, ControlTask):
        return actions
    low, high = np.transpose(env.system.control_bounds)
    return low + 0.5 * (actions + 1) * (high - low)


def _held(values: np.ndarray) -> np.ndarray:
    # A control is held until the end of its step: repeat the last one to draw its whole step.
    return np.concatenate([values, values[..., -1:]], axis=-1)


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), dpi=150, layout="constrained")
    return figure, figure.subplots()


def _title(run: Run) -> str:
    return f"{run.config.task}, H = {run.config.horizon}, {run.config.model}"


def _count(run: Run) -> str:
    return "1 seed" if run.config.seeds == 1 else f"median of {run.config.seeds} seeds"


def _save(figure: Figure, file: Path) -> None:
    for axes in figure.axes:
        axes.spines[["top"]].set_visible(False)
        axes.grid(alpha=0.2)
    FigureCanvasAgg(figure)
    with replacing(file) as image:
        figure.savefig(image, format=file.suffix[1:] or "png")
