"""Whether an environment is deterministic."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from beeline.envs import Environment
from beeline.envs._simulator import Simulator
from beeline.envs._transition import move, transition


def is_deterministic(env: Environment) -> bool:
    """Tell whether an environment always starts alike and answers the same actions alike.

    Only then can a plan be the best there is, and one episode tell what a policy earns. Where the
    environment does not say so itself, two episodes of the same actions with different random keys
    are compared, in double precision.

    Args:
        env: The environment.

    Returns:
        False if the two differ anywhere.
    """
    if env.deterministic is not None:
        return env.deterministic
    return _alike(env, (0, 0), (1, 1))


def is_noisy(env: Environment) -> bool:
    """Tell whether an environment answers the same actions from the same start differently.

    Args:
        env: The environment.

    Returns:
        False if only starts are left to chance, or nothing is.
    """
    if isinstance(env, Simulator):
        # It is not asked the same twice.
        return False
    return not (env.deterministic or _alike(env, (0, 0), (0, 1)))


def _alike(env: Environment, *seeds: tuple[int, int]) -> bool:
    # Whether episodes of the same actions are alike, by seeds of the start and of the steps.
    with jax.enable_x64(True):
        actions = np.random.default_rng(0).uniform(-1, 1, (env.horizon, env.action_dim))

        @jax.jit
        def play(start_key, key):
            def advance(state, inputs):
                action, t, step_key = inputs
                after, reward = transition(env, state, action, t, key=step_key)
                return after, (after, reward)

            start = env.initial_state(key=start_key)
            keys = jax.random.split(key, env.horizon)
            inputs = jnp.asarray(actions), jnp.arange(env.horizon), keys
            return start, jax.lax.scan(advance, start, inputs)[1]

        one, other = (jax.tree.leaves(play(*map(jax.random.key, pair))) for pair in seeds)
        return all(np.array_equal(a, b, equal_nan=True) for a, b in zip(one, other, strict=True))


def has_best_plan(env: Environment) -> bool:
    """Tell whether a plan can be the best there is, and be found.

    Args:
        env: The environment.

    Returns:
        Whether it is deterministic, never terminates, at which returns jump, and ends with the
        horizon: the best plan of a task that goes on would sell off what comes after.
    """
    ends = env.terminated is None and not env.continuing
    return ends and is_deterministic(env)


def moves_alike(
    env: Environment,
    states: Float[np.ndarray, "probe state"],
    actions: Float[np.ndarray, "probe action"],
) -> bool:
    """Tell whether steps leave nothing to chance, whatever starts do.

    Args:
        env: The environment. Call this with float64 enabled.
        states: Where to try it.
        actions: The actions there.

    Returns:
        False if a step of two random keys differs anywhere.
    """

    def twice(state: Array, action: Array) -> Array:
        return jnp.stack([move(env, state, action, 0, key=jax.random.key(k)) for k in (0, 1)])

    found = np.asarray(jax.jit(jax.vmap(twice))(states, actions))
    return np.array_equal(found[:, 0], found[:, 1], equal_nan=True)
