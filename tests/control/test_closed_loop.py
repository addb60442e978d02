"""What a feedback earns."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from beeline import envs
from beeline.control import closed_loop_return, random_return


def test_a_constant_is_worked_out_by_hand():
    env = envs.make("double-integrator", horizon=2, process_noise=0)
    # Too strong an action counts as the strongest.
    found = closed_loop_return(env, lambda state, t: jnp.full(1, 3.0), 4)
    first = 0.3**2 + 0.1
    second = 0.3**2 + 0.1 * 0.6**2 + 0.1
    assert found.mean == pytest.approx(-0.1 * (first + second), rel=1e-12)
    assert found.standard_error == pytest.approx(0, abs=1e-15)


def test_noise_and_starts_differ_from_episode_to_episode():
    env = envs.make("double-integrator", horizon=3)

    def nothing(state, t):
        return jnp.zeros(1)

    found = closed_loop_return(env, nothing, 4000)
    # Positions and speeds before each step, their means and variances worked out by hand.
    squares = 3 * 0.3**2 + 0.1**2 * 0.01 + 0.1 * (0.01 + 0.02)
    assert found.mean == pytest.approx(-0.1 * squares, abs=4 * found.standard_error)
    assert 0 < found.standard_error < 1e-4
    assert found == closed_loop_return(env, nothing, 4000)
    other = closed_loop_return(env, nothing, 4000, key=jax.random.key(1))
    assert other.mean != found.mean
    swung = closed_loop_return(envs.make("pendulum", horizon=3), nothing, 500)
    assert swung.standard_error > 0.1
    assert np.isfinite(random_return(envs.make("pendulum", horizon=3), 10).mean)


def test_one_episode_is_too_few():
    with pytest.raises(ValueError, match="episodes must be at least 2, got 1"):
        closed_loop_return(envs.make("harvest", horizon=5), lambda state, t: state, 1)
