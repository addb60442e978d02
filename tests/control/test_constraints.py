"""Constrained plans against quadratic programs that SciPy solves."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

from beeline import envs
from beeline.control import LBFGS, MPC, Constraints, plan, solve_optimum
from beeline.envs import check, make, reward_of
from beeline.envs._identity import equations
from beeline.envs._transition import transition
from beeline.models import SimulatorModel

HORIZON = 10
START = np.array([0.8, 0.0])
ENV = make("double-integrator", horizon=HORIZON, process_noise=0)
REWARD = reward_of(ENV)
SEARCH = LBFGS(tolerance=1e-10)


def planned(constraints, **options):
    settings = {"action_dim": 1, "starts": 2, "search": SEARCH} | options
    return plan(SimulatorModel(ENV), START, REWARD, HORIZON, constraints=constraints, **settings)


def by_quadratic_program(limits, start=START):
    """Solve the same by SLSQP; limits are of states and actions, at least 0 where they are kept."""

    @jax.jit
    def roll(x):
        def step(state, inputs):
            after, reward = transition(ENV, state, *inputs)
            return after, (after, reward)

        inputs = x[:, None], jnp.arange(HORIZON)
        _, (states, rewards) = jax.lax.scan(step, jnp.asarray(start), inputs)
        return jnp.concatenate([jnp.asarray(start)[None], states]), rewards.sum()

    loss = jax.jit(jax.value_and_grad(lambda x: -roll(x)[1]))
    rows = jax.jit(lambda x: limits(roll(x)[0], x))
    best = minimize(
        lambda x: tuple(map(np.asarray, loss(x))),
        np.zeros(HORIZON),
        jac=True,
        bounds=[(-1, 1)] * HORIZON,
        constraints={"type": "ineq", "fun": rows, "jac": jax.jit(jax.jacobian(rows))},
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
    )
    assert best.success
    return best


CASES = {
    # The speed is kept small, and a vector of two is as good as a number.
    "path": (
        Constraints(path=lambda state, action, t: jnp.stack([-0.15 - state[1], state[0] - 1])),
        lambda states, x: states[:, 1] + 0.15,
    ),
    "next": (
        Constraints(path=lambda state, action, t, next_state: -0.15 - next_state[1]),
        lambda states, x: states[:, 1] + 0.15,
    ),
    "end": (Constraints(end=lambda state: state[0] + 0.1), lambda s, x: -0.1 - s[-1:, 0]),
    "total": (
        Constraints(total=lambda states, actions: jnp.sum(actions) + 1.0),
        lambda s, x: -jnp.sum(x)[None] - 1.0,
    ),
    "rate": (
        Constraints(rate=0.1),
        lambda s, x: jnp.concatenate([0.1 - jnp.diff(x), 0.1 + jnp.diff(x)]),
    ),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.usefixtures("float64")
def test_the_plan_is_that_of_a_quadratic_program(name):
    constraints, limits = CASES[name]
    best = by_quadratic_program(limits)
    found = planned(constraints)
    assert found.feasible
    assert found.violations[name.replace("next", "path")] <= 1e-4
    assert found.return_ == pytest.approx(-best.fun, rel=1e-3)
    np.testing.assert_allclose(found.actions[:, 0], best.x, atol=2e-2)
    # It is dearer than what would be done without.
    assert found.return_ < planned(()).return_ * (1 + 1e-3)


@pytest.mark.usefixtures("float64")
def test_rates_count_from_the_action_before_in_any_units():
    double = Constraints(rate=0.2, units=lambda actions: 2 * actions)
    found = planned(double, previous=np.array([0.9]))
    changes = np.diff(found.actions[:, 0], prepend=0.9)
    assert np.abs(changes).max() == pytest.approx(0.1, abs=1e-4)
    assert found.actions[0, 0] == pytest.approx(0.8, abs=1e-4)


def test_what_cannot_be_kept_is_said():
    found = planned((Constraints(end=lambda s: s[0] - 1), Constraints(end=lambda s: 2 - s[0])))
    assert not found.feasible
    assert found.violations["end"] + found.violations["end 2"] == pytest.approx(1, abs=1e-2)
    with pytest.raises(ValueError, match="no plan that keeps the constraints of double-integrator"):
        solve_optimum(ENV, starts=2, constraints=Constraints(end=lambda s: 20 - s[0]), cache=False)


@pytest.mark.parametrize(
    ("constraints", "message"),
    [
        (
            {"path": lambda s, a, t: s[:, None]},
            r"'path' gives float32 of shape \(2, 1\): let it give",
        ),
        ({"path": lambda s, a, t: s[None]}, r"'path' gives float32 of shape \(1, 2\): let it give"),
        ({"end": lambda s: s[0] < 1}, r"'end' gives bool of shape \(\): let it give a number or a"),
        ({"total": lambda s: s[0, 0]}, "the constraint 'total' raises TypeError"),
        ({"rate": (0.1, 0.2)}, "rate must be a number or 1 numbers"),
        ({"rate": 0.0}, "rate must be above 0, got 0.0"),
    ],
    ids=lambda x: "",
)
def test_constraints_that_are_none_are_refused_in_one_line(constraints, message):
    with pytest.raises(ValueError, match=message) as told:
        planned(Constraints(**constraints))
    assert "\n" not in str(told.value)


class Slow(envs.Environment):
    """The same, which must not be faster than 0.15."""

    horizon: int = HORIZON
    name = "slow-integrator"
    state_dim, action_dim, dt = 2, 1, 0.1
    action_low, action_high = ENV.action_low, ENV.action_high
    deterministic = True

    def initial_state(self, *, key=None):
        return jnp.asarray([0.8, 0.0])

    def step(self, state, action, t, *, key=None):
        return ENV.step(state, action, t)

    def reward(self, state, action, t):
        return ENV.reward(state, action, t)

    def constraints(self, state, action, t):
        return -0.15 - state[1]


@pytest.mark.usefixtures("float64")
def test_the_optimum_keeps_what_the_environment_declares():
    best = by_quadratic_program(lambda states, x: states[:-1, 1] + 0.15)
    for optimum in (
        solve_optimum(Slow(), starts=2, cache=False),
        solve_optimum(Slow(), starts=2),
        solve_optimum(Slow(), starts=2),
    ):
        assert optimum.return_ == pytest.approx(-best.fun, rel=1e-6)
        assert optimum.violation <= 1e-6
        np.testing.assert_allclose(optimum.actions[:, 0], best.x, atol=1e-3)
    assert len(optimum.transcriptions) > 0


def test_what_an_environment_declares_is_checked_and_part_of_what_it_is():
    assert check(Slow()).ok

    class Wrong(Slow):
        def constraints(self, state, action, t):
            return state[None] > 0

    rules = {violation.rule for violation in check(Wrong()).violations}
    assert "shape" in rules

    class Free(Slow):
        constraints = None

    assert equations(Free()) != equations(Slow())

    class Few(Slow):
        def constraints(self, state):
            return state

    with pytest.raises(ValueError, match=r"constraints takes \(state\): let it take \(state, act"):
        Few()


@pytest.mark.usefixtures("float64")
def test_a_controller_keeps_constraints_as_it_goes():
    constraints = (Constraints.of(Slow()), Constraints(rate=0.3))
    options = {"action_dim": 1, "constraints": constraints, "starts": 1, "episode": HORIZON}
    mpc = MPC(SimulatorModel(ENV), REWARD, 6, **options)
    state = jnp.asarray(START)
    pending, act, taken = jax.jit(mpc.start)(state), jax.jit(mpc.act), []
    for t in range(HORIZON):
        pending, action = act(pending, state, t)
        assert state[1] >= -0.15 - 1e-3
        state = transition(ENV, state, action, t)[0]
        taken.append(float(action[0]))
    assert np.abs(np.diff(taken)).max() <= 0.3 + 1e-3
    with pytest.raises(ValueError, match="total is a constraint over a whole episode"):
        MPC(
            SimulatorModel(ENV),
            REWARD,
            6,
            action_dim=1,
            constraints=dataclasses.replace(CASES["total"][0]),
        )
