"""The double pendulum against SciPy, the Lagrangian, small swings and its energy."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from beeline import envs

G = 9.8


def accelerate(t, state):
    """Solve M(θ) θ̈ = force, the Euler-Lagrange equations as they come."""
    inner, inner_rate, outer, outer_rate = state
    bend = inner - outer
    mass = np.array([[2.0, np.cos(bend)], [np.cos(bend), 1.0]])
    force = [
        -(outer_rate**2) * np.sin(bend) - 2 * G * np.sin(inner),
        inner_rate**2 * np.sin(bend) - G * np.sin(outer),
    ]
    inner_acceleration, outer_acceleration = np.linalg.solve(mass, force)
    return [inner_rate, inner_acceleration, outer_rate, outer_acceleration]


def energy(state):
    inner, inner_rate, outer, outer_rate = np.moveaxis(np.asarray(state, float), -1, 0)
    kinetic = inner_rate**2 + outer_rate**2 / 2
    kinetic = kinetic + inner_rate * outer_rate * np.cos(inner - outer)
    return kinetic - G * (2 * np.cos(inner) + np.cos(outer))


def swing(env, first_action, later=0.3):
    """States before each step, and rewards, of one episode."""

    def advance(state, t):
        action = jnp.where(t == 0, first_action, later)[None]
        return env.step(state, action, t), (state, env.reward(state, action, t))

    return jax.lax.scan(advance, env.initial_state(), jnp.arange(env.horizon))[1]


@pytest.fixture
def env():
    return envs.make("double-pendulum", horizon=100)


@pytest.fixture
def precise(float64, env):
    return env


def test_each_step_agrees_with_scipy_on_the_lagrangian(precise):
    random = np.random.default_rng(0)
    starts = random.uniform(-1, 1, (25, 4)) * [math.pi, 8, math.pi, 8]
    moved = jax.jit(jax.vmap(lambda state: precise.step(state, jnp.zeros(1), 7)))(starts)
    for start, end in zip(starts, moved, strict=True):
        path = solve_ivp(accelerate, (0, 0.05), start, method="DOP853", rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(end, path.y[:, -1], rtol=0, atol=1e-8)


@pytest.mark.usefixtures("float64")
def test_a_whole_swing_agrees_with_scipy():
    env = envs.make("double-pendulum", horizon=60, outer_angle=90)
    states, _ = jax.jit(lambda a: swing(env, a))(0.5)
    path = solve_ivp(
        accelerate,
        (0, 58 * 0.05),
        [math.pi / 2, 0, math.pi / 2, 0],
        method="DOP853",
        rtol=1e-12,
        atol=1e-12,
        t_eval=np.arange(59) * 0.05,
    )
    np.testing.assert_allclose(states[1:], path.y.T, atol=1e-6)


@pytest.mark.parametrize(("sign", "outer"), [(-1, math.sqrt(2)), (1, -math.sqrt(2))])
@pytest.mark.usefixtures("float64")
def test_small_swings_are_the_two_modes_of_the_linear_pendulum(sign, outer):
    env = envs.make("double-pendulum", horizon=40)
    shape = 1e-5 * np.array([1.0, outer])
    rate = math.sqrt(G * (2 + sign * math.sqrt(2)))
    state = jnp.array([shape[0], 0.0, shape[1], 0.0])
    _, states = jax.lax.scan(
        lambda s, t: (env.step(s, jnp.zeros(1), t), s), state, jnp.arange(1, 40)
    )
    phase = rate * 0.05 * np.arange(39)[:, None]
    np.testing.assert_allclose(states[:, ::2], np.cos(phase) * shape, atol=1e-13)
    np.testing.assert_allclose(states[:, 1::2], -rate * np.sin(phase) * shape, atol=1e-13)


@pytest.mark.parametrize(("double", "drift"), [(True, 1e-6), (False, 1e-2)])
def test_energy_stays_what_it_was(double, drift):
    with jax.enable_x64(double):
        env = envs.make("double-pendulum", horizon=500, outer_angle=150)
        states, _ = jax.jit(jax.vmap(lambda a: swing(env, a)))(jnp.linspace(-1, 1, 8))
        # Potential energies range over 6 g = 58.8.
        assert np.ptp(energy(states[:, 1:]), axis=1).max() < drift
        assert np.ptp(energy(states[:, 1:])) > 30


def test_an_action_is_a_share_of_half_a_turn(env):
    for action, angle in ((-0.4, -72), (1.0, 180), (0.25, 45)):
        placed = env.step(jnp.full(4, 9.0), jnp.array([action]), 0)
        np.testing.assert_allclose(
            placed, [math.radians(angle), 0, math.radians(-72), 0], rtol=1e-6
        )


@pytest.mark.parametrize("horizon", [2, 10, 100])
def test_the_goal_is_reached_from_its_action_alone(horizon):
    env = envs.make("double-pendulum", horizon=horizon)
    actions = jnp.asarray(np.append(np.linspace(-1, 1, 41), env.goal_action))
    states, rewards = jax.jit(jax.vmap(lambda a: swing(env, a)))(actions)
    np.testing.assert_allclose(states[-1, -1], env.goal, atol=2e-4)
    rewards = np.asarray(rewards)
    returns = rewards.sum(axis=1)
    assert -1e-8 < returns[-1] <= 0
    assert int(np.sum(returns > -1e-4)) == 2  # the action itself, and its twin on the grid
    assert np.all(rewards[:, :-1] == 0)


@pytest.mark.usefixtures("float64")
def test_goal_action_and_outer_angle_are_options():
    env = envs.make("double-pendulum", horizon=30, goal_action=0.7, outer_angle=-120)
    states, rewards = swing(env, 0.7)
    np.testing.assert_allclose(states[0], [0, 0, math.radians(-120), 0])
    np.testing.assert_allclose(states[1], [0.7 * math.pi, 0, math.radians(-120), 0])
    np.testing.assert_allclose(states[-1], env.goal, atol=1e-8)
    assert abs(float(rewards.sum())) < 1e-15
    assert envs.make("double-pendulum", horizon=30, goal_action=0.7).goal != env.goal


def test_reward_is_the_mean_square_without_wrapping(env):
    goal, action = jnp.array(env.goal), jnp.zeros(1)
    away = goal + jnp.array([2 * math.pi, 0.0, 1.0, -2.0])
    expected = -((2 * math.pi) ** 2 + 1 + 4) / 4
    np.testing.assert_allclose(env.reward(away, action, 99), expected, rtol=1e-6)
    assert [float(env.reward(away, action, t)) for t in (0, 1, 98)] == [0, 0, 0]


def test_only_the_first_action_matters(env):
    def last(actions):
        def advance(state, inputs):
            return env.step(state, *inputs), None

        return jax.lax.scan(advance, env.initial_state(), (actions, jnp.arange(20)))[0]

    actions = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (20, 1)))
    slopes = jax.jit(lambda tangents: jax.jvp(last, (actions,), (tangents,))[1])
    first = (np.arange(20) == 0).astype(actions.dtype)[:, None]
    assert np.linalg.norm(slopes(first)) > 1
    assert np.all(np.asarray(slopes(1 - first)) == 0)


def test_derivatives_agree_with_finite_differences(precise):
    state = jnp.array([1.2, -3.0, -2.0, 5.0])

    def step(s):
        return precise.step(s, jnp.zeros(1), 3)

    widths = 1e-5
    shifts = widths * jnp.eye(4)
    moved = jax.jit(jax.vmap(step))
    slopes = (moved(state + shifts) - moved(state - shifts)).T / (2 * widths)
    np.testing.assert_allclose(jax.jit(jax.jacfwd(step))(state), slopes, rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(jax.jit(jax.jacrev(step))(state), slopes, rtol=1e-7, atol=1e-8)
    # Liouville: in the canonical momenta the flow keeps volume, det ∂p/∂ω being D = 2 - cos²δ.
    inertia = [2 - np.cos(s[2] - s[0]) ** 2 for s in (state, step(state))]
    volume = np.linalg.det(slopes) * inertia[1] / inertia[0]
    np.testing.assert_allclose(volume, 1, rtol=1e-6)


def test_the_gradient_explodes_with_the_horizon(precise):
    actions = jnp.asarray(np.random.default_rng(1).uniform(-1, 1, 200))

    def path(action):
        return swing(precise, action)[0]

    slopes = jax.jit(jax.vmap(lambda a: jax.jvp(path, (a,), (jnp.ones_like(a),))[1]))(actions)
    norms = np.linalg.norm(slopes, axis=-1).mean(axis=0)
    assert norms[99] > 10 * norms[49] > 30 * norms[19]


def test_jit_and_vmap_change_nothing(env):
    states = jnp.array([[0.1, 1.0, 2.0, 3.0], [-2.0, 0.5, 1.0, -4.0]])
    actions, steps = jnp.array([[0.3], [-0.9]]), jnp.array([0, 99])
    moved = jax.jit(jax.vmap(env.step))(states, actions, steps)
    paid = jax.jit(jax.vmap(env.reward))(states, actions, steps)
    for k in range(2):
        inputs = states[k], actions[k], int(steps[k])
        np.testing.assert_allclose(moved[k], env.step(*inputs), rtol=2e-6, atol=1e-6)
        np.testing.assert_allclose(paid[k], env.reward(*inputs), rtol=2e-6)


def test_precision_follows_the_inputs(precise):
    assert precise.initial_state().dtype == jnp.float64
    state, action = jnp.zeros(4, jnp.float32), jnp.zeros(1, jnp.float32)
    for t in (0, 5, jnp.asarray(99)):
        assert precise.step(state, action, t).dtype == jnp.float32
        assert precise.reward(state, action, t).dtype == jnp.float32


def test_what_makes_no_sense_is_refused(env):
    with pytest.raises(ValueError, match=r"goal_action must lie in \[-1, 1\], got -1.4"):
        envs.make("double-pendulum", horizon=5, goal_action=-1.4)
    with pytest.raises(ValueError, match="outer_angle must be finite, in degrees, got inf"):
        envs.make("double-pendulum", horizon=5, outer_angle=math.inf)
    with pytest.raises(ValueError, match="horizon must be at least 2, got 1"):
        envs.make("double-pendulum", horizon=1)
    with pytest.raises(ValueError, match="unknown option of double-pendulum 'dt'"):
        envs.make("double-pendulum", horizon=5, dt=0.01)
    with pytest.raises(ValueError, match=r"state must have shape \(4,\), got \(5,\)"):
        env.step(jnp.zeros(5), jnp.zeros(1), 0)
    with pytest.raises(ValueError, match=r"action entries must lie in \[-1, 1\]"):
        env.reward(jnp.zeros(4), jnp.ones(1) * 2, 0)
