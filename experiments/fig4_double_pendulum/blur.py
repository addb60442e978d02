"""What a faultless model that cannot tell nearby first actions apart would predict.

A model fitted by squared error predicts the mean state. The reward of a mean state is above the
mean reward by the states' variance, which is large wherever the swing is chaotic.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from beeline.diagnostics import open_loop
from beeline.envs import Environment
from experiments._offline import true_model

WIDTHS = (0.05, 0.1, 0.15, 0.2, 0.3)
"""Standard deviations of the blur, in first actions."""


def blur(
    actions: Float[np.ndarray, " point"], values: Float[np.ndarray, "point *entry"], width: float
) -> Float[np.ndarray, "point *entry"]:
    """Average over nearby first actions, those within [-1, 1] alone.

    Args:
        actions: First actions, evenly spaced.
        values: What each leads to.
        width: Standard deviation of the Gaussian weights.

    Returns:
        The averages.
    """
    weights = np.exp(-0.5 * ((actions[:, None] - actions) / width) ** 2)
    return weights / weights.sum(axis=1, keepdims=True) @ values


def blur_rows(env: Environment, points: int) -> list[dict[str, Any]]:
    """Find the maxima along the first action that a blurred view of the truth has.

    Args:
        env: The task; only its last step may be rewarded.
        points: First actions, evenly over [-1, 1].

    Returns:
        A row a width and local maximum of the return of the mean state, with the mean of the
        true returns around it, and the action at the greatest of these means.
    """
    actions = np.linspace(-1, 1, points)
    states = np.asarray(_rewarded_states(env, jnp.asarray(actions, dtype=float)), dtype=float)
    returns = np.asarray(_rewards(env, jnp.asarray(states, dtype=float)), dtype=float)
    rows = []
    for width in WIDTHS:
        predicted = np.asarray(_rewards(env, jnp.asarray(blur(actions, states, width))))
        honest = blur(actions, returns, width)
        padded = np.pad(predicted, 1, constant_values=-np.inf)
        peaks = (predicted > padded[:-2]) & (predicted >= padded[2:])
        rows += [
            {
                "width": width,
                "action": actions[i],
                "return_of_mean_state": predicted[i],
                "mean_return": honest[i],
                "best_action_by_mean_return": actions[np.argmax(honest)],
            }
            for i in np.flatnonzero(peaks)
        ]
    return rows


@eqx.filter_jit
def _rewarded_states(env: Environment, values: Array) -> Array:
    def last(value: Array) -> Array:
        actions = jnp.zeros((env.horizon, env.action_dim)).at[0, 0].set(value)
        start = env.initial_state(key=jax.random.key(0))
        return open_loop(true_model(env), start, actions)[env.horizon - 2]

    return jax.lax.map(last, values, batch_size=250)


@eqx.filter_jit
def _rewards(env: Environment, states: Array) -> Array:
    action, last = jnp.zeros(env.action_dim), jnp.asarray(env.horizon - 1)
    return jax.vmap(lambda state: env.reward(state, action, last))(states)
