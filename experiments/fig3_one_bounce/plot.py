"""Draw Figure 3 from the CSV files."""

from pathlib import Path

import numpy as np

from beeline._drawing import Axes, default_style, save_figure
from experiments._figures import COLOURS, LABELS, in_order, panels
from experiments._results import column, load

HERE = Path(__file__).parent / "results"


@default_style()
def draw(folder: Path = HERE) -> None:
    """Draw a panel of paths and a panel of landscapes for every horizon and preset.

    Args:
        folder: Where the CSV files are; the figures go beside them.
    """
    landscapes, paths = load(folder / "landscapes.csv"), load(folder / "paths.csv")
    fitted = [row for row in landscapes if row["model"] != "truth"]
    for horizon, preset in dict.fromkeys((row["horizon"], row["preset"]) for row in fitted):
        chosen = [
            [r for r in rows if r["horizon"] == horizon and r["preset"] in (preset, "truth")]
            for rows in (paths, landscapes)
        ]
        figure, (left, right) = panels(2)
        _lines(left, chosen[0], "time", "place")
        left.set_xlabel("time [s]")
        left.set_ylabel("place of the block [m]")
        left.set_title("path after a first action of 0", fontsize=10)
        _lines(right, chosen[1], "action", "return")
        truth = column([r for r in chosen[1] if r["model"] == "truth"], "return")
        right.set_ylim(2.2 * truth.min(), 0.15 * np.ptp(truth))
        right.set_xlabel("first action")
        right.set_ylabel("return [m²]")
        right.set_title(f"final return, H = {horizon}", fontsize=10)
        left.legend(fontsize=8, loc="best")
        figure.suptitle(f"one-bounce, {preset} preset, seed 0", fontsize=11)
        save_figure(figure, folder / f"one_bounce_{preset}_{horizon}.png")


def _lines(axes: Axes, rows: list[dict[str, str]], x: str, y: str) -> None:
    for name in in_order(row["model"] for row in rows):
        line = [row for row in rows if row["model"] == name]
        (drawn,) = axes.plot(column(line, x), column(line, y), color=COLOURS[name], linewidth=1.4)
        drawn.set_label(LABELS[name])
        if name == "truth":
            drawn.set(linewidth=3.5, alpha=0.35)
    if x == "time":
        place = column([row for row in rows if row["model"] == "truth"], y)
        axes.set_ylim(place.min() - 0.6, place.max() + 0.6)


if __name__ == "__main__":
    draw()
