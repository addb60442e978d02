"""Direct transcription: the Riccati recursion as an oracle, and tasks that shooting gets wrong."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from beeline import envs
from beeline.control import _transcription, solve_optimum
from beeline.control._rollout import Player, open_loop
from beeline.envs import Environment

# A cart's position in metres and its speed in mm/s, so that the states differ in size by thousands.
A = np.array([[1.0, 1e-4], [-20.0, 0.95]])
B = np.array([[0.0], [300.0]])
Q, R = np.diag([1.0, 1e-7]), np.array([[0.05]])
START = np.array([0.2, -50.0])


class User(Environment):
    """What the tasks of this file share."""

    name = "user"
    state_dim = 2
    action_dim = 1
    dt = 1.0
    horizon: int = eqx.field(static=True)

    def initial_state(self, *, key=None):
        return jnp.asarray(START, dtype=float)

    def step(self, state, action, t, *, key=None):
        return A @ state + B @ action

    def reward(self, state, action, t):
        return -(state @ Q @ state + action @ R @ action)


@jax.custom_vjp
def reverse_only(x):
    return x


reverse_only.defvjp(lambda x: (x, None), lambda _, slope: (slope,))


class ReverseOnly(User):
    """Has no forward derivatives, which shooting does not need."""

    def step(self, state, action, t, *, key=None):
        return reverse_only(super().step(state, action, t))


class Undefined(User):
    """Is not a number but where rollouts go: its position stays below 0.5 for any action."""

    def step(self, state, action, t, *, key=None):
        state = jnp.where(state[1] == START[1], state, state + jnp.sqrt(-1.0 - state[1] ** 2))
        return state + 1e-3 * action


class Stairs(User):
    """Moves in steps, so that no derivative tells where to."""

    def step(self, state, action, t, *, key=None):
        return 0.5 * state + jnp.round(2 * action)


def riccati_return(horizon):
    # The last action moves nothing that counts, and the best one costs nothing.
    value = Q
    for _ in range(horizon - 1):
        gain = np.linalg.solve(R + B.T @ value @ B, B.T @ value @ A)
        value = Q + A.T @ value @ (A - B @ gain)
    return -START @ value @ START


def returns_of(env, plans):
    return [float(open_loop(env, jnp.asarray(plan))[1]) for plan in plans]


# Three unknowns a step: one horizon for each of the two solvers.
@pytest.mark.parametrize("horizon", [2, 8, 60])
@pytest.mark.usefixtures("float64")
def test_reaches_the_riccati_optimum_of_a_linear_task(horizon):
    env = User(horizon)
    starts = np.stack([np.full((horizon, 1), level) for level in (0.1, -0.05)])
    plans = _transcription.transcribe(env, Player(env), np.zeros((horizon, 1)), starts)
    best = riccati_return(horizon)
    assert len(plans) == 3
    assert all(np.max(np.abs(plan[:-1])) < 1.0 for plan in plans)
    assert returns_of(env, plans) == pytest.approx([best] * 3, rel=1e-6)


@pytest.mark.usefixtures("float64")
def test_actions_stay_within_bounds_that_bind():
    class Far(User):
        def initial_state(self, *, key=None):
            return jnp.asarray(60 * START, dtype=float)

    env, start = Far(8), np.zeros((8, 1))
    (plan,) = _transcription.transcribe(env, Player(env), start, np.zeros((0, 8, 1)))
    assert np.max(np.abs(plan)) == 1.0


# Found by transcriptions of several kinds from every start, and replayed on the task in float64.
@pytest.mark.parametrize(("horizon", "best"), [(7, 825.7418), (20, 823.4867)])
def test_solves_hiv_where_shooting_does_not(horizon, best):
    found = solve_optimum(envs.make("hiv-treatment", horizon=horizon), starts=6, cache=False)
    assert best < found.return_ < best + 1e-4
    assert found.transcriptions[0] == found.return_
    assert found.starts[0] < best
    assert found.agreement == 0.0
    assert found.difference == (found.return_ - found.starts[0]) / found.return_


@pytest.mark.parametrize("task", [ReverseOnly, Undefined, Stairs])
@pytest.mark.parametrize("horizon", [8, 60])
def test_costs_no_task_the_optimum_that_shooting_finds(task, horizon, monkeypatch):
    found = solve_optimum(task(horizon), starts=3, cache=False)
    monkeypatch.setattr("beeline.control.optimum.transcribe", lambda *_: [])
    alone = solve_optimum(task(horizon), starts=3, cache=False)
    assert found.return_ >= alone.return_
    np.testing.assert_array_equal(found.starts, alone.starts)
    assert len(alone.transcriptions) == 0
    assert alone.difference == -np.inf


def test_a_task_without_forward_derivatives_is_left_to_shooting():
    found = solve_optimum(ReverseOnly(8), starts=2, cache=False)
    assert len(found.transcriptions) == 0
    assert found.return_ == pytest.approx(riccati_return(8), rel=1e-6)
