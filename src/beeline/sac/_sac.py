"""Soft actor-critic, by Stable-Baselines3, in the place of Algorithm 1.

References:
    Paper, Appendix C.2 and Table 2. Haarnoja et al. 2018, "Soft actor-critic".
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray
from typing_extensions import override

from beeline.config import Config
from beeline.envs import Environment
from beeline.sac._actor import Actor
from beeline.sac._learner_state import capacity, skeleton
from beeline.training import Episode, evaluate, mean_return
from beeline.training.baseline import Baseline, BaselineState

if TYPE_CHECKING:
    from beeline.sac._seed_learner import SeedLearner


class SACRecord(NamedTuple):
    """What one episode of learning measured, with an entry for each seed."""

    collected_return: Float[np.ndarray, " seed"]
    """Return of the last episode collected, exploration included."""
    critic_updates: Int[np.ndarray, " seed"]
    """Updates of the critics in the episode; the next is NaN if there were none."""
    critic_loss: Float[np.ndarray, " seed"]
    """Their mean loss."""
    policy_updates: Int[np.ndarray, " seed"]
    """Updates of the actor in the episode; the next is NaN if there were none."""
    policy_loss: Float[np.ndarray, " seed"]
    """Their mean loss."""
    return_: Float[np.ndarray, " seed"]
    """Real return of the deterministic policy afterwards."""
    return_deviation: Float[np.ndarray, " seed"]
    """Standard deviation of it over the episodes that it is the mean of; 0 for one episode."""


@final
class SAC(Baseline):
    """Learn from every step, an episode at a time, without a world model.

    The seeds take turns, and each learns as it would alone.
    """

    def __init__(self, config: Config, env: Environment, evaluation_episodes: int = 1) -> None:
        """Set it up, without the library: that is needed to train, and not to use a run.

        Args:
            config: The run.
            env: Its environment.
            evaluation_episodes: Episodes that a policy is measured in.
        """
        super().__init__(config, env, evaluation_episodes)
        self._learners: list[SeedLearner] = []
        self._last: BaselineState | None = None

    @override
    def prepare(self, seeds: Sequence[int], restored: BaselineState | None = None) -> None:
        # Imported this late because it takes seconds.
        from beeline.sac._seed_learner import SeedLearner

        self._learners = [SeedLearner(self.config, self.env, seed) for seed in seeds]
        _evaluate(self.env, self._policies(), self.evaluation_episodes)

    @override
    def warm_up(self) -> BaselineState:
        for learner in self._learners:
            learner.learn(self.config.warmup_episodes * self.config.horizon)
            learner.take_losses()
        return self._state()

    @override
    def iterate(self, state: BaselineState, index: int) -> tuple[BaselineState, SACRecord, None]:
        if state is not self._last:
            self._put_back(state)
        before = [learner.updates for learner in self._learners]
        steps = (self.config.warmup_episodes + index + 1) * self.config.horizon
        for learner in self._learners:
            learner.learn(steps)
        updates = np.asarray([learner.updates for learner in self._learners]) - before
        losses = np.asarray([learner.take_losses() for learner in self._learners])
        state = self._state()
        measured = _evaluate(self.env, state.policy, self.evaluation_episodes)
        record = SACRecord(
            collected_return=np.asarray([one.collected_return for one in self._learners]),
            critic_updates=updates[:, 0],
            critic_loss=losses[:, 0],
            policy_updates=updates[:, 1],
            policy_loss=losses[:, 1],
            return_=np.asarray(measured[0]),
            return_deviation=np.asarray(measured[1]),
        )
        return state, record, None

    @override
    def skeleton(self) -> BaselineState:
        keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), self.config.seeds))
        policy = eqx.filter_eval_shape(eqx.filter_vmap(self._draw), keys)
        return BaselineState(policy, skeleton(self.config, self.env))

    @override
    def enlarged(self, state: BaselineState) -> BaselineState:
        room, learner = capacity(self.config), state.learner

        def pad(x: Array) -> Array:
            return jnp.pad(x, [(0, 0), (0, room - x.shape[1])] + [(0, 0)] * (x.ndim - 2))

        transitions = jax.tree.map(pad, learner.transitions)
        return state._replace(learner=learner._replace(transitions=transitions))

    @override
    def evaluate(self, policy: Actor, *, key: PRNGKeyArray) -> Episode:
        return evaluate(self.env, policy, key=key)

    def _draw(self, key: Array) -> Actor:
        env, fields = self.env, self.config.sac
        horizon = None if fields.time_limit or env.continuing else env.horizon
        return Actor(env.state_dim, env.action_dim, horizon, hidden_sizes=fields.hidden, key=key)

    def _policies(self) -> Actor:
        like = self._draw(jax.random.key(0))
        policies = [learner.policy(like) for learner in self._learners]
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *policies)

    def _state(self) -> BaselineState:
        states = [learner.state() for learner in self._learners]
        with jax.enable_x64(True):
            # The library counts and averages in double precision.
            learner = jax.tree.map(lambda *leaves: jnp.asarray(np.stack(leaves)), *states)
        self._last = BaselineState(self._policies(), learner)
        return self._last

    def _put_back(self, state: BaselineState) -> None:
        arrays = jax.tree.map(np.asarray, state.learner)
        for position, learner in enumerate(self._learners):
            learner.put_back(jax.tree.map(lambda x, i=position: x[i], arrays))


@eqx.filter_jit
def _evaluate(
    env: Environment, policies: Actor, episodes: int
) -> tuple[Float[Array, " seed"], Float[Array, " seed"]]:
    # The same key every time: where chance has a part, policies meet the same draws.
    key = jax.random.key(0)

    def measure(policy: Actor) -> tuple[Float[Array, ""], Float[Array, ""]]:
        measured = mean_return(lambda key: evaluate(env, policy, key=key), episodes, key=key)
        return measured.return_, measured.deviation

    return eqx.filter_vmap(measure)(policies)
