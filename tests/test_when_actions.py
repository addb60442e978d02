"""The tasks of `experiments.when_actions`, against solvers of others and by hand."""

import importlib
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.linalg import expm

from beeline.envs import check
from beeline.envs._given import given_environment
from beeline.envs.double_pendulum import _vector_field


@pytest.fixture(scope="module")
def tasks():
    sys.path.insert(0, str(Path(__file__).parents[1]))
    try:
        return importlib.import_module("experiments.when_actions.tasks")
    finally:
        sys.path.pop(0)


def along(env, actions, state=None):
    """States along actions, by the task."""
    start = env.initial_state() if state is None else jnp.asarray(state)

    def step(state, inputs):
        state = env.step(state, *inputs)
        return state, state

    inputs = jnp.asarray(actions)[:, None], jnp.arange(len(actions))
    return np.asarray(jax.jit(lambda s: jax.lax.scan(step, s, inputs)[1])(start))


def pushes(env, steps=12):
    return np.random.default_rng(0).uniform(env.action_low, env.action_high, steps)


def held(env, actions, rates, **options):
    """The same by SciPy, each action held for a step."""
    state, states = np.asarray(env.initial_state()), []
    for push in actions:
        solved = solve_ivp(
            lambda t, y, push=push: rates(y, push), (0, env.dt), state, rtol=1e-10, atol=1e-12,
            **options,
        )  # fmt: skip
        state = solved.y[:, -1]
        states.append(state)
    return np.array(states)


@pytest.mark.usefixtures("float64")
def test_pendulums_without_motor_and_damping_are_those_of_the_library(tasks):
    env = tasks.pendulums_free(horizon=8)
    wanted = held(env, np.zeros(6), lambda y, _: _vector_field(0, y, None, np), method="DOP853")
    np.testing.assert_allclose(along(env, np.zeros(6)), wanted, rtol=1e-3, atol=1e-3)


@pytest.mark.usefixtures("float64")
def test_the_motor_and_the_joints_change_the_energy_by_what_they_do(tasks):
    env = tasks.DrivenPendulums(horizon=8, damping=0.7)
    state, push = jnp.asarray([0.4, 1.5, -0.9, -2.0]), jnp.asarray(3.0)

    def energy(state):
        a, da, b, db = state
        speed = 2 * da**2 + db**2 + 2 * da * db * jnp.cos(a - b)
        return speed / 2 - tasks.GRAVITY * (2 * jnp.cos(a) + jnp.cos(b))

    power = jax.grad(energy)(state) @ env.rates(state, push)
    bend = state[3] - state[1]
    wanted = push * state[1] - 0.7 * state[1] ** 2 - 0.7 * bend**2
    np.testing.assert_allclose(power, wanted, rtol=1e-9)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("setting", ["relaxation_soft", "relaxation_stiffer"])
def test_the_oscillator_is_integrated_through_its_jumps(tasks, setting):
    env = getattr(tasks, setting)(horizon=30)

    def rates(y, push):
        return np.array([y[1], env.stiffness * (1 - y[0] ** 2) * y[1] - y[0] + push])

    actions = pushes(env)
    wanted = held(env, actions, rates, method="Radau")
    np.testing.assert_allclose(along(env, actions), wanted, rtol=1e-3, atol=1e-3)


@pytest.mark.usefixtures("float64")
def test_a_chain_is_a_linear_system(tasks):
    env = tasks.Chain(horizon=20, masses=3)
    joined = np.array([[-2.0, 1, 0], [1, -2, 1], [0, 1, -1]])
    law = np.block([[np.zeros((3, 3)), np.eye(3)], [10 * joined, 0.1 * joined]])
    whole = np.zeros((7, 7))
    whole[:6, :6], whole[3, 6] = law, 1.0
    forward, actions = expm(env.dt * whole), pushes(env)
    state, wanted = np.zeros(6), []
    for push in actions:
        state = (forward @ np.append(state, push))[:6]
        wanted.append(state)
    np.testing.assert_allclose(along(env, actions), wanted, atol=2e-5)


@pytest.mark.usefixtures("float64")
def test_a_contact_reflects_at_the_normal_and_loses_a_tenth(tasks):
    env = tasks.floor_rough(horizon=20)
    # Half a hundredth of a second into the step it is below the floor.
    part, speed = 0.005, np.array([0.3, -2.0 - 0.005 * 9.8])
    x = 0.1 + part * speed[0]
    ground, slope = 0.08 * np.sin(2 * np.pi * x), 0.16 * np.pi * np.cos(2 * np.pi * x)
    start = [0.1, 0.3, ground + 0.005, -2.0]
    normal = np.array([-slope, 1.0]) / np.hypot(slope, 1.0)
    hit = speed - 1.9 * (speed @ normal) * normal
    after = along(env, [0.0], start)[0]
    # The rest is free flight.
    np.testing.assert_allclose(after[[1, 3]], hit - [0.0, 9 * part * 9.8], rtol=1e-6)
    np.testing.assert_allclose(after[0], x + 9 * part * hit[0], rtol=1e-6)
    flat = tasks.floor_flat(horizon=20)
    fall = along(flat, np.zeros(12))
    first = np.argmax(fall[:, 3] > 0)
    assert first == np.ceil(np.sqrt(2 / 9.8) / flat.dt) - 1
    assert np.abs(fall[:, 0] - 0.1).max() < 1e-12


def test_every_setting_is_made_by_name(tasks):
    made = [setting for settings in tasks.FAMILIES.values() for setting in settings]
    names = [name for name, value in vars(tasks).items() if value in made]
    assert len(names) == len(made) == 15
    for name in names:
        env = given_environment(f"experiments.when_actions.tasks:{name}", horizon=6)
        assert env.horizon == 6


@pytest.mark.parametrize(
    "setting",
    [
        "floor_rough",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("pendulums_free", "relaxation_stiffer", "chain_32", "noise_large")
        ),
    ],
)
def test_settings_keep_the_contract(tasks, setting):
    report = check(getattr(tasks, setting)(horizon=6))
    assert report.ok, str(report)
