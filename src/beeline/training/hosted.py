"""Algorithm 1 on a simulator that is stepped on the host: collecting and learning are apart.

No program calls back to the host. The policy acts by a small program, once a step for all seeds,
and learning is one program that is given what was collected.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, UInt32
from typing_extensions import override

from beeline.compute import devices
from beeline.config import Config
from beeline.envs._simulator import Simulator
from beeline.envs._simulators import Simulators
from beeline.policies import Policy
from beeline.training._hosted_check import check_functions, check_known
from beeline.training._hosted_episodes import Choose, Played, play_episodes, play_row
from beeline.training._seeds import (
    AlgorithmOne,
    Networks,
    as_array,
    collector_paused,
    is_shape,
    over_seeds,
    wait,
)
from beeline.training.algorithm import Fault, seeds_of
from beeline.training.bpo import BPO, BPOState
from beeline.training.episodes import Ends, Episode
from beeline.training.exploration import random_actions
from beeline.training.faults import Faults
from beeline.training.record import Record


class _Counts(NamedTuple):
    training: int = 0
    evaluation: int = 0
    failures: int = 0


@final
class Hosted(AlgorithmOne):
    """Where the environment is a simulator on the host."""

    env: Simulator

    def __init__(
        self, config: Config, bpo: BPO, draw: Callable[[UInt32[Array, ""]], Networks]
    ) -> None:
        super().__init__(config, bpo, draw)
        self._seeds: list[int] = []
        self._counts = _Counts()

    @property
    def host(self) -> Simulators:
        """What is stepped.

        Returns:
            The simulators, one for each seed.
        """
        return self.env.host

    @override
    def prepare(self, seeds: Sequence[int], restored: BPOState | None = None) -> None:
        self._seeds = list(seeds)
        check_known(self.config, self.env)
        kept = 0 if restored is None else int(restored.buffer.count[0])
        # A run that goes on has other starts than those that it began with.
        first = [_reset_seed(seed, kept) for seed in seeds]
        self.host.connect(first)
        with collector_paused():
            self.programs = _learning(self, len(seeds))
        self._draws = _drawing(self.bpo)

    @override
    def warm_up(self) -> BPOState:
        begin, actions = _beginning(self), self._random_actions()
        before = self.host.steps, self.host.failures
        rows = [self._collect(lambda s, t, k, row=row: row[:, k]) for row in actions]
        episodes = jax.tree.map(lambda *leaves: np.stack(leaves, axis=1), *rows)
        check_functions(self.env, episodes)
        self._counts = _Counts(self.host.steps - before[0], 0, self.host.failures - before[1])
        _, static = eqx.partition(self.skeleton(), is_shape)
        program = jax.jit(lambda *given: eqx.filter(begin(*given), eqx.is_array))
        return eqx.combine(program(as_array(self._seeds), episodes), static)

    @override
    def iterate(self, state: BPOState, index: int) -> tuple[BPOState, Record, Faults]:
        before = self.host.steps, self.host.failures
        noise, offsets = jax.device_get(self._draws(state.key))
        episode = self._collect(self._exploring(state.policy, noise, offsets))
        collected = self.host.steps
        state, record, faults = self.programs(state, episode, index)
        record = self._measured(state.policy, record)
        counts = (
            self._counts.training + collected - before[0],
            self._counts.evaluation + self.host.steps - collected,
            self._counts.failures + self.host.failures - before[1],
        )
        self._counts = _Counts()
        each = [np.full(len(self._seeds), count) for count in counts]
        return state, record._replace(**dict(zip(_COUNTED, each, strict=True))), faults

    @override
    def skeleton(self) -> BPOState:
        config, env = self.config, self.env
        shape = config.seeds, config.warmup_episodes, env.horizon

        real = jnp.zeros(()).dtype

        def of(*rest: int, dtype: Any = None) -> Any:
            return jax.ShapeDtypeStruct((*shape, *rest), dtype or real)

        ends = Ends(of(env.state_dim), of(dtype=bool), of(dtype=np.int32), of(dtype=bool))
        longer = (*shape[:2], env.horizon + 1, env.state_dim)
        states: Any = jax.ShapeDtypeStruct(longer, real)
        rows: Any = Episode(states, of(env.action_dim), of(), ends)
        return eqx.filter_eval_shape(_beginning(self), as_array(seeds_of(config)), rows)

    @override
    def evaluate(self, policy: Policy, *, key: PRNGKeyArray) -> Episode:
        del key
        arrays, static = eqx.partition(policy, eqx.is_array)
        one = eqx.combine(jax.tree.map(lambda x: x[None], arrays), static)
        first = self.play(one, 1, self.env.horizon).first
        return jax.tree.map(lambda x: jnp.asarray(x[0]), first)

    @override
    def faults(self, record: Record, found: Faults, state: BPOState) -> Iterator[Fault]:
        # What was not measured is not a fault.
        return super().faults(record._replace(return_=np.zeros(len(self._seeds))), found, state)

    def play(self, policies: Policy, count: int, horizon: int) -> Played:
        """Measure policies without noise.

        Args:
            policies: One for each seed, in one tree.
            count: Episodes of each.
            horizon: Steps in an episode at most.

        Returns:
            What they earned.
        """
        policies = _on_one_device(policies)
        seeds = len(jax.tree.leaves(eqx.filter(policies, eqx.is_array))[0])
        if self.host.seeds != seeds:
            self.host.connect([_reset_seed(seed, -1) for seed in range(seeds)])

        def choose(states: np.ndarray, times: np.ndarray, k: int) -> np.ndarray:
            del k
            return np.asarray(_without_noise(policies, states, times.astype(np.int32)))

        return self.host.persistently(lambda: play_episodes(self.host, choose, count, horizon))

    def _collect(self, choose: Choose) -> Episode:
        return self.host.persistently(lambda: play_row(self.host, choose, self.env.horizon))

    def _random_actions(self) -> Float[np.ndarray, "episode seed time action"]:
        bpo = self.bpo

        def draw(seed: Array) -> Array:
            # By the keys of `BPO.init`.
            _, key = jax.random.split(self.draw(seed).key)
            return random_actions(bpo.env, bpo.exploration, bpo.warmup_episodes, key=key)

        drawn = jax.jit(lambda seeds: over_seeds(draw, len(seeds), seeds))
        return np.swapaxes(np.asarray(drawn(as_array(self._seeds))), 0, 1)

    def _exploring(self, policies: Policy, noise: np.ndarray, offsets: np.ndarray) -> Choose:
        policies = _on_one_device(policies)

        def choose(states: np.ndarray, times: np.ndarray, k: int) -> np.ndarray:
            return np.asarray(_with_noise(policies, states, times, noise[:, k], offsets[:, k]))

        return choose

    def _measured(self, policies: Policy, record: Record) -> Record:
        if self.evaluation_episodes == 0:
            return record
        played = self.play(policies, self.evaluation_episodes, self.env.horizon)
        returns = played.returns
        spread = np.zeros(len(returns))
        return record._replace(
            return_=returns.mean(axis=1),
            return_deviation=returns.std(axis=1, ddof=1) if returns.shape[1] > 1 else spread,
            episode_length=played.lengths.mean(axis=1),
            imagined_minus_real_return=record.imagined_return - returns.mean(axis=1),
        )


_COUNTED = "simulator_steps", "simulator_evaluation_steps", "simulator_failures"


def _beginning(algorithm: Hosted) -> Callable[[Array, Episode], BPOState]:
    def begin(given: tuple[Array, Episode]) -> BPOState:
        seed, episodes = given
        model, policy, reward, critic, termination, key = algorithm.draw(seed)
        networks = model, policy, reward, critic, termination
        return algorithm.bpo.begin(*networks, episodes=episodes, key=key)

    return lambda seeds, episodes: over_seeds(begin, len(seeds), (seeds, episodes))


def _learning(
    algorithm: Hosted, seeds: int
) -> Callable[[BPOState, Episode, int], tuple[BPOState, Record, Faults]]:
    shapes, static = eqx.partition(algorithm.skeleton(), is_shape)
    buffer: Any = algorithm.skeleton().buffer
    rows = Episode(buffer.states, buffer.actions, buffer.rewards, buffer.ends)
    # Of the buffer, without its axis of places.
    row = jax.tree.map(lambda x: jax.ShapeDtypeStruct((seeds, *x.shape[2:]), x.dtype), rows)

    def learn(arrays: Any, episodes: Episode, index: Array) -> tuple[Any, Record, Faults]:
        def one(given: tuple[BPOState, Episode]) -> Any:
            state, learning = algorithm.bpo.learn(*given, index)
            return state, learning.record(None), learning.faults(None)

        whole = eqx.combine(arrays, static), episodes
        state, record, faults = over_seeds(one, seeds, whole)
        return eqx.filter(state, eqx.is_array), record, faults

    count = jax.ShapeDtypeStruct((), jnp.asarray(0).dtype)
    everywhere = devices.everywhere()
    program = jax.jit(learn, in_shardings=everywhere, out_shardings=everywhere)
    compiled = program.lower(shapes, row, count).compile()

    def run(state: BPOState, episode: Episode, index: int) -> tuple[BPOState, Record, Faults]:
        given = eqx.filter(state, eqx.is_array), episode, np.asarray(index, count.dtype)
        arrays, record, faults = compiled(*jax.device_put(given, everywhere))
        wait(record)
        return eqx.combine(arrays, static), *jax.device_get((record, faults))

    return run


def _drawing(bpo: BPO) -> Callable[[Any], tuple[Array, Array]]:
    # By the keys of `BPO.iterate` and `BPO.collect`.
    def draw(key: PRNGKeyArray) -> tuple[Array, Array]:
        noise_key, offsets_key, _ = jax.random.split(jax.random.split(key, 6)[1], 3)
        shape = bpo.env.horizon, bpo.env.action_dim
        return jax.random.normal(noise_key, shape), bpo.exploration.offsets(*shape, key=offsets_key)

    return jax.jit(jax.vmap(draw))


@eqx.filter_jit
def _with_noise(policies: Policy, states: Any, times: Any, noise: Any, offsets: Any) -> Array:
    def one(policy: Policy, state: Array, t: Array, draw: Array, offset: Array) -> Array:
        return jnp.clip(policy.sample(state, t, draw)[0] + offset, -1, 1)

    return eqx.filter_vmap(one)(policies, states, times, noise, offsets)


@eqx.filter_jit
def _without_noise(policies: Policy, states: Any, times: Any) -> Array:
    return eqx.filter_vmap(lambda policy, state, t: policy.mode(state, t))(policies, states, times)


def _on_one_device(policies: Policy) -> Policy:
    # A small program that waits for several devices at every step takes longer.
    arrays, static = eqx.partition(policies, eqx.is_array)
    return eqx.combine(jax.device_put(arrays, jax.devices()[0]), static)


def _reset_seed(seed: int, episodes: int) -> int:
    # Another for every moment that a run may go on from.
    return int(np.random.SeedSequence([seed, episodes + 1]).generate_state(1)[0])
