"""Episodes against a plain loop, and the buffer that keeps them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from beeline import envs
from beeline.policies import SquashedGaussian
from beeline.training import Buffer, Episode, act, evaluate, mean_return, play


@pytest.fixture
def env():
    return envs.make("hiv-treatment", horizon=4)


def loop(env, choose):
    state, states, total = env.initial_state(), [], 0.0
    for t in range(env.horizon):
        states.append(state)
        action = choose(state, t)
        total += float(env.reward(state, action, t))
        state = env.step(state, action, t)
    return np.stack([*states, state]), total


def test_play_is_a_plain_loop(env):
    actions = jax.random.uniform(jax.random.key(0), (4, 1), minval=-1)
    episode = play(env, actions, key=jax.random.key(1))
    states, return_ = loop(env, lambda state, t: actions[t])
    np.testing.assert_allclose(episode.states, states, rtol=1e-5)
    np.testing.assert_array_equal(episode.actions, actions)
    assert float(episode.return_) == pytest.approx(return_, rel=1e-5)


def test_policies_act_with_noise_and_are_measured_without(env):
    policy = SquashedGaussian(3, 1, 4, key=jax.random.key(0))
    noise = jax.random.normal(jax.random.key(1), (4, 1))
    offsets = jnp.asarray([[0.0], [0.1], [5.0], [-5.0]])

    def explore(state, t):
        sample = policy.sample(state, jnp.asarray(t), noise[t])[0]
        return jnp.clip(sample + offsets[t], -1, 1)

    episode = act(env, policy, noise, offsets, key=jax.random.key(2))
    np.testing.assert_allclose(episode.states, loop(env, explore)[0], rtol=1e-5)
    np.testing.assert_array_equal(episode.actions[2:, 0], [1, -1])
    measured = evaluate(env, policy, key=jax.random.key(2))
    states, return_ = loop(env, lambda state, t: policy.mode(state, jnp.asarray(t)))
    np.testing.assert_allclose(measured.states, states, rtol=1e-5)
    assert float(measured.return_) == pytest.approx(return_, rel=1e-5)


def numbered(env, number):
    states = jnp.full((env.horizon + 1, env.state_dim), float(number))
    return Episode(
        states, jnp.full((env.horizon, env.action_dim), -float(number)), jnp.zeros(env.horizon)
    )


def held(buffer):
    return buffer.states[:, 0, 0].tolist()


def test_a_buffer_keeps_the_order_and_then_forgets_the_oldest(env):
    buffer = Buffer.empty(env, 3)
    expected = [[1, 0, 0], [1, 2, 0], [1, 2, 3], [4, 2, 3], [4, 5, 3]]
    add = jax.jit(Buffer.add)
    for number, numbers in enumerate(expected, 1):
        buffer = add(buffer, numbered(env, number))
        assert held(buffer) == numbers
        assert int(buffer.count) == number
    np.testing.assert_array_equal(buffer.actions[:, 0, 0], [-4, -5, -3])


@pytest.mark.parametrize(
    ("added", "there"), [(1, {1}), (2, {1, 2}), (3, {1, 2, 3}), (5, {3, 4, 5})]
)
def test_only_what_was_added_is_drawn_and_all_of_it(env, added, there):
    buffer = Buffer.empty(env, 3)
    for number in range(1, max(there) + 1):
        buffer = buffer.add(numbered(env, number))
    states, actions = buffer.draw(400, key=jax.random.key(0))
    assert states.shape == (400, 5, 3)
    drawn = np.asarray(states[:, 0, 0])
    assert set(drawn.tolist()) == there
    np.testing.assert_array_equal(actions[:, 0, 0], -drawn)
    counts = [np.sum(drawn == number) for number in there]
    deviation = np.sqrt(400 / len(there))
    assert np.all(np.abs(np.asarray(counts) - 400 / len(there)) < 4 * deviation)


@pytest.mark.parametrize("episodes", [1, 3])
def test_the_mean_return_is_over_so_many_draws(episodes):
    def play_one(key):
        rewards = jax.random.normal(key, (4,))
        return Episode(jnp.zeros((5, 1)), jnp.zeros((4, 1)), rewards)

    key = jax.random.key(3)
    mean, deviation, played = jax.jit(lambda: mean_return(play_one, episodes, key=key))()
    keys = [key] if episodes == 1 else jax.random.split(key, episodes)
    each = [np.asarray(jax.random.normal(one, (4,))).sum() for one in keys]
    assert mean == pytest.approx(np.mean(each), rel=1e-5)
    spread = 0 if episodes == 1 else np.std(each, ddof=1)
    assert deviation == pytest.approx(spread, rel=1e-5)
    assert played.states.shape == ((5, 1) if episodes == 1 else (3, 5, 1))
