"""The return of the random policy, and returns normalised between it and the optimum."""

import math
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from beeline.envs import Environment
from beeline.envs._transition import advance, begin


@dataclass(frozen=True)
class RandomReturn:
    """The return of the uniform random policy.

    Attributes:
        mean: Its average over the episodes played.
        standard_error: The standard error of that average.
    """

    mean: float
    standard_error: float


def random_return(
    env: Environment, episodes: int = 1000, *, key: PRNGKeyArray | None = None
) -> RandomReturn:
    """Play episodes of actions drawn uniformly from [-1, 1], anew at every step.

    Computed in float64, whatever the precision outside.

    Args:
        env: The task.
        episodes: How many episodes, at least 2.
        key: Randomness; by default a fixed key, so that the answer is always the same.

    Returns:
        The mean return and its standard error.

    Raises:
        ValueError: If `episodes` is below 2.
    """
    if episodes < 2:
        raise ValueError(f"episodes must be at least 2, got {episodes}")
    with jax.enable_x64(True):
        keys = jax.random.split(default_key() if key is None else key, episodes)
        returns = _returns(env, keys)
        mean = float(jnp.mean(returns))
        error = float(jnp.std(returns, ddof=1)) / math.sqrt(episodes)
    return RandomReturn(mean=mean, standard_error=error)


def normalized_return(return_: float, random: float, optimal: float) -> float:
    """Measure a return on the scale where the random policy is 0 and the optimum is 1.

    Args:
        return_: The return to measure.
        random: The mean return of the uniform random policy.
        optimal: The best return there is.

    Returns:
        (return_ - random) / (optimal - random); below 0 for worse than random, and not finite if
        the return is not.

    Raises:
        ValueError: If the ends of the scale are the same, upside down or not finite.
    """
    if not -math.inf < random < optimal < math.inf:
        raise ValueError(
            "normalised returns need a finite optimal return above a finite random one, got "
            f"{optimal} and {random}"
        )
    return (return_ - random) / (optimal - random)


def default_key() -> PRNGKeyArray:
    """Take the key of all references, so that they are always the same.

    Returns:
        The key.
    """
    # The generator is named, for JAX's default can be changed by a setting.
    return jax.random.key(0, impl="threefry2x32")


@eqx.filter_jit
def _returns(env: Environment, keys: Array) -> Float[Array, "batch"]:
    def episode(key):
        start_key, episode_key = jax.random.split(key)

        def step(moment, inputs):
            t, step_key = inputs
            action_key, noise_key = jax.random.split(step_key)
            action = jax.random.uniform(action_key, (env.action_dim,), minval=-1.0)
            return advance(env, moment, action, t, key=noise_key)

        inputs = jnp.arange(env.horizon), jax.random.split(episode_key, env.horizon)
        _, rewards = jax.lax.scan(step, begin(env, key=start_key), inputs)
        return jnp.sum(rewards)

    return jax.vmap(episode)(keys)
