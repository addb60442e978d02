"""Real episodes: how they are rolled out, and the buffer that stores them."""

from collections.abc import Callable
from typing import NamedTuple, final

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from beeline._module import Module
from beeline.envs import Environment
from beeline.envs._simulator import Simulator
from beeline.envs._transition import Moment, advance, begin, termination_of, transition
from beeline.gradients import alive
from beeline.policies import Policy

Sequences = tuple[Float[Array, "*batch times state"], Float[Array, "*batch time action"]]
"""States and actions of one whole episode or a batch."""


class Ends(NamedTuple):
    """Where episodes terminate in a row of steps, or in many rows."""

    next_states: Float[Array, "*batch time state"]
    """State after each step: where that terminates an episode, the row goes on in another."""
    terminated: Bool[Array, "*batch time"]
    """Whether the step terminates its episode."""
    times: Int[Array, "*batch time"]
    """Index of the step in its episode."""
    truncated: Bool[Array, "*batch time"] | None = None
    """Whether a simulator cuts its episode off there; None where the row's end alone does."""

    @property
    def over(self) -> Bool[Array, "*batch time"]:
        """Tell after which steps the row goes on in another episode.

        Returns:
            Whether the episode is terminated or truncated.
        """
        return self.terminated if self.truncated is None else self.terminated | self.truncated

    @property
    def episodes(self) -> Int[Array, "*batch"]:
        """Count the episodes in a row.

        Returns:
            Their number, the one that the row's end cuts off included.
        """
        return 1 + self.over[..., :-1].sum(axis=-1)


class Episode(NamedTuple):
    """One whole episode in physical units: a state more than there are actions.

    Where episodes can terminate, what was collected is a row of as many steps: the next episode
    begins where one has ended. One that was evaluated stays where it ended, and earns nothing more.
    """

    states: Float[Array, "times state"]
    actions: Float[Array, "time action"]
    rewards: Float[Array, " time"]
    ends: Ends | None = None
    """None where episodes end with the horizon only."""

    @property
    def return_(self) -> Float[Array, "*batch"]:
        """Undiscounted sum of the rewards, for one episode or a batch.

        Returns:
            The return; of a row, that of all its episodes.
        """
        return self.rewards.sum(axis=-1)

    @property
    def unbroken(self) -> Float[Array, "*batch times state"]:
        """Take states that follow each other, for one row or a batch.

        Returns:
            Those of the episode; of a row, pairs of the state before each step and that after it.
        """
        if self.ends is None:
            return self.states
        pairs = jnp.stack([self.states[..., :-1, :], self.ends.next_states], axis=-2)
        return pairs.reshape(-1, *pairs.shape[-2:])

    @property
    def mean_return(self) -> Float[Array, "*batch"]:
        """Share the return of a row among its episodes, for one row or a batch.

        Returns:
            Their mean return; that of the episode where it is one alone.
        """
        return self.return_ if self.ends is None else self.return_ / self.ends.episodes


def play(env: Environment, actions: Float[Array, "time action"], *, key: PRNGKeyArray) -> Episode:
    """Roll an episode out with given actions.

    Args:
        env: The environment.
        actions: Actions in [-1, 1].
        key: Random key of the environment.

    Returns:
        The episode, or a row of them.
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
        The episode, or a row of them.
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

    def choose(state, t, given):
        return policy.mode(state, t)

    if env.terminated is None:
        return _roll_out(env, choose, nothing, key=key)
    return _until_the_end(env, choose, key=key)


class Measured(NamedTuple):
    """What some episodes earned."""

    return_: Float[Array, ""]
    """Their mean return."""
    deviation: Float[Array, ""]
    """Standard deviation of their returns; 0 for one episode."""
    episodes: Episode
    """A batch of them; a single one has no axis of episodes."""

    @property
    def length(self) -> Float[Array, ""] | None:
        """Count the steps until they ended.

        Returns:
            Their mean number; None where episodes end with the horizon only.
        """
        ends = self.episodes.ends
        return None if ends is None else alive(ends.terminated).sum(axis=-1).mean(dtype=float)


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
    if env.terminated is not None:
        return _row(env, choose, given, key=key)
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


def _row(env, choose, given, *, key) -> Episode:
    first_key, steps_key = jax.random.split(key)
    terminates = termination_of(env)
    assert terminates is not None

    def step(loop, inputs):
        (state, t), (given, step_key) = loop, inputs
        move_key, again_key = jax.random.split(step_key)
        action = choose(state, t, given)
        after, reward = transition(env, state, action, t, key=move_key)
        over = terminates(state, action, t, after)
        following = jnp.where(over, env.initial_state(key=again_key), after)
        lived = state, action, reward, Ends(after, over, t)
        return (following, jnp.where(over, 0, t + 1)), lived

    first = env.initial_state(key=first_key), jnp.zeros((), int)
    keys = jax.random.split(steps_key, env.horizon)
    (last, _), (states, actions, rewards, ends) = jax.lax.scan(step, first, (given, keys))
    return Episode(jnp.concatenate([states, last[None]]), actions, rewards, ends)


def _until_the_end(env, choose, *, key) -> Episode:
    first_key, steps_key = jax.random.split(key)

    def step(moment: Moment, inputs):
        t, step_key = inputs
        action = choose(moment.state, t, None)
        after, reward = advance(env, moment, action, t, key=step_key)
        assert moment.over is not None
        assert after.over is not None
        now = after.over & ~moment.over
        return after, (moment.state, action, reward, Ends(after.state, now, t))

    times, keys = jnp.arange(env.horizon), jax.random.split(steps_key, env.horizon)
    last, (states, actions, rewards, ends) = jax.lax.scan(
        step, begin(env, key=first_key), (times, keys)
    )
    return Episode(jnp.concatenate([states, last.state[None]]), actions, rewards, ends)


@final
class Buffer(Module):
    """Whole episodes on the device, with room for all that a run will see."""

    states: Float[Array, "capacity times state"]
    actions: Float[Array, "capacity time action"]
    count: Int[Array, ""]
    rewards: Float[Array, "capacity time"] | None = None
    """None where the data has none: enough to fit a world model, not to learn a reward."""
    ends: Ends | None = None
    """None where episodes end with the horizon only."""

    @classmethod
    def empty(cls, env: Environment, capacity: int) -> "Buffer":
        """Make room.

        Args:
            env: The environment.
            capacity: Episodes to make room for.

        Returns:
            A buffer without episodes.
        """
        steps = capacity, env.horizon
        ends = None
        if env.terminated is not None:
            after = jnp.zeros((*steps, env.state_dim))
            truncated = jnp.zeros(steps, bool) if isinstance(env, Simulator) else None
            ends = Ends(after, jnp.zeros(steps, bool), jnp.zeros(steps, int), truncated)
        return cls(
            jnp.zeros((capacity, env.horizon + 1, env.state_dim)),
            jnp.zeros((*steps, env.action_dim)),
            jnp.zeros((), int),
            jnp.zeros(steps),
            ends,
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

        rewards, ends = jax.tree.map(pad, (self.rewards, self.ends))
        return Buffer(pad(self.states), pad(self.actions), self.count, rewards, ends)

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
        kept = jax.tree.map(lambda x: jnp.where(where, x, jnp.zeros_like(x)), episode)
        return Buffer(
            self.states.at[at].set(kept.states),
            self.actions.at[at].set(kept.actions),
            self.count + where,
            None if self.rewards is None else self.rewards.at[at].set(kept.rewards),
            jax.tree.map(lambda room, new: room.at[at].set(new), self.ends, kept.ends),
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
