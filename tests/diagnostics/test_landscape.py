"""Return landscapes and their roughness."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from beeline.diagnostics import (
    compare_landscapes,
    first_action_landscape,
    policy_direction,
    policy_landscape,
    roughness,
)
from beeline.gradients import Objective, Unrolled
from beeline.networks.scaling import StateScaling
from beeline.policies import SquashedGaussian
from beeline.theory.instances import EqualSlopes


def reward(state, action, t):
    return state[0] + 0.5 * action[0] * jnp.where(t == 0, 1.0, 0.0)


def test_first_action_landscape_of_a_linear_model():
    model = EqualSlopes(1.0, 0.5, memory=False)
    actions = jnp.array([[9.0], [0.2], [-0.3]])
    values = jnp.linspace(-1, 1, 5)
    returns = first_action_landscape(model, reward, jnp.array([0.4]), actions, values)
    # States 0.4, 0.2 + a, 0.1 + 0.5 a + 0.2; the last action leads beyond the rewarded states.
    np.testing.assert_allclose(returns, 0.9 + (1.5 + 0.5) * values, rtol=1e-5)


def make_policy():
    policy = SquashedGaussian(1, 1, 3, hidden_sizes=(4,), key=jax.random.key(0))
    return eqx.tree_at(lambda p: p.scaling, policy, StateScaling(jnp.ones(1), 2 * jnp.ones(1)))


def test_policy_direction_is_as_large_as_each_leaf_and_spares_the_statistics():
    policy = make_policy()
    direction = policy_direction(policy, key=jax.random.key(1))
    assert direction.scaling is None
    for leaf, way in zip(
        jax.tree.leaves(policy.network), jax.tree.leaves(direction.network), strict=True
    ):
        np.testing.assert_allclose(jnp.linalg.norm(way), jnp.linalg.norm(leaf), rtol=1e-5)


def test_policy_landscape_passes_through_the_policy_with_its_slope():
    policy, model = make_policy(), EqualSlopes(1.0, 0.5)
    objective = Objective(reward, jnp.ones(()), jnp.zeros(()))
    states, noise = jnp.ones((2, 1)), jax.random.normal(jax.random.key(2), (2, 3, 1))
    direction = policy_direction(policy, key=jax.random.key(1))
    steps = jnp.array([-0.01, 0.0, 0.01])
    returns = policy_landscape(policy, model, objective, states, noise, direction, steps)
    (value, _), slope = Unrolled(through_policy=1.0)(policy, model, objective, states, noise)
    np.testing.assert_allclose(returns[1], value, rtol=1e-5)
    along = ravel_pytree(slope.network)[0] @ ravel_pytree(direction.network)[0]
    np.testing.assert_allclose((returns[2] - returns[0]) / 0.02, along, rtol=0.02)


@pytest.mark.parametrize("points", [41, 401])
def test_roughness_counts_climbs_and_falls(points):
    at = np.linspace(0, 1, points)
    assert roughness(at**3) == pytest.approx(1)
    assert roughness(7 - 300 * at) == pytest.approx(1)
    assert roughness(4 * at * (1 - at)) == pytest.approx(2)
    assert roughness(np.sin(5 * np.pi * at)) == pytest.approx(5, rel=0.01)
    assert roughness(np.full(points, 3.0)) == 0
    assert np.isnan(roughness(np.where(at > 0.5, np.inf, at)))


def test_comparison():
    truth = np.array([0.0, 1.0, 0.0, 1.0])
    compared = compare_landscapes(np.array([0.0, 1.0, 2.0, 3.0]), truth)
    assert compared == (1.0, 3.0, 1.0)
    with pytest.raises(ValueError, match="1 point was given"):
        roughness(np.zeros(1))
