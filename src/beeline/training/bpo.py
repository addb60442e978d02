"""Backpropagation-based Policy Optimization.

References:
    Paper, Algorithm 1.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from beeline._module import Module
from beeline.envs import Environment
from beeline.envs._constraints import Constraints
from beeline.models import RewardModel, TerminationModel, TransitionReward, WorldModel
from beeline.networks.modes import Modes
from beeline.networks.scaling import StateScaling
from beeline.policies import Policy
from beeline.training._tally import Tally
from beeline.training.breaches import broken
from beeline.training.critic import Critic, CriticFitting, Critics
from beeline.training.episodes import (
    Buffer,
    Episode,
    act,
    evaluate,
    mean_return,
)
from beeline.training.exploration import Exploration, random_episodes
from beeline.training.faults import Faults, finite_leaves, first_in
from beeline.training.learner import Context, Learned, Learner
from beeline.training.learning import Learning
from beeline.training.model_fitting import ModelFitting, open_loop_error
from beeline.training.one_step_fitting import OneStepFitting
from beeline.training.policy_improvement import PolicyImprovement
from beeline.training.pricing import Pricing
from beeline.training.record import Record
from beeline.training.reward_fitting import RewardFitting, TransitionRewardFitting
from beeline.training.termination_fitting import TerminationFitting

_CRITIC = _TERMINATION = 2**31
_MULTIPLIERS = _CRITIC + 1
"""Beyond every update that the policy's key, or the reward's, is folded with."""

_REPLAYED = 4
"""Older episodes that the model is measured on too, spread evenly over the buffer."""


class BPOState(NamedTuple):
    """Everything that a run needs to continue, in one pytree."""

    learners: dict[str, Learned]
    """What learns, by name; `reward` and `one_step` where there are such models."""
    errors: Float[Array, "2"] | None
    """Running mean squares of the errors of the one-step model and of the sequence model that it
    teaches, on fresh episodes; None where nothing is imagined for it."""
    return_scale: Float[Array, ""]
    buffer: Buffer
    rate: Float[Array, ""]
    """Factor on all learning rates: 1, or less after a fault."""
    key: PRNGKeyArray

    @property
    def policy(self) -> Policy:
        """The policy.

        Returns:
            Its weights.
        """
        return self.learners["policy"].weights

    @property
    def model(self) -> WorldModel:
        """The world model.

        Returns:
            Its weights.
        """
        return self.learners["model"].weights

    @property
    def learned(self) -> dict[str, Any]:
        """What learning changes: all but what was seen, the rate and what is yet to be drawn.

        Returns:
            Those fields by name.
        """
        others = ("buffer", "rate", "key")
        return {name: value for name, value in self._asdict().items() if name not in others}


@final
class BPO(Module):
    """Collect an episode, fit the model, improve the policy; repeat."""

    env: Environment
    fitting: ModelFitting
    improvement: PolicyImprovement
    exploration: Exploration
    reward_fitting: RewardFitting | TransitionRewardFitting | None
    """How a reward model is fitted; None where the reward is known."""
    one_step_fitting: OneStepFitting | None
    """How the model that imagines episodes is fitted; None where real ones are all there is."""
    critic_fitting: CriticFitting | None
    """How the critic at the end of windows is fitted; None where whole episodes are imagined."""
    termination_fitting: TerminationFitting | None
    """How a termination model is fitted; None where the termination is known, or there is none."""
    scale_returns: bool = eqx.field(static=True)
    standardise: bool = eqx.field(static=True)
    warmup_episodes: int = eqx.field(static=True)
    fit_warmup: bool = eqx.field(static=True)
    iterations: int = eqx.field(static=True)
    evaluation_episodes: int = eqx.field(static=True, default=1)
    """Episodes that a policy is measured in after each iteration."""
    pricing: Pricing | None = None
    """How multipliers of constraints are raised; None where there are no constraints."""
    data: Episode | None = None
    """Logged episodes in the place of the warm-up, as many; None to act at random."""

    @property
    def learners(self) -> tuple[Learner, ...]:
        """What learns in an iteration.

        Returns:
            The learners, in that order.
        """
        models = self.one_step_fitting, self.fitting, self.reward_fitting
        others = self.termination_fitting, self.critic_fitting, self.improvement, self.pricing
        learners = *models, *others
        return tuple(learner for learner in learners if learner is not None)

    def init(
        self,
        model: WorldModel,
        policy: Policy,
        reward: RewardModel | TransitionReward | None = None,
        critic: Critic | None = None,
        termination: TerminationModel | None = None,
        *,
        key: PRNGKeyArray,
    ) -> BPOState:
        """Warm up with random actions or data, and fit the scaling of states and returns to it.

        Args:
            model: The world model, newly drawn.
            policy: The policy, newly drawn.
            reward: The reward model, newly drawn, if the reward is to be learned.
            critic: The critic, newly drawn, if windows are imagined.
            termination: The termination model, newly drawn, if the termination is to be learned.
            key: Random key.

        Returns:
            The state before the first iteration.
        """
        _, warmup_key = jax.random.split(key)
        episodes = self._first_episodes(key=warmup_key)
        return self.begin(model, policy, reward, critic, termination, episodes=episodes, key=key)

    def begin(
        self,
        model: WorldModel,
        policy: Policy,
        reward: RewardModel | TransitionReward | None = None,
        critic: Critic | None = None,
        termination: TerminationModel | None = None,
        *,
        episodes: Episode,
        key: PRNGKeyArray,
    ) -> BPOState:
        """Fit the scaling of states and returns to episodes of random actions.

        Args:
            model: As for `init`.
            policy: As for `init`.
            reward: As for `init`.
            critic: As for `init`.
            termination: As for `init`.
            episodes: A batch of them, `warmup_episodes` in all.
            key: As for `init`.

        Returns:
            The state before the first iteration.
        """
        key, warmup_key = jax.random.split(key)
        buffer = Buffer.empty(self.env, self.warmup_episodes + self.iterations)
        buffer, _ = jax.lax.scan(lambda b, e: (b.add(e), None), buffer, episodes)
        scaling = self._coordinates(episodes.states)
        if self.standardise:
            model = eqx.tree_at(lambda m: m.scaling, model, scaling(model.scaling.modes))
            policy = policy.standardise(scaling(policy.modes))
        model = model.calibrate(episodes.unbroken)
        weights: dict[str, Any] = {"model": model, "policy": policy}
        ends = episodes.ends is not None
        if reward is not None:
            seen = scaling(reward.scaling.modes)
            weights["reward"] = reward.standardise(seen, episodes.rewards, ends=ends)
        if critic is not None:
            seen = scaling(critic.scaling.modes)
            critic = critic.standardise(seen, episodes.rewards, ends=ends)
            weights["critic"] = Critics(critic, critic)
        if termination is not None:
            weights["termination"] = termination.standardise(scaling(termination.scaling.modes))
        if self.pricing is not None:
            weights["multipliers"] = self.pricing.begin(episodes)
        dyna = self.fitting.dyna
        if dyna is not None:
            dyna_key = jax.random.fold_in(warmup_key, self.warmup_episodes)
            seen = scaling(model.scaling.modes)
            weights["one_step"] = dyna.draw(seen, episodes.states, key=dyna_key)
        deviation = jnp.maximum(jnp.std(episodes.mean_return), 1e-6)
        return BPOState(
            {one.name: one.init(weights[one.name]) for one in self.learners},
            None if dyna is None else jnp.zeros(2),
            deviation if self.scale_returns else jnp.ones(()),
            buffer,
            jnp.ones(()),
            key,
        )

    def iterate(self, state: BPOState, index: Int[Array, ""]) -> tuple[BPOState, Record, Faults]:
        """One pass through the loop of Algorithm 1. Pure; jit it once.

        An episode that is not finite is not kept, and an update that is not finite not taken.

        Args:
            state: The state before.
            index: Number of iterations done before this one.

        Returns:
            The state after, what was measured, and what was not finite.
        """
        keys = jax.random.split(state.key, 6)
        episode = self.collect(state.policy, key=keys[1])
        state, learning = self.learn(state, episode, index)
        measured = mean_return(
            lambda key: evaluate(self.env, state.policy, key=key),
            self.evaluation_episodes,
            key=keys[5],
        )
        record = learning.record(measured)
        constraints = Constraints.of(self.env)
        if constraints is not None:
            record = record._replace(**broken(constraints, measured.episodes).as_recorded())
        return state, record, learning.faults(measured)

    def collect(self, policy: Policy, *, key: PRNGKeyArray) -> Episode:
        """Roll an episode out with the policy and its exploration.

        Args:
            policy: The policy.
            key: Random key.

        Returns:
            The episode, or a row of them.
        """
        noise_key, offsets_key, env_key = jax.random.split(key, 3)
        shape = (self.env.horizon, self.env.action_dim)
        noise = jax.random.normal(noise_key, shape)
        offsets = self.exploration.offsets(*shape, key=offsets_key)
        return act(self.env, policy, noise, offsets, key=env_key)

    def learn(
        self, state: BPOState, episode: Episode, index: Int[Array, ""]
    ) -> tuple[BPOState, Learning]:
        """Learn from a new episode and those before it; nothing here asks the environment.

        Args:
            state: The state before.
            episode: What `collect` gave.
            index: Number of iterations done before this one.

        Returns:
            The state after, and what was found on the way.
        """
        key, _, fit_key, reward_key, improve_key, _ = jax.random.split(state.key, 6)
        keys = {
            "one_step": fit_key,
            "model": fit_key,
            "reward": reward_key,
            "termination": jax.random.fold_in(reward_key, _TERMINATION),
            "critic": jax.random.fold_in(improve_key, _CRITIC),
            "policy": improve_key,
            "multipliers": jax.random.fold_in(improve_key, _MULTIPLIERS),
        }
        rate = state.rate
        state, errors = self._measure(state, episode, index)
        collected = first_in(episode)
        state = state._replace(buffer=state.buffer.add(episode, where=collected < 0), key=key)
        tallies: dict[str, Tally] = {}
        for learner in self.learners:
            state, tallies[learner.name] = self._learn(
                learner, state, index, key=keys[learner.name]
            )
        found = collected, finite_leaves(state.learned)
        return state, Learning(episode.mean_return, errors, tallies, rate, *found)

    def evaluate(self, policy: Policy, *, key: PRNGKeyArray) -> Episode:
        """Roll an episode out with the deterministic actions.

        Args:
            policy: The policy.
            key: Random key of the environment.

        Returns:
            The episode.
        """
        return evaluate(self.env, policy, key=key)

    def updates_due(self, steps_per_update: float) -> Int[np.ndarray, " iteration"]:
        """Count the updates of each iteration; over the run they keep to one in so many steps.

        Args:
            steps_per_update: Environment steps between updates.

        Returns:
            Their number by iteration.
        """
        warmup = self.warmup_episodes if self.fit_warmup else 0
        episodes = warmup + np.arange(self.iterations + 1)
        # On the host in float64: a float32 quotient may fall just short of a whole number.
        due = np.floor(episodes * self.env.horizon / steps_per_update).astype(int)
        due[0] = 0
        return np.diff(due)

    def _coordinates(
        self, states: Float[Array, "batch times state"]
    ) -> Callable[[Modes | None], StateScaling]:
        # Of all entries or of modes, as the part is built that is to see states so.
        if not self.standardise:
            return lambda modes: StateScaling.identity(self.env.state_dim)

        @functools.cache
        def of(count: int | None) -> StateScaling:
            modes = None if count is None else Modes.fit(states, count)
            bounded = self.critic_fitting is not None
            return StateScaling.fit(states, bounded=bounded, modes=modes)

        return lambda modes: of(None if modes is None else modes.count)

    def _first_episodes(self, *, key: PRNGKeyArray) -> Episode:
        if self.data is not None:
            # Or else the compiler would compute all that follows from it, and take its time.
            return jax.lax.optimization_barrier(self.data)
        return random_episodes(self.env, self.exploration, self.warmup_episodes, key=key)

    def _measure(
        self, state: BPOState, episode: Episode, index: Int[Array, ""]
    ) -> tuple[BPOState, dict[str, Array]]:
        replayed = jnp.arange(_REPLAYED) * state.buffer.count // _REPLAYED
        fresh_error, *older = self.fitting.errors(
            state.model,
            jnp.concatenate([episode.states[None], state.buffer.states[replayed]]),
            jnp.concatenate([episode.actions[None], state.buffer.actions[replayed]]),
            jax.tree.map(
                lambda fresh, old: jnp.concatenate([fresh[None], old[replayed]]),
                episode.ends,
                state.buffer.ends,
            ),
        )
        own = one_step = jnp.zeros(())
        dyna = self.fitting.dyna
        if dyna is not None and state.errors is not None:
            # Both on their own: with the true states, the model would seem better than it is.
            own = fresh_error
            if state.model.state_fed:
                own = open_loop_error(state.model, episode.states, episode.actions)
            one_step = dyna.error(
                state.learners["one_step"].weights, episode.states, episode.actions
            )
            due = self.updates_due(self.fitting.env_steps_per_update)
            fitted = jnp.asarray(np.cumsum(due) > due)[index]
            state = state._replace(errors=dyna.compare(state.errors, one_step, own, fitted=fitted))
        return state, {
            "fresh_error": fresh_error,
            "replayed_error": jnp.sqrt(jnp.mean(jnp.stack(older) ** 2)),
            "open_loop_error": own,
            "one_step_error": one_step,
        }

    def _learn(
        self, learner: Learner, state: BPOState, index: Int[Array, ""], *, key: PRNGKeyArray
    ) -> tuple[BPOState, Tally]:
        context = Context(
            buffer=state.buffer,
            progress=index / self.iterations,
            rate=state.rate,
            weights={name: learned.weights for name, learned in state.learners.items()},
            return_scale=state.return_scale,
            errors=state.errors,
        )
        count = jnp.asarray(self.updates_due(learner.env_steps_per_update))[index]
        learned = state.learners[learner.name]
        learned = learned._replace(weights=learner.prepare(learned.weights, state.buffer))
        learned, tally = learner.learn(learned, context, count, key=key)
        return state._replace(learners=state.learners | {learner.name: learned}), tally
