"""Training from a configuration to a result, with everything kept on the way."""

import contextlib
import dataclasses
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from beeline._devices import use_every_core
from beeline._memory import keep_freed_memory
from beeline.build import build
from beeline.config import Config
from beeline.config import preset as from_preset
from beeline.run import _directory as files
from beeline.run._background import in_background
from beeline.run._display import Display, display
from beeline.run._errors import DivergedError, Interrupted
from beeline.run._programs import (
    Programs,
    Soundness,
    compile_cache,
    compile_programs,
    seeds_of,
)
from beeline.run._provenance import provenance
from beeline.run._records import first_fault, row
from beeline.run._reference import Reference
from beeline.run._result import Run
from beeline.training import BPO, BPOState, Record, checkpoint

CHECKPOINT_EVERY = 10
"""Iterations between checkpoints."""


def train(
    task: str | None = None,
    horizon: int | None = None,
    *,
    model: str | None = None,
    preset: str | None = None,
    seed: int | None = None,
    seeds: int | None = None,
    env_steps: int | None = None,
    config: Config | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    progress: bool | None = None,
) -> Run:
    """Train policies through learned world models.

    What is left out comes from `config`, or else from the preset.

    Args:
        task: Name of the task, one of `beeline.envs.names()`.
        horizon: Steps in an episode, at least 2.
        model: Name of the world model.
        preset: Name of the preset to start from; not together with `config`.
        seed: Seed of the first run.
        seeds: How many runs to train side by side.
        env_steps: Environment steps in all, the warm-up included.
        config: A whole configuration to start from.
        out: Directory to keep the run in; nothing is written if left out.
        overwrite: Whether another run in that directory may be replaced.
        progress: Whether to show a progress bar; by default if standard error is a terminal.

    Returns:
        The run: its policies and models, what every iteration measured, and a summary.

    Raises:
        TypeError: If both a preset and a configuration are given, or a count is not an integer.
        ValueError: If a name is unknown or a value out of range.
        RunError: If the directory holds another run, or files that are no run.
        DivergedError: If a number becomes infinite or NaN; the last good checkpoint is kept.
        Interrupted: On Ctrl-C; the last good checkpoint is kept.
    """
    fields = {
        "task": task,
        "horizon": horizon,
        "model": model,
        "seed": seed,
        "seeds": seeds,
        "env_steps": env_steps,
    }
    given = {name: value for name, value in fields.items() if value is not None}
    if config is None:
        config = from_preset(preset or "default", **given)
    elif preset is not None:
        raise TypeError("give a preset or a configuration, not both")
    else:
        config = dataclasses.replace(config, **given)
    path = None if out is None else Path(out)
    if path is not None:
        files.claim(path, overwrite=overwrite)
    keep_freed_memory()
    use_every_core(config.fitting.batch_size, config.improvement.batch_size)
    algorithm = build(config)
    with compile_cache(), display(algorithm, config.env_steps, shown=progress) as shown:
        return _train(config, algorithm, path, shown)


def _train(config: Config, algorithm: BPO, path: Path | None, shown: Display) -> Run:
    shown.phase("compiling")
    reference = in_background(lambda: Reference.of(algorithm.env))
    programs = in_background(lambda: compile_programs(config, algorithm))()
    shown.phase("solving for the optimum")
    solved = reference()
    shown.phase("training")
    began = time.perf_counter()
    with _keeper(path, config) as keeper:
        state, rows = _iterate(config, algorithm, programs, solved, keeper, shown)
        wall_seconds = time.perf_counter() - began
        summary = _summarise(config, rows, solved, wall_seconds, programs.compile_seconds)
        run = Run(config, algorithm, state, rows, summary, path)
        if path is not None:
            files.write_json(path / files.SUMMARY, summary)
            # Imported this late because it takes longer than everything before training.
            from beeline.run._figures import draw_run

            shown.phase("drawing")
            draw_run(run)
    return run


def _iterate(
    config: Config,
    algorithm: BPO,
    programs: Programs,
    reference: Reference,
    keeper: "_Keeper",
    shown: Display,
) -> tuple[BPOState, list[dict[str, Any]]]:
    began = time.perf_counter()
    state, rows = programs.start(), []
    try:
        for index in range(config.iterations):
            after, record, sound = programs.iterate(state, index)
            _check(config, record, sound, index + 1, keeper)
            state = after
            rows.append(
                {
                    "iteration": index + 1,
                    "env_steps": (config.warmup_episodes + index + 1) * config.horizon,
                    "wall_seconds": round(time.perf_counter() - began, 3),
                    **row(record, reference),
                }
            )
            keeper.append(rows[-1])
            if (index + 1) % CHECKPOINT_EVERY == 0:
                keeper.checkpoint(state, len(rows))
            shown.iteration(rows[-1])
    except KeyboardInterrupt:
        done = f"interrupted after {len(rows)} of {config.iterations} iterations"
        raise Interrupted(done + keeper.kept) from None
    finally:
        # Also after a failure: `state` is what the last good iteration left.
        keeper.checkpoint(state, len(rows))
    return state, rows


def _check(
    config: Config, record: Record, sound: Soundness, iteration: int, keeper: "_Keeper"
) -> None:
    fault = first_fault(record)
    for name, finite in (
        ("model weights", sound.model_weights),
        ("reward weights", sound.reward_weights),
        ("policy weights", sound.policy_weights),
    ):
        if fault is None and not np.all(finite):
            fault = name, int(np.argmin(finite))
    if fault is not None:
        quantity, position = fault
        raise DivergedError(quantity, seeds_of(config)[position], iteration, keeper.kept)


def _summarise(
    config: Config,
    rows: list[dict[str, Any]],
    reference: Reference,
    wall_seconds: float,
    compile_seconds: float,
) -> dict[str, Any]:
    return {
        "schema": files.SCHEMA,
        "task": config.task,
        "horizon": config.horizon,
        "model": config.model,
        "preset": config.preset,
        "seeds": seeds_of(config),
        "env_steps": rows[-1]["env_steps"],
        "iterations": len(rows),
        "wall_seconds": round(wall_seconds, 3),
        "compile_seconds": round(compile_seconds, 3),
        "return": rows[-1]["return"],
        "normalized_return": rows[-1]["normalized_return"],
        "optimal_return": reference.optimum.return_,
        "random_return": reference.random_return,
        **provenance(),
    }


@dataclasses.dataclass(frozen=True)
class _Keeper:
    """Puts a run on disk as it goes, if it is to be there."""

    path: Path | None
    metrics: TextIO | None

    @property
    def kept(self) -> str:
        return "" if self.path is None else f"; {self.path / files.CHECKPOINT} holds what was good"

    def append(self, row: dict[str, Any]) -> None:
        if self.metrics is not None:
            self.metrics.write(json.dumps(row, allow_nan=False) + "\n")
            self.metrics.flush()

    def checkpoint(self, state: BPOState, iterations: int) -> None:
        if self.path is not None:
            checkpoint.save(self.path / files.CHECKPOINT, state, {"iterations": iterations})


@contextlib.contextmanager
def _keeper(path: Path | None, config: Config) -> Iterator[_Keeper]:
    if path is None:
        yield _Keeper(None, None)
        return
    files.begin(path, config)
    with (path / files.METRICS).open("w", encoding="utf-8") as metrics:
        yield _Keeper(path, metrics)
