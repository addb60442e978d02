"""Random actions, and noise on the policy's actions.

Independent noise at each of hundreds of steps averages out to nothing: the state hardly
leaves its mean path, and a model fitted to it knows no more than that path. Noise that is
correlated over time, with an amplitude and a time scale drawn anew each episode, visits what
constant, slow and fast controls all lead to.
"""

import abc
import math
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from beeline._module import Module
from beeline.envs import Environment
from beeline.training.episodes import Episode, play

_FAST = 40
"""How far below a step the logarithm of the time scale goes, times the horizon."""


class Exploration(Module):
    """How episodes are made to differ from the policy's own."""

    @abc.abstractmethod
    def random_actions(
        self, horizon: int, action_dim: int, *, key: PRNGKeyArray
    ) -> Float[Array, "time action"]:
        """Draw one episode of actions without a policy.

        Args:
            horizon: Steps in the episode.
            action_dim: Number of action entries.
            key: Random key.

        Returns:
            Actions in [-1, 1].
        """

    @abc.abstractmethod
    def offsets(
        self, horizon: int, action_dim: int, *, key: PRNGKeyArray
    ) -> Float[Array, "time action"]:
        """Draw what is added to the policy's actions over one episode.

        Args:
            horizon: Steps in the episode.
            action_dim: Number of action entries.
            key: Random key.

        Returns:
            Offsets; the sum is clipped to [-1, 1].
        """


@final
class IndependentNoise(Exploration):
    """Uniform random actions, and only the policy's own noise (paper, Algorithm 1)."""

    def random_actions(
        self, horizon: int, action_dim: int, *, key: PRNGKeyArray
    ) -> Float[Array, "time action"]:
        """Draw uniform actions.

        Args:
            horizon: Steps in the episode.
            action_dim: Number of action entries.
            key: Random key.

        Returns:
            Actions in [-1, 1].
        """
        return jax.random.uniform(key, (horizon, action_dim), minval=-1, maxval=1)

    def offsets(
        self, horizon: int, action_dim: int, *, key: PRNGKeyArray
    ) -> Float[Array, "time action"]:
        """Add nothing.

        Args:
            horizon: Steps in the episode.
            action_dim: Number of action entries.
            key: Unused.

        Returns:
            Zeros.
        """
        return jnp.zeros((horizon, action_dim))


@final
class CorrelatedNoise(Exploration):
    """Stationary first-order autoregressive noise, its time scale and size drawn anew each episode.

    The time scale is log-uniform from one step to the whole episode; beyond its lower end, noise
    goes over into independent draws and on to ones that alternate, as an optimal control may where
    an episode has few steps. Where it has many, they do what their mean does, and are rarer.
    """

    amplitude: float = eqx.field(static=True)

    def random_actions(
        self, horizon: int, action_dim: int, *, key: PRNGKeyArray
    ) -> Float[Array, "time action"]:
        """Draw a constant for the episode and add noise of a random size, clipped to the box.

        Args:
            horizon: Steps in the episode.
            action_dim: Number of action entries.
            key: Random key.

        Returns:
            Actions in [-1, 1].
        """
        level_key, size_key, noise_key = jax.random.split(key, 3)
        level = jax.random.uniform(level_key, (action_dim,), minval=-1.2, maxval=1.2)
        size = jax.random.uniform(size_key, (action_dim,))
        noise = _autoregressive(horizon, action_dim, key=noise_key)
        return jnp.clip(level + size * noise, -1, 1)

    def offsets(
        self, horizon: int, action_dim: int, *, key: PRNGKeyArray
    ) -> Float[Array, "time action"]:
        """Draw noise of a size uniform from zero to the amplitude.

        Args:
            horizon: Steps in the episode.
            action_dim: Number of action entries.
            key: Random key.

        Returns:
            Offsets.
        """
        size_key, noise_key = jax.random.split(key)
        size = self.amplitude * jax.random.uniform(size_key, (action_dim,))
        return size * _autoregressive(horizon, action_dim, key=noise_key)


def random_actions(
    env: Environment, exploration: Exploration, count: int, *, key: PRNGKeyArray
) -> Float[Array, "episode time action"]:
    """Draw the actions that `random_episodes` plays.

    Args:
        env: The environment.
        exploration: Draws the actions.
        count: How many episodes.
        key: Random key.

    Returns:
        The actions.
    """

    def one(key: PRNGKeyArray) -> Array:
        actions_key, _ = jax.random.split(key)
        return exploration.random_actions(env.horizon, env.action_dim, key=actions_key)

    return jax.vmap(one)(jax.random.split(key, count))


def random_episodes(
    env: Environment, exploration: Exploration, count: int, *, key: PRNGKeyArray
) -> Episode:
    """Play episodes of random actions, which a run warms up with.

    Args:
        env: The environment.
        exploration: Draws the actions.
        count: How many.
        key: Random key.

    Returns:
        A batch of episodes, or of rows of them.
    """

    def one(key: PRNGKeyArray) -> Episode:
        actions_key, env_key = jax.random.split(key)
        actions = exploration.random_actions(env.horizon, env.action_dim, key=actions_key)
        return play(env, actions, key=env_key)

    return jax.vmap(one)(jax.random.split(key, count))


def _autoregressive(
    horizon: int, action_dim: int, *, key: PRNGKeyArray
) -> Float[Array, "time action"]:
    scale_key, noise_key = jax.random.split(key)
    fastest, slowest = -_FAST / horizon, math.log(horizon)
    logarithm = jax.random.uniform(scale_key, (action_dim,), minval=fastest, maxval=slowest)
    slow = jnp.exp(-jnp.exp(-logarithm))
    fast = math.exp(-1) + (1 + math.exp(-1)) * logarithm / -fastest
    memory = jnp.where(logarithm > 0, slow, fast)
    draws = jax.random.normal(noise_key, (horizon, action_dim))

    def step(value: Array, draw: Array) -> tuple[Array, Array]:
        value = memory * value + jnp.sqrt(1 - memory**2) * draw
        return value, value

    return jnp.concatenate([draws[:1], jax.lax.scan(step, draws[0], draws[1:])[1]])
