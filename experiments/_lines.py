"""What figures of the lines of a grid share: colours, styles, marks, budgets and the legend."""

from pathlib import Path
from typing import Any

import numpy as np

from beeline._drawing import Figure, save_figure
from experiments._benchmark import POINTS, Line, Recorded
from experiments._figures import COLOURS, LABELS

_STYLES = ("-", "--", ":", "-.")


def style_of(line: Line, recorded: Recorded) -> dict[str, Any]:
    """Choose how a line is drawn.

    Args:
        line: The line.
        recorded: The grid that it is of.

    Returns:
        Its colour by its model, its style by its label, and what the legend calls it.
    """
    labels = list(dict.fromkeys(line.block.label for line in recorded.lines))
    label = f", {line.block.label}" if line.block.label else ""
    return {
        "color": COLOURS.get(line.model, "#777777"),
        "linestyle": _STYLES[labels.index(line.block.label) % len(_STYLES)],
        "label": LABELS.get(line.model, line.model) + label,
    }


def mark_stopped(axes: Any, x: Any, y: Any, style: dict[str, Any]) -> None:
    """Mark where runs stopped before their last step, which are no part of what is drawn.

    Args:
        axes: The panel.
        x: Where.
        y: Where, likewise.
        style: How their line is drawn.
    """
    look = {"marker": "X", "markersize": 7, "linestyle": "", "markeredgecolor": "black"}
    axes.plot(x, y, color=style["color"], label="runs that stopped", clip_on=False, **look)


def budgets_of(recorded: Recorded, horizon: int, spent: str) -> np.ndarray:
    """Choose the budgets that learning curves are read at.

    Args:
        recorded: The grid and what is recorded.
        horizon: The horizon.
        spent: Of what: `env_steps` or `wall_seconds`.

    Returns:
        From the first that some run has to the last, evenly on a logarithmic scale.
    """
    lengths = [
        (getattr(curve, spent)[0], getattr(curve, spent)[-1]) for curve in recorded.learned(horizon)
    ]
    firsts, lasts = zip(*lengths, strict=True) if lengths else ((1.0,), (10.0,))
    return np.geomspace(max(min(firsts), 1e-2), max(lasts), POINTS)


def finish(figure: Figure, file: Path) -> None:
    """Add the legend of all panels, and save.

    Args:
        figure: The figure.
        file: Where to.
    """
    handles = {
        label: handle
        for axes in figure.axes
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    if handles:
        figure.legend(list(handles.values()), list(handles), fontsize=8, loc="outside right upper")
    save_figure(figure, file)
