"""The figures of a run: how it learned, and what it learned to do."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from beeline._drawing import Axes, Figure, default_style, image_format, literal, save_figure
from beeline.config import Config
from beeline.envs._trajectories import controls_of, draw_field, is_field, panels, times
from beeline.run._errors import RunError
from beeline.run._evaluation import Evaluation, evaluate_run
from beeline.run._reference import Reference
from beeline.run._result import Run
from beeline.run.directory import layout as files
from beeline.run.directory.records import columns, read_rows
from beeline.training.hosted import Hosted

_LEARNED = "#1f6fb4"
_OPTIMAL = "#222222"
_RANDOM = "#999999"
_IMAGINED = "#d97706"
_RUNS = ("#1f6fb4", "#d1495b", "#2a9d6f", "#7b4fb5", "#c98a00", "#4c9bb8", "#8a5a44", "#5c6b73")
_LOWEST = -0.6
"""Least normalised return in view; early policies can be worse than random without limit."""


@default_style()
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
    evaluation = _collected(run) if isinstance(run.algorithm, Hosted) else evaluate_run(run)
    _save(_learning_curve(run, evaluation), curve)
    _save(_trajectories(run, evaluation), trajectories)
    return curve, trajectories


@default_style()
def draw_curves(paths: Sequence[str | Path], file: str | Path) -> None:
    """Draw the learning curves of several runs into one figure.

    Args:
        paths: Directories of the runs.
        file: The image to write; its suffix tells the format.

    Raises:
        RunError: If one of them is not a run that can be read, or there is no such format.
    """
    try:
        image_format(Path(file))
    except ValueError as error:
        raise RunError(str(error)) from None
    figure, axes = _figure(7.5, 4.2 + 0.25 * len(paths))
    drawn: list[tuple[dict[str, np.ndarray], str, str]] = []
    for position, path in enumerate(map(files.expand, paths)):
        config = files.read_config(path)
        measured = columns(read_rows(path / files.METRICS, config.seeds))
        colour = _RUNS[position % len(_RUNS)]
        label = f"{literal(path.name)}: {_what(config)}"
        drawn.append((measured, colour, label))
    scaled = all(np.isfinite(measured["normalized_return"]).any() for measured, _, _ in drawn)
    for measured, colour, label in drawn:
        returns = measured["normalized_return" if scaled else "return"]
        _draw_seeds(axes, measured["env_steps"], returns, colour, label)
    if scaled:
        _finish_curve(axes)
    else:
        _label(axes, "return")
    kind = "Normalised return" if scaled else "Return"
    axes.set_title(f"{kind} of the deterministic policy")
    figure.legend(loc="outside lower center", frameon=False)
    _save(figure, files.expand(file))


def _learning_curve(run: Run, evaluation: Evaluation) -> Figure:
    figure, axes = _figure(7.5, 4.5)
    if not run.records:
        raise RunError(f"{run.path} has no finished iteration: there is nothing to draw")
    measured, reference = columns(run.records), evaluation.reference
    steps, scaled = measured["env_steps"], reference.best_return is not None
    prefix = "normalized_" if scaled else ""
    name, what = f"{prefix}return", "real"
    if run.algorithm.evaluation_episodes == 0:
        name, what = "collected_return", "collected, exploring"
    if f"{prefix}imagined_return" in measured:
        imagined = np.median(measured[f"{prefix}imagined_return"], axis=1)
        style = {"color": _IMAGINED, "linewidth": 1.2, "linestyle": ":"}
        axes.plot(steps, imagined, label="in the world model", **style)
    final = float(np.median(measured[name][-1]))
    real = f"{what}, {_count(run)}: {_score(final, scaled)} at the end"
    _draw_seeds(axes, steps, measured[name], _LEARNED, real)
    _draw_spread(axes, measured, reference, run.algorithm.evaluation_episodes)
    if scaled:
        _finish_curve(axes, "optimum" if reference.optimum else "reference")
    else:
        spread = np.nan_to_num(measured.get("return_deviation", np.zeros(1)))
        seen = [measured[name] - spread, measured[name] + spread]
        _finish_unscaled(axes, np.stack(seen), reference.random_return)
    warmup = run.config.warmup_episodes * run.config.horizon
    axes.axvspan(0, warmup, color=_RANDOM, alpha=0.15, linewidth=0)
    style = {"ha": "center", "va": "center", "rotation": 90, "color": _RANDOM}
    axes.text(warmup / 2, 0.5, "warm-up", transform=axes.get_xaxis_transform(), **style)
    if reference.best_return is not None:
        low, high = reference.random_return, reference.best_return
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


def _collected(run: Run) -> Evaluation:
    # The newest episodes: to draw a figure, a simulator is asked for nothing.
    state: Any = run.state
    buffer = state.buffer
    places = (np.asarray(buffer.count) - 1) % buffer.states.shape[1]
    states, actions, rewards = (
        np.asarray(x)[np.arange(len(places)), places]
        for x in (buffer.states, buffer.actions, buffer.rewards)
    )
    returns = rewards.sum(axis=1)
    reference = Reference.of(run.env)
    scores = reference.normalize(returns)
    return Evaluation(states, actions, returns, scores, returns[:, None], reference)


def _score(value: float, scaled: bool) -> str:
    return f"{value:.3f}" if scaled else f"{value:.4g}"


def _draw_seeds(axes: Axes, steps: Any, returns: np.ndarray, colour: str, label: str) -> None:
    if returns.shape[1] > 1:
        axes.plot(steps, returns, color=colour, linewidth=0.9, alpha=0.4)
    axes.plot(steps, np.median(returns, axis=1), color=colour, linewidth=2, label=label)


def _draw_spread(
    axes: Axes, measured: dict[str, np.ndarray], reference: Reference, episodes: int
) -> None:
    # Of one seed alone: bands of several would hide each other. Older runs have none.
    deviation = measured.get("return_deviation")
    if episodes == 1 or deviation is None or deviation.shape[1] > 1:
        return
    means, steps = measured["return"][:, 0], measured["env_steps"]
    edges = [means - deviation[:, 0], means + deviation[:, 0]]
    if reference.best_return is not None:
        edges = [reference.normalize(edge) for edge in edges]
    label = f"\u00b1 one standard deviation of {episodes} episodes"
    axes.fill_between(
        steps, edges[0], edges[1], color=_LEARNED, alpha=0.15, linewidth=0, label=label
    )


def _finish_curve(axes: Axes, scale: str = "optimum") -> None:
    axes.axhline(1, color=_OPTIMAL, linewidth=1, linestyle="--", label=scale)
    axes.axhline(0, color=_RANDOM, linewidth=1, linestyle="--", label="random actions")
    lowest, highest = axes.get_ylim()
    axes.set_ylim(max(lowest, _LOWEST), min(max(highest, 1.05), 2))
    _label(axes, "normalised return")


def _finish_unscaled(axes: Axes, returns: np.ndarray, random: float) -> None:
    # What a world model imagines at first may be anything: real returns say what is to be seen.
    if np.isfinite(random):
        axes.axhline(random, color=_RANDOM, linewidth=1, linestyle="--", label="random actions")
    lowest, highest = np.nanmin([*returns.flat, random]), np.nanmax([*returns.flat, random])
    margin = 0.25 * (highest - lowest) or 1.0
    axes.set_ylim(lowest - margin, highest + margin)
    _label(axes, "return")


def _label(axes: Axes, what: str) -> None:
    axes.set_xlim(left=0)
    axes.set_xlabel("environment steps, warm-up included")
    axes.set_ylabel(what)


def _trajectories(run: Run, evaluation: Evaluation) -> Figure:
    env, optimum = run.env, evaluation.reference.optimum
    figure, state_panels, control_panels = panels(env)
    best = None if optimum is None else optimum.states
    if is_field(env.state_dim):
        field = evaluation.states[_median(evaluation)]
        draw_field(state_panels[0], field, -env.dt / 2, env.dt)
        state_panels = []
    for entry, axes in enumerate(state_panels):
        _draw_entry(axes, times(env), evaluation.states, best, entry, evaluation)
    learned = controls_of(env, evaluation.actions)
    best = None if optimum is None else controls_of(env, optimum.actions)
    if is_field(env.action_dim):
        draw_field(control_panels[0], learned[_median(evaluation), :-1], 0.0, env.dt)
        control_panels = []
    for entry, axes in enumerate(control_panels):
        _draw_entry(axes, times(env), learned, best, entry, evaluation, drawstyle="steps-post")
    drawn = [line for axes in (*state_panels, *control_panels) for line in axes.lines]
    lines = {str(line.get_label()): line for line in drawn}
    if lines:
        figure.legend(
            lines.values(),
            lines.keys(),
            loc="outside lower center",
            ncols=len(lines),
            frameon=False,
        )
    figure.suptitle(_title(run))
    return figure


def _draw_entry(
    axes: Axes,
    at: np.ndarray,
    learned: np.ndarray,
    optimal: np.ndarray | None,
    entry: int,
    evaluation: Evaluation,
    **style: Any,
) -> None:
    median = _median(evaluation)
    for seed, values in enumerate(learned[..., entry]):
        if seed != median:
            other = {"color": _LEARNED, "linewidth": 0.9, "alpha": 0.4, "label": "other seeds"}
            axes.plot(at, values, **other, **style)
    scaled = evaluation.reference.best_return is not None
    scores = evaluation.normalized_return if scaled else evaluation.returns[:, 0]
    kind = "normalised return" if scaled else "return"
    score = f"learned, {kind} {_score(float(scores[median]), scaled)}"
    axes.plot(at, learned[median, :, entry], color=_LEARNED, linewidth=2, label=score, **style)
    if optimal is not None:
        best = {"color": _OPTIMAL, "linewidth": 1.3, "linestyle": "--", "label": "optimal"}
        axes.plot(at, optimal[..., entry], **best, **style)


def _median(evaluation: Evaluation) -> int:
    order = np.argsort(evaluation.return_)
    return int(order[(len(order) - 1) // 2])


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), dpi=150, layout="constrained")
    return figure, figure.subplots()


def _title(run: Run) -> str:
    return _what(run.config)


def _what(config: Config) -> str:
    return f"{literal(config.task)}, H = {config.horizon}, {literal(config.model)}"


def _count(run: Run) -> str:
    return "1 seed" if run.config.seeds == 1 else f"median of {run.config.seeds} seeds"


def _save(figure: Figure, file: Path) -> None:
    for axes in figure.axes:
        axes.spines[["top"]].set_visible(False)
        axes.grid(alpha=0.2)
    save_figure(figure, file)
