"""The twelve other systems of the Myriad testbed against their equations written out in NumPy."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_bvp, solve_ivp

from beeline import envs
from beeline.control import solve_optimum
from tests.systems import (
    Oracle,
    agrees_with_finite_differences,
    batched,
    extreme_actions,
    play,
    random_actions,
)

INF = math.inf
PI = math.pi


def epidemic_slope(x, u, t):
    well, exposed, ill, everybody = x
    return np.array(
        [
            0.525 * everybody - well * (0.5 + 1e-4 * ill + u[0]),
            1e-4 * ill * well - exposed,
            exposed / 2 - 0.8 * ill,
            0.025 * everybody - ill / 5,
        ]
    )


def bear_slope(x, u, t):
    p, f, _ = x
    k = 2 / 15
    return np.array(
        [
            p / 10 - k * p**2 + k / 2 * (1 - p / 0.75) * f**2 - u[0] * p,
            f / 10 - k * f**2 + k / 2 * (1 - f / 0.75) * p**2 - u[1] * f,
            k / 2 * (p**2 + f**2) + k / 2 / 0.75 * (p * f**2 + p**2 * f),
        ]
    )


def cart_slope(x, u, t):
    # Newton's and Euler's equations as a linear system of the two accelerations.
    _, angle, velocity, spin = x
    masses = np.array([[1.3, 0.15 * np.cos(angle)], [np.cos(angle), 0.5]])
    forces = np.array([u[0] + 0.15 * spin**2 * np.sin(angle), -9.81 * np.sin(angle)])
    return np.array([velocity, spin, *np.linalg.solve(masses, forces)])


def pendulum_cost(x, u, t):
    from_upright = min(abs(x[0] - turn) for turn in PI * np.arange(-21, 22, 2))
    return from_upright**2 + x[1] ** 2 / 10 + u[0] ** 2 / 1000


def rocket_slope(x, u, t):
    along = x[4] + u[1]
    force = 2.21e6 * u[0] * np.array([np.sin(along), np.cos(along)])
    torque = -25 * 2.21e6 * u[0] * np.sin(u[1])
    inertia = 1e5 * 50**2 / 12
    return np.array([x[1], force[0] / 1e5, x[3], force[1] / 1e5 - 9.8, x[5], torque / inertia])


ORACLES = {
    "simple-case": Oracle(
        [1.0],
        1,
        [(-INF, INF)],
        [(-1, 3)],
        lambda x, u, t: 4 * u - x * x / 2,
        lambda x, u, t: u[0] ** 2 - x[0],
    ),
    "simple-case-with-bounds": Oracle(
        [1.0],
        1,
        [(0, 3)],
        [(-1, 2)],
        lambda x, u, t: 4 * u - x * x / 2,
        lambda x, u, t: u[0] ** 2 - x[0],
    ),
    "epidemic-seirn": Oracle(
        [1000, 100, 50, 1165],
        20,
        [(0, INF)] * 4,
        [(0, 0.9)],
        epidemic_slope,
        lambda x, u, t: x[2] / 10 + u[0] ** 2,
    ),
    "bear-populations": Oracle(
        [0.4, 0.2, 0],
        25,
        [(0, 2)] * 3,
        [(0, 0.2)] * 2,
        bear_slope,
        lambda x, u, t: x[2] + 10 * (1000 * u[0] ** 2 + u[1] ** 2),
    ),
    "glucose": Oracle(
        [0.75, 0],
        0.2,
        [(0, 1)] * 2,
        [(0, 0.01)],
        lambda x, u, t: np.array([-x[0] - x[1], u[0] - x[1]]),
        lambda x, u, t: 1e5 * (2 * (x[0] - 0.5) ** 2 + u[0] ** 2),
    ),
    "predator-prey": Oracle(
        [10, 1, 0],
        10,
        [(0, 11), (0, 11), (-INF, INF)],
        [(0, 1)],
        lambda x, u, t: np.array(
            [x[0] - x[1] * x[0] - 0.1 * u[0] * x[0], x[0] * x[1] - x[1] * (1 + 0.1 * u[0]), u[0]]
        ),
        lambda x, u, t: u[0] ** 2 / 2,
        lambda x: x[0] + 10 * (x[2] - 5) ** 2,
    ),
    "myriad-cart-pole": Oracle(
        [0, 0, 0, 0],
        2,
        [(-INF, INF)] * 2 + [(-40, 40)] * 2,
        [(-20, 20)],
        cart_slope,
        lambda x, u, t: u[0] ** 2,
        lambda x: 1000 * np.sum((x - [1, PI, 0, 0]) ** 2),
    ),
    "mountain-car": Oracle(
        [-0.5, 0],
        100,
        [(-1.2, 0.6), (-0.07, 0.07)],
        [(-1, 1)],
        lambda x, u, t: np.array([x[1], (1.5 * u[0] - 2.5 * np.cos(3 * x[0])) / 1000]),
        lambda x, u, t: 10 * u[0] ** 2,
        lambda x: 1e4 * ((x[0] - 0.45) ** 2 + 10 * x[1] ** 2),
    ),
    "myriad-pendulum": Oracle(
        [0, 0],
        5,
        [(-INF, INF), (-8, 8)],
        [(-2, 2)],
        lambda x, u, t: np.array([x[1], 3 * u[0] - 15 * np.sin(x[0])]),
        pendulum_cost,
    ),
    "van-der-pol": Oracle(
        [0, 1],
        10,
        [(-4, 4)] * 2,
        [(-0.75, 1)],
        lambda x, u, t: np.array([x[0] - x[0] * x[1] ** 2 - x[1] + u[0], x[0]]),
        lambda x, u, t: x[0] ** 2 + x[1] ** 2 + u[0] ** 2,
    ),
    "tumour": Oracle(
        [-math.log(2), -math.log(4), 0],
        1.2,
        [(-INF, INF)] * 3,
        [(0, 75)],
        lambda x, u, t: np.array(
            [0.084 * (x[1] - x[0]), 5.83 * (1 - np.cbrt(np.exp(x[0])) ** 2) - 0.15 * u[0], u[0]]
        ),
        lambda x, u, t: 0.0,
        lambda x: np.exp(x[0]) + 0.01 * max(x[2] - 15, 0) ** 2,
    ),
    "rocket-landing": Oracle(
        [0, 0, 1000, -80, -PI / 2, 0],
        16,
        [(-INF, INF)] * 6,
        [(0.4, 1), (-PI / 9, PI / 9)],
        rocket_slope,
        lambda x, u, t: u[0] ** 2 + u[1] ** 2 + 2 * x[5] ** 2,
        lambda x: np.dot([0.01, 0.1, 0.01, 0.1, 10, 10], x**2),
    ),
}

TASKS = sorted(ORACLES)

NEAR = {
    "simple-case": [(-2, 4)],
    "simple-case-with-bounds": [(0.5, 2.5)],
    "epidemic-seirn": [(500, 2000), (1, 100), (1, 100), (1000, 2000)],
    "bear-populations": [(0.1, 1), (0.1, 1), (0.1, 1)],
    "glucose": [(0.3, 0.8), (0.01, 0.5)],
    "predator-prey": [(0.1, 5), (0.1, 5), (0, 9)],
    "myriad-cart-pole": [(-2, 2), (-4, 4), (-5, 5), (-10, 10)],
    "mountain-car": [(-1, 0.4), (-0.05, 0.05)],
    "myriad-pendulum": [(-9, 9), (-5, 5)],
    "van-der-pol": [(-2, 2), (-2, 2)],
    "tumour": [(-1, 0), (-3, 0), (0, 40)],
    "rocket-landing": [(-200, 200), (-50, 50), (0, 1000), (-99, 20), (-3, 3), (-2, 2)],
}
"""Where states of each lie from which no step at horizon 100 meets a bound."""


def drawn(name, count, seed=0):
    random = np.random.default_rng(seed)
    low, high = np.array(NEAR[name], float).T
    states = random.uniform(low, high, (count, len(low)))
    return states, random.uniform(-1, 1, (count, len(ORACLES[name].controls)))


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", TASKS)
def test_each_step_and_reward_agree_with_numpy(name):
    task, horizon = ORACLES[name], 100
    env = envs.make(name, horizon=horizon)
    np.testing.assert_allclose(env.initial_state(), task.start, rtol=1e-15)
    assert (env.dt, env.name) == (task.duration / horizon, name)
    actions = random_actions(task, horizon)
    states, rewards = play(task, actions)
    # An episode, each step from NumPy's own state, and states from all around in its middle.
    around, there = drawn(name, 20)
    low, high = np.array(task.controls, float).T
    controls = low + (there + 1) / 2 * (high - low)
    moved = [x + env.dt * task.slope(x, u, 50 * env.dt) for x, u in zip(around, controls, strict=1)]
    paid = [-env.dt * task.cost(x, u, 50 * env.dt) for x, u in zip(around, controls, strict=1)]
    found = batched(env)(
        np.concatenate([states[:-1], around]),
        np.concatenate([actions, there]),
        np.append(np.arange(horizon), np.full(20, 50)),
    )
    expected = np.concatenate([states[1:], moved]), np.append(rewards, paid)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-12)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", TASKS)
def test_derivatives_agree_with_finite_differences(name):
    (state, *_), (action, *_) = drawn(name, 1, seed=1)
    env = envs.make(name, horizon=100)
    agrees_with_finite_differences(env, state, 0.9 * action, paid_at_the_end=name == "tumour")


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", TASKS)
def test_terminal_cost_is_charged_at_the_last_step_only(name):
    env = envs.make(name, horizon=10)
    (state, *_), (action, *_) = drawn(name, 1, seed=2)
    reward = jax.jit(env.reward)
    first, before, last = (float(reward(state, action, t)) for t in (0, 8, 9))
    final = float(ORACLES[name].final(state))
    assert first == before
    assert before - last == pytest.approx(final, rel=1e-12)
    ends = ("predator-prey", "myriad-cart-pole", "mountain-car", "tumour", "rocket-landing")
    assert (final != 0) == (name in ends)


@pytest.mark.parametrize(
    "name",
    [name if name == "tumour" else pytest.param(name, marks=pytest.mark.slow) for name in TASKS],
)
def test_each_keeps_the_contract_at_a_usual_horizon(name):
    assert str(envs.check(envs.make(name, horizon=100))) == f"{name} keeps the contract"


@pytest.mark.parametrize("name", TASKS)
def test_returns_are_finite_at_every_horizon(name):
    with np.errstate(over="raise", invalid="raise"):
        for horizon in (2, 3, 4, 6, 10, 15, 20):
            for actions in extreme_actions(ORACLES[name], horizon):
                states, rewards = play(ORACLES[name], actions)
                # In single precision too.
                assert np.abs(states).max() < 1e30
                assert np.abs(rewards).max() < 1e30


@pytest.mark.parametrize(
    ("name", "horizon"),
    [
        ("bear-populations", 5),
        ("epidemic-seirn", 20),
        ("van-der-pol", 60),
        ("myriad-cart-pole", 20),
    ],
)
def test_bounds_are_met_below_the_horizon_that_the_documentation_says(name, horizon):
    task = ORACLES[name]
    low, high = np.array(task.states, float).T

    def meets(horizon):
        episodes = [play(task, actions)[0][1:] for actions in extreme_actions(task, horizon)]
        return np.any((episodes == low) | (episodes == high))

    assert meets(horizon // 2)
    assert not meets(horizon)


def test_a_coarse_step_takes_all_of_the_pest():
    # The most that bounds allow: 11 predators, and the highest rate.
    slope = ORACLES["predator-prey"].slope(np.array([1.0, 11.0, 0.0]), np.ones(1), 0)[0]
    assert 1 + 10 / 101 * slope <= 0 < 1 + 10 / 102 * slope
    steady, _ = play(ORACLES["predator-prey"], np.full((100, 1), 0.006))
    assert steady[-1, 0] == 0
    finer, _ = play(ORACLES["predator-prey"], np.full((200, 1), 0.006))
    assert finer[-1, 0] > 0.01


@pytest.mark.parametrize(
    ("name", "level", "expected"),
    [
        ("epidemic-seirn", -1.0, -13.44),
        ("bear-populations", -1.0, -16.97),
        ("glucose", -1.0, -1363.2),
        ("tumour", -1.0, -0.529),
    ],
)
def test_what_doing_nothing_earns(name, level, expected):
    actions = np.full((100, len(ORACLES[name].controls)), level)
    assert play(ORACLES[name], actions)[1].sum() == pytest.approx(expected, abs=0.05, rel=1e-3)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", ["myriad-cart-pole", "myriad-pendulum", "mountain-car"])
def test_motion_without_friction_gains_the_work_of_the_controls(name):
    # With sin θ left out of the second equation, as in the testbed, the cart and pole do not.
    def cart(x):
        _, angle, velocity, spin = x
        pole = velocity**2 + 2 * 0.5 * velocity * spin * jnp.cos(angle) + (0.5 * spin) ** 2
        return 0.5 * velocity**2 + 0.3 * (0.5 * pole - 9.81 * 0.5 * jnp.cos(angle))

    def pendulum(x):
        return x[1] ** 2 / 6 - 5 * jnp.cos(x[0])

    def car(x):
        return x[1] ** 2 / 2 + 0.0025 * jnp.sin(3 * x[0]) / 3

    powers = {
        "myriad-cart-pole": (cart, lambda x, u: u * x[2]),
        "myriad-pendulum": (pendulum, lambda x, u: u * x[1]),
        "mountain-car": (car, lambda x, u: 0.0015 * u * x[1]),
    }
    energy, power = powers[name]
    system = envs.make(name, horizon=100).system
    rate = jax.jit(jax.vmap(lambda x, u: jax.grad(energy)(x) @ system.dynamics(x, u, 0.0)))
    states, controls = drawn(name, 10)
    expected = [power(x, u[0]) for x, u in zip(states, controls, strict=True)]
    np.testing.assert_allclose(rate(states, controls), expected, rtol=1e-10, atol=1e-12)


def test_the_pendulum_costs_least_upright():
    system = envs.make("myriad-pendulum", horizon=100).system
    angles = np.array([0.0, PI / 2, PI, -PI, 3 * PI, PI + 0.1, PI - 0.1, 5.0])
    costs = [float(system.cost(jnp.array([angle, 0.0]), jnp.zeros(1), 0.0)) for angle in angles]
    expected = np.array([PI, PI / 2, 0, 0, 0, 0.1, 0.1, 5 - PI]) ** 2
    np.testing.assert_allclose(costs, expected, atol=1e-5)


def test_the_car_cannot_climb_at_once_but_does_after_going_back():
    forwards, _ = play(ORACLES["mountain-car"], np.ones((1000, 1)))
    assert forwards[:, 0].max() < 0
    back_first = np.where(np.arange(1000) < 350, -1.0, 1.0)[:, None]
    assert play(ORACLES["mountain-car"], back_first)[0][:, 0].max() > 0.45


def test_a_rocket_that_stands_and_hovers_stays():
    system = envs.make("rocket-landing", horizon=100).system
    hover = 9.8e5 / 2.21e6
    rest = system.dynamics(jnp.zeros(6).at[2].set(50.0), jnp.array([hover, 0.0]), 0.0)
    np.testing.assert_allclose(rest, np.zeros(6), atol=1e-5)
    # An engine turned to the right pushes the tail to the right, and the nose to the left.
    turning = system.dynamics(jnp.zeros(6), jnp.array([hover, 0.1]), 0.0)
    assert turning[1] > 0 > turning[5]


def extrapolated(name, horizon, **constants):
    """Optimal returns of two step lengths, extrapolated to none at all."""
    coarse, fine = (
        solve_optimum(envs.make(name, horizon=h, **constants), starts=1, cache=False).return_
        for h in (horizon, 2 * horizon)
    )
    return 2 * fine - coarse


@pytest.mark.parametrize(
    ("name", "constants", "highest"),
    [
        ("simple-case", {}, INF),
        ("simple-case-with-bounds", {"control_bounds": ((-1.0, 0.5),)}, 0.5),
    ],
)
def test_the_optimum_of_the_simple_case_solves_its_boundary_value_problem(name, constants, highest):
    # Pontryagin: λ' = -1 + x λ with λ(1) = 0, and u = 2 λ or its bound.
    def field(t, y):
        x, multiplier, _ = y
        u = np.minimum(2 * multiplier, highest)
        return np.stack([4 * u - x**2 / 2, x * multiplier - 1, x - u**2])

    solution = solve_bvp(
        field,
        lambda a, b: np.array([a[0] - 1, b[1], a[2]]),
        np.linspace(0, 1, 11),
        np.ones((3, 11)),
        tol=1e-6,
    )
    assert solution.success
    first = min(2 * solution.y[1, 0], highest)
    assert first == pytest.approx(min(1.0, highest), abs=0.01)
    assert extrapolated(name, 20, **constants) == pytest.approx(solution.y[2, -1], abs=1e-3)


def test_the_optimum_of_the_oscillator_solves_its_boundary_value_problem():
    def field(t, y):
        x, z, a, b, _ = y
        u = np.clip(-a / 2, -0.75, 1.0)
        return np.stack(
            [
                (1 - z**2) * x - z + u,
                x,
                -2 * x - a * (1 - z**2) - b,
                -2 * z + a * (2 * z * x + 1),
                x**2 + z**2 + u**2,
            ]
        )

    times = np.linspace(0, 10, 101)
    guess = np.exp(-times) * np.array([[0.0], [1.0], [0.0], [0.0], [0.0]])
    solution = solve_bvp(
        field,
        lambda a, b: np.array([a[0], a[1] - 1, b[2], b[3], a[4]]),
        times,
        guess,
        tol=1e-6,
        max_nodes=20000,
    )
    assert solution.success
    assert extrapolated("van-der-pol", 60) == pytest.approx(-solution.y[4, -1], abs=0.02)


def test_the_optimum_of_glucose_is_that_of_least_squares():
    horizon, dt = 20, 0.01
    # Glucose is linear in the controls: its response to each of them, one at a time.
    moves = np.array([[1 - dt, -dt], [0.0, 1 - dt]])
    x, response = np.array([0.75, 0.0]), np.zeros((2, horizon))
    rows, goals = [], []
    for k in range(horizon):
        rows.append(np.sqrt(2) * response[0])
        goals.append(np.sqrt(2) * (0.5 - x[0]))
        x, response = moves @ x, moves @ response
        response[1, k] += dt
    matrix = np.concatenate([rows, np.eye(horizon)])
    target = np.append(goals, np.zeros(horizon))
    control, *_ = np.linalg.lstsq(matrix, target)
    assert 0 < control[0] < 0.01
    expected = -dt * 1e5 * np.sum((matrix @ control - target) ** 2)
    found = solve_optimum(envs.make("glucose", horizon=horizon), starts=1, cache=False)
    assert found.return_ == pytest.approx(expected, rel=1e-8)
    np.testing.assert_allclose((found.actions[:, 0] + 1) / 200, control, atol=1e-5)


def test_the_optimum_of_the_tumour_uses_the_drug_up_at_once():
    # In the source's own units, with the full dose of 75 mg a day for as long as 15 mg last.
    largest = (5.83 / 0.00873) ** 1.5

    def grow(dose, days, start):
        def slope(t, x):
            p, q = x
            return [-0.084 * p * np.log(p / q), q * (5.83 - 0.00873 * p ** (2 / 3) - 0.15 * dose)]

        return solve_ivp(slope, (0, days), start, rtol=1e-9, atol=1e-6).y[:, -1]

    volume, _ = grow(0.0, 1.0, grow(75.0, 0.2, [largest / 2, largest / 4]))
    assert volume == pytest.approx(7571.7, abs=0.1)
    found = solve_optimum(envs.make("tumour", horizon=24), starts=1, cache=False)
    doses = (found.actions[:, 0] + 1) / 2 * 75
    np.testing.assert_allclose(doses[:4], 75.0, atol=1e-3)
    used = found.states[-2, 2]
    assert used == pytest.approx(15.0, abs=0.3)
    assert -found.return_ - 0.01 * (used - 15) ** 2 == pytest.approx(volume / largest, rel=5e-3)


KNOWN = {
    "simple-case": 1.35347,
    "simple-case-with-bounds": 1.35347,
    "epidemic-seirn": -13.3895,
    "bear-populations": -12.0745,
    "glucose": -1363.08,
    "predator-prey": -1.25628,
    "myriad-cart-pole": -43.9212,
    "mountain-car": -280.725,
    "myriad-pendulum": -11.5218,
    "van-der-pol": -3.08897,
    "tumour": -0.437877,
    "rocket-landing": -11.8697,
}
"""The best returns at horizon 100, to six digits: by shooting and by transcription."""


@pytest.mark.slow
@pytest.mark.parametrize("name", TASKS)
def test_reaches_the_known_optimum(name):
    found = solve_optimum(envs.make(name, horizon=100), cache=False)
    assert found.return_ == pytest.approx(KNOWN[name], rel=1e-5)
