"""Dynamic programming on a grid against all plans, and against a recursion in SciPy."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.interpolate import RegularGridInterpolator

from beeline import envs
from beeline.control import Grid, closed_loop_return, grid, reference_return, solve_grid
from beeline.envs import Environment


def pendulum_grid(angles, rates):
    return Grid(
        (-np.pi, -8.0),
        (np.pi, 8.0),
        (angles, rates),
        lambda place: jnp.stack([jnp.cos(place[0]), jnp.sin(place[0]), place[1]]),
        lambda state: jnp.stack([jnp.arctan2(state[1], state[0]), state[2]]),
    )


class Board(Environment):
    """A token on a board of 4 by 3 fields, which pay differently at each step."""

    horizon: int = eqx.field(static=True, default=3)
    noise: float = eqx.field(static=True, default=0.0)
    name = "board"
    state_dim, action_dim, dt = 2, 2, 1.0

    def initial_state(self, *, key=None):
        return jnp.zeros(2)

    def step(self, state, action, t, *, key=None):
        drawn = self.noise * jax.random.normal(key, (2,)) if self.noise else 0.0
        return jnp.clip(state + action, 0.0, jnp.array([3.0, 2.0])) + drawn

    def reward(self, state, action, t):
        return jnp.sin(3 * state[0] + 5 * state[1] + t) - 0.1 * jnp.sum(action**2)


BOARD = Grid((0.0, 0.0), (3.0, 2.0), (4, 3), lambda place: place, lambda state: state)
MOVES = np.array(list(itertools.product((-1.0, 0.0, 1.0), repeat=2)))


def best_of_all_plans(start):
    best = -np.inf
    for plan in itertools.product(MOVES, repeat=3):
        state, total = np.array(start, float), 0.0
        for t, move in enumerate(plan):
            total += np.sin(3 * state[0] + 5 * state[1] + t) - 0.1 * np.sum(move**2)
            state = np.clip(state + move, 0, [3, 2])
        best = max(best, total)
    return best


def test_no_plan_is_better_where_steps_lead_from_point_to_point():
    solution = solve_grid(Board(), BOARD, levels=3)
    np.testing.assert_array_equal(solution.actions, MOVES)
    assert solution.values.shape == (4, 4, 3)
    for start in itertools.product(range(4), range(3)):
        assert solution.values[0][start] == pytest.approx(best_of_all_plans(start), abs=1e-9)
    # What is promised is earned.
    start = best_of_all_plans((0, 0))
    assert closed_loop_return(Board(), solution.mode, 2).mean == pytest.approx(start, abs=1e-9)
    assert float(solution.value(jnp.zeros(2))) == pytest.approx(start, abs=1e-5)
    assert not solution.values[3].any()


def test_in_between_it_interpolates():
    """The pendulum on a coarse grid, by equations and interpolation of other libraries."""
    env, angles, rates = (
        envs.make("pendulum", horizon=3),
        np.linspace(-np.pi, np.pi, 7),
        np.arange(-8, 9, 4),
    )
    values = np.zeros((7, 5))
    expected = [values]
    for _ in range(3):
        after = RegularGridInterpolator((angles, rates), values)
        values = np.full((7, 5), -np.inf)
        for i, angle in enumerate(angles):
            for j, rate in enumerate(rates):
                for torque in (-2.0, 0.0, 2.0):
                    turned = np.clip(rate + 0.05 * (15 * np.sin(angle) + 3 * torque), -8, 8)
                    to = (angle + 0.05 * turned + np.pi) % (2 * np.pi) - np.pi
                    earned = -(angle**2 + 0.1 * rate**2 + 0.001 * torque**2)
                    promised = earned + after([[to, turned]])[0]
                    values[i, j] = max(values[i, j], promised)
        expected.append(values)
    solution = solve_grid(env, pendulum_grid(7, 5), levels=3)
    np.testing.assert_allclose(solution.values, expected[::-1], atol=1e-9)


def test_a_part_at_a_time_is_the_same(monkeypatch):
    whole = solve_grid(Board(), BOARD, levels=3)
    monkeypatch.setattr(grid, "_TOGETHER", 5 * 9)
    np.testing.assert_allclose(
        solve_grid(Board(), BOARD, levels=3).values, whole.values, rtol=1e-12
    )


@pytest.mark.usefixtures("optimised")
def test_a_pendulum_is_swung_up_by_going_to_and_fro():
    env = envs.make("pendulum", horizon=100)
    solution = solve_grid(env, pendulum_grid(61, 41), levels=5)

    @jax.jit
    def play(state):
        def advance(state, t):
            action = env.physical_action(solution.mode(state, t))
            return env.step(state, action, t), (state[0], action[0])

        return jax.lax.scan(advance, state, jnp.arange(100))[1]

    heights, torques = play(jnp.array([-1.0, 0.0, 0.0]))
    assert heights[-1] > 0.97
    assert torques.min() < -1 < 1 < torques.max()


@pytest.mark.slow
@pytest.mark.parametrize(("horizon", "mean", "hanging"), [(50, -137, None), (200, -139, -306)])
def test_the_pendulum_as_measured_elsewhere(horizon, mean, hanging):
    env = envs.make("pendulum", horizon=horizon)
    solution = solve_grid(env, pendulum_grid(181, 161))
    found = closed_loop_return(env, solution.mode, 4000)
    assert found.mean == pytest.approx(mean, abs=4)
    assert reference_return(env, cache=False) == pytest.approx(found.mean, abs=10)
    if hanging:
        assert float(solution.value(jnp.array([-1.0, 0.0, 0.0]))) == pytest.approx(hanging, abs=4)


def test_grids_that_are_none(monkeypatch):
    env = Board()
    with pytest.raises(ValueError, match=r"low, high and sizes of one length, with at least 2 poi"):
        solve_grid(env, BOARD._replace(sizes=(4, 1)))
    with pytest.raises(ValueError, match=r"low, high and sizes of one length"):
        solve_grid(env, BOARD._replace(low=(0.0,)))
    with pytest.raises(ValueError, match="a grid goes from low to high, got"):
        solve_grid(env, BOARD._replace(high=(3.0, 0.0)))
    with pytest.raises(ValueError, match="levels must be at least 2, got 1"):
        solve_grid(env, BOARD, levels=1)
    with pytest.raises(ValueError, match="board moves by chance: make it without noise"):
        solve_grid(Board(noise=0.1), BOARD)
    monkeypatch.setattr(grid, "MOST_BYTES", 100)
    with pytest.raises(
        ValueError, match=r"the values of 12 points at 4 times would take .* GiB, m"
    ):
        solve_grid(env, BOARD)
