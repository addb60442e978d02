"""Backpropagation-based Policy Optimization.

References:
    Paper, Algorithm 1.
"""

from typing import NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from beeline._scaling import StateScaling
from beeline.envs import Environment
from beeline.gradients import Objective
from beeline.models import RewardModel, WorldModel
from beeline.policies import Policy
from beeline.training.episodes import Buffer, Episode, act, evaluate, play
from beeline.training.exploration import Exploration
from beeline.training.model_fitting import Fitted, ModelFitting
from beeline.training.policy_improvement import Improved, PolicyImprovement
from beeline.training.reward_fitting import FittedReward, RewardFitting


class BPOState(NamedTuple):
    """Everything that a run needs to continue, in one pytree."""

    model: WorldModel
    policy: Policy
    model_optimiser: optax.OptState
    policy_optimiser: optax.OptState
    reward: RewardModel | None
    """None where the reward is known."""
    reward_optimiser: optax.OptState | None
    buffer: Buffer
    return_scale: Float[Array, ""]
    key: PRNGKeyArray


class Record(NamedTuple):
    """What one iteration measured, in the order in which a failure would spread."""

    collected_return: Float[Array, ""]
    """Return of the episode collected, exploration included."""
    fresh_error: Float[Array, ""]
    """Standardised error of the model on that episode, before learning from it."""
    model_updates: Int[Array, ""]
    """Model updates in the iteration; the next two are NaN if there were none."""
    model_loss: Float[Array, ""]
    """Mean loss of the iteration's model updates."""
    model_gradient_norm: Float[Array, ""]
    """Gradient norm of the last of them, before clipping."""
    reward_loss: Float[Array, ""]
    """Loss of the reward model's last update; 0 where the reward is known."""
    policy_updates: Int[Array, ""]
    """Policy updates in the iteration; the next three are NaN if there were none."""
    imagined_return: Float[Array, ""]
    """Return of the last imagined batch."""
    entropy: Float[Array, ""]
    """Mean entropy of the policy there."""
    policy_gradient_norm: Float[Array, ""]
    """Gradient norm there, before clipping."""
    return_: Float[Array, ""]
    """Real return of the deterministic policy after the iteration."""


@final
class BPO(eqx.Module):
    """Collect an episode, fit the model, improve the policy; repeat."""

    env: Environment
    fitting: ModelFitting
    improvement: PolicyImprovement
    exploration: Exploration
    reward_fitting: RewardFitting | None
    """How a reward model is fitted; None where the reward is known."""
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
        deviation = jnp.maximum(jnp.std(episodes.return_), 1e-6)
        return BPOState(
            model,
            policy,
            self.fitting.optimiser.init(model),
            self.improvement.optimiser.init(policy),
            reward,
            None if self.reward_fitting is None else self.reward_fitting.optimiser.init(reward),
            buffer,
            deviation if self.scale_returns else jnp.ones(()),
            key,
        )

    def iterate(self, state: BPOState, index: Int[Array, ""]) -> tuple[BPOState, Record]:
        """One pass through the loop of Algorithm 1. Pure; jit it once.

        Args:
            state: The state before.
            index: Number of iterations done before this one.

        Returns:
            The state after, and what was measured.
        """
        keys = jax.random.split(state.key, 6)
        key, episode_key, fit_key, reward_key, improve_key, evaluate_key = keys
        progress = index / self.iterations
        episode = self._explore(state.policy, key=episode_key)
        error = self.fitting.error(state.model, episode.states, episode.actions)
        state = state._replace(buffer=state.buffer.add(episode), key=key)

        fits = jnp.asarray(self.updates_due(self.steps_per_fit))[index]
        fitted, loss = self._fit(state, fits, progress, key=fit_key)
        state = state._replace(model=fitted.model, model_optimiser=fitted.optimiser_state)
        state, reward_loss = self._fit_reward(state, fits, progress, key=reward_key)
        improvements = jnp.asarray(self.updates_due(self.steps_per_improvement))[index]
        improved = self._improve(state, improvements, progress, key=improve_key)
        state = state._replace(policy=improved.policy, policy_optimiser=improved.optimiser_state)
        return state, Record(
            collected_return=episode.return_,
            fresh_error=error,
            model_updates=fits,
            model_loss=loss,
            model_gradient_norm=fitted.gradient_norm,
            reward_loss=reward_loss,
            policy_updates=improvements,
            imagined_return=improved.imagined_return,
            entropy=improved.entropy,
            policy_gradient_norm=improved.gradient_norm,
            return_=evaluate(self.env, state.policy, key=evaluate_key).return_,
        )

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

    def _fit(
        self, state: BPOState, count: Array, progress: Array, *, key: PRNGKeyArray
    ) -> tuple[Fitted, Float[Array, ""]]:
        def update(i: Array, loop: tuple[Fitted, Array]) -> tuple[Fitted, Array]:
            fitted, total = loop
            fitted = self.fitting.update(
                fitted.model,
                fitted.optimiser_state,
                state.buffer,
                progress,
                key=jax.random.fold_in(key, i),
            )
            return fitted, total + fitted.loss

        nothing = jnp.full((), jnp.nan)
        before = Fitted(state.model, state.model_optimiser, nothing, nothing)
        fitted, total = _repeat(update, (before, jnp.zeros(())), count)
        return fitted, total / count

    def _fit_reward(
        self, state: BPOState, count: Array, progress: Array, *, key: PRNGKeyArray
    ) -> tuple[BPOState, Float[Array, ""]]:
        fitting = self.reward_fitting
        if fitting is None or state.reward is None or state.reward_optimiser is None:
            return state, jnp.zeros(())

        def update(i: Array, before: FittedReward) -> FittedReward:
            return fitting.update(
                before.reward,
                before.optimiser_state,
                state.buffer,
                progress,
                key=jax.random.fold_in(key, i),
            )

        before = FittedReward(state.reward, state.reward_optimiser, jnp.zeros(()))
        after = _repeat(update, before, count)
        state = state._replace(reward=after.reward, reward_optimiser=after.optimiser_state)
        return state, after.loss

    def _improve(
        self, state: BPOState, count: Array, progress: Array, *, key: PRNGKeyArray
    ) -> Improved:
        objective = Objective(
            self.env.reward if state.reward is None else state.reward,
            state.return_scale,
            jnp.asarray(self.entropy_weight, dtype=float),
        )

        def update(i: Array, before: Improved) -> Improved:
            return self.improvement.update(
                before.policy,
                before.optimiser_state,
                state.model,
                self.env,
                objective,
                progress,
                key=jax.random.fold_in(key, i),
            )

        nothing = jnp.full((), jnp.nan)
        before = Improved(state.policy, state.policy_optimiser, nothing, nothing, nothing)
        return _repeat(update, before, count)


def _repeat(function, value, count):
    # The static parts of a module cannot be carried through a loop.
    arrays, static = eqx.partition(value, eqx.is_array)

    def body(i, arrays):
        return eqx.filter(function(i, eqx.combine(arrays, static)), eqx.is_array)

    return eqx.combine(jax.lax.fori_loop(0, count, body, arrays), static)
