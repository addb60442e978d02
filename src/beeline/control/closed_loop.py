"""What answering to the state earns."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, PRNGKeyArray
from typing_extensions import override

from beeline.control.mpc import Controller
from beeline.control.random_return import default_key
from beeline.envs import Environment
from beeline.envs._transition import Moment, advance, begin


@dataclass(frozen=True)
class ClosedLoopReturn:
    """The return of a feedback.

    Attributes:
        mean: Its average over the episodes played.
        standard_error: The standard error of that average.
    """

    mean: float
    standard_error: float


def closed_loop_return(
    env: Environment,
    act: Callable[..., Array] | Controller,
    episodes: int = 1000,
    *,
    key: PRNGKeyArray | None = None,
) -> ClosedLoopReturn:
    """Play episodes with actions that answer to the state.

    Computed in float64, whatever the precision outside.

    Args:
        env: The task.
        act: Gives the action of a state and a step index, such as `lqr(env).mode` or the `mode` of
            a policy; clipped to [-1, 1]. Or a controller that remembers, such as `MPC`.
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
        returns = _returns(env, act, keys)
        mean = float(jnp.mean(returns))
        error = float(jnp.std(returns, ddof=1)) / math.sqrt(episodes)
    return ClosedLoopReturn(mean=mean, standard_error=error)


@eqx.filter_jit
def _returns(
    env: Environment, act: Callable[..., Array] | Controller, keys: Array
) -> Float[Array, "batch"]:
    controller = act if isinstance(act, Controller) else _Forgetful(act)

    def episode(key: Array) -> Array:
        start_key, noise_key = jax.random.split(key)

        def step(loop: tuple[Moment, Any], inputs: tuple[Array, Array]):
            (moment, memory), (t, step_key) = loop, inputs
            memory, action = controller.act(memory, moment.state, t)
            action = jnp.clip(action, -1.0, 1.0).astype(moment.state.dtype)
            moment, reward = advance(env, moment, action, t, key=step_key)
            return (moment, memory), reward

        inputs = jnp.arange(env.horizon), jax.random.split(noise_key, env.horizon)
        moment = begin(env, key=start_key)
        loop = moment, controller.start(moment.state)
        _, rewards = jax.lax.scan(step, loop, inputs)
        return jnp.sum(rewards)

    return jax.vmap(episode)(keys)


@final
class _Forgetful(Controller[None]):
    feedback: Callable[..., Array]

    @override
    def start(self, state: Float[Array, " state"]) -> None:
        del state

    @override
    def act(
        self, memory: None, state: Float[Array, " state"], t: Int[ArrayLike, ""]
    ) -> tuple[None, Array]:
        return None, jnp.asarray(self.feedback(state, t))
