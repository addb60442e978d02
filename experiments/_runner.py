"""Train what a grid lists, and record it.

What is recorded is not trained again, whichever experiment asked for it first. A second process
that is started beside the first takes other cells, so that as many can share a machine as it has
cores. An accelerator is not filled by one seed: there, seeds can be trained side by side.
"""

import argparse
import collections
import contextlib
import dataclasses
import datetime
import json
import shutil
import statistics
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.console import Console

import beeline
from beeline.compute.devices import use_every_core
from beeline.compute.memory import give_freed_memory_back
from beeline.control import reference_return
from beeline.control.chance import has_best_plan
from beeline.envs import make
from beeline.run.directory.layout import METRICS, SUMMARY
from experiments._grid import Cell, GridError, read_grid
from experiments._results import SCALES, machine
from experiments._store import Row, Store

RESULTS = Path(__file__).parent / "results"
"""Where all experiments keep their runs, since figures share them."""

_POINTS = 60
_INTERRUPTED = 130
_NO_SCALE = (
    "{} has no scale to measure returns on: say in its variant which return counts as 1, such as "
    "'default reference=-0.3'"
)


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
    parser.add_argument(
        "--seeds-together",
        action="store_true",
        help="train seeds side by side in one program: for an accelerator",
    )
    arguments = parser.parse_args()
    try:
        cells = read_grid(arguments.grid, arguments.scale)
        run(cells, Store(arguments.out), seeds_together=arguments.seeds_together)
    except GridError as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    except KeyboardInterrupt:
        parser.exit(_INTERRUPTED, f"{parser.prog}: interrupted; the same command goes on\n")


def run(cells: list[Cell], store: Store, *, seeds_together: bool = False) -> None:
    """Train the cells that are not recorded, one after another.

    Args:
        cells: What to train.
        store: Where to record it.
        seeds_together: Whether cells that differ by their seeds alone are trained side by side.

    Raises:
        GridError: If the results cannot be used, or a cell has no scale to measure returns on.
    """
    console = Console(soft_wrap=True, highlight=False)
    store.curves()
    missing = _missing(cells, store)
    for cell in {(cell.task, cell.variant): cell for cell in missing}.values():
        _check_scale(cell)
    groups = _groups(missing, seeds_together)
    for position, group in enumerate(groups, 1):
        with contextlib.ExitStack() as locks:
            mine = [c for c in group if locks.enter_context(store.locked(c.slug, wait=False))]
            # Another process may have ended some of them since.
            for side in _groups(_missing(mine, store), seeds_together):
                began = time.perf_counter()
                said = _train(side, store)
                took = time.perf_counter() - began
                # Programs of one cell are of no use to the next, nor is the room to compile them.
                jax.clear_caches()
                give_freed_memory_back()
                finals = store.finals()
                left = _left([g[0] for g in groups[position:] if g[-1] not in finals], finals)
                number = len(finals.keys() & set(cells))
                console.print(f"[{number}/{len(cells)}] {said} in {took:.0f} s{left}")
    console.print(
        f"{len(cells) - len(_missing(cells, store))} of {len(cells)} runs are recorded in "
        f"{store.folder}"
    )


def _missing(cells: list[Cell], store: Store) -> list[Cell]:
    finals = store.finals()
    return [cell for cell in cells if cell not in finals]


def _check_scale(cell: Cell) -> None:
    config = cell.config
    none = config.reference == "none"
    env = cell.env or make(cell.task, horizon=cell.horizon)
    if config.reference == "optimum" and env.deterministic is not True:
        # The cores are shared out before anything is computed.
        use_every_core(config.fitting_batch, config.improvement_batch)
        none = not has_best_plan(env) and reference_return(env) is None
    if none:
        raise GridError(_NO_SCALE.format(cell))


def _groups(cells: list[Cell], seeds_together: bool) -> list[list[Cell]]:
    # Seeds in a row can be side by side: those as far ahead of the number seen before them.
    groups: dict[Cell, list[Cell]] = {}
    seen: collections.Counter[Cell] = collections.Counter()
    for cell in cells:
        kind = cell._replace(seed=0)
        first = cell.seed - seen[kind] if seeds_together else cell.seed
        groups.setdefault(cell._replace(seed=first), []).append(cell)
        seen[kind] += 1
    return list(groups.values())


def _train(side: list[Cell], store: Store) -> str:
    first = side[0]
    beside = f" to {side[-1].seed}" if len(side) > 1 else ""
    config = dataclasses.replace(first.config, seeds=len(side))
    folder = store.folder / ".running" / first.slug
    diverged = False
    try:
        _train_or_resume(first, config, folder)
    except beeline.DivergedError:
        if beside:
            # It ended them all, so that only alone can the others go on.
            shutil.rmtree(folder)
            return "; ".join(_train([cell], store) for cell in side)
        # It has no result: what its policy had is recorded as that of a run that stopped.
        diverged = True
    rows = [json.loads(line) for line in (folder / METRICS).read_bytes().splitlines()]
    ended = {} if diverged else json.loads((folder / SUMMARY).read_bytes())
    said = []
    for position, cell in enumerate(side):
        records = [_of_seed(row, position) for row in rows]
        records = [row for row in records if row["normalized_return"] is not None]
        if not records and not diverged:
            shutil.rmtree(folder)
            raise GridError(_NO_SCALE.format(cell))
        if not records:
            records = [_as_begun(cell, folder, position)]
        last = records[-1]
        final = {
            "env_steps": last["env_steps"],
            "wall_seconds": f"{ended.get('wall_seconds', last['wall_seconds']):.1f}",
            "compile_seconds": "" if diverged else f"{ended['compile_seconds']:.1f}",
            "return": f"{last['return']:.7g}",
            "normalized_return": f"{last['normalized_return']:.5f}",
            "skipped": sum(_left_out(row, position) for row in rows),
            "stopped": int(diverged),
            "date": datetime.date.today().isoformat(),
            "machine": machine(),
            "command": first.command + (f" --seeds {len(side)}" if beside else ""),
        }
        store.record(cell, final, _curve(records))
        said.append(final["normalized_return"])
    shutil.rmtree(folder)
    ending = "STOPPED at" if diverged else "normalised return"
    return f"{first}{beside}: {ending} {', '.join(said)}"


def _of_seed(row: dict[str, Any], position: int) -> dict[str, Any]:
    one = {name: row[name][position] for name in ("return", "normalized_return")}
    return {name: row[name] for name in ("env_steps", "wall_seconds")} | one


def _left_out(row: dict[str, Any], position: int) -> int:
    # Baselines leave nothing out.
    names = {"skipped_updates", "discarded_episodes"} & row.keys()
    return sum(int(row[name][position]) for name in names)


def _as_begun(cell: Cell, folder: Path, position: int) -> dict[str, Any]:
    # It diverged in its first iteration, and has the policy that it began with.
    found = beeline.evaluate(folder, env=cell.env)
    return {
        "env_steps": cell.config.warmup_episodes * cell.horizon,
        "wall_seconds": 0.0,
        "return": float(found.return_[position]),
        "normalized_return": float(found.normalized_return[position]),
    }


def _train_or_resume(cell: Cell, config: beeline.Config, folder: Path) -> None:
    env = cell.env
    # A run that was killed goes on, unless the recipe has changed since or it cannot.
    if folder.exists():
        with contextlib.suppress(beeline.RunError):
            begun = beeline.load(folder, env=env).config
            # It says what its environment is made of, which is that of the cell, or it is refused.
            if begun == dataclasses.replace(config, environment=begun.environment):
                beeline.resume(folder, env=env)
                return
    own = {} if env is None else {"task": cell.task, "horizon": cell.horizon}
    beeline.train(**own, config=config, out=folder, overwrite=True)


def _curve(records: list[dict[str, Any]]) -> dict[str, list[float]]:
    steps = np.array([record["env_steps"] for record in records])
    wanted = np.geomspace(steps[0], steps[-1], _POINTS)
    kept = [records[i] for i in np.unique(np.searchsorted(steps, np.floor(wanted)))]
    names = ("env_steps", "wall_seconds", "normalized_return")
    return {name: [record[name] for record in kept] for name in names}


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
