"""Train what a grid lists, and record it.

What is recorded is not trained again, whichever experiment asked for it first. A second process
that is started beside the first takes other cells, so that as many can share a machine as it has
cores.
"""

import argparse
import contextlib
import datetime
import json
import shutil
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

import beeline
from beeline.run._directory import METRICS, SUMMARY
from experiments._grid import Cell, GridError, read_grid
from experiments._results import SCALES, machine
from experiments._store import Row, Store

RESULTS = Path(__file__).parent / "results"
"""Where all experiments keep their runs, since figures share them."""

_POINTS = 60
_INTERRUPTED = 130


def main(folder: Path, description: str) -> None:
    """Run an experiment's grid from the command line; mistakes end the process in one line.

    Args:
        folder: Its folder, which holds `grid.toml`.
        description: What it does, in one line.

    Raises:
        SystemExit: If the grid or the results cannot be used, or on Ctrl-C.
    """
    module = f"experiments.{folder.name}.run"
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=description)
    parser.add_argument("--scale", choices=SCALES, required=True, help="how much to compute")
    parser.add_argument("--grid", type=Path, default=folder / "grid.toml", help="the grid file")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the results")
    arguments = parser.parse_args()
    try:
        run(read_grid(arguments.grid, arguments.scale), Store(arguments.out))
    except GridError as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    except KeyboardInterrupt:
        parser.exit(_INTERRUPTED, f"{parser.prog}: interrupted; the same command goes on\n")


def run(cells: list[Cell], store: Store) -> None:
    """Train the cells that are not recorded, one after another.

    Args:
        cells: What to train.
        store: Where to record it.
    """
    console = Console(soft_wrap=True, highlight=False)
    store.curves()
    for position, cell in enumerate(cells, 1):
        recorded = store.finals()
        if cell in recorded:
            continue
        with store.locked(cell.slug, wait=False) as mine:
            # Another process may have ended it since.
            if not mine or cell in store.finals():
                continue
            began = time.perf_counter()
            said = _train(cell, store)
            took = time.perf_counter() - began
        left = _left([c for c in cells[position:] if c not in recorded], store.finals())
        console.print(f"[{position}/{len(cells)}] {cell}: {said} in {took:.0f} s{left}")
    missing = [cell for cell in cells if cell not in store.finals()]
    console.print(
        f"{len(cells) - len(missing)} of {len(cells)} runs are recorded in {store.folder}"
    )


def _train(cell: Cell, store: Store) -> str:
    folder = store.folder / ".running" / cell.slug
    diverged = False
    try:
        _train_or_resume(cell, folder)
    except beeline.DivergedError:
        # It counts with what its policy had reached.
        diverged = True
    rows = (json.loads(line) for line in (folder / METRICS).read_text().splitlines())
    records = [row for row in rows if row["normalized_return"][0] is not None]
    if not records:
        records = [_as_begun(cell, folder)]
    last = records[-1]
    ended = {} if diverged else json.loads((folder / SUMMARY).read_text())
    final = {
        "env_steps": last["env_steps"],
        "wall_seconds": f"{ended.get('wall_seconds', last['wall_seconds']):.1f}",
        "compile_seconds": "" if diverged else f"{ended['compile_seconds']:.1f}",
        "return": f"{last['return'][0]:.7g}",
        "normalized_return": f"{last['normalized_return'][0]:.5f}",
        "date": datetime.date.today().isoformat(),
        "machine": machine(),
        "command": cell.command,
    }
    store.record(cell, final, _curve(records))
    shutil.rmtree(folder)
    return f"{'DIVERGED at' if diverged else 'normalised return'} {final['normalized_return']}"


def _as_begun(cell: Cell, folder: Path) -> dict[str, Any]:
    # It diverged in its first iteration, and has the policy that it began with.
    found = beeline.evaluate(folder)
    return {
        "env_steps": cell.config.warmup_episodes * cell.horizon,
        "wall_seconds": 0.0,
        "return": [float(found.return_[0])],
        "normalized_return": [float(found.normalized_return[0])],
    }


def _train_or_resume(cell: Cell, folder: Path) -> None:
    # A run that was killed goes on, unless the recipe has changed since or it cannot.
    if folder.exists():
        with contextlib.suppress(beeline.RunError):
            if beeline.load(folder).config == cell.config:
                beeline.resume(folder)
                return
    beeline.train(config=cell.config, out=folder, overwrite=True)


def _curve(records: list[dict[str, Any]]) -> dict[str, list[float]]:
    steps = np.array([record["env_steps"] for record in records])
    wanted = np.geomspace(steps[0], steps[-1], _POINTS)
    kept = [records[i] for i in np.unique(np.searchsorted(steps, np.floor(wanted)))]
    return {
        "env_steps": [record["env_steps"] for record in kept],
        "wall_seconds": [record["wall_seconds"] for record in kept],
        "normalized_return": [record["normalized_return"][0] for record in kept],
    }


def _left(cells: list[Cell], finals: dict[Cell, Row]) -> str:
    # From the runs recorded that are most like each.
    if not cells:
        return ""
    took: dict[Any, list[float]] = {}
    for cell, row in finals.items():
        seconds = float(row["wall_seconds"]) + float(row["compile_seconds"] or 0)
        for like in ((cell.horizon, cell.model, cell.variant), cell.horizon, None):
            took.setdefault(like, []).append(seconds)
    total = 0.0
    for cell in cells:
        likes = ((cell.horizon, cell.model, cell.variant), cell.horizon, None)
        total += statistics.fmean(next(took[like] for like in likes if like in took))
    hours, minutes = divmod(round(total / 60), 60)
    return f"; about {f'{hours} h ' if hours else ''}{minutes} min left"
