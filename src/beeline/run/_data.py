"""Runs that learn from logged data: in the place of their warm-up, or from nothing else."""

import dataclasses
import hashlib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp

from beeline.config import Config, preset
from beeline.data import DataError, Episodes
from beeline.envs import Environment, make
from beeline.envs._given import UNTRACED
from beeline.offline import (
    Judgement,
    Rows,
    System,
    cut_rows,
    judge,
    learn_system,
    packed_rows,
)
from beeline.offline._learning import bounds_of, check_belongs, rewards_of
from beeline.run._errors import RunError, RunWarning
from beeline.run._result import Run
from beeline.run._system_file import save_system
from beeline.run.directory import layout as files
from beeline.training import Episode

_MODEL = "markov"
"""What an ensemble is made of."""
_ALONE = "logged-data"


class Logged(NamedTuple):
    """What a run learns from."""

    episodes: Episodes
    rows: Episode
    """The same as the buffer holds it."""
    system: System | None
    """What it is learned in, where that is from data alone."""
    simulator: Environment | None
    """What the data is of, if there is such a thing."""

    def store(self, path: Path) -> None:
        """Write down what the data was, and the system that was learned from it.

        Args:
            path: Directory of the run.
        """
        digest = hashlib.sha256()
        for one in self.episodes:
            for values in (one.states, one.actions):
                digest.update(values.tobytes())
        about = {
            "episodes": len(self.episodes),
            "steps": self.episodes.steps,
            "states": list(self.episodes.state_names),
            "actions": list(self.episodes.action_names),
            "alone": self.system is not None,
            "sha256": digest.hexdigest(),
        }
        files.write_json(path / files.DATA, about)
        if self.system is not None:
            save_system(path / files.SYSTEM, self.system, self.simulator)


def from_data(
    config: Config,
    env: Environment | None,
    episodes: Episodes,
    *,
    offline: bool,
    task: bool,
    horizon: int | None = None,
    reward: Callable[..., Any] | None = None,
    caution: float = 1.0,
) -> tuple[Config, Environment | None, Logged]:
    """Prepare a run that learns from data.

    Args:
        config: The run.
        env: Its environment; None for a task of the library, which its name tells.
        episodes: The data.
        offline: Whether to learn from nothing else.
        task: Whether there is a simulator.
        horizon: Steps in an episode, if they were given.
        reward: The reward of a step, if it was given.
        caution: As for `learn_system`.

    Returns:
        The run with the data as its warm-up, what it is trained in, and the data.

    Raises:
        RunError: If the data cannot be used, or an option has no place here.
    """
    simulator = env
    if task and simulator is None:
        simulator = make(config.task, horizon=config.horizon)
    try:
        if offline:
            return _alone(config, simulator, episodes, horizon, reward, caution)
        if simulator is None:
            raise RunError("there is no simulator to go on in: name a task, or learn offline")
        if reward is not None:
            raise RunError("a reward can be given offline only: the simulator has its own")
        return _warm(config, env, simulator, episodes)
    except (DataError, TypeError, ValueError) as error:
        raise RunError(str(error)) from error


def judged(run: Run, logged: Logged) -> Run:
    """Say what the policies of a run are worth, in its summary and beside it.

    Args:
        run: The run, from data alone.
        logged: What it learned from.

    Returns:
        The run with that.
    """
    if logged.system is None or run.summary is None:
        return run
    found = [
        judge(policy, logged.system, logged.episodes, logged.simulator) for policy in run.policies
    ]
    more = {
        "offline": _plain(found),
        "imagined_steps": len(run.records) * run.config.horizon,
        "state_names": list(logged.episodes.state_names),
    }
    summary = run.summary | more
    if run.path is not None:
        found[0].save(run.path / files.LEAVING)
        files.write_json(run.path / files.SUMMARY, summary)
    return dataclasses.replace(run, summary=summary)


def _plain(found: list[Judgement]) -> dict[str, Any]:
    each = [judgement.plain() for judgement in found]
    return {name: [one[name] for one in each] for name in each[0]}


def _warm(
    config: Config, env: Environment | None, simulator: Environment, episodes: Episodes
) -> tuple[Config, Environment | None, Logged]:
    check_belongs(episodes, simulator)
    if config.reward == "learned" and any(one.rewards is None for one in episodes):
        raise DataError("reward is 'learned', but the data has none: name the column that has it")
    rows = cut_rows(episodes, simulator.horizon, *bounds_of(episodes, simulator))
    config = _with_rows(config, rows, simulator.horizon)
    return config, env, Logged(episodes, _episode(rows, simulator), None, simulator)


def _alone(
    config: Config,
    simulator: Environment | None,
    episodes: Episodes,
    horizon: int | None,
    reward: Callable[..., Any] | None,
    caution: float,
) -> tuple[Config, Environment | None, Logged]:
    if config.model not in (_MODEL, Config.model) or config.own_model:
        raise RunError(
            f"model is {config.model!r}, but offline a policy is learned in an ensemble of "
            f"one-step models: give {_MODEL}, or leave it out"
        )
    if config.imagination == "episodes":
        raise RunError(
            "imagination is 'episodes', but offline only windows stay near the data: leave it out"
        )
    if simulator is not None and simulator.constraints is not None:
        warnings.warn(
            f"a policy that is learned from data alone heeds no constraints: those of "
            f"{simulator.name} are left out",
            RunWarning,
            stacklevel=4,
        )
    system = learn_system(
        episodes,
        simulator,
        reward=reward,
        horizon=horizon,
        name=_ALONE if simulator is None else f"{simulator.name}-logged",
        caution=caution,
        seed=config.seed,
        config=config,
    )
    rows = packed_rows(episodes, system.horizon, system.action_low, system.action_high)
    length = min(config.windows.length, system.horizon)
    usual = preset(config.preset)
    config = dataclasses.replace(
        _with_rows(config, rows, system.horizon, fit=False),
        # These were for the ensemble, which is fitted.
        world_model=usual.world_model,
        fitting=usual.fitting,
        task=system.name,
        environment=UNTRACED,
        model="simulator",
        reward="known",
        imagination="windows",
        because="a policy learned from data alone has to stay near it",
        windows=dataclasses.replace(config.windows, length=length),
    )
    return config, system, Logged(episodes, _episode(rows, system), system, simulator)


def _with_rows(config: Config, rows: Rows, horizon: int, *, fit: bool = True) -> Config:
    steps = len(rows.states) * horizon
    exploration = dataclasses.replace(
        config.exploration, warmup_steps=steps, fit_warmup=fit and config.exploration.fit_warmup
    )
    return dataclasses.replace(
        config,
        horizon=horizon,
        exploration=exploration,
        # What was asked for comes after the data.
        env_steps=steps + max(config.env_steps, horizon),
    )


def _episode(rows: Rows, env: Environment) -> Episode:
    earned = rewards_of(env, rows) if rows.rewards is None else rows.rewards
    states, actions, rewards = (
        jnp.asarray(x, dtype=float) for x in (rows.states, rows.actions, earned)
    )
    return Episode(states, actions, rewards)
