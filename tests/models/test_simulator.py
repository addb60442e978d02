import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from beeline.envs import make
from beeline.models import DynamicsActionsModel, SimulatorModel, prediction_loss

HORIZON = 12


pytestmark = pytest.mark.usefixtures("float64")


def episode(environment, seed=0):
    """An episode of the environment, a step at a time."""
    actions = np.random.default_rng(seed).uniform(-1, 1, (HORIZON, environment.action_dim))
    step, states = jax.jit(environment.step), [environment.initial_state()]
    for t, action in enumerate(jnp.array(actions)):
        states.append(step(states[-1], action, jnp.array(t)))
    return jnp.stack(states), jnp.array(actions)


@pytest.mark.parametrize("make_model", [SimulatorModel, DynamicsActionsModel])
@pytest.mark.parametrize("name", ["cancer-treatment", "hiv-treatment"])
def test_the_simulator_predicts_its_own_episodes(make_model, name):
    environment = make(name, horizon=HORIZON)
    model = make_model(environment)
    states, actions = episode(environment)
    predicted = eqx.filter_jit(model.predict)(states[:-1], actions)
    np.testing.assert_allclose(predicted, states[1:], rtol=1e-12)
    assert eqx.filter_jit(prediction_loss)(model, states[None], actions[None]) < 1e-18
    carry, state = model.start(states[0], HORIZON), states[0]
    step = eqx.filter_jit(model.step)
    for t in range(HORIZON):
        carry, state = step(carry, state, actions[t], jnp.array(t))
        np.testing.assert_allclose(state, states[t + 1], rtol=1e-12)
    assert model.stages(HORIZON) == (HORIZON,)
    assert model.horizon == HORIZON


def test_only_the_actions_model_ignores_the_states_given():
    environment = make("hiv-treatment", horizon=HORIZON)
    states, actions = episode(environment)
    moved = states[:-1].at[1:].multiply(1.1)
    for make_model, state_fed in ((SimulatorModel, True), (DynamicsActionsModel, False)):
        model = make_model(environment)
        predict = eqx.filter_jit(model.predict)
        same = np.array_equal(predict(moved, actions), predict(states[:-1], actions))
        assert model.state_fed is state_fed
        assert same is not state_fed


def test_there_is_nothing_to_learn():
    for make_model in (SimulatorModel, DynamicsActionsModel):
        model = make_model(make("bacteria", horizon=HORIZON))
        leaves = jax.tree.leaves(
            eqx.filter(eqx.tree_at(lambda m: m.scaling, model, None), eqx.is_array)
        )
        assert not leaves
