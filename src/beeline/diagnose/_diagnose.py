"""Examine the world models of a task, or of a trained run."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax

from beeline._choices import choose
from beeline.config import PRESETS
from beeline.diagnose._subjects import SIMULATOR, Trained, check_names, of_run, of_task
from beeline.diagnostics.diagnosis import measure
from beeline.diagnostics.report import Report, write
from beeline.envs import descriptions
from beeline.envs._registry import check_least_horizon


def diagnose(
    task_or_run: str | Trained,
    models: Sequence[str],
    horizons: Sequence[int],
    out: str | Path,
    *,
    transitions: int = 20_000,
    fit_steps: int = 1000,
    samples: int = 50,
    points: int = 201,
    preset_name: str = "default",
    seed: int = 0,
    say: Callable[[str], Any] = lambda line: None,
) -> Report:
    """Examine world models of a task, or the one of a trained run, beside the true dynamics.

    For a task, each model is drawn anew at each horizon and fitted to episodes of random actions;
    the policy is an untrained one. For a run, its own model and policy are examined, and a
    horizon shorter than its own cuts the episodes off.

    Args:
        task_or_run: Name of a task, or a run as `beeline.load` gives it.
        models: Names of models; for a run, its own or none. The true dynamics are always there.
        horizons: Steps in an episode, each at least 2; a growth law needs four different ones.
        out: Directory for the files; made if there is none.
        transitions: Environment steps of random actions to fit a task's models to.
        fit_steps: Updates of each model; 0 leaves them untrained.
        samples: Random action sequences and noise draws for each horizon.
        points: Points of each landscape.
        preset_name: Preset that models and fitting are configured by.
        seed: Seed of everything random.
        say: Told what is being done.

    Returns:
        The measurements, the tables, and the files written.

    Raises:
        ValueError: If a name is unknown, a number out of range, or a run is asked for what it
            does not have.
    """
    _check(horizons, transitions, fit_steps, samples, points, seed)
    check_names(models)
    choose("preset", preset_name, PRESETS)
    if isinstance(task_or_run, str):
        choose("task", task_or_run, descriptions())
        for horizon in horizons:
            check_least_horizon(task_or_run, horizon)
    _check_out(Path(out))
    fit_key, measure_key = jax.random.split(jax.random.key(seed))
    wanted = sorted(set(horizons))
    if isinstance(task_or_run, str):
        names = [name for name in dict.fromkeys(models) if name != SIMULATOR]
        subjects = {
            horizon: of_task(
                task_or_run,
                names,
                horizon,
                transitions=transitions,
                fit_steps=fit_steps,
                preset_name=preset_name,
                key=fit_key,
                say=say,
            )
            for horizon in wanted
        }
    else:
        subjects = of_run(task_or_run, models, wanted)
    measured = measure(subjects, samples=samples, points=points, key=measure_key, say=say)
    return write(measured, Path(out).expanduser())


def _check(
    horizons: Sequence[int],
    transitions: int,
    fit_steps: int,
    samples: int,
    points: int,
    seed: int,
) -> None:
    if not horizons:
        raise ValueError("no horizon was given: give one or more, each at least 2")
    for horizon in horizons:
        if horizon < 2:
            raise ValueError(f"horizon is {horizon}: give an integer of at least 2")
    counts = {"transitions": (transitions, 1), "fit-steps": (fit_steps, 0)}
    counts |= {"samples": (samples, 2), "points": (points, 2)}
    for name, (given, least) in counts.items():
        if given < least:
            raise ValueError(f"{name} is {given}: give an integer of at least {least}")
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed is {seed}: give an integer from 0 to {2**32 - 1}")


def _check_out(out: Path) -> None:
    # Measuring takes minutes: what cannot be written then is told now, and nothing is made yet.
    nearest = next(path for path in (out, *out.absolute().parents) if path.exists())
    if not nearest.is_dir():
        raise ValueError(f"{nearest} is a file: name a directory with --out")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise ValueError(f"cannot write to {nearest}: name another directory with --out")
