"""Control by planning again and again, from where the system really is."""

import abc
from collections.abc import Sequence
from typing import Any, Generic, NamedTuple, TypeVar, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int
from typing_extensions import override

from beeline._module import Module
from beeline.control._problem import Problem
from beeline.control._starts import starting_actions
from beeline.control.ascent import LBFGS
from beeline.control.plan import solve
from beeline.control.random_return import default_key
from beeline.control.search import Search
from beeline.envs._constraints import Constraints
from beeline.gradients import RewardFunction, Termination, Value
from beeline.models import WorldModel

Memory = TypeVar("Memory")


class Controller(Module, Generic[Memory]):
    """Acts on states one after the other, and remembers. Pure: to be jitted and batched."""

    @abc.abstractmethod
    def start(self, state: Float[Array, " state"]) -> Memory:
        """Begin an episode.

        Args:
            state: Its first state.

        Returns:
            What `act` remembers at first.
        """

    @abc.abstractmethod
    def act(
        self, memory: Memory, state: Float[Array, " state"], t: Int[ArrayLike, ""]
    ) -> tuple[Memory, Float[Array, " action"]]:
        """Choose an action.

        Args:
            memory: What was left of the step before.
            state: The state in physical units.
            t: The step index.

        Returns:
            What to remember, and the action in [-1, 1].
        """


class Pending(NamedTuple):
    """The rest of a plan."""

    actions: Float[Array, "time action"]
    """The next one first; after the plan's end, its last action goes on."""
    previous: Float[Array, " action"] | None
    """What was done last; None where no constraint asks."""


@final
class MPC(Controller[Pending]):
    """Model predictive control: plan, act for some steps, plan again from there.

    The first plan of an episode is searched for from several starts, every later one from the rest
    of the plan before: a few iterations are enough. Steps beyond the end of the episode count
    nothing.

    References:
        J. B. Rawlings, D. Q. Mayne and M. M. Diehl, *Model Predictive Control: Theory,
        Computation, and Design*, Nob Hill, 2nd edition, 2017, chapter 1.
    """

    problem: Problem
    action_dim: int = eqx.field(static=True)
    every: int = eqx.field(static=True)
    starts: int = eqx.field(static=True)
    first_search: Search
    search: Search

    def __init__(
        self,
        model: WorldModel,
        reward: RewardFunction,
        horizon: int,
        *,
        action_dim: int,
        every: int = 1,
        search: Search | None = None,
        first_search: Search | None = None,
        starts: int = 8,
        termination: Termination | None = None,
        value: Value | None = None,
        constraints: Constraints | Sequence[Constraints] = (),
        episode: int | None = None,
    ) -> None:
        """Say what to plan with.

        Args:
            model: The world model.
            reward: As for `plan`.
            horizon: Steps of a plan.
            action_dim: Entries of an action.
            every: Steps between plans, at most `horizon`.
            search: How to look from the rest of the plan before; 20 iterations of `LBFGS` if left
                out.
            first_search: How to look for the first plan; `LBFGS()` if left out.
            starts: How many sequences to begin the first from.
            termination: As for `plan`.
            value: As for `plan`.
            constraints: What every plan has to keep; `end` is about its last state. `total` is over
                a whole episode, and cannot be kept by plans of parts of it.
            episode: Steps of an episode; left out, plans look as far ahead at its end as before.

        Raises:
            ValueError: If a number is out of range, or a constraint is over whole episodes.
        """
        for name, number in (("horizon", horizon), ("every", every), ("starts", starts)):
            if number < 1:
                raise ValueError(f"{name} must be at least 1, got {number}")
        if every > horizon:
            raise ValueError(f"every is {every}, but a plan has {horizon} steps: plan sooner")
        keeps = (constraints,) if isinstance(constraints, Constraints) else tuple(constraints)
        if any(one.total is not None for one in keeps):
            raise ValueError(
                "total is a constraint over a whole episode, and a controller plans parts of one: "
                "let the state carry what was used, and constrain that by path"
            )
        self.problem = Problem(
            model, reward, termination, value, keeps, horizon=horizon, episode=episode
        )
        self.action_dim, self.every, self.starts = action_dim, every, starts
        self.search = LBFGS(iterations=20) if search is None else search
        self.first_search = LBFGS() if first_search is None else first_search

    @override
    def start(self, state: Float[Array, " state"]) -> Pending:
        guesses = starting_actions(self.problem.horizon, self.action_dim, self.starts)
        return self._planned(self.first_search, jnp.asarray(guesses, state.dtype), state, 0, None)

    @override
    def act(
        self, memory: Pending, state: Float[Array, " state"], t: Int[ArrayLike, ""]
    ) -> tuple[Pending, Float[Array, " action"]]:
        def again(rest: Pending) -> Pending:
            return self._planned(self.search, rest.actions[None], state, t, rest.previous)

        # The first plan is from here.
        due = (jnp.asarray(t) % self.every == 0) & (jnp.asarray(t) > 0)
        pending = jax.lax.cond(due, again, lambda rest: rest, memory)
        action = pending.actions[0]
        rest = jnp.concatenate([pending.actions[1:], pending.actions[-1:]])
        return Pending(rest, None if pending.previous is None else action), action

    def _planned(
        self, search: Search, guesses: Any, state: Any, t: Any, previous: Array | None
    ) -> Pending:
        found = solve(
            self.problem, search, state, guesses, jnp.asarray(t), previous, key=default_key()
        )
        remembers = any(one.rate is not None for one in self.problem.constraints)
        # At first there is none before: any action will do in its place, for it is not looked at.
        last = found.actions[0] if previous is None else previous
        return Pending(found.actions, last if remembers else None)
