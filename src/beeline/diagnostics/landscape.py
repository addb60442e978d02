"""Return landscapes: the return that a model predicts along a line, against the true one.

References:
    Paper, Figures 3c and 4c.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PRNGKeyArray

from beeline.compute.microbatch import group_size
from beeline.gradients import Objective, RewardFunction, open_loop, rewards_along, rollout
from beeline.models import WorldModel
from beeline.networks.scaling import StateScaling
from beeline.policies import Policy


class Comparison(NamedTuple):
    """A model's landscape against the true one."""

    roughness: float
    true_roughness: float
    error: float
    """Mean absolute difference, in units of return."""


@eqx.filter_jit
def first_action_landscape(
    model: WorldModel,
    reward: RewardFunction,
    state: Float[Array, " state"],
    actions: Float[Array, "time action"],
    values: Float[Array, " point"],
    *,
    entry: int = 0,
) -> Float[Array, " point"]:
    """Return of an open-loop episode as one entry of its first action varies.

    Args:
        model: The world model.
        reward: Reward of a state, an action and a step index, and of the next state if it asks.
        state: The initial state.
        actions: The actions taken otherwise; their number is the horizon.
        values: Values of the first action, in [-1, 1].
        entry: Which entry of the action.

    Returns:
        The return at each value.
    """

    def evaluate(value: Array) -> Array:
        chosen = actions.at[0, entry].set(value)
        after = open_loop(model, state, chosen)
        states = jnp.concatenate([state[None], after[:-1]])
        return rewards_along(reward, states, chosen, after[-1]).sum()

    # In groups: a landscape of hundreds of points would otherwise hold as many caches.
    group = group_size(values.shape[0], actions.shape[0])
    return jax.lax.map(evaluate, values, batch_size=group)


def policy_direction(policy: Policy, *, key: PRNGKeyArray) -> Policy:
    """Draw a random direction in the policy's weights, scaled leaf by leaf.

    Each leaf has the norm of the policy's own, so that a step of 1 changes every layer by as much
    as it is. A leaf that is all zero stays still.

    Args:
        policy: The policy.
        key: Random key.

    Returns:
        The direction, shaped as the policy's weights.

    References:
        Li et al. 2018, "Visualizing the loss landscape of neural nets", section 4.
    """
    leaves, structure = jax.tree.flatten(_weights(policy))
    keys = jax.random.split(key, len(leaves))
    draws = [jax.random.normal(k, w.shape, w.dtype) for k, w in zip(keys, leaves, strict=True)]
    scaled = [
        d * jnp.linalg.norm(w) / jnp.linalg.norm(d) for d, w in zip(draws, leaves, strict=True)
    ]
    return jax.tree.unflatten(structure, scaled)


@eqx.filter_jit
def policy_landscape(
    policy: Policy,
    model: WorldModel,
    objective: Objective,
    initial_states: Float[Array, "batch state"],
    noise: Float[Array, "batch time action"],
    direction: Policy,
    steps: Float[Array, " point"],
) -> Float[Array, " point"]:
    """Mean return as the policy's weights move along a direction.

    Args:
        policy: The policy.
        model: The world model.
        objective: What is maximised; its imagined return is reported, without entropy.
        initial_states: Where the episodes start.
        noise: Standard normal draws for the policy, the same at every point.
        direction: From `policy_direction`.
        steps: How far to go, in multiples of the direction.

    Returns:
        The mean return at each step.
    """
    flat, unravel = ravel_pytree(_weights(policy))
    flat_direction = ravel_pytree(direction)[0]

    def evaluate(step: Array) -> Array:
        moved = eqx.combine(unravel(flat + step * flat_direction), policy)

        def unroll(state, draws):
            return rollout(moved, model, state, draws, through_policy=0.0, through_states=0.0)

        return objective(*jax.vmap(unroll)(initial_states, noise))[1].return_.mean()

    return jax.lax.map(evaluate, steps)


def _weights(policy: Policy) -> Policy:
    # The statistics that states are standardised with are data, and stay where they are.
    def keep(node):
        return None if isinstance(node, StateScaling) else eqx.filter(node, eqx.is_inexact_array)

    return jax.tree.map(keep, policy, is_leaf=lambda node: isinstance(node, StateScaling))


def roughness(returns: Float[Array | np.ndarray, " point"]) -> float:
    """Total variation over range: how many times over a landscape climbs and falls its height.

    It does not change when returns are shifted or scaled, nor, once a smooth curve is resolved,
    with the number of points. A monotone curve has 1, a single peak between equal feet 2, and
    every further swing adds its height as a share of the whole. A flat curve has 0.

    Args:
        returns: Returns at evenly spaced points, at least two.

    Returns:
        The roughness; NaN if a return is not finite.

    Raises:
        ValueError: If there are fewer than two points.
    """
    values = np.asarray(returns, dtype=float)
    if len(values) < 2:
        raise ValueError(f"{len(values)} point was given: a landscape needs two or more")
    if not np.isfinite(values).all():
        return float("nan")
    height = np.ptp(values)
    return float(np.abs(np.diff(values)).sum() / height) if height > 0 else 0.0


def compare_landscapes(
    returns: Float[Array | np.ndarray, " point"], truth: Float[Array | np.ndarray, " point"]
) -> Comparison:
    """Set a model's landscape against the true one.

    Args:
        returns: The model's.
        truth: The simulator's, at the same points.

    Returns:
        Both roughnesses and the mean absolute error.
    """
    error = np.abs(np.asarray(returns, dtype=float) - np.asarray(truth, dtype=float)).mean()
    return Comparison(roughness(returns), roughness(truth), float(error))
