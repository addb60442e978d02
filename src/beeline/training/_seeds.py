"""Algorithm 1 for several seeds side by side: what does not depend on where the environment is."""

import contextlib
import gc
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt32
from typing_extensions import override

from beeline.config import Config
from beeline.models import RewardModel, TerminationModel, TransitionReward, WorldModel
from beeline.policies import Policy
from beeline.training._fault_names import fault_of_warmup, faults_of_iteration
from beeline.training.algorithm import Algorithm, Fault
from beeline.training.bpo import BPO, BPOState
from beeline.training.critic import Critic
from beeline.training.faults import Faults
from beeline.training.record import Record

T = TypeVar("T")


class Networks(NamedTuple):
    """What one seed begins with."""

    model: WorldModel
    policy: Policy
    reward: RewardModel | TransitionReward | None
    critic: Critic | None
    termination: TerminationModel | None
    key: PRNGKeyArray
    """For all that is drawn later."""


class AlgorithmOne(Algorithm):
    """Algorithm 1 for the seeds of a run.

    Attributes:
        bpo: What one seed does.
        draw: Draws what a seed begins with.
        programs: What it was compiled to, once it is prepared.
    """

    def __init__(
        self, config: Config, bpo: BPO, draw: Callable[[UInt32[Array, ""]], Networks]
    ) -> None:
        """Set it up; nothing is computed yet.

        Args:
            config: The run.
            bpo: What one seed does.
            draw: Draws what a seed begins with.
        """
        self.config, self.bpo, self.draw = config, bpo, draw
        self.env, self.iterations = bpo.env, bpo.iterations
        self.evaluation_episodes = bpo.evaluation_episodes
        self.programs: Any = None

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        # Compiled programs stay behind: a copy prepares its own.
        return type(self), (self.config, self.bpo, self.draw)

    @override
    def warm_up(self) -> BPOState:
        return self.programs.start()

    @override
    def iterate(self, state: BPOState, index: int) -> tuple[BPOState, Record, Faults]:
        return self.programs.iterate(state, index)

    @override
    def enlarged(self, state: BPOState) -> BPOState:
        room = self.bpo.warmup_episodes + self.iterations
        buffer: Any = eqx.filter_vmap(lambda buffer: buffer.enlarged(room))(state.buffer)
        return state._replace(buffer=buffer)

    @override
    def faults(self, record: Record, found: Faults, state: BPOState) -> Iterator[Fault]:
        return faults_of_iteration(self.bpo.learners, record, found, state)

    @override
    def fault_of_warmup(self, state: BPOState) -> Fault | None:
        return fault_of_warmup(state, self.bpo.warmup_episodes)

    @override
    def episodes_kept(self, state: BPOState) -> Int[Array, " seed"]:
        return state.buffer.count

    @override
    def work(self) -> Float[np.ndarray, " iteration"]:
        # The first iteration may catch up on the warm-up: only updates tell how much time is left.
        learners = self.bpo.fitting, self.bpo.improvement
        due = [self.bpo.updates_due(learner.env_steps_per_update) for learner in learners]
        return np.cumsum(sum(due) + 1.0)


def over_seeds(function: Callable[[Any], T], seeds: int, tree: Any) -> T:
    """Apply a function to each of some seeds.

    Args:
        function: What one seed does.
        seeds: How many there are.
        tree: What it takes; every array has a leading axis of seeds.

    Returns:
        What it returns, likewise.
    """
    if seeds > 1:
        return eqx.filter_vmap(function)(tree)
    # One seed alone is traced and compiled in much less time without a batch axis.
    one = jax.tree.map(lambda x: x[0] if eqx.is_array(x) else x, tree)
    return jax.tree.map(lambda x: x[None] if eqx.is_array(x) else x, function(one))


@contextlib.contextmanager
def collector_paused() -> Iterator[None]:
    """Collect no garbage while programs are traced.

    Yields:
        Nothing.
    """
    # Tracing makes so many objects that collecting them takes an eighth of its time.
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def wait(tree: Any) -> None:
    """Wait for arrays to be computed.

    Args:
        tree: The arrays.
    """
    # In such a way that Ctrl-C is heard meanwhile.
    pause = 1e-4
    for leaf in jax.tree.leaves(tree):
        while not leaf.is_ready():
            time.sleep(pause)
            pause = min(2 * pause, 0.02)


def as_array(seeds: Sequence[int]) -> UInt32[np.ndarray, " seed"]:
    """Put seeds as programs take them.

    Args:
        seeds: The seeds.

    Returns:
        An array of them.
    """
    return np.asarray(seeds, np.uint32)


def is_shape(leaf: Any) -> bool:
    """Tell whether a leaf of a skeleton stands for an array.

    Args:
        leaf: The leaf.

    Returns:
        Whether it does.
    """
    return isinstance(leaf, jax.ShapeDtypeStruct)
