"""Figures of what was measured against the paper's bounds."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from beeline._drawing import Figure, Line2D, default_style
from beeline.theory.checks import Check

_COLOURS = ("#1f6fb4", "#d1495b", "#2a9d6f", "#7b4fb5", "#c98a00", "#4c9bb8", "#8a5a44", "#5c6b73")


class Panel(NamedTuple):
    """Checks that are drawn together."""

    title: str
    along: str
    """What the checks are indexed by."""
    checks: Mapping[str, Check]


@default_style()
def check_figure(panels: Sequence[Panel], quantity: str = "norm") -> Figure:
    """Draw measurements against their bounds.

    Args:
        panels: What to draw, from left to right.
        quantity: What is bounded, for the axis.

    Returns:
        The figure, on logarithmic scales: bounds are lines, and measurements points, or crosses
        where they exceed their bound.
    """
    figure = Figure(figsize=(4.3 * len(panels), 4.6), dpi=150, layout="constrained")
    row = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, panel in zip(row, panels, strict=True):
        handles = []
        for index, (label, check) in enumerate(panel.checks.items()):
            colour = _COLOURS[index % len(_COLOURS)]
            # Smaller from one to the next, so that equal measurements all show.
            size = max(2.5, 6 - 1.75 * index)
            over = check.measured > check.bound * (1 + 1e-9)
            axes.plot(check.at, check.bound, "-", color=colour, linewidth=1.2)
            axes.plot(check.at[~over], check.measured[~over], "o", color=colour, markersize=size)
            axes.plot(check.at[over], check.measured[over], "x", color=colour, markersize=size)
            marker = "x" if over.any() else "o"
            handles.append(Line2D([], [], color=colour, marker=marker, markersize=4, label=label))
        axes.set_yscale("log")
        axes.set_xlabel(panel.along)
        axes.set_title(panel.title, fontsize=10)
        axes.grid(alpha=0.2)
        axes.legend(
            handles=handles,
            loc="upper center",
            bbox_to_anchor=(0.5, -0.16),
            frameon=False,
            fontsize=8,
        )
    row[0].set_ylabel(quantity)
    return figure
