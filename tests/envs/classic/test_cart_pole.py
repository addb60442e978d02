"""The cart-pole against its equations in NumPy, and the energy that it keeps."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from beeline import envs

GRAVITY, CART, POLE, HALF, FRICTION = 9.81, 1.0, 0.1, 0.5, 0.05


def advance(x, speed, angle, rate, force, part=0.01, parts=4):
    for _ in range(parts):
        sine, cosine, mass = math.sin(angle), math.cos(angle), CART + POLE
        q = (force + POLE * HALF * rate**2 * sine - FRICTION * speed) / mass
        turn = (GRAVITY * sine - q * cosine) / (HALF * (4 / 3 - POLE * cosine**2 / mass))
        pull = q - POLE * HALF * turn * cosine / mass
        speed, rate = speed + part * pull, rate + part * turn
        x, angle = x + part * speed, angle + part * rate
    return x, speed, angle, rate


def observed(x, speed, angle, rate):
    return np.array([x, speed, math.cos(angle), math.sin(angle), rate])


@pytest.mark.usefixtures("float64")
def test_steps_agree_with_numpy():
    env = envs.make("cart-pole", horizon=20)
    step, reward = jax.jit(env.step), jax.jit(env.reward)
    random = np.random.default_rng(0)
    for _ in range(5):
        hidden = tuple(random.uniform(-4, 4, 4))
        state = jnp.asarray(observed(*hidden))
        for t in range(20):
            force = random.uniform(-10, 10)
            x, _, angle, _ = hidden
            earned = 0.5 * (1 + math.cos(angle)) / (1 + x**2 / 2) - 0.01 * (force / 10) ** 2
            np.testing.assert_allclose(reward(state, jnp.array([force]), t), earned, atol=1e-9)
            hidden, state = advance(*hidden, force), step(state, jnp.array([force]), t)
            np.testing.assert_allclose(state, observed(*hidden), rtol=1e-9, atol=1e-9)


@pytest.mark.usefixtures("float64")
def test_without_friction_and_force_energy_and_momentum_stay():
    """Of a cart and a uniform rod, from the positions and speeds of their masses alone."""
    env = envs.make("cart-pole", horizon=50, friction=0.0, cart_mass=0.7, pole_mass=0.4)
    step = jax.jit(env.step)
    state = jnp.asarray(observed(0.2, 0.3, 2.5, 1.0))

    def kept(state):
        _, speed, cosine, sine, rate = np.asarray(state)
        middle = np.array([speed + 0.5 * rate * cosine, -0.5 * rate * sine])
        turning = 0.4 * (2 * 0.5) ** 2 / 12 * rate**2
        motion = 0.7 * speed**2 + 0.4 * middle @ middle + turning
        return motion / 2 + 0.4 * 9.81 * 0.5 * cosine, 0.7 * speed + 0.4 * middle[0]

    energy, momentum = kept(state)
    for t in range(50):
        state = step(state, jnp.zeros(1), t)
        # The error of the semi-implicit method swings, and does not grow.
        assert kept(state)[0] == pytest.approx(energy, abs=0.06)
        assert kept(state)[1] == pytest.approx(momentum, abs=0.02)
    assert abs(float(state[4])) > 0.5


def test_starts_hang():
    env = envs.make("cart-pole", horizon=5)
    starts = jax.vmap(lambda key: env.initial_state(key=key))(
        jax.random.split(jax.random.key(0), 500)
    )
    x, speed, cosine, sine, rate = np.asarray(starts).T
    assert 0.45 < np.abs(x).max() <= 0.5
    assert 0.09 < max(np.abs(speed).max(), np.abs(rate).max()) <= 0.1
    angle = np.arctan2(-sine, -cosine)
    assert 0.27 < np.abs(angle).max() <= 0.3 + 1e-6
    with pytest.raises(ValueError, match="cart-pole leaves something to chance: pass key= to init"):
        env.initial_state()


def test_a_pole_without_mass_is_refused():
    with pytest.raises(ValueError, match=r"cart-pole: pole_mass must be finite and above 0, got 0"):
        envs.make("cart-pole", horizon=5, pole_mass=0.0)
