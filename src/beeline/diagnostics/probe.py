"""Derivatives along one episode: the policy gradient at every horizon, and every slope.

The theorems assume bounds that hold everywhere. Their proofs use them only where the episode
goes, so the slopes measured along an episode are valid constants for that episode; and where one
exceeds the constant that was claimed, the hypothesis is broken.

References:
    Paper, section 3, section 4.2 and Appendix A.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from beeline.diagnostics.jacobians import action_jacobian, block_norms, spectral_norm
from beeline.gradients import RewardFunction, rollout
from beeline.models import WorldModel
from beeline.policies import Policy


class Probe(NamedTuple):
    """Measurements along one episode. Horizons count rewarded states."""

    gradients: Float[Array, " time"]
    """Norm of the policy gradient for horizons 1, 2, ..., H."""
    influence: Float[Array, "action action"]
    """||d s_t / d a_k||: row 0 is the state after the first action."""
    action_slopes: Float[Array, "action action"]
    """||∂h_t / ∂a_k|| with the states that h reads held still."""
    state_slopes: Float[Array, "action action"]
    """||∂h_t / ∂s_i||; column i is the state before action i, and column 0 never matters."""
    reward_slope: Float[Array, ""]
    """Largest ||∂r/∂s||: L_r."""
    reward_action_slope: Float[Array, ""]
    """Largest ||∂r/∂a||; zero in the paper, whose rewards are of states only."""
    policy_slope: Float[Array, ""]
    """Largest ||∂π/∂θ||: L_π."""


@eqx.filter_jit
def probe(
    policy: Policy,
    model: WorldModel,
    reward: RewardFunction,
    state: Float[Array, " state"],
    noise: Float[Array, "time action"],
    *,
    through_policy: float = 0.0,
) -> Probe:
    """Roll out one episode and differentiate all of it.

    The gradient for every shorter horizon comes at once: it is a running sum over the rewards.

    Args:
        policy: The policy.
        model: The world model.
        reward: Reward of a state, an action and a step index.
        state: The initial state.
        noise: Standard normal draws for the policy; their number, two or more, is the horizon.
        through_policy: Share of the gradient through the policy's input; the theorems assume 0.

    Returns:
        The measurements.
    """
    weights, rest = eqx.partition(policy, eqx.is_inexact_array)
    times = jnp.arange(noise.shape[0])

    def rewards(weights):
        live = eqx.combine(weights, rest)
        states, actions, *_ = rollout(
            live, model, state, noise, through_policy=through_policy, through_states=1.0
        )
        return jax.vmap(reward)(states, actions, times), (states, actions)

    slopes, (states, actions) = jax.jacrev(rewards, has_aux=True)(weights)
    running = jnp.cumsum(_flatten(slopes, noise.shape[0]), axis=0)

    def act(weights, state, t, draw):
        return eqx.combine(weights, rest).sample(state, t, draw)[0]

    policy_slopes = jax.vmap(jax.jacrev(act), in_axes=(None, 0, 0, 0))(
        weights, states, times, noise
    )
    by_state, by_action = jax.vmap(jax.grad(reward, argnums=(0, 1)))(states, actions, times)
    state_slopes, action_slopes = jax.jacrev(model.predict, argnums=(0, 1))(
        states[:-1], actions[:-1]
    )
    return Probe(
        gradients=jnp.linalg.norm(running, axis=1),
        influence=block_norms(action_jacobian(model, state, actions[:-1])),
        action_slopes=block_norms(action_slopes),
        state_slopes=block_norms(state_slopes),
        reward_slope=jnp.linalg.norm(by_state, axis=1).max(),
        reward_action_slope=jnp.linalg.norm(by_action, axis=1).max(),
        policy_slope=spectral_norm(_flatten(policy_slopes, *actions.shape)).max(),
    )


def _flatten(tree, *lead: int) -> Array:
    return jnp.concatenate([leaf.reshape(*lead, -1) for leaf in jax.tree.leaves(tree)], axis=-1)
