"""The two linear systems against their matrices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from beeline import envs
from beeline.control import is_deterministic, is_noisy

STIFFNESS = {"double-integrator": 0.0, "unstable-pole": 2.0}


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", STIFFNESS)
def test_steps_are_those_of_their_matrices(name):
    env = envs.make(name, horizon=5, process_noise=0)
    random = np.random.default_rng(0)
    matrix = np.array([[1.0, 0.1], [0.1 * STIFFNESS[name], 1.0]])
    for t in range(5):
        state, share = random.normal(size=2), random.uniform(-1, 1, 1)
        action = env.physical_action(jnp.asarray(share))
        after = matrix @ state + np.array([0, 0.6]) * share
        np.testing.assert_allclose(env.step(jnp.asarray(state), action, t), after, rtol=1e-12)
        cost = 0.1 * (state[0] ** 2 + 0.1 * state[1] ** 2 + 0.1 * share[0] ** 2)
        np.testing.assert_allclose(env.reward(jnp.asarray(state), action, t), -cost, rtol=1e-12)
    np.testing.assert_array_equal(env.initial_state(), [0.3, 0.0])


@pytest.mark.usefixtures("float64")
def test_noise_is_that_of_the_speed():
    env = envs.make("unstable-pole", horizon=5)
    state, action = jnp.array([0.2, -0.1]), jnp.array([1.0])
    keys = jax.random.split(jax.random.key(0), 4000)
    moved = jax.jit(jax.vmap(lambda key: env.step(state, action, 0, key=key)))(keys)
    np.testing.assert_allclose(moved[:, 0], 0.19)
    assert np.mean(moved[:, 1]) == pytest.approx(-0.1 + 0.1 * (0.4 + 1), abs=0.005)
    assert np.std(moved[:, 1]) == pytest.approx(0.1, abs=0.004)
    with pytest.raises(
        ValueError, match="unstable-pole leaves something to chance: pass key= to s"
    ):
        env.step(state, action, 0)


@pytest.mark.parametrize("name", STIFFNESS)
def test_only_noise_leaves_something_to_chance(name):
    assert not is_deterministic(envs.make(name, horizon=5))
    assert is_noisy(envs.make(name, horizon=5))
    assert not is_noisy(envs.make("pendulum", horizon=5))
    assert is_deterministic(envs.make(name, horizon=5, process_noise=0))
    with pytest.raises(ValueError, match="process_noise must be finite and at least 0, got -1"):
        envs.make(name, horizon=5, process_noise=-1)
    with pytest.raises(ValueError, match=f"{name}: stiffness must be finite, got inf"):
        envs.make(name, horizon=5, stiffness=float("inf"))
