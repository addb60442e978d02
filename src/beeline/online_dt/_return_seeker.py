"""Algorithm 1 of the online decision transformer: ask for a return, label in hindsight, imitate.

No offline data: it begins with random actions, as our Algorithm 1 does.

References:
    Zheng et al. 2022, "Online decision transformer", Algorithms 1 and 2.
    Paper, Appendix F.3.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from beeline._module import Module
from beeline.envs import Environment
from beeline.envs._transition import transition
from beeline.online_dt._decision_transformer import DecisionTransformer, Gaussian
from beeline.online_dt._imitation import Imitation, Losses, Student
from beeline.training import Buffer, Episode, Exploration
from beeline.training.exploration import random_episodes


class SeekerState(NamedTuple):
    """Everything that a run needs to continue, in one pytree."""

    student: Student
    buffer: Buffer
    key: PRNGKeyArray

    @property
    def policy(self) -> DecisionTransformer:
        """What has been learned.

        Returns:
            The policy.
        """
        return self.student.policy


class SeekerRecord(NamedTuple):
    """What one iteration measured."""

    collected_return: Float[Array, ""]
    """Return of the episode collected."""
    policy_updates: Int[Array, ""]
    """Updates in the iteration; the next three are 0 if there were none."""
    negative_log_likelihood: Float[Array, ""]
    """That of the last batch's actions, a step."""
    entropy: Float[Array, ""]
    """Mean entropy of the policy there, a step."""
    policy_gradient_norm: Float[Array, ""]
    """Gradient norm there, before clipping."""
    temperature: Float[Array, ""]
    """Weight of the entropy after the iteration."""
    return_: Float[Array, ""]
    """Real return of the deterministic policy after the iteration."""


@final
class ReturnSeeker(Module):
    """Collect an episode by asking for a return, store it, imitate what is stored; repeat."""

    env: Environment
    exploration: Exploration
    """Where the random actions of the warm-up come from."""
    imitation: Imitation
    target: float = eqx.field(static=True)
    """Return that the policy is to ask for."""
    unit: float = eqx.field(static=True)
    """Difference of returns that is one to the network."""
    capacity: int = eqx.field(static=True)
    """Episodes stored."""
    warmup_episodes: int = eqx.field(static=True)
    steps_per_update: float = eqx.field(static=True)
    """Environment steps between updates."""
    iterations: int = eqx.field(static=True)

    @property
    def room(self) -> int:
        """Episodes that there is room for: no more than a run will see.

        Returns:
            Their number.
        """
        return min(self.capacity, self.warmup_episodes + self.iterations)

    def init(self, policy: DecisionTransformer, *, key: PRNGKeyArray) -> SeekerState:
        """Warm up with random actions, and fit the scaling of states and returns to them.

        Args:
            policy: The policy, newly drawn.
            key: Random key.

        Returns:
            The state before the first iteration.
        """
        key, warmup_key = jax.random.split(key)
        episodes = random_episodes(self.env, self.exploration, self.warmup_episodes, key=warmup_key)
        buffer = Buffer.empty(self.env, self.room)
        buffer, _ = jax.lax.scan(lambda b, e: (b.add(e), None), buffer, episodes)
        policy = policy.standardise(episodes.states, episodes.rewards, self.unit, self.target)
        return SeekerState(self.imitation.begin(policy), buffer, key)

    def iterate(
        self, state: SeekerState, index: Int[Array, ""]
    ) -> tuple[SeekerState, SeekerRecord]:
        """Collect an episode and imitate. Pure; jit it once.

        Args:
            state: The state before.
            index: Number of iterations done before this one.

        Returns:
            The state after, and what was measured.
        """
        key, noise_key, env_key, update_key, evaluate_key = jax.random.split(state.key, 5)
        noise = jax.random.normal(noise_key, (self.env.horizon, self.env.action_dim))
        episode = self.act(state.policy, noise, key=env_key)
        buffer = state.buffer.add(episode)
        count = jnp.asarray(self.updates_due())[index]
        student, losses = self._imitate(state.student, buffer, count, key=update_key)
        state = SeekerState(student, buffer, key)
        return state, SeekerRecord(
            collected_return=episode.return_,
            policy_updates=count,
            negative_log_likelihood=losses.negative_log_likelihood,
            entropy=losses.entropy,
            policy_gradient_norm=losses.gradient_norm,
            temperature=jnp.exp(student.log_temperature),
            return_=evaluate(self.env, student.policy, key=evaluate_key).return_,
        )

    def act(
        self, policy: DecisionTransformer, noise: Float[Array, "time action"], *, key: PRNGKeyArray
    ) -> Episode:
        """Roll an episode out, asking for the policy's target.

        Args:
            policy: The policy.
            noise: Standard normal draws.
            key: Random key of the environment.

        Returns:
            The episode.
        """
        return _live(self.env, policy, lambda choice, t: choice.sample(noise[t])[0], key=key)

    def updates_due(self) -> Int[np.ndarray, " iteration"]:
        """Count the updates of each iteration; the first catches up on the warm-up.

        Returns:
            Their number by iteration.
        """
        episodes = self.warmup_episodes + np.arange(self.iterations + 1)
        due = np.floor(episodes * self.env.horizon / self.steps_per_update).astype(int)
        due[0] = 0
        return np.diff(due)

    def _imitate(
        self, student: Student, buffer: Buffer, count: Array, *, key: PRNGKeyArray
    ) -> tuple[Student, Losses]:
        # The static parts of a module cannot be carried through a loop.
        arrays, static = eqx.partition(student, eqx.is_array)

        def body(i: Array, loop: tuple[Any, Losses]) -> tuple[Any, Losses]:
            student = eqx.combine(loop[0], static)
            student, losses = self.imitation.update(student, buffer, key=jax.random.fold_in(key, i))
            return eqx.filter(student, eqx.is_array), losses

        nothing = Losses(*(jnp.zeros(()) for _ in Losses._fields))
        arrays, losses = jax.lax.fori_loop(0, count, body, (arrays, nothing))
        return eqx.combine(arrays, static), losses


def evaluate(env: Environment, policy: DecisionTransformer, *, key: PRNGKeyArray) -> Episode:
    """Roll an episode out with the policy's deterministic actions, asking for its target.

    Args:
        env: The environment.
        policy: The policy.
        key: Random key of the environment.

    Returns:
        The episode.
    """
    return _live(env, policy, lambda choice, t: choice.mode, key=key)


def _live(
    env: Environment,
    policy: Any,
    decide: Callable[[Gaussian, Array], Array],
    *,
    key: PRNGKeyArray,
) -> Episode:
    first_key, steps_key = jax.random.split(key)
    horizon = env.horizon

    def step(history, inputs):
        to_go, states, actions = history
        t, step_key = inputs
        action = decide(policy.choose(to_go, states[:-1], actions, t), t)
        after, reward = transition(env, states[t], action, t, key=step_key)
        history = (
            # After the last step this is out of bounds, and is dropped.
            to_go.at[t + 1].set(to_go[t] - reward),
            states.at[t + 1].set(after),
            actions.at[t].set(action),
        )
        return history, reward

    first = env.initial_state(key=first_key)
    history = (
        jnp.zeros(horizon).at[0].set(policy.target),
        jnp.zeros((horizon + 1, env.state_dim)).at[0].set(first),
        jnp.zeros((horizon, env.action_dim)),
    )
    inputs = (jnp.arange(horizon), jax.random.split(steps_key, horizon))
    (_, states, actions), rewards = jax.lax.scan(step, history, inputs)
    return Episode(states, actions, rewards)
