"""What every algorithm promises, so that a run can train by any: Algorithm 1 or a baseline."""

import abc
from collections.abc import Collection, Iterator, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from beeline.config import Config
from beeline.envs import Environment
from beeline.models import WorldModel
from beeline.policies import Policy
from beeline.training.episodes import Episode

LOWER_RATES = "lower the learning rates"


@runtime_checkable
class State(Protocol):
    """Everything that a run needs to continue: a pytree whose arrays have an axis of seeds."""

    @property
    def policy(self) -> Policy:
        """The policies.

        Returns:
            One, whose arrays have a leading axis of seeds.
        """
        ...

    @property
    def model(self) -> WorldModel | None:
        """The world models.

        Returns:
            One, likewise; None where the algorithm has none.
        """
        ...


class Fault(NamedTuple):
    """Something that is not finite and should be."""

    quantity: str
    position: int
    """That of the seed among those side by side."""
    advice: str = LOWER_RATES
    in_weights: bool = False
    """Whether something learned is not finite after the iteration, be it named here or not."""


class Algorithm(abc.ABC):
    """Learns an episode at a time, several seeds side by side.

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

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and bool(
            eqx.tree_equal((other.config, other.env), (self.config, self.env))
        )

    def __hash__(self) -> int:
        return hash((type(self), self.config))

    @abc.abstractmethod
    def prepare(self, seeds: Sequence[int], restored: Any = None) -> None:
        """Do what takes time before learning can begin, and counts as compiling.

        Args:
            seeds: One for each policy to learn.
            restored: The state to go on from; there will be no warm-up.
        """

    @abc.abstractmethod
    def warm_up(self) -> Any:
        """Act at random through the warm-up.

        Returns:
            The state before the first iteration.
        """

    @abc.abstractmethod
    def iterate(self, state: Any, index: int) -> tuple[Any, Any, Any]:
        """Learn through one more episode.

        Args:
            state: The state before, which is left as it is.
            index: Number of iterations done before this one.

        Returns:
            The state after, a named tuple of what was measured with an entry for each seed, and
            what `faults` is to know.
        """

    @abc.abstractmethod
    def skeleton(self) -> Any:
        """Shape the state without computing anything.

        Returns:
            The state with `jax.ShapeDtypeStruct` in place of arrays.
        """

    @abc.abstractmethod
    def enlarged(self, state: Any) -> Any:
        """Make room for this run in the state of a shorter one.

        Args:
            state: A state of the shorter run.

        Returns:
            The same as a state of this run.
        """

    @abc.abstractmethod
    def evaluate(self, policy: Any, *, key: PRNGKeyArray) -> Episode:
        """Roll an episode out with the deterministic actions.

        Args:
            policy: The policy of one seed.
            key: Random key of the environment.

        Returns:
            The episode.
        """

    @abc.abstractmethod
    def faults(self, record: Any, found: Any, state: Any) -> Iterator[Fault]:
        """Look for what was not finite in an iteration.

        Args:
            record: What the iteration measured.
            found: What else it returned.
            state: The state after it.

        Yields:
            The first fault of each seed that has one.
        """

    def fault_of_warmup(self, state: Any) -> Fault | None:
        """Look for what is not finite before the first iteration.

        Args:
            state: The state then.

        Returns:
            The first such quantity of the first seed that has one; None for an algorithm whose
            warm-up trains nothing and keeps nothing.
        """
        del state
        return None

    def saved_skeleton(self, names: Collection[str]) -> Any:
        """Shape what a file holds of the state, which may be less in files of older versions.

        Args:
            names: Names of the arrays in the file.

        Returns:
            As `skeleton`.
        """
        del names
        return self.skeleton()

    def can_go_on(self, state: Any) -> bool:
        """Tell whether a state that was saved is enough to learn on.

        Args:
            state: The state.

        Returns:
            Whether it is; any is enough to be evaluated.
        """
        del state
        return True

    def episodes_kept(self, state: Any) -> Int[Array, " seed"] | None:
        """Count the episodes that a state holds.

        Args:
            state: The state.

        Returns:
            Their number; None where episodes are not kept whole.
        """
        del state
        return None

    def work(self) -> Float[np.ndarray, " iteration"]:
        """Say how much there is to do, for a progress bar.

        Returns:
            The share of each iteration and those before it, in any unit.
        """
        return np.arange(1.0, self.iterations + 1)


def seeds_of(config: Config) -> list[int]:
    """List the seeds of a run.

    Args:
        config: The run.

    Returns:
        Seeds that follow each other.
    """
    return list(range(config.seed, config.seed + config.seeds))
