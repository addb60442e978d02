"""The true dynamics as a recurrent cell have the policy gradient of the true dynamics."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from beeline.envs import make
from beeline.gradients import Direct, Objective, Unrolled
from beeline.models import DynamicsActionsModel, SimulatorModel
from beeline.networks.scaling import StateScaling
from beeline.policies import SquashedGaussian
from tests.networks import drawn, normal

HORIZON, BATCH = 20, 3


def policy_for(*, name, key):
    environment = make(name, horizon=HORIZON)
    start = environment.initial_state()
    scaling = StateScaling.fit(jnp.stack([0.5 * start, start, 2 * start]))
    sizes = (environment.state_dim, environment.action_dim, HORIZON)
    return SquashedGaussian(*sizes, hidden_sizes=(8,), scaling=scaling, key=key)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", ["cancer-treatment", "hiv-treatment", "timber-harvest"])
def test_the_two_gradients_are_one(name):
    environment = make(name, horizon=HORIZON)
    start = environment.initial_state()
    policy = drawn(policy_for, name=name)
    policy = eqx.tree_at(lambda p: p.network.layers[-1].weight, policy, replace_fn=lambda w: 60 * w)
    objective = Objective(environment.reward, jnp.array(1.0), jnp.array(0.01))
    initial = start * jnp.linspace(0.9, 1.1, BATCH)[:, None]
    noise = normal(BATCH, HORIZON, environment.action_dim, seed=1)

    def evaluate(route, model):
        return eqx.filter_jit(route)(policy, model, objective, initial, noise)

    direct, direct_slope = evaluate(Direct(), DynamicsActionsModel(environment))
    unrolled, unrolled_slope = evaluate(Unrolled(), SimulatorModel(environment))
    a, b = (
        np.concatenate([np.ravel(x) for x in jax.tree.leaves(slope)])
        for slope in (direct_slope, unrolled_slope)
    )
    assert np.linalg.norm(b) > 1e-3
    assert np.linalg.norm(a - b) < 1e-10 * np.linalg.norm(b)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10), direct, unrolled)
