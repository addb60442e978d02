"""The best actions from a state on, as a world model has it."""

import operator
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, SupportsFloat, SupportsIndex, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from beeline._module import ArraysInside
from beeline.control._augmented import best_of, search_constrained
from beeline.control._problem import Prediction, Problem
from beeline.control._starts import starting_actions
from beeline.control.ascent import LBFGS
from beeline.control.random_return import default_key
from beeline.control.search import Found, Search
from beeline.envs._constraints import Constraints
from beeline.gradients import RewardFunction, Termination, Value
from beeline.models import WorldModel, knows_windows
from beeline.networks.scaling import StateScaling

FINALISTS = 2
"""Starts that are followed to the end, of those that a search sorts out in a heat."""


@final
@dataclass(frozen=True, eq=False)
class Plan(ArraysInside):
    """A sequence of actions, and what the model says that it leads to.

    Attributes:
        actions: Entries in [-1, 1], whatever the bounds of the environment.
        states: The states predicted, from the start to the end.
        rewards: The rewards predicted.
        return_: Their sum, and what the end is worth if that was given.
        starts: What each start of the search ended up with, best first; of those that were left
            behind after a heat, what they had then.
        distance: How far the start is from the nearest that the model was fitted on: the root mean
            square over the entries of the state, in standard deviations of the data. None where it
            is not known what the model was fitted on.
        violations: The largest value of each kind of constraint, or 0 where it is kept.
        feasible: Whether all are kept: no value is above 0 by more than 1e-3 of the mean magnitude
            that the values have where the search begins.
    """

    actions: Float[np.ndarray, "time action"]
    states: Float[np.ndarray, "time+1 state"]
    rewards: Float[np.ndarray, " time"]
    return_: float
    starts: Float[np.ndarray, " start"]
    distance: float | None
    violations: dict[str, float] = field(default_factory=dict)
    feasible: bool = True


def plan(
    model: WorldModel,
    state: Float[ArrayLike, " state"] | Sequence[SupportsFloat],
    reward: RewardFunction,
    horizon: SupportsIndex,
    *,
    action_dim: int,
    first: SupportsIndex = 0,
    search: Search | None = None,
    starts: SupportsIndex = 8,
    guess: Float[ArrayLike, "time action"] | None = None,
    termination: Termination | None = None,
    value: Value | None = None,
    constraints: Constraints | Sequence[Constraints] = (),
    previous: Float[ArrayLike, " action"] | None = None,
    seen: Float[ArrayLike, "sample _"] | None = None,
    key: PRNGKeyArray | None = None,
) -> Plan:
    """Find the actions that earn most in a world model, from a state on.

    Searches from several starts run side by side, as one batch of one program. A model of actions
    is asked in one parallel pass, any other one is rolled out. The program is compiled for each
    model's shape, reward, horizon and search, and used again: give the same function as a reward,
    not a new one each time. A model answers anything that it is asked: `distance` says how far the
    start is from what it was fitted on, if `seen` does.

    Args:
        model: Any world model; `beeline.models.SimulatorModel` is the environment itself.
        state: The state before the first action, in physical units.
        reward: The reward of a state, an action in [-1, 1] and a step index:
            `beeline.envs.reward_of(env)` of an environment.
        horizon: Steps of the plan.
        action_dim: Entries of an action.
        first: Index of the first step in its episode.
        search: How to look: `LBFGS()` if left out; `Adam()`, `CEM()` or `MPPI()`.
        starts: How many sequences to begin from, at least 1; always the same ones. A search with
            a heat, as `LBFGS` has one, follows the best two of them to the end.
        guess: One more to begin from, such as the rest of an earlier plan.
        termination: Whether a step ends the episode, after which nothing is earned.
        value: What the last state is worth beyond the plan, such as a critic.
        constraints: What the plan has to keep. Where no plan is found that does, the one that
            breaks them least is returned, and is not `feasible`.
        previous: The action before the first, in [-1, 1], for constraints of its rate of change.
        seen: States that the model was fitted on, to measure `distance` from.
        key: Randomness of the searches that try plans at random; always the same if left out.

    Returns:
        The best plan found.

    Raises:
        TypeError: If a count is not an integer.
        ValueError: If the state, the guess, a constraint or a count is not what it can be, the
            model cannot be asked for so many steps or begin there, or no plan has a finite return.
    """
    horizon, first = _count("horizon", horizon, 1), _count("first", first, 0)
    begin = check_start(state, model.scaling)
    if first > 0 and not knows_windows(model):
        raise ValueError(
            f"first is {first}, but {type(model).__name__} knows whole episodes only: leave it out"
        )
    guesses = starting_actions(horizon, action_dim, _count("starts", starts, 1))
    if guess is not None:
        guesses = np.concatenate([_check_guess(guess, guesses.shape[1:])[None], guesses])
    keeps = (constraints,) if isinstance(constraints, Constraints) else tuple(constraints)
    for one in keeps:
        one.check(len(begin), action_dim, horizon)
    found = solve(
        Problem(model, reward, termination, value, keeps, horizon=horizon),
        LBFGS() if search is None else search,
        jnp.asarray(begin, float),
        jnp.asarray(guesses, float),
        jnp.asarray(first),
        None if previous is None else jnp.asarray(previous, float),
        key=default_key() if key is None else key,
    )
    scores = np.asarray(found.scores)
    if not np.isfinite(scores).any():
        raise ValueError(
            f"no plan has a finite return from the state {begin.tolist()}: {len(scores)} starts "
            "were tried"
        )
    return Plan(
        actions=np.asarray(found.actions),
        states=np.asarray(found.prediction.states),
        rewards=np.asarray(found.prediction.rewards),
        return_=float(found.prediction.return_),
        starts=np.sort(scores)[::-1],
        distance=None if seen is None else distance_from(model.scaling, begin, np.asarray(seen)),
        violations={
            kind: float(np.max(values, initial=0.0))
            for kind, values in found.prediction.limits.items()
        },
        feasible=bool(found.feasible),
    )


class Solution(NamedTuple):
    """The best plan of all starts."""

    actions: Float[Array, "time action"]
    prediction: Prediction
    scores: Float[Array, " start"]
    """What each start ended up with; minus infinity for nothing finite."""
    feasible: Bool[Array, ""]
    """Whether the plan keeps the constraints."""


@eqx.filter_jit
def solve(
    problem: Problem,
    search: Search,
    state: Float[Array, " state"],
    guesses: Float[Array, "start time action"],
    first: Array,
    previous: Float[Array, " action"] | None = None,
    *,
    key: PRNGKeyArray,
) -> Solution:
    """Search from all guesses at once. Pure: it may be called where everything is traced.

    Args:
        problem: What to maximise.
        search: How.
        state: Where plans begin.
        guesses: What to begin the searches from.
        first: Index of the first step in its episode.
        previous: The action before it, if any.
        key: Randomness.

    Returns:
        The best plan, and what it leads to.
    """
    if problem.constraints:
        ends = search_constrained(problem, search, state, guesses, first, previous, key=key)
        best = best_of(ends)
        scores = jnp.where(jnp.isfinite(ends.returns), ends.returns, -jnp.inf)
        actions, feasible = ends.actions[best], ends.kept[best]
    else:

        def score(actions: Array) -> Array:
            return problem.predict(state, actions, first).return_

        def follow(search: Search, guesses: Array, keys: Array) -> Found:
            found = jax.vmap(lambda guess, key: search(score, guess, key=key))(guesses, keys)
            return found._replace(score=jnp.where(jnp.isfinite(found.score), found.score, -jnp.inf))

        keys = jax.random.split(key, len(guesses))
        heat = search.heat()
        if heat is None or len(guesses) <= FINALISTS:
            found = follow(search, guesses, keys)
        else:
            found = follow(heat, guesses, keys)
            best = jax.lax.top_k(found.score, FINALISTS)[1]
            ends = follow(search, found.actions[best], keys[best])
            found = jax.tree.map(lambda first, last: first.at[best].set(last), found, ends)
        scores = found.score
        actions, feasible = found.actions[jnp.argmax(scores)], jnp.asarray(True)
    prediction = problem.predict(state, actions, first, previous)
    return Solution(actions, prediction, scores, feasible)


def distance_from(
    scaling: StateScaling,
    state: Float[np.ndarray, " state"],
    seen: Float[np.ndarray, "sample _"],
) -> float:
    """Measure how far a state is from the nearest of others.

    Args:
        scaling: Whose coordinates count.
        state: The state.
        seen: The others.

    Returns:
        The root mean square over the coordinates.

    Raises:
        ValueError: If there is none, or they have another size.
    """
    if seen.ndim != 2 or len(seen) == 0 or seen.shape[1] != len(state):
        raise ValueError(
            f"seen must be states of {len(state)} entries, one a row, got shape {seen.shape}"
        )
    encode = jax.jit(partial(StateScaling.encode, scaling))
    ours, others = (np.asarray(encode(jnp.asarray(x, float))) for x in (state, seen))
    return float(np.sqrt(np.min(np.mean((others - ours) ** 2, axis=1))))


def check_start(state: Any, scaling: StateScaling) -> Float[np.ndarray, " state"]:
    """Refuse what is no state of a model.

    Args:
        state: What was given.
        scaling: The model's.

    Returns:
        The state.

    Raises:
        ValueError: If it has another length, or an entry that is not finite.
    """
    size = scaling.width if scaling.modes is None else scaling.modes.centre.shape[-1]
    try:
        values = np.asarray(state, float)
    except (TypeError, ValueError):
        raise ValueError(f"state must be {size} numbers, got {state!r}") from None
    if values.shape != (size,):
        given = f"{values.size} numbers" if values.ndim == 1 else f"shape {values.shape}"
        raise ValueError(f"state must be {size} numbers, one for each entry, got {given}")
    if not np.isfinite(values).all():
        raise ValueError(f"state must be finite, got {values.tolist()}")
    return values


def _check_guess(guess: Any, shape: tuple[int, ...]) -> np.ndarray:
    values = np.asarray(guess, float)
    if values.shape != shape or not np.isfinite(values).all():
        raise ValueError(
            f"guess must be finite actions of shape {shape}, got {values.shape}"
            + ("" if np.isfinite(values).all() else " with entries that are not")
        )
    return np.clip(values, -1.0, 1.0)


def _count(name: str, given: SupportsIndex, least: int) -> int:
    if isinstance(given, bool) or not isinstance(given, SupportsIndex):
        raise TypeError(f"{name} must be an integer of at least {least}, got {given!r}")
    value = operator.index(given)
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")
    return value
