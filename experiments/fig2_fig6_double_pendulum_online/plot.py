"""Draw Figures 2 and 6 from the CSV files."""

from pathlib import Path

import numpy as np

from beeline._drawing import default_style, save_figure
from experiments._figures import COLOURS, LABELS, in_order, panels
from experiments._results import column, load

NOISY = "noisy"
HERE = Path(__file__).parent / "results"


@default_style()
def draw(folder: Path = HERE) -> None:
    """Draw the final returns by horizon, and the learning curves.

    Args:
        folder: Where the CSV files are; the figures go beside them.
    """
    summary, curves, finals = (
        [row for row in load(folder / f"{name}.csv") if row["policy"] == NOISY]
        for name in ("summary", "curves", "finals")
    )
    _finals(folder, summary, finals)
    _curves(folder, summary, curves)


def _finals(folder: Path, summary: list[dict[str, str]], finals: list[dict[str, str]]) -> None:
    horizons = sorted({int(row["horizon"]) for row in summary})
    names = in_order(row["model"] for row in summary)
    figure, (axes,) = panels(1, width=4 + 2 * len(horizons))
    for k, name in enumerate(names):
        for i, horizon in enumerate(horizons):
            (row,) = [r for r in summary if r["model"] == name and int(r["horizon"]) == horizon]
            at = i + (k - (len(names) - 1) / 2) * 0.2
            value, low, high = (float(row[what]) for what in ("final_return", "low", "high"))
            axes.errorbar(
                at, value, [[value - low], [high - value]], fmt="o", color=COLOURS[name], capsize=4,
                label=_label(name, summary) if i == 0 else None,
            )  # fmt: skip
            mine = [r for r in finals if r["model"] == name and int(r["horizon"]) == horizon]
            values = column([r for r in mine if r["rate"] == row["best_rate"]], "final_return")
            axes.scatter(
                np.full(len(values), at + 0.06), values, s=9, color=COLOURS[name], alpha=0.5
            )
    for i, horizon in enumerate(horizons):
        (random,) = {row["random_return"] for row in summary if int(row["horizon"]) == horizon}
        axes.hlines(float(random), i - 0.45, i + 0.45, colors="grey", linestyles=":")
    axes.set_yscale("symlog", linthresh=0.1)
    axes.set_xticks(range(len(horizons)), [f"H = {horizon}" for horizon in horizons])
    axes.set_ylabel("final return (0 is the best)")
    axes.set_title("mean, 95 % interval, seeds; dotted: random", fontsize=10)
    figure.legend(fontsize=8, loc="outside right upper")
    save_figure(figure, folder / "final_returns.png")


def _label(name: str, summary: list[dict[str, str]]) -> str:
    lost = sum(int(row["diverged"]) for row in summary if row["model"] == name)
    return f"{LABELS[name]} ({lost} diverged)" if lost else LABELS[name]


def _curves(folder: Path, summary: list[dict[str, str]], curves: list[dict[str, str]]) -> None:
    horizons = sorted({int(row["horizon"]) for row in summary})
    figure, places = panels(len(horizons), width=4 + 3 / len(horizons))
    for axes, horizon in zip(places, horizons, strict=True):
        for name in in_order(row["model"] for row in summary):
            (best,) = [r for r in summary if r["model"] == name and int(r["horizon"]) == horizon]
            mine = [
                row
                for row in curves
                if row["model"] == name
                and int(row["horizon"]) == horizon
                and row["rate"] == best["best_rate"]
            ]
            seeds = sorted({row["seed"] for row in mine})
            lines = np.array([column([r for r in mine if r["seed"] == s], "return") for s in seeds])
            steps = column([row for row in mine if row["seed"] == seeds[0]], "env_steps")
            # Seeds whose weights stopped being finite are left out, and counted in the legend.
            lines = lines[np.isfinite(lines).all(axis=1)]
            if not len(lines):
                continue
            middle, spread = lines.mean(axis=0), lines.std(axis=0)
            axes.plot(steps, middle, color=COLOURS[name], label=_label(name, summary))
            axes.fill_between(
                steps,
                middle - spread,
                np.minimum(middle + spread, 0),
                color=COLOURS[name],
                alpha=0.15,
            )
        axes.set_xlabel("environment steps")
        axes.set_ylabel("return of the deterministic policy")
        axes.set_yscale("symlog", linthresh=0.1)
        axes.set_title(f"H = {horizon}; mean and standard deviation", fontsize=10)
    figure.legend(*places[0].get_legend_handles_labels(), fontsize=8, loc="outside right upper")
    save_figure(figure, folder / "learning_curves.png")


if __name__ == "__main__":
    draw()
