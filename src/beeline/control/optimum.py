"""The best return that any sequence of actions earns in a task."""

import operator
from dataclasses import dataclass, field
from typing import SupportsIndex

import jax
import numpy as np
from jaxtyping import Float

from beeline._module import ArraysInside
from beeline.control import _optimum_store as store
from beeline.control._rollout import Player
from beeline.control._shooting import shooter
from beeline.control._starts import starting_actions
from beeline.control._transcription import small, transcribe
from beeline.control.chance import is_deterministic
from beeline.envs import Environment
from beeline.envs._constraints import Constraints

AGREEMENT = 1e-5
"""Relative difference in return within which two starts count as having agreed."""

TRANSCRIPTIONS = (2, 10)
"""How many starting points are transcribed, and of a small task where shooting disagrees."""


@dataclass(frozen=True, eq=False)
class Optimum(ArraysInside):
    """The best open-loop plan that was found.

    Attributes:
        actions: The plan, entries in [-1, 1].
        states: The states it visits, from the start to the end of the episode.
        return_: What it earns, replayed in float64.
        starts: What each starting point of single shooting ended up with, best first.
        transcriptions: What each plan of direct transcription ended up with, climbed from and
            replayed, best first.
        violation: The largest value of a constraint, or 0 where all are kept.
    """

    actions: Float[np.ndarray, "time action"]
    states: Float[np.ndarray, "time+1 state"]
    return_: float
    starts: Float[np.ndarray, "start"]
    transcriptions: Float[np.ndarray, "transcription"] = field(default_factory=lambda: np.empty(0))
    violation: float = 0.0

    @property
    def agreement(self) -> float:
        """The share of starting points that came within 1e-5 of the best, relative to it.

        A share well below one tells of a task with many local optima, in which the best found
        may not be the best there is.
        """
        reach = AGREEMENT * _magnitude(self.return_)
        return float(np.mean(self.starts >= self.return_ - reach))

    @property
    def difference(self) -> float:
        """How much more the best transcription earns than the best of shooting, relative.

        Above zero, shooting alone would have missed the best plan. It is seldom below, for one of
        the transcriptions sets out from the best of shooting; minus infinity if none found a plan.
        """
        best = max(self.transcriptions, default=-np.inf)
        return float((best - self.starts[0]) / _magnitude(self.return_))


def solve_optimum(
    env: Environment,
    *,
    starts: SupportsIndex = 20,
    constraints: Constraints | None = None,
    cache: bool = True,
) -> Optimum:
    """Find the best open-loop plan by two kinds of search from many starting points.

    Single shooting climbs the return as a function of the actions alone. Direct transcription
    searches over states and actions at once, also from the best of shooting, and its plans are then
    climbed from as well. Whatever a search claims, a plan counts for what it earns when it is
    replayed on the task in float64. In a deterministic task that starts from one state, no
    closed-loop policy can do better than the best plan.

    Constraints, those that the environment declares among them, are kept to 1e-6 of the mean
    magnitude of their values: shooting climbs by the method of multipliers then.

    Args:
        env: The task, which has to be deterministic. Precision is raised to float64 for the call
            only.
        starts: How many starting points to climb from, at least 1; always the same ones.
        constraints: What the plan has to keep beside what the environment declares.
        cache: Whether to look the result up on disk, and to keep it there; not done for
            `constraints`, of which nobody knows what they were.

    Returns:
        The best plan found, and how the starting points agreed.

    Raises:
        TypeError: If `starts` is not an integer.
        ValueError: If `starts` is below 1, the task starts or moves by chance or can terminate, the
            return is not finite from any starting point, or no plan keeps the constraints.
    """
    if isinstance(starts, bool) or not isinstance(starts, SupportsIndex):
        raise TypeError(f"starts must be an integer of at least 1, got {starts!r}")
    count = operator.index(starts)
    if count < 1:
        raise ValueError(f"starts must be at least 1, got {count}")
    if not is_deterministic(env):
        raise ValueError(
            f"{env.name} starts or moves by chance, so that no plan is the best there is: solve it "
            "without process noise and from one start"
        )
    if env.terminated is not None:
        raise ValueError(
            f"{env.name} can terminate, where its return jumps and no search can climb: compare "
            "returns with reference_return instead"
        )
    with jax.enable_x64(True):
        keeps = tuple(one for one in (Constraints.of(env), constraints) if one is not None)
        path = store.entry_path(env, count) if cache and constraints is None else None
        replay = Player(env, keeps)
        record = store.load(path, env, replay, count) if path else None
        if record is None:
            record = store.replayed(replay, _search(env, replay, count, keeps), count)
            if path and np.isfinite(record["return_"]):
                store.save(path, record)
        violation = replay.worst(record["actions"])
    if not np.isfinite(record["return_"]):
        raise ValueError(
            f"no plan that keeps the constraints of {env.name} was found: the best breaks them by "
            f"{violation:.3g}"
        )
    return Optimum(
        actions=record["actions"],
        states=record["states"],
        return_=float(record["return_"]),
        starts=record["starts"],
        transcriptions=record["transcriptions"],
        violation=violation,
    )


def _search(
    env: Environment, replay: Player, count: int, keeps: tuple[Constraints, ...]
) -> Float[np.ndarray, "end time action"]:
    # Where all searches ended, those of shooting first.
    shoot = shooter(env, keeps)
    starts = starting_actions(env.horizon, env.action_dim, count)
    shot = shoot(starts)
    returns = replay(shot)[1]
    if not np.any(np.isfinite(returns)) and not keeps:
        raise ValueError(f"{env.name} has no finite return at horizon {env.horizon}")
    returns = np.where(np.isfinite(returns), returns, -np.inf)
    best = np.max(returns)
    if not np.isfinite(best):
        # None of the plans keeps the constraints: transcription may find one that does.
        returns, best = -replay.broken(shot), -np.inf
    agree = np.all(returns >= best - AGREEMENT * _magnitude(best))
    few, many = TRANSCRIPTIONS
    others = starts[: many if small(env) and not agree else few]
    plans = transcribe(env, replay, shot[np.argmax(returns)], others, keeps)
    # The dynamics may amplify the error of a transcription, which another climb removes.
    return np.concatenate([shot, shoot(np.stack(plans))]) if plans else shot


def _magnitude(return_: float) -> float:
    return max(abs(return_), 1e-12)
