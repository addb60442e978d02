"""The pendulum against Gymnasium's own."""

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from beeline import envs


def episode(horizon, seed, gravity):
    """Angles, rates, rewards and torques of an episode of Gymnasium's."""
    theirs = gymnasium.make("Pendulum-v1", g=gravity).unwrapped
    theirs.reset(seed=seed)
    random = np.random.default_rng(seed)
    theirs.state = np.array([random.uniform(-9, 9), random.uniform(-8, 8)])
    # Torques at their bounds for some steps take the rate to its own.
    torques = np.repeat(random.uniform(-2, 2, horizon // 10), 10)
    torques[: horizon // 2] = np.copysign(2, torques[: horizon // 2])
    states, rewards = [theirs.state], []
    for torque in torques:
        rewards.append(theirs.step(np.array([torque]))[1])
        states.append(theirs.state)
    return np.array(states), np.array(rewards), torques


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("gravity", [10.0, 4.0])
def test_episodes_are_those_of_gymnasium(gravity):
    env = envs.make("pendulum", horizon=200, gravity=gravity)

    @jax.jit
    def play(state, torques):
        def advance(state, inputs):
            torque, t = inputs
            return env.step(state, torque, t), (state, env.reward(state, torque, t))

        return jax.lax.scan(advance, state, (torques[:, None], jnp.arange(200)))[1]

    fastest = 0.0
    for seed in range(4):
        theirs, rewards, torques = episode(200, seed, gravity)
        angle, rate = theirs.T
        expected = np.stack([np.cos(angle), np.sin(angle), rate], axis=-1)
        states, ours = play(jnp.asarray(expected[0]), jnp.asarray(torques))
        np.testing.assert_allclose(states, expected[:-1], atol=1e-9)
        np.testing.assert_allclose(ours, rewards, rtol=1e-9, atol=1e-9)
        fastest = max(fastest, np.abs(rate).max())
    assert fastest == 8


def test_starts_are_anywhere():
    env = envs.make("pendulum", horizon=5)
    starts = jax.vmap(lambda key: env.initial_state(key=key))(
        jax.random.split(jax.random.key(0), 2000)
    )
    cosine, sine, rate = np.asarray(starts).T
    np.testing.assert_allclose(cosine**2 + sine**2, 1, rtol=1e-5)
    # Uniform: these have the means 0 and the variances 1/2 and 1/3.
    assert abs(cosine.mean()) < 0.06
    assert abs(sine.mean()) < 0.06
    assert np.var(cosine) == pytest.approx(0.5, abs=0.04)
    assert np.abs(rate).max() < 1
    assert np.var(rate) == pytest.approx(1 / 3, abs=0.03)


def test_an_angle_that_is_none_has_a_reward_and_a_slope():
    env = envs.make("pendulum", horizon=5)
    reward = jax.jit(jax.value_and_grad(lambda state: env.reward(state, jnp.zeros(1), 0)))
    value, slope = reward(jnp.array([0.0, 0.0, 2.0]))
    assert float(value) == pytest.approx(-0.4)
    np.testing.assert_allclose(slope, [0, 0, -0.4], rtol=1e-6)


def test_actions_have_the_units_of_the_motor():
    env = envs.make("pendulum", horizon=5)
    state = jnp.array([1.0, 0.0, 0.0])
    np.testing.assert_allclose(env.step(state, jnp.array([2.0]), 0)[2], 0.3, rtol=1e-6)
    np.testing.assert_allclose(env.physical_action(jnp.array([-1.0, 0.5])), [-2, 1])
    with pytest.raises(ValueError, match=r"action entries must lie in \[-2, 2\], got \[2.5\]"):
        env.step(state, jnp.array([2.5]), 0)
    with pytest.raises(ValueError, match="pendulum: gravity must be finite, got nan"):
        envs.make("pendulum", horizon=5, gravity=float("nan"))
