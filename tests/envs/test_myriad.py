"""The eight control tasks against the same equations written out in NumPy."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from beeline import envs
from tests.systems import (
    Oracle,
    agrees_with_finite_differences,
    batched,
    extreme_actions,
    play,
    random_actions,
    roll,
)

INF = math.inf


def hiv_slope(x, u, t):
    cells, sick, virus = x
    infected = 2.4e-5 * cells * virus * u[0]
    return np.array(
        [
            10 / (virus + 1)
            - 0.02 * cells
            + 0.03 * cells * (1500 - cells - sick) / 1500
            - infected,
            infected - sick / 2,
            150 * sick - 4.4 * virus,
        ]
    )


ORACLES = {
    "cancer-treatment": Oracle(
        [0.975],
        20,
        [(0.001, 1)],
        [(0, 2)],
        lambda x, u, t: 0.3 * x * np.log(1 / x) - 0.45 * u * x,
        lambda x, u, t: 3 * x[0] ** 2 + u[0] ** 2,
    ),
    "bioreactor": Oracle(
        [0.5],
        2,
        [(0, 1)],
        [(0, 1)],
        lambda x, u, t: (u - x) * x,
        lambda x, u, t: u[0] - 2 * x[0],
    ),
    "mould-fungicide": Oracle(
        [1.0],
        5,
        [(0, 5)],
        [(0, 5)],
        lambda x, u, t: 3 - 0.3 * x - u * x,
        lambda x, u, t: 10 * x[0] ** 2 + u[0] ** 2,
    ),
    "bacteria": Oracle(
        [1.0],
        1,
        [(0, 10)],
        [(0, 2)],
        lambda x, u, t: x * (1 + u) - 12 * u * u / np.exp(x),
        lambda x, u, t: u[0] ** 2,
        lambda x: -x[0],
    ),
    "harvest": Oracle(
        [0.4],
        10,
        [(0, INF)],
        [(0, 1)],
        lambda x, u, t: -0.2 * x - u * x,
        lambda x, u, t: u[0] ** 2 - 50 * t * x[0] * u[0] / (1 + t),
    ),
    "invasive-plant": Oracle(
        [0.5, 1, 1.5, 2, 10],
        10,
        [(-INF, INF)] * 5,
        [(0, 1)] * 5,
        lambda x, u, t: (x + x / (x + 0.01)) * (1 - u) - x,
        lambda x, u, t: np.dot(u, u),
        lambda x: x.sum(),
    ),
    "hiv-treatment": Oracle(
        [800, 0.04, 1.5],
        20,
        [(0, 1600), (0, 100), (0, 100)],
        [(0, 1)],
        hiv_slope,
        lambda x, u, t: (u[0] - 1) ** 2 - x[0] / 20,
    ),
    "timber-harvest": Oracle(
        [100.0],
        5,
        [(0, 20000)],
        [(0, 1)],
        lambda x, u, t: x * u,
        lambda x, u, t: x[0] * (u[0] - 1),
    ),
}

CONSTANT_RETURNS = {
    "cancer-treatment": (
        (20, -59.5, -27.232, -83.051),
        (100, -59.501, -26.98, -82.233),
        (500, -59.501, -26.945, -82.156),
    ),
    "bioreactor": (
        (20, 1.3961, 1, 0.83799),
        (100, 1.3882, 1, 0.86176),
        (500, 1.3867, 1, 0.86641),
    ),
    "mould-fungicide": (
        (20, -965.47, -88.115, -142.47),
        (100, -982.12, -88.111, -142.15),
        (500, -985.33, -88.111, -142.13),
    ),
    "bacteria": ((20, 2.527, -1, -4), (100, 2.678, -1, -4), (500, 2.7101, -1, -4)),
    "harvest": (
        (20, 0, 2.3201, -7.1865),
        (100, 0, 3.9047, -4.431),
        (500, 0, 4.1802, -3.9644),
    ),
    "invasive-plant": (
        (20, -62.392, -17.494, -50),
        (100, -64.399, -17.515, -50),
        (500, -64.8, -17.519, -50.001),
    ),
    "hiv-treatment": (
        (20, 808.77, 798.02, 797.1),
        (100, 811.42, 810.08, 779.77),
        (500, 811.52, 810.25, 779.33),
    ),
    "timber-harvest": (
        (20, 500, 954.51, 0),
        (100, 500, 1081.4, 0),
        (500, 500, 1110.7, 0),
    ),
}

TASKS = sorted(ORACLES)
LEAST = {"invasive-plant": 10}
"""Below, the task is refused."""


def interior(name, seed, horizon=100):
    """Draw a state, action and step index whose successor no bound touches."""
    random = np.random.default_rng(seed)
    state = np.array(ORACLES[name].start) * random.uniform(0.8, 1.02, len(ORACLES[name].start))
    action = random.uniform(-0.9, 0.3, len(ORACLES[name].controls))
    return jnp.asarray(state), jnp.asarray(action), horizon // 3


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("horizon", [2, 20, 100])
@pytest.mark.parametrize("name", TASKS)
def test_each_step_and_reward_agree_with_numpy(name, horizon):
    horizon = max(horizon, LEAST.get(name, 2))
    env = envs.make(name, horizon=horizon)
    actions = random_actions(ORACLES[name], horizon)
    states, rewards = play(ORACLES[name], actions)
    steps = jnp.arange(horizon)
    # From NumPy's own states: the HIV task at 20 steps would amplify rounding 3.4-fold a step.
    moved, paid = batched(env)(states[:-1], actions, steps)
    np.testing.assert_array_equal(env.initial_state(), states[0])
    np.testing.assert_allclose(moved, states[1:], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(paid, rewards, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", TASKS)
def test_single_precision_is_good_to_its_rounding(name):
    horizon = 20
    env = envs.make(name, horizon=horizon)
    actions = random_actions(ORACLES[name], horizon)
    states, rewards = play(ORACLES[name], actions)
    inputs = jnp.asarray(states[:-1]), jnp.asarray(actions), jnp.arange(horizon)
    moved, paid = batched(env)(*inputs)
    assert moved.dtype == paid.dtype == jnp.float32
    # A few rounding errors of 6e-8 each, of the largest term in a sum: 150 x dt for the virus.
    for single, double in ((moved, states[1:]), (paid, rewards)):
        allowed = 1e-5 * np.abs(double) + 1e-6 * np.abs(double).max(axis=0)
        assert np.all(np.abs(single - double) <= allowed)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", TASKS)
def test_constant_actions_earn_what_they_are_known_to(name):
    for horizon, *expected in CONSTANT_RETURNS[name]:
        env = envs.make(name, horizon=horizon)
        returns = jax.jit(jax.vmap(lambda actions, env=env: jnp.sum(roll(env, actions))))
        levels = jnp.array([-1.0, 0.0, 1.0])[:, None, None]
        earned = returns(jnp.broadcast_to(levels, (3, horizon, env.action_dim)))
        # The table has five digits.
        np.testing.assert_allclose(earned, expected, rtol=5e-5, atol=1e-9)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", TASKS)
def test_derivatives_agree_with_finite_differences(name):
    env = envs.make(name, horizon=100)
    state, action, _ = interior(name, seed=1)
    agrees_with_finite_differences(env, state, action)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("horizon", [2, 3, 20])
def test_terminal_cost_is_charged_at_the_last_step_only(name, horizon):
    horizon = max(horizon, LEAST.get(name, 2))
    env = envs.make(name, horizon=horizon)
    state, action, _ = interior(name, seed=2)
    charged = []
    for t in (0, horizon - 2, horizon - 1):
        running = -env.dt * env.system.cost(state, env.control(action), env.time(t, state))
        charged.append(float(running - env.reward(state, action, t)))
    terminal = float(ORACLES[name].final(np.asarray(state)))
    np.testing.assert_allclose(charged, [0, 0, terminal], atol=1e-12)
    assert (terminal != 0) == (name in {"bacteria", "invasive-plant"})


def test_rewards_worked_out_by_hand():
    bacteria = envs.make("bacteria", horizon=4)
    state, action = jnp.array([2.0]), jnp.array([0.0])
    rewards = [float(bacteria.reward(state, action, t)) for t in (0, 2, 3)]
    assert rewards == [-0.25, -0.25, 1.75]
    plant = envs.make("invasive-plant", horizon=10)
    state, action = jnp.arange(5.0), jnp.ones(5)
    assert [float(plant.reward(state, action, t)) for t in (0, 8, 9)] == [-5.0, -5.0, -15.0]
    harvest = envs.make("harvest", horizon=10)
    state, action = jnp.array([0.4]), jnp.array([1.0])
    rewards = [float(harvest.reward(state, action, t)) for t in (0, 1, 9)]
    np.testing.assert_allclose(rewards, [-1.0, 9.0, 17.0], rtol=1e-6)


def test_invasive_plant_is_the_yearly_map_at_ten_steps():
    env = envs.make("invasive-plant", horizon=10)
    removed = jnp.array([0.0, 0.25, 0.5, 0.75, 1.0])
    state = env.initial_state()
    expected = (1 - removed) * (state + state / (0.01 + state))
    np.testing.assert_allclose(env.step(state, 2 * removed - 1, 0), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "state", "action", "expected"),
    [
        ("mould-fungicide", [5.0], -1.0, [5.0]),
        ("bacteria", [0.1], 1.0, [0.0]),
        ("bioreactor", [1.0], 1.0, [1.0]),
        ("cancer-treatment", [0.5], 1.0, [0.001]),
        ("timber-harvest", [15000.0], 1.0, [20000.0]),
    ],
)
def test_states_are_held_to_their_bounds(name, state, action, expected):
    env = envs.make(name, horizon=2)
    np.testing.assert_allclose(env.step(jnp.array(state), jnp.array([action]), 0), expected)


def test_no_gradient_passes_where_a_bound_acts():
    env = envs.make("bacteria", horizon=2)
    slope = jax.jacobian(env.step, argnums=(0, 1))(jnp.array([0.1]), jnp.array([1.0]), 0)
    assert all(np.all(np.asarray(part) == 0) for part in slope)


def test_a_coarse_harvest_takes_no_more_than_there_is():
    env = envs.make("harvest", horizon=2)
    assert 0.4 - 5 * 1.2 * 0.4 < 0
    np.testing.assert_array_equal(env.step(jnp.array([0.4]), jnp.array([1.0]), 0), [0.0])
    # From 12 steps up, the bound is never met.
    slope = jax.jacobian(envs.make("harvest", horizon=13).step)(jnp.array([0.4]), jnp.ones(1), 0)
    np.testing.assert_allclose(slope, [[1 - 10 / 13 * 1.2]], rtol=1e-5)


MEANING = {name: oracle.states for name, oracle in ORACLES.items()} | {
    "harvest": [(0, 0.4)],
    "invasive-plant": [(0, INF)] * 5,
}
"""The ranges that the classes document."""


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", TASKS)
def test_states_stay_where_they_mean_something_at_every_horizon(name):
    low, high = np.array(MEANING[name], float).T
    for horizon in (2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 15, 19):
        if horizon < LEAST.get(name, 2):
            with pytest.raises(ValueError, match=f"{name} needs a horizon of at least"):
                envs.make(name, horizon=horizon)
            continue
        for actions in extreme_actions(ORACLES[name], horizon):
            states, rewards = play(ORACLES[name], actions)
            assert np.all((states >= low - 1e-12) & (states <= high + 1e-12)), horizon
            assert np.all(np.isfinite(rewards))


def test_no_coarse_step_is_clipped_where_the_documentation_says_so():
    # One step from anywhere, with the strongest control: the factors are monotone in it.
    tumour, mould = np.linspace(0.001, 1, 2001), np.linspace(0, 5, 2001)
    for horizon, clipped in ((18, True), (19, False)):
        reached = tumour + 20 / horizon * ORACLES["cancer-treatment"].slope(tumour, 2.0, 0)
        assert (reached.min() < 0.001) == clipped
    for horizon, clipped in ((23, True), (24, False)):
        reached = mould + 5 / horizon * ORACLES["mould-fungicide"].slope(mould, 5.0, 0)
        assert (reached.min() < 0) == clipped


def test_steps_longer_than_a_year_lead_the_plant_across_its_pole():
    with pytest.raises(
        ValueError,
        match=r"invasive-plant needs a horizon of at least 10, got 9: steps of more than 1 year "
        "lead out of the states that its equations are for",
    ):
        envs.make("invasive-plant", horizon=9)
    # Nine years in nine steps are as good.
    assert envs.make("invasive-plant", horizon=9, duration=9.0).dt == 1.0
    with pytest.raises(ValueError, match="at least 2000000, got 1999999"):
        envs.make("invasive-plant", horizon=1_999_999, duration=2e6)


@pytest.mark.parametrize("name", TASKS)
def test_jit_and_vmap_change_nothing(name):
    env = envs.make(name, horizon=50)
    states = jnp.stack([interior(name, seed)[0] for seed in range(3)])
    actions = jnp.stack([interior(name, seed)[1] for seed in range(3)])
    steps = jnp.array([0, 7, 49])
    moved, paid = batched(env)(states, actions, steps)
    for k, t in enumerate(steps.tolist()):
        state, action = states[k], actions[k]
        np.testing.assert_allclose(moved[k], env.step(state, action, t), rtol=2e-5, atol=1e-6)
        np.testing.assert_allclose(paid[k], env.reward(state, action, t), rtol=2e-5, atol=1e-6)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", TASKS)
def test_precision_follows_the_inputs(name):
    env = envs.make(name, horizon=10)
    assert env.initial_state().dtype == jnp.float64
    state = env.initial_state().astype(jnp.float32)
    action = jnp.zeros(env.action_dim, jnp.float32)
    for t in (0, jnp.asarray(4), np.int32(4)):
        assert env.step(state, action, t).dtype == jnp.float32
        assert env.reward(state, action, t).dtype == jnp.float32
