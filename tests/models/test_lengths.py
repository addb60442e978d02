"""No model is asked for more steps than it can tell apart."""

import jax
import jax.numpy as jnp
import pytest

from beeline.envs import make
from beeline.models import (
    ActionsModel,
    DynamicsActionsModel,
    HistoryModel,
    MarkovModel,
    SimulatorModel,
)
from beeline.sequence import SSM

HORIZON = 3
KEY = jax.random.key(0)
ENV = make("one-bounce", horizon=HORIZON)
MODELS = {
    "actions": lambda: ActionsModel(SSM(4, 1, key=KEY), 2, 1, HORIZON, key=KEY),
    "history": lambda: HistoryModel(SSM(4, 1, key=KEY), 2, 1, HORIZON, key=KEY),
    "markov": lambda: MarkovModel(2, 1, HORIZON, key=KEY),
    "simulator": lambda: SimulatorModel(ENV),
    "dynamics": lambda: DynamicsActionsModel(ENV),
}


@pytest.mark.parametrize("name", MODELS)
def test_more_steps_than_the_horizon_are_refused(name):
    model, (states, actions) = MODELS[name](), (jnp.zeros((4, 2)), jnp.zeros((4, 1)))
    assert model.stages(HORIZON)[-1] == HORIZON
    for ask in (
        lambda: model.predict(states, actions),
        lambda: model.start(states[0], 4),
        lambda: model.start(states[0], model.stages(4)[-1]),
    ):
        with pytest.raises(ValueError, match="4 steps were asked of a model of episodes of 3"):
            ask()
