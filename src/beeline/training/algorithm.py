"""What every baseline promises, so that a run can train it in the place of Algorithm 1."""

import abc
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax

from beeline.config import Config
from beeline.envs import Environment
from beeline.training.episodes import Episode


class BaselineState(NamedTuple):
    """Everything that a run needs to continue; every array has a leading axis of seeds."""

    policy: Any
    """What there is to use of it."""
    learner: Any
    """What it takes beside the policy to learn on; None in runs of before that was kept."""


class Baseline(abc.ABC):
    """Learns without a world model, an episode at a time, several seeds side by side.

    Attributes:
        asks_for_optimum: Whether it cannot learn without knowing the best return.
        config: The run.
        env: Its environment.
        iterations: Episodes after the warm-up.
        evaluation_episodes: Episodes that a policy is measured in after each iteration.
    """

    asks_for_optimum: ClassVar[bool] = False
    config: Config
    env: Environment
    iterations: int
    evaluation_episodes: int

    def __reduce__(self) -> tuple[Any, tuple[Config, Environment, int]]:
        # Compiled programs and live learners stay behind: a copy prepares its own.
        return type(self), (self.config, self.env, self.evaluation_episodes)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and bool(
            eqx.tree_equal((other.config, other.env), (self.config, self.env))
        )

    def __hash__(self) -> int:
        return hash((type(self), self.config))

    @abc.abstractmethod
    def prepare(self, seeds: Sequence[int], begun: BaselineState | None = None) -> None:
        """Do what takes time before learning can begin, and counts as compiling.

        Args:
            seeds: One for each policy to learn.
            begun: The state to go on from; there will be no warm-up.
        """

    @abc.abstractmethod
    def warm_up(self) -> BaselineState:
        """Act at random through the warm-up.

        Returns:
            The state before the first iteration.
        """

    @abc.abstractmethod
    def iterate(self, state: BaselineState, index: int) -> tuple[BaselineState, Any]:
        """Learn through one more episode.

        Args:
            state: The state before, which is left as it is.
            index: Number of iterations done before this one.

        Returns:
            The state after, and a named tuple of what was measured, with an entry for each seed.
        """

    @abc.abstractmethod
    def skeleton(self) -> BaselineState:
        """Shape the state without computing anything.

        Returns:
            The state with `jax.ShapeDtypeStruct` in place of arrays.
        """

    @abc.abstractmethod
    def enlarged(self, state: BaselineState) -> BaselineState:
        """Make room for this run in the state of a shorter one.

        Args:
            state: A state of the shorter run, with its learner.

        Returns:
            The same as a state of this run.
        """

    @abc.abstractmethod
    def evaluate(self, policy: Any, *, key: jax.Array) -> Episode:
        """Live through an episode with the deterministic actions.

        Args:
            policy: The policy of one seed.
            key: Random key of the environment.

        Returns:
            The episode.
        """
