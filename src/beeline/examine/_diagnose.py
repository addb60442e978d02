"""Examine the world models of an environment, or of a trained run."""

import functools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax

from beeline._choices import choose
from beeline.config import PRESETS
from beeline.diagnostics.diagnosis import measure
from beeline.diagnostics.report import Report, write
from beeline.envs import Environment
from beeline.envs._given import given_environment, given_factory
from beeline.examine._subjects import (
    SIMULATOR,
    Trained,
    check_horizons,
    check_names,
    of_environment,
    of_run,
)


def diagnose(
    subject: str | Environment | Trained | Callable[..., Environment],
    models: Sequence[str] = (),
    horizons: Sequence[int] = (5, 10, 20, 40),
    out: str | Path = "diagnosis",
    *,
    transitions: int = 20_000,
    fit_steps: int = 1000,
    samples: int = 50,
    points: int = 201,
    preset_name: str = "default",
    seed: int = 0,
    say: Callable[[str], Any] = lambda line: None,
) -> Report:
    """Examine world models of an environment or of a trained run, beside the true dynamics.

    Where the environment can be made with any horizon, it is made with each, and models are drawn
    anew and fitted to episodes of random actions; the policy is an untrained one. What has a
    horizon of its own, an environment that is made already or a run, is examined once, and a
    shorter horizon cuts its episodes off. Of a run, its own model and policy are examined.

    Args:
        subject: Name of a task, `module:Name` of an environment, or a class or function that makes
            one from `horizon=`; an environment; or a run as `beeline.load` gives it.
        models: Names of models; for a run, its own or none. The true dynamics are always there.
        horizons: Steps in an episode, each at least 2; a growth law needs four different ones.
        out: Directory for the files; made if there is none.
        transitions: Environment steps of random actions to fit models to.
        fit_steps: Updates of each model; 0 leaves them untrained.
        samples: Random action sequences and noise draws for each horizon.
        points: Points of each landscape.
        preset_name: Preset that models and fitting are configured by.
        seed: Seed of everything random.
        say: Told what is being done.

    Returns:
        The measurements, the tables, and the files written.

    Raises:
        TypeError: If what is named or given makes no environment.
        ValueError: If a name is unknown, a number out of range, or a run is asked for what it
            does not have.
    """
    _check(horizons, transitions, fit_steps, samples, points, seed)
    check_names(models)
    choose("preset", preset_name, PRESETS)
    wanted = sorted(set(horizons))
    if isinstance(subject, str):
        named = given_factory(subject)
        subject = named if isinstance(named, Environment) else subject
    envs = _environments(subject, wanted)
    _check_out(Path(out))
    fit_key, measure_key = jax.random.split(jax.random.key(seed))
    fit = functools.partial(
        of_environment,
        models=[name for name in dict.fromkeys(models) if name != SIMULATOR],
        transitions=transitions,
        fit_steps=fit_steps,
        preset_name=preset_name,
        key=fit_key,
        say=say,
    )
    if isinstance(subject, Environment):
        subjects = dict.fromkeys(wanted, fit(subject))
    elif isinstance(subject, Trained):
        subjects = of_run(subject, models, wanted)
    else:
        subjects = {horizon: fit(env) for horizon, env in envs.items()}
    measured = measure(subjects, samples=samples, points=points, key=measure_key, say=say)
    return write(measured, Path(out).expanduser())


def _environments(subject: Any, horizons: Sequence[int]) -> dict[int, Environment]:
    # What can be made with any horizon: all are made before any is fitted to, which takes minutes.
    if isinstance(subject, Environment):
        check_horizons(horizons, subject.horizon, "environment")
        return {}
    if isinstance(subject, Trained):
        return {}
    return {horizon: given_environment(subject, horizon=horizon) for horizon in horizons}


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
