"""Algorithm 1 for several seeds side by side, as two programs that are compiled ahead of time."""

import contextlib
import gc
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt32
from typing_extensions import override

from beeline.compute import devices
from beeline.compute.background import in_background
from beeline.config import Config
from beeline.models import RewardModel, TerminationModel, WorldModel
from beeline.policies import Policy
from beeline.training._fault_names import fault_of_warmup, faults_of_iteration
from beeline.training.algorithm import Algorithm, Fault, seeds_of
from beeline.training.bpo import BPO, BPOState
from beeline.training.critic import Critic
from beeline.training.episodes import Episode
from beeline.training.faults import Faults
from beeline.training.record import Record

T = TypeVar("T")


class Networks(NamedTuple):
    """What one seed begins with."""

    model: WorldModel
    policy: Policy
    reward: RewardModel | None
    critic: Critic | None
    termination: TerminationModel | None
    key: PRNGKeyArray
    """For all that is drawn later."""


class Programs(NamedTuple):
    """Compiled for one run; every array has a leading axis of seeds."""

    start: Callable[[], BPOState]
    """Draws the networks and warms up, or gives the state to go on from."""
    iterate: Callable[[BPOState, int], tuple[BPOState, Record, Faults]]
    """One iteration of Algorithm 1: the state before and the index to what comes of it."""


@final
class SideBySide(Algorithm):
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
    def prepare(self, seeds: Sequence[int], restored: BPOState | None = None) -> None:
        with _collector_paused():
            self.programs = compile_programs(self, seeds, restored)

    @override
    def warm_up(self) -> BPOState:
        return self.programs.start()

    @override
    def iterate(self, state: BPOState, index: int) -> tuple[BPOState, Record, Faults]:
        return self.programs.iterate(state, index)

    @override
    def skeleton(self) -> BPOState:
        return eqx.filter_eval_shape(_start(self), _as_array(seeds_of(self.config)))

    @override
    def enlarged(self, state: BPOState) -> BPOState:
        room = self.bpo.warmup_episodes + self.iterations
        buffer: Any = eqx.filter_vmap(lambda buffer: buffer.enlarged(room))(state.buffer)
        return state._replace(buffer=buffer)

    @override
    def evaluate(self, policy: Policy, *, key: PRNGKeyArray) -> Episode:
        return self.bpo.evaluate(policy, key=key)

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


def compile_programs(
    algorithm: SideBySide, seeds: Sequence[int], restored: BPOState | None = None
) -> Programs:
    """Trace and compile ahead of time what a run needs.

    Args:
        algorithm: Algorithm 1.
        seeds: The seeds.
        restored: The state to go on from; newly drawn if left out.

    Returns:
        The programs.
    """
    start = in_background(
        lambda: _compile_start(algorithm, seeds) if restored is None else lambda: restored
    )
    shapes, static = eqx.partition(algorithm.skeleton(), _is_shape)

    def advance(arrays: Any, index: Array) -> tuple[Any, Record, Faults]:
        state, record, faults = _over_seeds(
            lambda state: algorithm.bpo.iterate(state, index),
            len(seeds),
            eqx.combine(arrays, static),
        )
        return eqx.filter(state, eqx.is_array), record, faults

    index = jax.ShapeDtypeStruct((), jnp.asarray(0).dtype)
    everywhere = devices.everywhere()
    advance = jax.jit(advance, in_shardings=everywhere, out_shardings=everywhere)
    iterate = advance.lower(shapes, index).compile()
    draw = start()

    def run_iteration(state: BPOState, index: int) -> tuple[BPOState, Record, Faults]:
        arrays = jax.device_put(eqx.filter(state, eqx.is_array), everywhere)
        arrays, record, faults = iterate(arrays, np.asarray(index, jnp.asarray(0).dtype))
        _wait(record)
        return eqx.combine(arrays, static), *jax.device_get((record, faults))

    return Programs(lambda: eqx.combine(draw(), static), run_iteration)


def _compile_start(algorithm: SideBySide, seeds: Sequence[int]) -> Callable[[], Any]:
    start = _start(algorithm)
    # Run once, on little data: time spent on making it faster would be lost.
    program = (
        jax.jit(lambda seeds: eqx.filter(start(seeds), eqx.is_array))
        .lower(_as_array(seeds))
        .compile(compiler_options={"xla_backend_optimization_level": "0"})
    )
    return lambda: program(_as_array(seeds))


def _start(algorithm: SideBySide) -> Callable[[Array], BPOState]:
    def start(seed: UInt32[Array, ""]) -> BPOState:
        model, policy, reward, critic, termination, key = algorithm.draw(seed)
        return algorithm.bpo.init(model, policy, reward, critic, termination, key=key)

    return lambda seeds: _over_seeds(start, len(seeds), seeds)


def _over_seeds(function: Callable[[Any], T], seeds: int, tree: Any) -> T:
    if seeds > 1:
        return eqx.filter_vmap(function)(tree)
    # One seed alone is traced and compiled in much less time without a batch axis.
    one = jax.tree.map(lambda x: x[0] if eqx.is_array(x) else x, tree)
    return jax.tree.map(lambda x: x[None] if eqx.is_array(x) else x, function(one))


@contextlib.contextmanager
def _collector_paused() -> Iterator[None]:
    # Tracing makes so many objects that collecting them takes an eighth of its time.
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _wait(tree: Any) -> None:
    # In such a way that Ctrl-C is heard meanwhile.
    pause = 1e-4
    for leaf in jax.tree.leaves(tree):
        while not leaf.is_ready():
            time.sleep(pause)
            pause = min(2 * pause, 0.02)


def _as_array(seeds: Sequence[int]) -> UInt32[np.ndarray, " seed"]:
    return np.asarray(seeds, np.uint32)


def _is_shape(leaf: Any) -> bool:
    return isinstance(leaf, jax.ShapeDtypeStruct)
