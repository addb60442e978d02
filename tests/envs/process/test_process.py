"""The process control tasks against published vectors, SciPy and published returns."""

import inspect
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate

from beeline import envs
from beeline.envs.process import Crystallization

TRACKING = {
    "stirred-tank": 60,
    "four-tank": 60,
    "multistage-extraction": 60,
    "heat-exchanger": 60,
    "nonsmooth-control": 60,
    "biofilm-reactor": 60,
    "crystallization": 30,
}
TASKS = {**TRACKING, "photobioreactor": 60}


def made(name, **options):
    return envs.make(name, horizon=TASKS[name], **options)


def published_actions(task, steps):
    """a = 0.8 sin(1 + 0.7 k + 1.3 j), in [-1, 1]."""
    k, j = np.meshgrid(np.arange(steps), np.arange(task.action_dim), indexing="ij")
    return 0.8 * np.sin(1 + 0.7 * k + 1.3 * j)


def scaled(task, actions):
    low, high = np.asarray(task.action_low), np.asarray(task.action_high)
    return low + (actions + 1) / 2 * (high - low)


@pytest.fixture(scope="module")
def episodes():
    """Plant states of ten steps of the published actions, and the rewards of a whole episode."""
    found = {}

    def play(name, **options):
        key = (name, *options.items())
        if key not in found:
            task = made(name, **options)
            inputs = scaled(task, published_actions(task, task.horizon))
            found[key] = task, inputs, *rolled(task, inputs)
        return found[key]

    return play


def rolled(task, inputs):
    with jax.enable_x64(True):

        def advance(state, step):
            t, u = step
            after = task.step(state, u, t)
            return after, (after, task.reward(state, u, t, after))

        steps = jnp.arange(len(inputs)), jnp.asarray(inputs)
        start = task.initial_state()
        states, rewards = jax.jit(lambda: jax.lax.scan(advance, start, steps))()[1]
        return np.concatenate([[start], states]), np.asarray(rewards)


VECTORS = {
    "stirred-tank": ((0, 1), (0.812353584, 328.385211), (0.899219484, 323.511769)),
    "four-tank": (
        (0, 1, 2, 3),
        (0.118898551, 0.171522458, 0.126727276, 0.397076828),
        (0.0883799977, 0.180864602, 0.236125391, 0.140838575),
    ),
    "multistage-extraction": (
        (0, 1, 8, 9),
        (0.567144323, 0.127816149, 0.45140889, 0.063973407),
        (0.567282075, 0.128299743, 0.451949144, 0.0640686227),
    ),
    "photobioreactor": (
        (0, 1, 2),
        (1.02403056, 164.485986, 3.57455642e-4),
        (1.26753587, 191.78944, 4.12113578e-3),
    ),
    "nonsmooth-control": ((0, 1), (0.797037458, -0.0681796084), (0.552495841, -0.388044388)),
    "heat-exchanger": (
        (21, 22, 23),
        (348.259602, 337.47718, 311.487031),
        (334.161867, 327.227817, 318.11139),
    ),
}


@pytest.mark.parametrize("name", VECTORS)
def test_states_are_the_published_ones(name, episodes):
    options = {"volume": np.pi} if name == "heat-exchanger" else {}
    states = episodes(name, **options)[2]
    entries, first, tenth = VECTORS[name]
    np.testing.assert_allclose(states[1, list(entries)], first, rtol=3e-8)
    np.testing.assert_allclose(states[10, list(entries)], tenth, rtol=3e-8)


@pytest.mark.usefixtures("float64")
def test_crystals_grow_as_published():
    task = Crystallization(horizon=30, growth_below_saturation=True)
    temperatures = 10 + (published_actions(task, 10)[:, 0] + 1) / 2 * 30

    @jax.jit
    def advance(x, temperature):
        # Held, where the task has its rate of change as the input.
        x = x.at[5].set(temperature)
        x = task.advance(x, jnp.zeros(1), jnp.zeros(0))
        return x, jnp.concatenate([x[:5], task.outputs_of(x)])

    found = np.asarray(jax.lax.scan(advance, jnp.asarray(task.x_0), jnp.asarray(temperatures))[1])
    first = 2397.72254, 37807.2733, 2295630.6, 303490262, 0.158432316, 1.68842926, 15.7679935
    tenth = 74220.4457, 1278929.96, 70338739.1, 6.15278195e9, 0.138969785, 1.48044546, 17.2315047
    np.testing.assert_allclose(found[0], first, rtol=1e-6)
    np.testing.assert_allclose(found[9], tenth, rtol=1e-6)


def biofilm(sign, saturation):
    """Its equations, once more: as they should be, or as they were published."""

    def slope(_, x, u):
        z, (feed, around) = x.reshape(4, 4), u[:2]
        change = np.zeros((4, 4))
        for n in range(3):
            s1, s2, _, o = z[n]
            r1 = 0.8 * s1 / (0.5 + s1) * o / (1.5 + o)
            r2 = s2 / (0.1 + s2) * o / (0.5 + o)
            arises = np.array([-r1, r1 - r2, r2, -3.5 * r1 - 1.1 * r2])
            change[n] = around / 10 * (z[n - 1] - z[n]) + sign * arises
        change[3] = around / 15 * (z[2] - z[3])
        change[3, :3] += feed / 15 * (u[2:] - z[3, :3])
        change[3, 3] += 1.5 * (saturation - z[3, 3])
        return change.ravel()

    return slope


def integrated(slope, x, u, dt):
    solved = scipy.integrate.solve_ivp(
        slope, (0, dt), x, method="LSODA", args=(u,), rtol=1e-11, atol=1e-12
    )
    return solved.y[:, -1]


def test_the_published_biofilm_has_its_signs_the_wrong_way_round():
    task = made("biofilm-reactor")
    low, high = np.asarray(task.action_low), np.asarray(task.action_high)
    # The published inputs are from the top fifth of each range.
    inputs = low + (0.8 + 0.2 * (published_actions(task, 10) + 1) / 2) * (high - low)
    x = np.asarray(task.x_0)
    published = [x := integrated(biofilm(-1, 600), x, u, task.dt) for u in inputs]
    first = 2.06144359, 0.304324664, 6.45452472, 355.944553
    tenth = 3.13705661, 1.56479071, -1.63202458, 604.020037
    np.testing.assert_allclose(published[0][12:], first, rtol=1e-6)
    np.testing.assert_allclose(published[9][12:], tenth, rtol=1e-6)
    x = np.asarray(task.x_0)
    right = [x := integrated(biofilm(1, 150), x, u, task.dt) for u in inputs]
    np.testing.assert_allclose(rolled(task, inputs)[0][1:], right, rtol=3e-6, atol=1e-8)
    assert np.min(right) >= 0


@pytest.mark.parametrize("name", TASKS)
def test_integration_is_close_to_that_of_scipy(name, episodes):
    task, inputs, states, _ = episodes(name)
    plant = len(task.x_0)
    with jax.enable_x64(True):
        known = [] if task.context is None else task.context(0)[len(task.outputs) :]
        slope = jax.jit(lambda x, u: task.dynamics(x, u, jnp.asarray(known, float)))
        for t in (0, 9):
            before, after = states[t, :plant].copy(), states[t + 1, :plant]
            if name == "crystallization":
                before[5] = after[5]
            u = jnp.asarray(inputs[t])
            right = integrated(lambda _, x, u: np.asarray(slope(x, u)), before, u, task.dt)
            np.testing.assert_allclose(after, right, rtol=3e-6, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "first", "sum_", "tolerance"),
    [
        # Of the package at its own tolerance, which is 1e-5 of the states.
        ("stirred-tank", (-15.7510, -7.04842, -2.05512), -519.366, 8e-4),
        ("four-tank", (-0.494922, -0.452903, -0.465959), -14.6756, 1e-4),
        ("multistage-extraction", (-0.0229247, -0.0320690, -0.0302662), -1.60831, 1e-4),
    ],
)
def test_rewards_are_the_published_ones(name, first, sum_, tolerance, episodes):
    rewards = episodes(name)[3]
    np.testing.assert_allclose(rewards[:3], first, rtol=tolerance)
    # The package ends its episodes a step before the horizon.
    assert rewards[:-1].sum() == pytest.approx(sum_, rel=tolerance)


@pytest.mark.parametrize(
    ("name", "return_"),
    [
        ("stirred-tank", -512.560),
        ("four-tank", -13.6939),
        ("multistage-extraction", -0.194344),
        ("crystallization", -0.850139),
    ],
)
def test_no_action_earns_what_it_earns_in_the_package(name, return_):
    task = made(name)
    rewards = rolled(task, scaled(task, np.zeros((task.horizon, task.action_dim))))[1]
    # It integrates CV and size beside the moments, where here they follow from these.
    assert rewards[:-1].sum() == pytest.approx(return_, rel=2e-4)


def test_the_return_of_the_algae_is_what_they_have_made(episodes):
    _, _, states, rewards = episodes("photobioreactor")
    assert rewards.sum() == pytest.approx(1000 * states[-1, 2], rel=1e-9)


@pytest.mark.usefixtures("float64")
def test_a_move_is_charged_against_the_action_before_but_never_the_first():
    task = made("stirred-tank")
    state = task.initial_state()
    low, high = jnp.array([295.0]), jnp.array([302.0])
    moved, held = (task.reward(state.at[2].set(u), low, 5, state) for u in (302.0, 295.0))
    assert float(held - moved) == pytest.approx(0.1)
    first = task.reward(state.at[2].set(302.0), low, 0, state)
    assert float(first) == pytest.approx(float(task.reward(state, high, 0, state)))


def test_the_schedule_is_that_of_the_step_that_is_reached():
    task = made("stirred-tank", disturbances=((350.0, 340.0), (1.0,)))
    known = np.asarray(jax.vmap(task.context)(jnp.arange(60)))
    setpoints = np.repeat([0.85, 0.9, 0.87], 20)
    np.testing.assert_allclose(known[:, 0], [*setpoints[1:], 0.87], rtol=1e-6)
    np.testing.assert_allclose(known[:, 1], [350.0] * 29 + [340.0] * 31)
    state, u = task.initial_state(), jnp.array([298.0])
    warm, cold = (task.step(state, u, t)[1] for t in (0, 40))
    assert float(warm - cold) > 2


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("stirred-tank", {"setpoints": ((0.5,),)}, "is 0.5, which no constant input reaches: give"),
        ("stirred-tank", {"setpoints": ((0.85,), (0.9,))}, "setpoints must be 1 tuples of levels"),
        (
            "stirred-tank",
            {"setpoints": ((0.85,) * 61,)},
            "setpoints of 61 levels take at least 61 steps",
        ),
        ("stirred-tank", {"disturbances": ((350.0,),)}, "disturbances must be 2 tuples of levels"),
        ("four-tank", {"setpoints": ((0.5,), (float("nan"),))}, "must hold finite numbers"),
    ],
)
def test_schedules_that_mean_nothing(name, options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        made(name, **options)


@pytest.mark.parametrize("name", TASKS)
def test_every_task_says_what_its_entries_are(name):
    task = made(name)
    assert len(task.state_names) == len(task.state_units) == task.state_dim
    assert len(task.action_names) == len(task.action_units) == task.action_dim
    text = inspect.getdoc(type(task))
    for section in ("Attributes:", "State:", "Action:", "Reward:", "Start:", "End:", "References:"):
        assert section in text
    assert "Differs from the published package" in text
    assert envs.descriptions()[name] == text.splitlines()[0]
