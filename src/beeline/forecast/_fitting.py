"""Fitting a world model to logged episodes, and judging it by those that it has not seen."""

from typing import NamedTuple

import jax.numpy as jnp

from beeline._choices import choose
from beeline.config import Config, preset
from beeline.config._groups import Windows
from beeline.data import DataError, Episodes
from beeline.forecast._errors import Errors, errors_ahead
from beeline.forecast._forecaster import Forecaster, Sizes, draw, known_models
from beeline.forecast._split import Held, hold_out, usual_window, windows_of
from beeline.training import fit
from beeline.training.fit import fitting_of

_NAME = "logged-data"


class Fitted(NamedTuple):
    """A fitted model and how it did."""

    forecaster: Forecaster
    errors: Errors
    """On what was held out."""
    held: Held
    """What it was fitted to, and what was held out."""
    share: float
    """Error up to which it is believed, in units of the spread."""


def fit_episodes(
    episodes: Episodes,
    model: str = "gru-awm",
    *,
    window: int | None = None,
    ahead: int | None = None,
    held_out: float = 0.2,
    share: float = 0.5,
    updates: int = 2000,
    seed: int = 0,
) -> Fitted:
    """Fit a world model to logged episodes.

    The model learns from windows that begin at any step, without a clock: so it can be asked from
    any state on. Whole episodes, or the last part of a single record, are held out.

    Args:
        episodes: The episodes.
        model: Name of a world model of the library.
        window: Steps in a window; by default 50, or what half of the episodes have, if less.
        ahead: Steps ahead to measure, at most those of the longest episode held out; by default a
            window's.
        held_out: Share of the episodes, or of a single record's steps, to hold out.
        share: Error, in units of each state's spread, up to which a forecast is believed.
        updates: Steps of the optimiser.
        seed: Seed of everything random.

    Returns:
        The model, and its errors on what was held out.

    Raises:
        DataError: If a number is out of range for these episodes.
    """
    choose("model", model, known_models())
    for name, value, least in (("ahead", ahead, 1), ("updates", updates, 1)):
        if value is not None and value < least:
            raise DataError(f"{name} is {value}: give at least {least}")
    if not share > 0:
        raise DataError(f"the share believed is {share}: give an error above 0")
    held = hold_out(episodes, held_out, seed)
    length = usual_window(held.fitted) if window is None else window
    windows = windows_of(held.fitted, length)
    reach = max(len(piece.actions) for piece in held.held_out)
    if ahead is not None and ahead > reach:
        raise DataError(
            f"ahead is {ahead}, but the longest episode held out has {reach} steps: give at most "
            "that, or hold out more"
        )
    ahead = min(length, reach) if ahead is None else ahead
    config = _config(model, length, seed)
    longest = max(len(one.actions) for one in episodes)
    drawn = draw(config, Sizes(episodes.state_dim, episodes.action_dim, max(longest, length)))
    fitted = fit(
        drawn,
        jnp.asarray(windows.states),
        jnp.asarray(windows.actions),
        fitting_of(config),
        updates=updates,
        key=seed,
    )
    errors = errors_ahead(fitted, held.held_out, held.spread, ahead, episodes.state_names)
    forecaster = Forecaster(
        fitted,
        config,
        episodes.state_names,
        episodes.action_names,
        tuple(episodes.action_low.tolist()),
        tuple(episodes.action_high.tolist()),
        max(longest, length),
        errors.believed(share),
        episodes.dt,
    )
    return Fitted(forecaster, errors, held, share)


def _config(model: str, length: int, seed: int) -> Config:
    return preset(
        "default",
        task=_NAME,
        environment=_NAME,
        horizon=length,
        # Nothing is collected; a configuration has to have room for its warm-up all the same.
        env_steps=max(10_000, 4 * length),
        model=model,
        imagination="windows",
        windows=Windows(length=length, clock="none"),
        seed=seed,
    )
