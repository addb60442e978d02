"""Figures of the diagnostics. Each is a Matplotlib figure, drawn without any global state."""

import itertools
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float

from beeline import _drawing
from beeline._drawing import Axes, Figure, LogNorm, MaxNLocator, default_style
from beeline.diagnostics.alignment import Alignment
from beeline.diagnostics.diagnosis import TRUTH
from beeline.diagnostics.growth import GrowthFit
from beeline.diagnostics.jacobians import PathMap
from beeline.diagnostics.landscape import roughness

_COLOURS = ("#1f6fb4", "#d1495b", "#2a9d6f", "#7b4fb5", "#c98a00", "#4c9bb8", "#8a5a44", "#5c6b73")
_TRUE_COLOUR = "#222222"
_DECADES = 8
"""Decades in view on a map, down from the largest norm."""


@default_style()
def growth_figure(
    curves: Mapping[str, Mapping[int, np.ndarray]],
    fits: Mapping[str, GrowthFit],
    quantity: str,
) -> Figure:
    """Draw norms against the horizon, with the fitted laws.

    Args:
        curves: Samples of the norm by horizon, by model.
        fits: The laws, for the models that have one.
        quantity: What the norm is of, with its unit, for the title.

    Returns:
        The figure: geometric means, bands from the 10th to the 90th percentile, fits dotted,
        arithmetic means dashed.
    """
    figure = Figure(figsize=(8, 4.8), dpi=150, layout="constrained")
    axes = figure.subplots()
    for colour, (name, samples) in zip(_colours(curves), curves.items(), strict=True):
        norms = {h: v[np.isfinite(v) & (v > 0)] for h, v in sorted(samples.items())}
        norms = {h: v for h, v in norms.items() if v.size}
        if not norms:
            continue
        horizons = np.array(list(norms), dtype=float)
        middle = np.array([np.exp(np.log(v).mean()) for v in norms.values()])
        low, high = (np.array([np.percentile(v, q) for v in norms.values()]) for q in (10, 90))
        fit = fits.get(name)
        label = name if fit is None else f"{name}: {fit.describe()}"
        axes.plot(horizons, middle, "o-", color=colour, markersize=3.5, label=label)
        average = [v.mean() for v in norms.values()]
        axes.plot(horizons, average, "--", color=colour, linewidth=0.9)
        axes.fill_between(horizons, low, high, color=colour, alpha=0.15, linewidth=0)
        if fit is not None:
            fine = np.linspace(horizons[0], horizons[-1], 200)
            axes.plot(fine, fit.predict(fine), ":", color=colour, linewidth=1)
    axes.plot([], [], "--", color="#888888", linewidth=0.9, label="arithmetic means")
    axes.plot([], [], ":", color="#888888", linewidth=1, label="fits to the geometric means")
    axes.set_yscale("log")
    axes.set_xlabel("horizon H [steps]")
    axes.set_title(quantity, loc="left", fontsize="medium")
    axes.grid(alpha=0.2)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower left", frameon=False)
    return figure


@default_style()
def path_figure(maps: Mapping[str, PathMap]) -> Figure:
    """Draw the influence of every action on every state, and its two parts.

    Args:
        maps: A map per model; those without circuitous paths have two empty panels.

    Returns:
        The figure: a row per model, on one logarithmic scale.
    """
    parts = ("total", "direct", "circuitous")
    figure = Figure(figsize=(9.5, 0.8 + 2.9 * len(maps)), dpi=150, layout="constrained")
    grid = figure.subplots(len(maps), 3, squeeze=False, sharex=True, sharey=True)
    norms = np.concatenate([np.asarray(p).ravel() for m in maps.values() for p in m])
    norms = norms[np.isfinite(norms) & (norms > 0)]
    top = norms.max() if norms.size else 1.0
    scale = LogNorm(max(norms.min() if norms.size else 0.1, top * 10.0**-_DECADES), top)
    image = None
    for row, (name, paths) in zip(grid, maps.items(), strict=True):
        for axes, part in zip(row, parts, strict=True):
            values = np.asarray(getattr(paths, part), dtype=float)
            shown = np.ma.masked_less_equal(np.ma.masked_invalid(values), 0)
            image = axes.pcolormesh(shown, norm=scale, cmap="viridis", rasterized=True)
            axes.set_aspect("equal")
            axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
            axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
            axes.set_title(f"{name}: {part}", fontsize=9)
            if shown.count() == 0:
                axes.text(0.5, 0.5, "none", transform=axes.transAxes, ha="center", color="#666666")
        row[0].set_ylabel("state after step t")
    # Once for all: the panels share the axis.
    grid[0, 0].invert_yaxis()
    for axes in grid[-1]:
        axes.set_xlabel("action at step k")
    if image is not None:
        figure.colorbar(image, ax=grid, label="||∂s / ∂a|| [state units per unit of action]")
    return figure


@default_style()
def alignment_figure(alignments: Mapping[str, Mapping[int, Alignment]]) -> Figure:
    """Draw the cosine with the true policy gradient against the horizon.

    Args:
        alignments: By model and horizon.

    Returns:
        The figure: cosines of averaged gradients with one standard error either way, as far as
        a cosine can be, and the ratio of norms.
    """
    figure = Figure(figsize=(9.5, 4.4), dpi=150, layout="constrained")
    left, right = figure.subplots(1, 2)
    for colour, (name, by_horizon) in zip(_colours(alignments), alignments.items(), strict=True):
        horizons = sorted(by_horizon)
        cosines = np.array([float(by_horizon[h].cosine) for h in horizons])
        errors = np.array([float(by_horizon[h].deviation) for h in horizons])
        bars = np.minimum(errors, [1 + cosines, 1 - cosines]).clip(min=0)
        ratios = [float(by_horizon[h].norm_ratio) for h in horizons]
        left.errorbar(
            horizons, cosines, bars, fmt="o-", color=colour, markersize=4, capsize=3, label=name
        )
        right.plot(horizons, ratios, "o-", color=colour, markersize=4, label=name)
    for level in (0, 1):
        left.axhline(level, color=_TRUE_COLOUR, linewidth=0.8, linestyle="--")
    right.axhline(1, color=_TRUE_COLOUR, linewidth=0.8, linestyle="--")
    left.set_ylim(-1.08, 1.08)
    left.set_ylabel("cosine with the true policy gradient")
    right.set_yscale("log")
    right.set_ylabel("norm, as a multiple of the true one's")
    for axes in (left, right):
        axes.set_xlabel("horizon H [steps]")
        axes.grid(alpha=0.2)
    handles = left.get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower left", frameon=False, ncol=4)
    return figure


@default_style()
def landscape_figure(
    at: Float[np.ndarray, " point"],
    truth: Float[np.ndarray, " point"],
    returns: Mapping[str, Float[np.ndarray, " point"]],
    along: str,
) -> Figure:
    """Draw models' return landscapes over the true one.

    Args:
        at: Where the returns were evaluated.
        truth: The simulator's returns.
        returns: The models'.
        along: What varies, with its unit, for the axis.

    Returns:
        The figure, with each roughness in the legend.
    """
    figure = Figure(figsize=(8, 4.6), dpi=150, layout="constrained")
    axes = figure.subplots()
    axes.plot(at, truth, color=_TRUE_COLOUR, linewidth=1.2, label=_rough("truth", truth))
    for colour, (name, values) in zip(_colours(returns), returns.items(), strict=True):
        axes.plot(at, values, color=colour, linewidth=1.4, label=_rough(name, values))
    axes.set_xlabel(along)
    axes.set_ylabel("return")
    axes.grid(alpha=0.2)
    _keep_truth_in_view(axes, truth)
    figure.legend(
        *axes.get_legend_handles_labels(), loc="outside lower left", frameon=False, ncol=2
    )
    return figure


def save_figure(figure: Figure, file: Path) -> None:
    """Write a figure, whole or not at all.

    Args:
        figure: The figure.
        file: The image to make or replace; its suffix is the format.
    """
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    _drawing.save_figure(figure, file)


def _colours(names: Iterable[str]) -> list[str]:
    # A model keeps its colour from figure to figure, whether the truth is among the others or not.
    palette = itertools.cycle(_COLOURS)
    return [_TRUE_COLOUR if name == TRUTH else next(palette) for name in names]


def _rough(name: str, values: Float[np.ndarray, " point"]) -> str:
    return f"{name}: roughness {roughness(values):.3g}"


def _keep_truth_in_view(axes: Axes, truth: Float[np.ndarray, " point"]) -> None:
    # A model far off would squeeze the truth into a line; it may leave the frame instead.
    low, high = float(np.min(truth)), float(np.max(truth))
    if not np.isfinite([low, high]).all() or low == high:
        return
    margin = high - low
    bottom, top = axes.get_ylim()
    axes.set_ylim(max(bottom, low - margin), min(top, high + margin))
