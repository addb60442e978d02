"""The reward model: against NumPy, and in Algorithm 1."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import beeline
from beeline import envs
from beeline.models import RewardModel
from beeline.networks.scaling import StateScaling
from beeline.training import Buffer, Context, Optimiser, RewardFitting
from tests.networks import drawn

HORIZON = 5


@pytest.fixture(scope="module")
def episodes():
    draws = np.random.default_rng(0)
    states = draws.normal(size=(7, HORIZON + 1, 2))
    actions = draws.uniform(-1, 1, (7, HORIZON, 3))
    rewards = 100 * draws.normal(size=(7, HORIZON)) - 30
    return tuple(jnp.asarray(x) for x in (states, actions, rewards))


@pytest.fixture(scope="module")
def model(episodes):
    new = drawn(RewardModel, 2, 3, HORIZON, hidden_sizes=(8,), frequencies=1)

    @jax.jit
    def standardise(model, states, rewards):
        return model.standardise(StateScaling.fit(states), rewards)

    return standardise(new, episodes[0], episodes[2])


def restated(model, state, action, t):
    compressed = np.sign(state) * np.log1p(np.abs(state))
    inputs = np.concatenate([(compressed - model.scaling.mean) / model.scaling.scale, action])
    if t < HORIZON - 1:
        angle = np.pi * t / HORIZON
        time = [2 * t / HORIZON - 1, np.sin(angle), np.cos(angle)]
        network, inputs = model.running, np.concatenate([inputs, time])
    else:
        network = model.last
    hidden = inputs @ network.layers[0].weight + network.layers[0].bias
    hidden = hidden / (1 + np.exp(-hidden))
    return float((hidden @ network.layers[1].weight + network.layers[1].bias)[0])


def test_rewards_are_those_of_a_numpy_restatement(model, episodes):
    states, actions, rewards = (np.asarray(x, np.float64) for x in episodes)
    groups = rewards[:, :-1], rewards[:, -1]
    predicted = jax.jit(jax.vmap(lambda s, a, t: model(s, a, t)))(
        episodes[0][2, :-1], episodes[1][2], jnp.arange(HORIZON)
    )
    for t in range(HORIZON):
        group = groups[t == HORIZON - 1]
        expected = group.mean() + group.std() * restated(model, states[2, t], actions[2, t], t)
        assert float(predicted[t]) == pytest.approx(expected, rel=1e-4, abs=1e-3)


def test_the_loss_weighs_the_last_step_as_much_as_all_others(model, episodes):
    states, actions, rewards = (np.asarray(x, np.float64) for x in episodes)
    error = np.empty_like(rewards)
    for episode in range(len(rewards)):
        for t in range(HORIZON):
            group = rewards[:, -1] if t == HORIZON - 1 else rewards[:, :-1]
            target = (rewards[episode, t] - group.mean()) / group.std()
            predicted = restated(model, states[episode, t], actions[episode, t], t)
            error[episode, t] = (predicted - target) ** 2
    expected = 0.5 * (error[:, :-1].mean() + error[:, -1].mean())
    assert float(jax.jit(lambda m: m.loss(*episodes))(model)) == pytest.approx(expected, rel=1e-4)


def test_statistics_are_no_weights(model, episodes):
    gradient = jax.jit(jax.grad(lambda m: m.loss(*episodes)))(model)
    for leaf in (gradient.mean, gradient.scale, gradient.scaling.mean, gradient.scaling.scale):
        assert not np.any(leaf)


def test_a_policy_learns_from_a_learned_reward(tiny):
    run = beeline.train(config=dataclasses.replace(tiny, reward="learned"))
    assert run.records[-1]["normalized_return"][0] > 0.85
    assert run.records[-1]["reward_loss"][0] < 0.05


def test_episodes_without_rewards_teach_no_reward(model, episodes):
    buffer = Buffer(*episodes[:2], jnp.asarray(7))
    fitting = RewardFitting(Optimiser(1e-3, 1.0, 1.0), 4)
    with pytest.raises(ValueError, match="without rewards"):
        fitting.update(fitting.init(model), Context(buffer), key=jax.random.key(0))


def test_an_unknown_kind_of_reward_is_refused(tiny):
    with pytest.raises(ValueError, match="did you mean 'learned'"):
        dataclasses.replace(tiny, reward="learn")


def test_the_terminal_reward_is_a_network_of_its_own():
    env = envs.make("bacteria", horizon=HORIZON)
    reward = drawn(RewardModel, env.state_dim, env.action_dim, HORIZON, hidden_sizes=(8,))
    last = jnp.asarray(HORIZON - 1)
    slopes = jax.jit(jax.grad(lambda m: m(jnp.ones(1), jnp.zeros(1), last)))(reward)
    assert np.any(slopes.last.layers[0].weight)
    assert not np.any(slopes.running.layers[0].weight)
