"""What every baseline promises, so that a run can train it in the place of Algorithm 1."""

import abc
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax

from beeline.config import Config
from beeline.envs import Environment
from beeline.training import Episode


class BaselineState(NamedTuple):
    """What there is to use of a run; every array has a leading axis of seeds."""

    policy: Any


class Baseline(abc.ABC):
    """Learns without a world model, an episode at a time, several seeds side by side.

    It keeps what it needs to learn to itself, so that its runs cannot be continued.

    Attributes:
        config: The run.
        env: Its environment.
        iterations: Episodes after the warm-up.
    """

    config: Config
    env: Environment
    iterations: int

    @abc.abstractmethod
    def prepare(self, seeds: Sequence[int]) -> None:
        """Do what takes time before learning can begin, and counts as compiling.

        Args:
            seeds: One for each policy to learn.
        """

    @abc.abstractmethod
    def warm_up(self) -> BaselineState:
        """Act at random through the warm-up.

        Returns:
            The state before the first iteration.
        """

    @abc.abstractmethod
    def iterate(self, index: int) -> tuple[BaselineState, Any]:
        """Learn through one more episode.

        Args:
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
    def evaluate(self, policy: Any, *, key: jax.Array) -> Episode:
        """Live through an episode with the deterministic actions.

        Args:
            policy: The policy of one seed.
            key: Random key of the environment.

        Returns:
            The episode.
        """
