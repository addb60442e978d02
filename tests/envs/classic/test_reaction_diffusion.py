"""The field against a tridiagonal solver and known solutions of the equation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import solve_banded

from beeline import envs

CENTRES = np.array([0.2, 0.4, 0.6, 0.8])


def advance(state, action, diffusion=0.05):
    cells = len(state)
    x = np.arange(1, cells + 1) / (cells + 1)
    heat = 8 * np.exp(-((x[:, None] - CENTRES) ** 2) / (2 * 0.05**2)) @ action
    ratio = 0.02 * diffusion * (cells + 1) ** 2
    bands = np.full((3, cells), -ratio)
    bands[1] = 1 + 2 * ratio
    return solve_banded((1, 1), bands, state + 0.02 * (2 * state - state**3 + heat))


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(("cells", "diffusion"), [(3, 0.05), (40, 0.2)])
def test_steps_agree_with_a_tridiagonal_solver(cells, diffusion):
    env = envs.make("reaction-diffusion", horizon=5, cells=cells, diffusion=diffusion)
    assert (env.state_dim, env.action_dim, len(env.state_names)) == (cells, 4, cells)
    step, random = jax.jit(env.step), np.random.default_rng(0)
    for t in range(5):
        state, action = random.normal(size=cells), random.uniform(-1, 1, 4)
        after = step(jnp.asarray(state), jnp.asarray(action), t)
        np.testing.assert_allclose(after, advance(state, action, diffusion), atol=1e-10)
        cost = 0.2 * (np.mean(state**2) + 0.01 * np.mean(action**2))
        earned = env.reward(jnp.asarray(state), jnp.asarray(action), t)
        np.testing.assert_allclose(earned, -cost, rtol=1e-12)


@pytest.mark.usefixtures("float64")
def test_small_waves_grow_and_decay_at_their_own_rates():
    env = envs.make("reaction-diffusion", horizon=5, cells=200)
    x = np.arange(1, 201) / 201
    for mode in (1, 2, 3):
        wave = 1e-6 * np.sin(mode * np.pi * x)
        after = np.asarray(env.step(jnp.asarray(wave), jnp.zeros(4), 0))
        # To the second order of the distance between points.
        factor = 1.04 / (1 + 0.02 * 0.05 * (mode * np.pi) ** 2)
        np.testing.assert_allclose(after, factor * wave, atol=3e-4 * 1e-6)
        assert (factor > 1) == (mode < 3)


@pytest.mark.usefixtures("float64")
def test_starts_are_five_waves():
    env = envs.make("reaction-diffusion", horizon=5, cells=50)
    keys = jax.random.split(jax.random.key(0), 3000)
    starts = np.asarray(jax.jit(jax.vmap(lambda key: env.initial_state(key=key)))(keys))
    x = np.arange(1, 51) / 51
    waves = np.sin(np.pi * np.arange(1, 8)[:, None] * x)
    # Sine waves at these points are orthogonal.
    sizes = starts @ waves.T * 2 / 51
    np.testing.assert_allclose(np.std(sizes[:, :5], axis=0), 1 / np.arange(1, 6), rtol=0.06)
    np.testing.assert_allclose(sizes[:, 5:], 0, atol=1e-12)
    assert np.abs(np.corrcoef(sizes[:, :5].T) - np.eye(5)).max() < 0.06


def test_sizes_that_are_none():
    for cells, kind in ((2, ValueError), (10.0, TypeError), (True, TypeError)):
        with pytest.raises(kind, match="cells must be "):
            envs.make("reaction-diffusion", horizon=5, cells=cells)
    with pytest.raises(ValueError, match="diffusion must be finite and above 0, got -1"):
        envs.make("reaction-diffusion", horizon=5, diffusion=-1)
