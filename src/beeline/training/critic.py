"""A critic: what the policy is expected to earn from a state on.

It scores the state that an imagined window ends in, so that a window need not be as long as the
consequences of its actions.

References:
    Sutton 1988, "Learning to predict by the methods of temporal differences" (TD(lambda)).
    Mnih et al. 2015, "Human-level control through deep reinforcement learning" (target network).
    Fujimoto et al. 2018, "Addressing function approximation error in actor-critic methods" (the
        lower of two critics).
    Hafner et al. 2023, "Mastering diverse domains through world models" (symlog of values).
"""

from typing import Any, NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray
from typing_extensions import override

from beeline._module import Module
from beeline.envs import Environment, reward_of
from beeline.envs._transition import termination_of
from beeline.gradients import alive, rewards_along, rollout, terminated_along
from beeline.networks.layers import MLP, Activation
from beeline.networks.scaling import (
    LARGEST_CODE,
    StateScaling,
    symexp,
    symlog,
)
from beeline.networks.schedule import Schedule, step_feature_count, step_features
from beeline.training.episodes import Buffer
from beeline.training.learner import Context, Learned, Learner, Slope, Updated
from beeline.training.windows import Windows, weights_of

_QUARTILES = 0.25, 0.5, 0.75
_LEAST = 0.01
"""Share of the standard deviation that the spread of rewards is taken for at least."""
_UNKNOWN = 1e30
"""Beyond any reward, before one was seen."""


@final
class Critic(Module):
    """V(s, t) = reach(t) * (middle + spread * symexp(min_i network_i(s, t))), between limits.

    `reach(t)` is the discounted number of steps that are left, so that values are of the right
    size at once, and zero at the end of an episode. `symexp` lets networks tell apart values close
    to that of the usual reward, and reach those that are thousands of times as far.

    A policy is drawn to where a network promises too much, targets there promise more, and values
    grow without end. So the lower of two networks counts, and no value is beyond that of the best
    or the worst reward seen, earned in all steps that are left.
    """

    networks: tuple[MLP, MLP]
    scaling: StateScaling
    middle: Float[Array, ""]
    """Median of the rewards."""
    spread: Float[Array, ""]
    """Their interquartile range; a hundredth of their standard deviation at least."""
    least: Float[Array, ""]
    """The worst reward seen."""
    most: Float[Array, ""]
    """The best reward seen."""
    horizon: int = eqx.field(static=True)
    frequencies: int | None = eqx.field(static=True)
    """Sine and cosine pairs of time; None where the value does not depend on time."""
    discount: float = eqx.field(static=True)
    schedule: Schedule | None
    """Context that is seen beside the time; None where there is none."""

    def __init__(
        self,
        state_dim: int,
        horizon: int,
        *,
        hidden_sizes: tuple[int, ...] = (64, 64),
        activation: Activation = jnp.tanh,
        frequencies: int | None = None,
        discount: float,
        scaling: StateScaling | None = None,
        schedule: Schedule | None = None,
        key: PRNGKeyArray,
    ) -> None:
        """Draw the networks.

        Args:
            state_dim: Number of state entries.
            horizon: Steps in an episode.
            hidden_sizes: Hidden layers.
            activation: Function between them. Where it is smooth, so is the slope of values, which
                is what the policy learns from.
            frequencies: Sine and cosine pairs of time; None for a value without time.
            discount: Factor on the worth of a reward for each step that it comes later.
            scaling: Coordinates in which states are seen; physical units if not given.
            schedule: Context that is seen beside the time; none if not given.
            key: Random key.

        Raises:
            ValueError: If the discount is 1 and the value does not depend on time.
        """
        if discount == 1 and frequencies is None:
            raise ValueError(
                "discount is 1, but the critic sees no time, so that no value would be finite: "
                "give a discount below 1, or let the critic see the time"
            )
        self.scaling = StateScaling.identity(state_dim) if scaling is None else scaling
        inputs = self.scaling.width + step_feature_count(frequencies, schedule)
        first, second = (
            MLP((inputs, *hidden_sizes, 1), activation, last_scale=0.01, key=k)
            for k in jax.random.split(key)
        )
        self.networks = first, second
        self.middle, self.spread = jnp.zeros(()), jnp.ones(())
        self.least, self.most = jnp.asarray(-_UNKNOWN), jnp.asarray(_UNKNOWN)
        self.horizon, self.frequencies, self.discount = horizon, frequencies, discount
        self.schedule = schedule

    def standardise(
        self,
        scaling: StateScaling,
        rewards: Float[Array, "batch time"],
        chances: Float[Array, " batch"] | None = None,
        *,
        ends: bool = False,
    ) -> "Critic":
        """Fit the coordinates of states and values to episodes.

        Args:
            scaling: Coordinates in which states are seen.
            rewards: The episodes' rewards; all of them limit values.
            chances: Weight of each episode for the unit of values, their sum 1; equal if not given.
            ends: Whether episodes may terminate: then values differ as much as rewards are large,
                for all of them may be lost, even where rewards are all the same.

        Returns:
            The same networks in these coordinates.
        """
        batch, steps = rewards.shape
        chances = jnp.full(batch, 1 / batch) if chances is None else chances
        order = jnp.argsort(rewards.ravel())
        sorted_, weights = rewards.ravel()[order], jnp.repeat(chances / steps, steps)[order]
        low, middle, high = sorted_[
            jnp.searchsorted(jnp.cumsum(weights), jnp.asarray(_QUARTILES, weights.dtype))
        ]
        least = 0.0 if ends else jnp.sum(weights * sorted_)
        square = jnp.sum(weights * (sorted_ - least) ** 2)
        share = 1.0 if ends else _LEAST
        spread = jnp.maximum(high - low, jnp.maximum(share * jnp.sqrt(square), 1e-6))
        limits = sorted_[0], sorted_[-1]
        if ends:
            limits = jnp.minimum(limits[0], 0), jnp.maximum(limits[1], 0)
        return eqx.tree_at(
            lambda c: (c.scaling, c.middle, c.spread, c.least, c.most),
            self,
            (scaling, middle, spread, *limits),
        )

    def __call__(self, state: Float[Array, " state"], t: Int[ArrayLike, ""]) -> Float[Array, ""]:
        """Value a state.

        Args:
            state: The state, in physical units.
            t: Its index in the episode, 0 to the horizon.

        Returns:
            The discounted sum of the rewards that are expected to follow.
        """
        middle, spread = jax.lax.stop_gradient((self.middle, self.spread))
        mean = middle + spread * symexp(self.output(state, t))
        return self.reach(t) * jnp.clip(mean, *jax.lax.stop_gradient((self.least, self.most)))

    def output(self, state: Float[Array, " state"], t: Int[ArrayLike, ""]) -> Float[Array, ""]:
        """Value a state in the coordinates of the networks.

        Args:
            state: The state, in physical units.
            t: Its index in the episode, 0 to the horizon.

        Returns:
            What `encode` makes of its value: the lower of two estimates.
        """
        return self.outputs(state, t).min()

    def outputs(self, state: Float[Array, " state"], t: Int[ArrayLike, ""]) -> Float[Array, "2"]:
        """Value a state in the coordinates of the networks, by each of them.

        Args:
            state: The state, in physical units.
            t: Its index in the episode, 0 to the horizon.

        Returns:
            Two estimates of what `encode` makes of its value.
        """
        time = step_features(t, self.horizon, self.frequencies, self.schedule)
        seen = jnp.concatenate([self.scaling.encode(state), time], axis=-1)
        found = jnp.concatenate([network(seen) for network in self.networks])
        return jnp.clip(found, -LARGEST_CODE, LARGEST_CODE)

    def encode(self, value: Float[Array, ""], t: Int[ArrayLike, ""]) -> Float[Array, ""]:
        """Map a value to the coordinates of the networks.

        Args:
            value: The discounted sum of the rewards from step t on.
            t: Index in the episode, below the horizon.

        Returns:
            The output that stands for it.
        """
        middle, spread = jax.lax.stop_gradient((self.middle, self.spread))
        return symlog((value / self.reach(t) - middle) / spread)

    def unit(self, state: Float[Array, " state"], t: Int[ArrayLike, ""]) -> Float[Array, ""]:
        """Say what difference of values counts as 1 at a state: the slope of the value's code.

        Args:
            state: The state, in physical units.
            t: Its index in the episode, below the horizon.

        Returns:
            That difference, without gradient.
        """
        output = self.output(state, t)
        unit = self.reach(t) * self.spread * (1 + jnp.abs(symexp(output)))
        return jax.lax.stop_gradient(unit)

    def reach(self, t: Int[ArrayLike, ""]) -> Float[Array, ""]:
        """Count the steps that are left, discounted.

        Args:
            t: Index in the episode.

        Returns:
            Their number; that of an endless episode where the value does not depend on time.
        """
        if self.frequencies is None:
            return jnp.asarray(1 / (1 - self.discount))
        left = self.horizon - jnp.asarray(t, float)
        if self.discount == 1:
            return left
        return (1 - self.discount**left) / (1 - self.discount)


class Critics(NamedTuple):
    """A critic that learns, and the slow copy of it that it learns from."""

    critic: Critic
    target: Critic


def lambda_returns(
    rewards: Float[Array, " time"],
    values: Float[Array, " time"],
    discount: float,
    trace: float,
    terminated: Bool[Array, " time"] | None = None,
) -> Float[Array, " time"]:
    """Mix what was earned with what was expected: G_k = r_k + d ((1 - l) V_{k+1} + l G_{k+1}).

    After a step that terminates the episode nothing is expected: G_k = r_k.

    Args:
        rewards: Reward of each step.
        values: Value of the state after each step.
        discount: Factor on the worth of a reward for each step that it comes later.
        trace: l: 0 trusts the next value, 1 only the last one.
        terminated: Whether each step terminates the episode; left out where none does.

    Returns:
        The target of the value before each step.

    References:
        Sutton and Barto 2018, "Reinforcement learning", Eq. 12.18.
    """

    def back(following: Array, step: tuple[Array, Array, Array | None]) -> tuple[Array, Array]:
        reward, value, over = step
        expected = (1 - trace) * value + trace * following
        target = reward + discount * (expected if over is None else jnp.where(over, 0, expected))
        return target, target

    return jax.lax.scan(back, values[-1], (rewards, values, terminated), reverse=True)[1]


@final
class CriticFitting(Learner):
    """TD(lambda) on windows that the policy rolls out in the world model."""

    name = "critic"
    env: Environment
    windows: Windows
    trace: float = eqx.field(static=True, default=0.95)
    """Lambda."""
    target_rate: float = eqx.field(static=True, default=0.02)
    """Share of the critic that its slow copy takes on in an update."""
    disturbed: bool = eqx.field(static=True, default=False)
    """Whether noise is added to imagined states as it was in real ones."""

    @override
    def slope(self, weights: Critics, context: Context, *, key: PRNGKeyArray) -> Slope:
        start_key, noise_key = jax.random.split(key)
        starts = self.windows.starts(self.env, context.buffer, self.batch_size, key=start_key)
        shape = (self.batch_size, self.windows.length, self.env.action_dim)
        noise = jax.random.normal(noise_key, shape)

        disturbances = None
        if self.disturbed:
            disturbances = starts.disturbances(context.weights["model"])

        def window(*whole: Any) -> tuple[Array, Array, Array, Array | None]:
            return self._targets(weights.target, context, *whole)

        states, times, targets, counted = jax.lax.stop_gradient(
            jax.vmap(window)(starts.states, noise, starts.first, disturbances)
        )

        def loss(weights: Critics) -> Float[Array, ""]:
            critic = weights.critic
            outputs = jax.vmap(jax.vmap(critic.outputs))(states, times)
            wanted = jax.vmap(jax.vmap(critic.encode))(targets, times)
            squares = jnp.mean((outputs - wanted[..., None]) ** 2, axis=-1)
            return jnp.mean(squares if counted is None else weights_of(counted) * squares)

        value, gradient = eqx.filter_value_and_grad(loss)(weights)
        return Slope(value, gradient, (value,))

    @override
    def prepare(self, weights: Critics, buffer: Buffer) -> Critics:
        if buffer.rewards is None:
            return weights
        scaling = self.windows.scaling(buffer, weights.critic.scaling.modes)
        # Places without an episode repeat the first one.
        filled = buffer.newest(1.0)[:, None] > 0
        rewards = jnp.where(filled, buffer.rewards, buffer.rewards[:1])
        seen = scaling, rewards, self.windows.usual(buffer)
        ends = buffer.ends is not None
        return Critics(*(critic.standardise(*seen, ends=ends) for critic in weights))

    @override
    def update(self, learned: Learned, context: Context, *, key: PRNGKeyArray) -> Updated:
        updated = super().update(learned, context, key=key)
        critic, target = updated.learned.weights.critic, updated.learned.weights.target

        def follow(slow: Array, fast: Array) -> Array:
            return slow + self.target_rate * (fast - slow) if eqx.is_inexact_array(slow) else slow

        weights = Critics(critic, jax.tree.map(follow, target, critic))
        return updated._replace(learned=updated.learned._replace(weights=weights))

    def _targets(
        self,
        target: Critic,
        context: Context,
        state: Array,
        draws: Array,
        first: Array,
        disturbances: Array | None,
    ) -> tuple[Array, Array, Array, Array | None]:
        model, policy = context.weights["model"], context.weights["policy"]
        reward = context.weights.get("reward", reward_of(self.env))
        termination = context.weights.get("termination", termination_of(self.env))
        states, actions, _, last = rollout(
            *(policy, model, state, draws, first, disturbances),
            through_policy=0.0,
            through_states=0.0,
        )
        rewards = rewards_along(reward, states, actions, last, first)
        times = first + jnp.arange(draws.shape[0])
        after = jnp.concatenate([states[1:], last[None]])
        values = jax.vmap(target)(after, times + 1)
        over = counted = None
        if termination is not None:
            over = terminated_along(termination, states, actions, last, first)
            counted = alive(over)
        targets = lambda_returns(rewards, values, target.discount, self.trace, over)
        return states, times, targets, counted
