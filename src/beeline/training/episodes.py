"""Real episodes: how they are rolled out, and the buffer that stores them."""

from collections.abc import Callable
from typing import NamedTuple, final

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from beeline._module import Module
from beeline.envs import Environment
from beeline.envs._transition import transition
from beeline.policies import Policy

Sequences = tuple[Float[Array, "*batch times state"], Float[Array, "*batch time action"]]
"""States and actions of one whole episode or a batch."""


class Episode(NamedTuple):
    """One whole episode in physical units: a state more than there are actions."""

    states: Float[Array, "times state"]
    actions: Float[Array, "time action"]
    rewards: Float[Array, " time"]

    @property
    def return_(self) -> Float[Array, "*batch"]:
        """Undiscounted sum of the rewards, for one episode or a batch.

        Returns:
            The return.
        """
        return self.rewards.sum(axis=-1)


def play(env: Environment, actions: Float[Array, "time action"], *, key: PRNGKeyArray) -> Episode:
    """Roll an episode out with given actions.

    Args:
        env: The environment.
        actions: Actions in [-1, 1].
        key: Random key of the environment.

    Returns:
        The episode.
    """
    return _roll_out(env, lambda state, t, given: given, actions, key=key)


def act(
    env: Environment,
    policy: Policy,
    noise: Float[Array, "time action"],
    offsets: Float[Array, "time action"],
    *,
    key: PRNGKeyArray,
) -> Episode:
    """Roll an episode out with a policy that explores.

    Args:
        env: The environment.
        policy: The policy.
        noise: Standard normal draws for the policy.
        offsets: Added to its actions, the sum being clipped to [-1, 1].
        key: Random key of the environment.

    Returns:
        The episode.
    """

    def choose(state, t, given):
        draw, offset = given
        return jnp.clip(policy.sample(state, t, draw)[0] + offset, -1, 1)

    return _roll_out(env, choose, (noise, offsets), key=key)


def evaluate(env: Environment, policy: Policy, *, key: PRNGKeyArray) -> Episode:
    """Roll an episode out with the policy's deterministic actions.

    Args:
        env: The environment.
        policy: The policy.
        key: Random key of the environment.

    Returns:
        The episode.
    """
    nothing = jnp.zeros((env.horizon, 0))
    return _roll_out(env, lambda state, t, given: policy.mode(state, t), nothing, key=key)


class Measured(NamedTuple):
    """What some episodes earned."""

    return_: Float[Array, ""]
    """Their mean return."""
    deviation: Float[Array, ""]
    """Standard deviation of their returns; 0 for one episode."""
    episodes: Episode
    """A batch of them; a single one has no axis of episodes."""


def mean_return(
    play_one: Callable[[PRNGKeyArray], Episode], episodes: int, *, key: PRNGKeyArray
) -> Measured:
    """Measure something by one episode, or by the mean of several where chance has a part.

    Args:
        play_one: Plays an episode with a key.
        episodes: How many.
        key: Random key.

    Returns:
        The mean return, its spread, and the episodes.
    """
    if episodes == 1:
        episode = play_one(key)
        return Measured(episode.return_, jnp.zeros_like(episode.return_), episode)
    played = jax.vmap(play_one)(jax.random.split(key, episodes))
    return Measured(played.return_.mean(), played.return_.std(ddof=1), played)


def _roll_out(env, choose, given, *, key) -> Episode:
    first_key, steps_key = jax.random.split(key)

    def step(state, inputs):
        t, given, step_key = inputs
        action = choose(state, t, given)
        after, reward = transition(env, state, action, t, key=step_key)
        return after, (state, action, reward)

    first = env.initial_state(key=first_key)
    keys = jax.random.split(steps_key, env.horizon)
    last, (states, actions, rewards) = jax.lax.scan(
        step, first, (jnp.arange(env.horizon), given, keys)
    )
    return Episode(jnp.concatenate([states, last[None]]), actions, rewards)


@final
class Buffer(Module):
    """Whole episodes on the device, with room for all that a run will see."""

    states: Float[Array, "capacity times state"]
    actions: Float[Array, "capacity time action"]
    count: Int[Array, ""]
    rewards: Float[Array, "capacity time"] | None = None
    """None where the data has none: enough to fit a world model, not to learn a reward."""

    @classmethod
    def empty(cls, env: Environment, capacity: int) -> "Buffer":
        """Make room.

        Args:
            env: The environment.
            capacity: Episodes to make room for.

        Returns:
            A buffer without episodes.
        """
        return cls(
            jnp.zeros((capacity, env.horizon + 1, env.state_dim)),
            jnp.zeros((capacity, env.horizon, env.action_dim)),
            jnp.zeros((), int),
            jnp.zeros((capacity, env.horizon)),
        )

    def enlarged(self, capacity: int) -> "Buffer":
        """Make more room.

        Args:
            capacity: Episodes to make room for, at least as many as before.

        Returns:
            A buffer with the same episodes, none of which may have replaced an older one.
        """

        def pad(x: Array) -> Array:
            return jnp.pad(x, [(0, capacity - x.shape[0])] + [(0, 0)] * (x.ndim - 1))

        rewards = None if self.rewards is None else pad(self.rewards)
        return Buffer(pad(self.states), pad(self.actions), self.count, rewards)

    def add(self, episode: Episode, *, where: Bool[ArrayLike, ""] = True) -> "Buffer":
        """Keep one more episode, in place of the oldest when full.

        Args:
            episode: The episode.
            where: Whether to keep it; if not, only a free place is touched, so one has to be left.

        Returns:
            The buffer with it.
        """
        at = self.count % self.states.shape[0]
        # A choice between whole buffers would copy them.
        kept = jax.tree.map(lambda x: jnp.where(where, x, 0), episode)
        return Buffer(
            self.states.at[at].set(kept.states),
            self.actions.at[at].set(kept.actions),
            self.count + where,
            None if self.rewards is None else self.rewards.at[at].set(kept.rewards),
        )

    def draw(self, batch: int, *, key: PRNGKeyArray) -> Sequences:
        """Draw episodes uniformly, with replacement.

        Args:
            batch: How many.
            key: Random key.

        Returns:
            Their states and actions.
        """
        at = self.choose(batch, key=key)
        return self.states[at], self.actions[at]

    def draw_rewarded(
        self, batch: int, *, key: PRNGKeyArray
    ) -> tuple[
        Float[Array, "batch times state"],
        Float[Array, "batch time action"],
        Float[Array, "batch time"],
    ]:
        """Draw episodes uniformly, with replacement, with their rewards.

        Args:
            batch: How many.
            key: Random key.

        Returns:
            Their states, actions and rewards.

        Raises:
            ValueError: If the buffer holds no rewards.
        """
        if self.rewards is None:
            raise ValueError(
                "a learned reward was asked for, but the episodes come without rewards: "
                "give the buffer their rewards, or use the known reward"
            )
        at = self.choose(batch, key=key)
        return self.states[at], self.actions[at], self.rewards[at]

    def newest(self, share: float) -> Float[Array, " capacity"]:
        """Weigh the newest episodes alike, and the others with nothing.

        Args:
            share: How many of the episodes that are there, above 0 and at most 1; rounded up.

        Returns:
            Weights whose sum is 1, by place.
        """
        capacity = self.states.shape[0]
        age = (self.count - 1 - jnp.arange(capacity)) % capacity
        filled = jnp.minimum(self.count, capacity)
        new = age < jnp.ceil(share * filled)
        return new / new.sum()

    def choose(self, batch: int, *, key: PRNGKeyArray) -> Int[Array, " batch"]:
        """Draw episodes uniformly, with replacement.

        Args:
            batch: How many.
            key: Random key.

        Returns:
            Their places.
        """
        filled = jnp.minimum(self.count, self.states.shape[0])
        return jax.random.randint(key, (batch,), 0, filled)
