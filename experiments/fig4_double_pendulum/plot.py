"""Draw Figure 4 from the CSV files."""

from pathlib import Path

import numpy as np

from beeline._drawing import Axes, default_style, save_figure
from experiments._figures import COLOURS, LABELS, in_order, panels
from experiments._results import column, load

TRUTH = "truth"
HERE = Path(__file__).parent / "results"


@default_style()
def draw(folder: Path = HERE) -> None:
    """Draw gradients, landscapes and ascents.

    Args:
        folder: Where the CSV files are; the figures go beside them.
    """
    figure, (left, right) = panels(2)
    _gradients(left, load(folder / "gradient_norms.csv"))
    _ascents(right, load(folder / "ascent.csv"), load(folder / "ascent_summary.csv"))
    save_figure(figure, folder / "gradients_and_ascents.png")
    landscapes = load(folder / "landscapes.csv")
    figure, (left, right) = panels(2)
    _landscapes(left, [r for r in landscapes if not r["model"].endswith("-awm")])
    _landscapes(right, [r for r in landscapes if r["model"].endswith(("-awm", TRUTH))])
    save_figure(figure, folder / "landscapes.png")
    figure, (left, right) = panels(2)
    _in_episode(left, right, load(folder / "growth_in_episode.csv"))
    save_figure(figure, folder / "growth_in_episode.png")


def _gradients(axes: Axes, rows: list[dict[str, str]]) -> None:
    for name in in_order(row["model"] for row in rows):
        mine = [row for row in rows if row["model"] == name]
        horizons = sorted({int(row["horizon"]) for row in mine})
        samples = [column([r for r in mine if int(r["horizon"]) == h], "norm") for h in horizons]
        means = [values.mean() for values in samples]
        # "nearest" takes no differences, which infinite norms do not have.
        low, high = (
            np.array([np.percentile(v, q, method="nearest") for v in samples]) for q in (10, 90)
        )
        axes.plot(horizons, means, "o-", color=COLOURS[name], label=LABELS[name], markersize=4)
        axes.fill_between(horizons, low, high, color=COLOURS[name], alpha=0.1)
    axes.set_yscale("log")
    axes.set_ylim(0.3, 1e7)
    axes.set_xlabel("horizon H [steps]")
    axes.set_ylabel("norm of d (last state) / d (first action)")
    axes.set_title("mean over actions; band: 10 to 90 %", fontsize=10)
    axes.legend(fontsize=7, loc="upper left")


def _landscapes(axes: Axes, rows: list[dict[str, str]]) -> None:
    for name in in_order(row["model"] for row in rows):
        line = [row for row in rows if row["model"] == name]
        (drawn,) = axes.plot(
            column(line, "action"), column(line, "return"), color=COLOURS[name], linewidth=1.3
        )
        drawn.set_label(LABELS[name])
        if name == TRUTH:
            drawn.set(linewidth=0.7, alpha=0.6)
    axes.set_ylim(-300, 0)
    axes.set_yscale("symlog", linthresh=1)
    axes.set_xlabel("first action")
    axes.set_ylabel("final return (0 is the best)")
    axes.set_title("longest horizon, seed 0", fontsize=10)
    axes.legend(fontsize=7, loc="lower center")


def _ascents(axes: Axes, rows: list[dict[str, str]], summary: list[dict[str, str]]) -> None:
    for name in in_order(row["model"] for row in rows):
        best = max(
            (row for row in summary if row["model"] == name),
            key=lambda row: float(row["true_return_at_end"]),
        )
        mine = [r for r in rows if r["model"] == name and r["rate"] == best["rate"]]
        ends = np.sort(column(mine, "true_return_at_end"))
        share = np.arange(1, len(ends) + 1) / len(ends)
        label = f"{LABELS[name]}, rate {best['rate']}"
        axes.step(ends, share, color=COLOURS[name], label=label, where="post")
    starts = np.sort(column([r for r in rows if r["model"] == TRUTH], "true_return_at_start"))
    share = np.arange(1, len(starts) + 1) / len(starts)
    axes.step(starts, share, color="grey", linestyle=":", label="before any step", where="post")
    axes.set_xscale("symlog", linthresh=1)
    axes.set_xlabel("true return after gradient ascent (0 is the best)")
    axes.set_ylabel("share of starts below")
    axes.set_title("ascent on each model, its best rate", fontsize=10)
    axes.legend(fontsize=7, loc="upper left")


def _in_episode(left: Axes, right: Axes, rows: list[dict[str, str]]) -> None:
    for axes, what in ((left, "mean_norm"), (right, "geometric_mean_norm")):
        for name in in_order(row["model"] for row in rows):
            mine = [row for row in rows if row["model"] == name]
            axes.plot(
                column(mine, "step"), column(mine, what), color=COLOURS[name], label=LABELS[name]
            )
        axes.set_yscale("log")
        axes.set_ylim(0.3, 1e7 if axes is left else 1e4)
        axes.set_xlabel("step t of the longest episode")
        axes.set_ylabel("norm of d (state t) / d (first action)")
        axes.set_title(what.replace("_norm", "").replace("_", " ") + " over actions", fontsize=10)
    left.legend(fontsize=7, loc="upper left")


if __name__ == "__main__":
    draw()
