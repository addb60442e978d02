"""A system that was learned from data, in a file of its run."""

import inspect
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from beeline.config import Config
from beeline.envs import Environment, make, names
from beeline.envs._given import given_factory, name_of
from beeline.envs._making import made
from beeline.offline import System
from beeline.offline._ensemble import Ensemble, draw_ensemble
from beeline.offline._reward import LearnedReward, draw_reward
from beeline.run._errors import RunError
from beeline.storage import checkpoint
from beeline.storage.untrusted import shorten

_MOST = 10_000
"""Sizes up to which the file is not asked whether it bears them out."""
_MOST_LAYERS = 100
_LEARNED, _GIVEN = "learned", "given"


def save_system(file: Path, system: System, simulator: Environment | None) -> None:
    """Write a system.

    Args:
        file: The file.
        system: The system.
        simulator: What the data is of, if there is such a thing.
    """
    learned = isinstance(system.earned, LearnedReward)
    about = {
        "state_names": list(system.state_names),
        "action_names": list(system.action_names),
        "state_dim": system.state_dim,
        "action_dim": system.action_dim,
        "action_low": list(system.action_low),
        "action_high": list(system.action_high),
        "dt": system.dt,
        "caution": system.caution,
        "continuing": system.continuing,
        "starts": len(system.starts),
        "hidden": list(system.ensemble.hidden),
        "compress": system.ensemble.compress,
        "reward": _LEARNED if learned else _GIVEN,
        # A name that is looked up in the library, never imported.
        "simulator": "" if simulator is None else (name_of(simulator) or ""),
    }
    checkpoint.save(file, _arrays(system), about)


def read_system(file: Path, config: Config, given: Any) -> System:
    """Read a system, trusting nothing in its file.

    Args:
        file: The file.
        config: The run, of which the system is the environment.
        given: What was handed over for the reward: a function, an environment, `module:name` of
            either, or the system itself. None for a reward that is in the file, or of a task.

    Returns:
        The system.

    Raises:
        RunError: If the file is damaged or forged, or the reward has to be handed over.
    """
    if isinstance(given, System):
        return given
    try:
        peek = checkpoint.peek(file)
        fields = _Fields(peek.about, file, peek.bytes)
        state_dim, action_dim = fields.whole("state_dim"), fields.whole("action_dim")
        low, high = (fields.numbers(f"action_{end}", action_dim) for end in ("low", "high"))
        about: dict[str, Any] = {
            "state_dim": state_dim,
            "action_dim": action_dim,
            "state_names": fields.texts("state_names", state_dim),
            "action_names": fields.texts("action_names", action_dim),
            "action_low": low,
            "action_high": high,
            "dt": fields.number("dt"),
            "caution": fields.number("caution"),
            "continuing": peek.about.get("continuing") is True,
        }
        learned = peek.about.get("reward") == _LEARNED
        sizes = state_dim, action_dim, config.horizon, fields.sizes("hidden")
        compress, starts = peek.about.get("compress") is True, fields.whole("starts")
        skeleton = eqx.filter_eval_shape(_drawn, *sizes, starts, compress, learned)
        loaded = checkpoint.load(file, skeleton).tree
    except checkpoint.CheckpointError as error:
        raise RunError(str(error)) from None
    if learned:
        earned: Callable[..., Any] = LearnedReward(loaded.pop("earned"), low, high)
    else:
        earned = _earned(file, config, peek.about.get("simulator"), given)
    return System(**loaded, **about, earned=earned, name=config.task, horizon=config.horizon)


def reward_of_module(given: str) -> Callable[..., Any]:
    """Find a reward that is named as `module:function`.

    Args:
        given: What the caller wrote: it is imported.

    Returns:
        The function.

    Raises:
        TypeError: If it is none.
        ValueError: If there is no such module or name.
    """
    found = given_factory(given)
    if not callable(found) or isinstance(found, (type, Environment)):
        raise TypeError(f"{given} is no function of a state, an action and a step: name one")
    return found


def _arrays(system: System) -> dict[str, Any]:
    named = {
        name: getattr(system, name)
        for name in ("ensemble", "starts", "lowest", "highest", "usual", "spread")
    }
    if isinstance(system.earned, LearnedReward):
        named["earned"] = system.earned.model
    return named


def _drawn(
    state_dim: int,
    action_dim: int,
    horizon: int,
    hidden: tuple[int, ...],
    starts: int,
    compress: bool,
    learned: bool,
) -> dict[str, Any]:
    sizes, key = (state_dim, action_dim, horizon, hidden), jax.random.key(0)
    ensemble: Ensemble = draw_ensemble(*sizes, compress=compress, key=key)
    entry, number = jnp.zeros(state_dim), jnp.zeros(())
    drawn: dict[str, Any] = {
        "ensemble": ensemble,
        "starts": jnp.zeros((starts, state_dim)),
        "lowest": entry,
        "highest": entry,
        "usual": number,
        "spread": number,
    }
    if learned:
        drawn["earned"] = draw_reward(*sizes, compress=compress, key=key)
    return drawn


def _earned(file: Path, config: Config, simulator: Any, given: Any) -> Callable[..., Any]:
    try:
        if given is None and isinstance(simulator, str) and simulator in names():
            return make(simulator, horizon=config.horizon).reward
        if isinstance(given, str):
            given = given_factory(given)
        if isinstance(given, Environment):
            return given.reward
        if callable(given) and not isinstance(given, type):
            parameters = list(inspect.signature(given).parameters)
            if len(parameters) in (3, 4):
                return given
        if given is not None:
            return made(given, "what was handed over", horizon=config.horizon).reward
    except (TypeError, ValueError) as error:
        raise RunError(str(error)) from error
    raise RunError(
        f"{file.parent} was learned from data with a reward of its own: hand it over with env=, "
        "or on the command line with --env module:function"
    )


class _Fields:
    """Takes fields of what a file says of itself, each checked."""

    def __init__(self, about: dict[str, Any], file: Path, size: int) -> None:
        self._about, self._file, self._size = about, file, size

    def whole(self, name: str) -> int:
        value = self._about.get(name)
        if type(value) is not int or not 1 <= value <= max(_MOST, self._size // 4):
            raise RunError(f"{self._file}: {name} is {shorten(value)}, not an integer from 1")
        return value

    def sizes(self, name: str) -> tuple[int, ...]:
        values = self._about.get(name)
        if not isinstance(values, list) or not 1 <= len(values) <= _MOST_LAYERS:
            raise RunError(f"{self._file}: {name} is {shorten(values)}, not a list of sizes")
        for value in values:
            if type(value) is not int or not 1 <= value <= max(_MOST, self._size // 4):
                raise RunError(f"{self._file}: {name} holds {shorten(value)}: sizes belong there")
        return tuple(values)

    def number(self, name: str) -> float:
        value: Any = self._about.get(name)
        if type(value) not in (int, float) or not math.isfinite(value):
            raise RunError(f"{self._file}: {name} is {shorten(value)}, not a finite number")
        return float(value)

    def numbers(self, name: str, count: int) -> tuple[float, ...]:
        values = self._list(name, count)
        for value in values:
            if type(value) not in (int, float) or not math.isfinite(value):
                raise RunError(f"{self._file}: {name} holds {shorten(value)}: numbers belong there")
        return tuple(float(value) for value in values)

    def texts(self, name: str, count: int) -> tuple[str, ...]:
        values = self._list(name, count)
        for value in values:
            if not isinstance(value, str):
                raise RunError(f"{self._file}: {name} holds {shorten(value)}: texts belong there")
        return tuple(values)

    def _list(self, name: str, count: int) -> list[Any]:
        values = self._about.get(name)
        # An environment may do without names.
        if not isinstance(values, list) or len(values) not in (0, count):
            raise RunError(f"{self._file}: {name} is {shorten(values)}, not a list of {count}")
        return values
