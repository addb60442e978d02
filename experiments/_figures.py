"""How the figures look."""

import itertools
from collections.abc import Iterable

from beeline._drawing import Axes, Figure, default_style
from beeline.config._catalogue import CATALOGUE

_CHOSEN = {
    "truth": "#222222",
    "simulator": "#222222",
    "transformer-awm": "#1f6fb4",
    "ssm-awm": "#2a9d6f",
    "lstm-awm": "#7b4fb5",
    "transformer-history": "#d1495b",
    "ssm-history": "#7d2248",
    "markov": "#c98a00",
    "rnn-awm": "#b56a9b",
    "sac": "#e76f2e",
    "online-dt": "#8a5a44",
}
_OTHERS = itertools.cycle(("#4c9bb8", "#7f8c2f", "#a05c7b", "#5c6b73", "#b08d57", "#3f7f5f"))

COLOURS = _CHOSEN | {name: next(_OTHERS) for name in CATALOGUE if name not in _CHOSEN}
"""One colour a model, the same in all figures."""

LABELS = {"truth": "true dynamics"} | {name: entry.label for name, entry in CATALOGUE.items()}
"""What a model is called in all figures."""


@default_style()
def panels(columns: int, *, width: float = 4.2, height: float = 3.6) -> tuple[Figure, list[Axes]]:
    """Begin a figure with panels side by side.

    Args:
        columns: How many.
        width: Of a panel, in inches.
        height: Of a panel, in inches.

    Returns:
        The figure and its panels.
    """
    figure = Figure(figsize=(width * columns, height), dpi=130, layout="constrained")
    axes = figure.subplots(1, columns, squeeze=False)[0]
    for place in axes:
        place.grid(alpha=0.25)
        place.spines[["top", "right"]].set_visible(False)
    return figure, list(axes)


def in_order(names: Iterable[str]) -> list[str]:
    """Sort models as the legends have them.

    Args:
        names: Names of models.

    Returns:
        Each once, in the order of `COLOURS`.
    """
    found = set(names)
    return [name for name in COLOURS if name in found]
