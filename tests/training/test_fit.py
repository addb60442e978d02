"""Fitting a world model to episodes that are there already."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import beeline
from beeline.models import MarkovModel, prediction_loss
from beeline.training import ModelFitting, Optimiser
from tests.networks import drawn

STEPS = 6


@pytest.fixture(scope="module")
def episodes():
    """Of a linear system, x' = 0.9 x + 0.5 a."""
    draws = np.random.default_rng(0)
    actions = draws.uniform(-1, 1, (40, STEPS, 1))
    states = [draws.normal(size=(40, 1))]
    for t in range(STEPS):
        states.append(0.9 * states[-1] + 0.5 * actions[:, t])
    return jnp.asarray(np.stack(states, axis=1)), jnp.asarray(actions)


@pytest.fixture(scope="module")
def model():
    return drawn(MarkovModel, 1, 1, STEPS, hidden_sizes=(16,))


def test_a_model_learns_the_episodes_and_takes_their_coordinates(episodes, model):
    fitting = ModelFitting(Optimiser(1e-2, 0.1, 1.0), 16)
    fitted = beeline.fit(model, *episodes, fitting, updates=300, key=1)
    np.testing.assert_allclose(fitted.scaling.mean, np.mean(episodes[0], axis=(0, 1)), rtol=1e-4)
    assert prediction_loss(fitted, *episodes) < 1e-3
    as_it_was = beeline.fit(model, *episodes, fitting, updates=1, standardise=False)
    np.testing.assert_array_equal(as_it_was.scaling.mean, model.scaling.mean)


def test_a_key_for_each_update_is_that_of_the_batch_it_draws(episodes, model):
    fitting = ModelFitting(Optimiser(1e-2, 1.0, 1.0), 4)
    key = jax.random.key(3)
    folded = jnp.stack([jax.random.fold_in(key, i) for i in range(3)])
    one, same, other = (
        beeline.fit(model, *episodes, fitting, updates=3, key=given)
        for given in (key, folded, folded[::-1])
    )
    weights = [np.asarray(x.network.layers[0].weight) for x in (one, same, other)]
    np.testing.assert_array_equal(weights[0], weights[1])
    assert not np.array_equal(weights[0], weights[2])


def test_shapes_that_do_not_belong_together_are_refused(episodes, model):
    states, actions = episodes
    with pytest.raises(
        ValueError, match=r"states have shape \(40, 6, 1\) and actions \(40, 6, 1\)"
    ):
        beeline.fit(model, states[:, 1:], actions)
