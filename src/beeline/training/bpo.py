"""Backpropagation-based Policy Optimization.

References:
    Paper, Algorithm 1.
"""

from typing import Any, ClassVar, NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from beeline._module import Module
from beeline.envs import Environment, reward_of
from beeline.gradients import Objective
from beeline.models import RewardModel, WorldModel
from beeline.networks.scaling import StateScaling
from beeline.policies import Policy
from beeline.training._updates import Tally, Updated, repeat
from beeline.training.dyna import Dyna, DynaState
from beeline.training.episodes import Buffer, Episode, act, evaluate, mean_return, play
from beeline.training.exploration import Exploration
from beeline.training.faults import Faults, finite_leaves, first_in
from beeline.training.model_fitting import ModelFitting, open_loop_error
from beeline.training.policy_improvement import PolicyImprovement
from beeline.training.record import Record
from beeline.training.reward_fitting import RewardFitting

_REPLAYED = 4
"""Older episodes that the model is measured on too, spread evenly over the buffer."""


class BPOState(NamedTuple):
    """Everything that a run needs to continue, in one pytree."""

    model: WorldModel
    policy: Policy
    model_optimiser: optax.OptState
    policy_optimiser: optax.OptState
    reward: RewardModel | None
    """None where the reward is known."""
    reward_optimiser: optax.OptState | None
    dyna: DynaState | None
    """None where nothing is imagined for the world model."""
    buffer: Buffer
    return_scale: Float[Array, ""]
    rate: Float[Array, ""]
    """Factor on all learning rates: 1, or less after a fault."""
    key: PRNGKeyArray

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

    asks_for_optimum: ClassVar[bool] = False
    env: Environment
    fitting: ModelFitting
    improvement: PolicyImprovement
    exploration: Exploration
    reward_fitting: RewardFitting | None
    """How a reward model is fitted; None where the reward is known."""
    dyna: Dyna | None
    """How episodes are imagined for the world model; None if it learns from real ones alone."""
    entropy_weight: float = eqx.field(static=True)
    scale_returns: bool = eqx.field(static=True)
    standardise: bool = eqx.field(static=True)
    warmup_episodes: int = eqx.field(static=True)
    fit_warmup: bool = eqx.field(static=True)
    steps_per_fit: float = eqx.field(static=True)
    """Environment steps between model updates."""
    steps_per_improvement: float = eqx.field(static=True)
    """Environment steps between policy updates."""
    iterations: int = eqx.field(static=True)
    evaluation_episodes: int = eqx.field(static=True, default=1)
    """Episodes that a policy is measured in after each iteration."""

    def init(
        self,
        model: WorldModel,
        policy: Policy,
        reward: RewardModel | None = None,
        *,
        key: PRNGKeyArray,
    ) -> BPOState:
        """Warm up with random actions, and fit the scaling of states and returns to them.

        Args:
            model: The world model, newly drawn.
            policy: The policy, newly drawn.
            reward: The reward model, newly drawn, if the reward is to be learned.
            key: Random key.

        Returns:
            The state before the first iteration.
        """
        key, warmup_key = jax.random.split(key)
        episodes = jax.vmap(self._random_episode)(
            jax.random.split(warmup_key, self.warmup_episodes)
        )
        buffer = Buffer.empty(self.env, self.warmup_episodes + self.iterations)
        buffer, _ = jax.lax.scan(lambda b, e: (b.add(e), None), buffer, episodes)
        scaling = StateScaling.identity(self.env.state_dim)
        if self.standardise:
            scaling = StateScaling.fit(episodes.states)
            model = eqx.tree_at(lambda m: m.scaling, model, scaling)
            policy = eqx.tree_at(lambda p: p.scaling, policy, scaling)
        if reward is not None:
            reward = reward.standardise(scaling, episodes.rewards)
        dyna = None
        if self.dyna is not None:
            dyna_key = jax.random.fold_in(warmup_key, self.warmup_episodes)
            dyna = self.dyna.init(scaling, episodes.states, key=dyna_key)
        deviation = jnp.maximum(jnp.std(episodes.return_), 1e-6)
        return BPOState(
            model,
            policy,
            self.fitting.optimiser.init(model),
            self.improvement.optimiser.init(policy),
            reward,
            None if self.reward_fitting is None else self.reward_fitting.optimiser.init(reward),
            dyna,
            buffer,
            deviation if self.scale_returns else jnp.ones(()),
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
        key, episode_key, fit_key, reward_key, improve_key, evaluate_key = keys
        progress = index / self.iterations
        episode = self._explore(state.policy, key=episode_key)
        due = self.updates_due(self.steps_per_fit)
        fitted = jnp.asarray(np.cumsum(due) > due)[index]
        state, errors = self._measure(state, episode, fitted)
        collected = first_in(episode)
        state = state._replace(buffer=state.buffer.add(episode, where=collected < 0), key=key)

        fits = jnp.asarray(due)[index]
        state, one_step = self._fit_one_step(state, fits, progress, key=fit_key)
        state, model = self._fit(state, fits, progress, key=fit_key)
        state, reward = self._fit_reward(state, fits, progress, key=reward_key)
        improvements = jnp.asarray(self.updates_due(self.steps_per_improvement))[index]
        state, policy = self._improve(state, improvements, progress, key=improve_key)
        return_, evaluated = mean_return(
            lambda key: evaluate(self.env, state.policy, key=key),
            self.evaluation_episodes,
            key=evaluate_key,
        )
        imagined_return, entropy, _ = policy.last
        record = Record(
            collected_return=episode.return_,
            **errors,
            model_updates=fits,
            model_loss=model.mean[0],
            model_gradient_norm=model.gradient_norm,
            model_clip_fraction=model.clip_fraction,
            reward_loss=jnp.zeros(()) if reward is None else reward.last[0],
            policy_updates=improvements,
            imagined_return=imagined_return,
            entropy=entropy,
            policy_gradient_norm=policy.gradient_norm,
            policy_clip_fraction=policy.clip_fraction,
            return_=return_,
            imagined_minus_real_return=imagined_return - return_,
            rate=state.rate,
            skipped_updates=fits
            - model.taken
            + (0 if one_step is None else fits - one_step.taken)
            + (0 if reward is None else fits - reward.taken)
            + improvements
            - policy.taken,
            discarded_episodes=(collected >= 0).astype(int),
        )
        return (
            state,
            record,
            Faults(
                collected,
                None if one_step is None else one_step.first_skipped,
                model.first_skipped,
                None if reward is None else reward.first_skipped,
                policy.first_skipped,
                finite_leaves(state.learned),
                _first_of(evaluated),
            ),
        )

    def evaluate(self, policy: Policy, *, key: PRNGKeyArray) -> Episode:
        """Live through an episode with the deterministic actions.

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

    def _random_episode(self, key: PRNGKeyArray) -> Episode:
        actions_key, env_key = jax.random.split(key)
        actions = self.exploration.random_actions(
            self.env.horizon, self.env.action_dim, key=actions_key
        )
        return play(self.env, actions, key=env_key)

    def _explore(self, policy: Policy, *, key: PRNGKeyArray) -> Episode:
        noise_key, offsets_key, env_key = jax.random.split(key, 3)
        shape = (self.env.horizon, self.env.action_dim)
        noise = jax.random.normal(noise_key, shape)
        offsets = self.exploration.offsets(*shape, key=offsets_key)
        return act(self.env, policy, noise, offsets, key=env_key)

    def _measure(
        self, state: BPOState, episode: Episode, fitted: Array
    ) -> tuple[BPOState, dict[str, Array]]:
        replayed = jnp.arange(_REPLAYED) * state.buffer.count // _REPLAYED
        fresh_error, *older = self.fitting.errors(
            state.model,
            jnp.concatenate([episode.states[None], state.buffer.states[replayed]]),
            jnp.concatenate([episode.actions[None], state.buffer.actions[replayed]]),
        )
        own = one_step = jnp.zeros(())
        if self.dyna is not None and state.dyna is not None:
            # Both on their own: with the true states, the model would seem better than it is.
            own = fresh_error
            if state.model.state_fed:
                own = open_loop_error(state.model, episode.states, episode.actions)
            dyna, one_step = self.dyna.compare(state.dyna, episode, own, fitted=fitted)
            state = state._replace(dyna=dyna)
        return state, {
            "fresh_error": fresh_error,
            "replayed_error": jnp.sqrt(jnp.mean(jnp.stack(older) ** 2)),
            "open_loop_error": own,
            "one_step_error": one_step,
        }

    def _fit_one_step(
        self, state: BPOState, count: Array, progress: Array, *, key: PRNGKeyArray
    ) -> tuple[BPOState, Tally | None]:
        if self.dyna is None or state.dyna is None:
            return state, None
        dyna, tally = self.dyna.fit(
            state.dyna, state.buffer, count, progress, rate=state.rate, key=key
        )
        return state._replace(dyna=dyna), tally

    def _fit(
        self, state: BPOState, count: Array, progress: Array, *, key: PRNGKeyArray
    ) -> tuple[BPOState, Tally]:
        def update(i: Array, model: WorldModel, optimiser_state: optax.OptState) -> Updated:
            imagined = None
            update_key = jax.random.fold_in(key, 2 * i)
            if self.dyna is not None and state.dyna is not None:
                update_key, dyna_key = jax.random.split(update_key)
                imagined = self.dyna.episodes(state.dyna, state.policy, state.buffer, key=dyna_key)
            fitted = self.fitting.update(
                model,
                optimiser_state,
                state.buffer,
                progress,
                rate=state.rate,
                imagined=imagined,
                key=update_key,
            )
            return Updated(fitted.model, fitted.optimiser_state, (fitted.loss,), fitted.descent)

        model, optimiser_state, tally = repeat(
            update, state.model, state.model_optimiser, count, values=1
        )
        return state._replace(model=model, model_optimiser=optimiser_state), tally

    def _fit_reward(
        self, state: BPOState, count: Array, progress: Array, *, key: PRNGKeyArray
    ) -> tuple[BPOState, Tally | None]:
        fitting = self.reward_fitting
        if fitting is None:
            return state, None

        def update(i: Array, reward: RewardModel, optimiser_state: optax.OptState) -> Updated:
            fitted = fitting.update(
                reward,
                optimiser_state,
                state.buffer,
                progress,
                rate=state.rate,
                key=jax.random.fold_in(key, i),
            )
            return Updated(fitted.reward, fitted.optimiser_state, (fitted.loss,), fitted.descent)

        reward, optimiser_state, tally = repeat(
            update, state.reward, state.reward_optimiser, count, values=1
        )
        return state._replace(reward=reward, reward_optimiser=optimiser_state), tally

    def _improve(
        self, state: BPOState, count: Array, progress: Array, *, key: PRNGKeyArray
    ) -> tuple[BPOState, Tally]:
        objective = Objective(
            reward_of(self.env) if state.reward is None else state.reward,
            state.return_scale,
            jnp.asarray(self.entropy_weight, dtype=float),
        )

        def update(i: Array, policy: Policy, optimiser_state: optax.OptState) -> Updated:
            improved = self.improvement.update(
                policy,
                optimiser_state,
                state.model,
                self.env,
                objective,
                progress,
                rate=state.rate,
                key=jax.random.fold_in(key, i),
            )
            values = (improved.imagined_return, improved.entropy)
            return Updated(improved.policy, improved.optimiser_state, values, improved.descent)

        policy, optimiser_state, tally = repeat(
            update, state.policy, state.policy_optimiser, count, values=2
        )
        return state._replace(policy=policy, policy_optimiser=optimiser_state), tally


def _first_of(evaluated: Episode) -> Int[Array, ""]:
    one_alone = evaluated.states.ndim == 2
    return first_in(evaluated) if one_alone else jax.vmap(first_in)(evaluated).max()
