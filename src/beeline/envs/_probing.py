"""What is tried on an environment, and what comes of it."""

import itertools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from beeline.envs._base import Environment
from beeline.envs._declared import scale
from beeline.envs._transition import transition

_EPISODES = 8
_MOST_CORNERS = 16
_DIFFERENCE = 1e-6


class Probe(NamedTuple):
    """One input of `step` and `reward`, as the library has it: the action in [-1, 1]."""

    state: np.ndarray
    action: np.ndarray
    t: int

    def given(self, env: Environment) -> str:
        """Write it so that it can be tried by hand.

        Args:
            env: The environment.

        Returns:
            Its three parts, the action within the bounds of the environment.
        """
        action = np.asarray(scale(jnp.asarray(self.action), env.action_low, env.action_high))
        return f"state {self.state.tolist()}, action {action.tolist()}, t {self.t}"


class Slopes(NamedTuple):
    """How the next state and then the reward change with the state and then the action."""

    derivative: Float[np.ndarray, "probe output input"]
    """By reverse differentiation."""
    left: Float[np.ndarray, "probe output input"]
    right: Float[np.ndarray, "probe output input"]
    noise: Float[np.ndarray, "probe output input"]
    """What rounding may add to the differences."""


def draw_actions(
    env: Environment, generator: np.random.Generator, *, few: bool
) -> Float[np.ndarray, "episode time action"]:
    """Choose actions for some episodes.

    Args:
        env: The environment.
        generator: Source of randomness.
        few: Whether to choose only four, for episodes that take long.

    Returns:
        Corners of the box held all the time, then corners in turn, then actions from within, all
        in [-1, 1].
    """
    size = (_EPISODES, env.horizon, env.action_dim)
    signs = itertools.product((-1.0, 1.0), repeat=env.action_dim)
    corners = np.asarray(list(itertools.islice(signs, _MOST_CORNERS)))
    # Where there are too many corners to try, their opposites are at least not left out.
    corners = np.unique(np.concatenate([corners, -corners]), axis=0)
    held = np.broadcast_to(corners[:, None], (len(corners), *size[1:]))
    bangs = generator.choice((-1.0, 1.0), size)
    inside = generator.uniform(-1, 1, size)
    kinds = [held[[0, -1]], bangs[:1], inside[:1]] if few else [held, bangs, inside]
    return np.concatenate(kinds).astype(np.float32)


def live(
    env: Environment, actions: Float[np.ndarray, "episode time action"], *, compiled: bool
) -> tuple[Float[np.ndarray, "episode times state"], Float[np.ndarray, "episode time"]]:
    """Roll episodes out in single precision.

    Args:
        env: The environment.
        actions: The actions of each.
        compiled: Whether to trace; if not, Python walks through them.

    Returns:
        All states, and the rewards.
    """

    def episode(actions: Array) -> tuple[Array, Array]:
        def move(state: Array, inputs: tuple[Array, Array]) -> tuple[Array, tuple[Array, Array]]:
            t, action = inputs
            after, reward = transition(env, state, action, t, key=key_at(t))
            return after, (after, reward)

        first = env.initial_state(key=jax.random.key(0))
        states, rewards = jax.lax.scan(move, first, (jnp.arange(env.horizon), actions))[1]
        return jnp.concatenate([first[None], states]), rewards

    if compiled:
        states, rewards = jax.jit(jax.vmap(episode))(actions)
    else:
        with jax.disable_jit():
            lived = [episode(jnp.asarray(given)) for given in actions]
        states, rewards = (jnp.stack(part) for part in zip(*lived, strict=True))
    return np.asarray(states), np.asarray(rewards)


def outputs(env: Environment, inputs: Array, t: Int[Array, ""]) -> Float[Array, " output"]:
    """Evaluate `step` and `reward` together.

    Args:
        env: The environment.
        inputs: A state and then an action.
        t: The step index.

    Returns:
        The next state and then the reward.
    """
    state, action = inputs[: env.state_dim], inputs[env.state_dim :]
    return jnp.append(*transition(env, state, action, t, key=key_at(t)))


def key_at(t: Int[Array, ""]) -> PRNGKeyArray:
    """Draw the randomness of a step, the same in all episodes.

    Args:
        t: The step index.

    Returns:
        A key.
    """
    return jax.random.fold_in(jax.random.key(0), t)


def slopes(env: Environment, probes: list[Probe]) -> Slopes:
    """Differentiate in double precision, in two ways.

    Args:
        env: The environment.
        probes: Where.

    Returns:
        Derivatives and differences at each.
    """

    def both(inputs: Array, t: Array) -> Any:
        def f(x: Array) -> Array:
            return outputs(env, x, t)

        size = _DIFFERENCE * jnp.maximum(1.0, jnp.abs(inputs))
        here = f(inputs)
        right = (jax.vmap(f)(inputs + jnp.diag(size)) - here) / size[:, None]
        left = (here - jax.vmap(f)(inputs - jnp.diag(size))) / size[:, None]
        noise = 10 * jnp.finfo(inputs.dtype).eps * (1 + jnp.abs(here)) / size[:, None]
        return jax.jacrev(f)(inputs), left.T, right.T, noise.T

    with jax.enable_x64(True):
        inputs = np.asarray([np.append(p.state, p.action) for p in probes], np.float64)
        times = np.asarray([probe.t for probe in probes])
        return Slopes(*map(np.asarray, jax.jit(jax.vmap(both))(inputs, times)))
