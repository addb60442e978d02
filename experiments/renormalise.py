"""Put recorded returns on the scale of today's reference optima.

A normalised return depends on the best return that the search for an optimum knows. Where that now
finds a better one, this restates the rows of `finals.csv` and `curves.csv`: a final value from the
return recorded beside it, a curve in proportion, for random actions stay at 0. Rows that agree with
today's optima are left as they are, so that running it again changes nothing, and so are rows of
other environments than the library's tasks and with a reference of their own.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

from beeline import envs
from beeline.envs._registry import ENTRIES
from beeline.run._reference import Reference
from experiments._grid import Cell, GridError
from experiments._runner import RESULTS
from experiments._store import Store

ROUNDING = 1e-4
"""Differences up to this may be of rounding: in what is recorded, and by another machine."""

Scale = Callable[[str, int, float], float]
"""From a task, a horizon and a return to the normalised return."""


def main() -> None:
    """Restate a folder's results; mistakes end the process in one line."""
    parser = argparse.ArgumentParser(prog="python -m experiments.renormalise", description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder with the runs")
    references: dict[tuple[str, int], Reference] = {}

    def scale(task: str, horizon: int, return_: float) -> float:
        if (task, horizon) not in references:
            references[task, horizon] = Reference.of(envs.make(task, horizon=horizon))
        return float(references[task, horizon].normalize([return_])[0])

    store = Store(parser.parse_args().results)
    try:
        restated = renormalise(store, scale)
    except GridError as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    for cell, (old, new) in restated.items():
        print(f"{cell}: {old:.5f} is now {new:.5f}")
    print(f"{len(restated)} of {len(store.finals())} runs restated in {store.folder}")


def renormalise(store: Store, scale: Scale) -> dict[Cell, tuple[float, float]]:
    """Restate the runs that were measured on another scale.

    Args:
        store: Where the runs are recorded.
        scale: Today's scale.

    Returns:
        Of each run restated, the final value as it was and as it is.

    Raises:
        GridError: If runs of one task and horizon were measured on several other scales.
    """
    finals, curves = store.finals(), store.curves()
    restated = {}
    for cell, row in finals.items():
        if row["normalized_return"] and _is_of_optimum(cell):
            old = float(row["normalized_return"])
            new = scale(cell.task, cell.horizon, float(row["return"]))
            if not _same(old, new):
                restated[cell] = (old, new)
    ratios = {cell: _ratio(cell, restated) for cell in restated}
    for cell, (_, new) in restated.items():
        curve = curves[cell].normalized_return
        # If this was stopped between the two files, the curve is on today's scale already.
        on_scale = _same(curve[-1], new)
        store.restate(cell, new, curve if on_scale else curve * ratios[cell])
    return restated


def _ratio(cell: Cell, restated: dict[Cell, tuple[float, float]]) -> float:
    # The value farthest from 0 tells most digits of how two scales compare.
    alike = [pair for other, pair in restated.items() if other[:2] == cell[:2]]
    whole, part = max(alike, key=lambda pair: abs(pair[0]))
    old, new = restated[cell]
    if not _same(old * part / whole, new):
        raise GridError(f"{cell} was measured on another scale than others of its kind")
    return part / whole


def _is_of_optimum(cell: Cell) -> bool:
    # Other environments are not imported: the results may be somebody else's.
    return cell.task in ENTRIES and "reference=" not in cell.variant


def _same(one: float, other: float) -> bool:
    return abs(one - other) <= ROUNDING * max(1.0, abs(other))


if __name__ == "__main__":
    main()
