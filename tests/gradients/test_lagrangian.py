"""Constraints in the objective: values by NumPy, slopes by differences, and a known optimum."""

import dataclasses
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from beeline.control import Constraints
from beeline.envs import make
from beeline.gradients import Direct, Objective, Unrolled
from beeline.gradients._lagrangian import Lagrangian, Multipliers
from beeline.models import SimulatorModel
from beeline.policies import Policy
from tests.gradients.test_routes import (
    along,
    difference,
    evaluate,
    make_actions_model,
    make_markov_model,
    make_problem,
    slope_by_differences,
)
from tests.networks import normal

CONSTRAINTS = Constraints(
    path=lambda state, action, t, next_state: jnp.stack(
        [state[0] - next_state[1] - 0.1, action[0] + 0.01 * t - 0.2]
    ),
    end=lambda state: state[0] - 0.3,
    total=lambda states, actions: jnp.sum(actions) + states[-1, 1],
    rate=0.05,
    units=lambda actions: 2 * actions,
)


def multipliers_of(constraints, horizon, weight=7.0):
    states, actions = normal(3, horizon + 1, 2, seed=8), normal(3, horizon, 1, seed=9)
    limits = jax.vmap(constraints.along)(states, actions)
    begun = Multipliers.begin(limits, of_each_step=True)
    some = {
        kind: jnp.abs(normal(*x.shape, seed=len(kind))) for kind, x in sorted(begun.values.items())
    }
    return begun._replace(values=some, weight=jnp.asarray(weight))


def constrained(make_model, horizon, batch):
    policy, model, objective, *rest = make_problem(make_model, horizon, batch)
    lagrangian = Lagrangian(CONSTRAINTS, multipliers_of(CONSTRAINTS, horizon))
    return policy, model, dataclasses.replace(objective, lagrangian=lagrangian), *rest


@pytest.mark.usefixtures("float64")
def test_direct_equals_unrolled_under_constraints():
    problem = constrained(make_actions_model, 9, 4)
    (direct, imagined), direct_slope = evaluate(Direct(), *problem)
    (unrolled, other), unrolled_slope = evaluate(Unrolled(), *problem)
    assert difference(direct_slope, unrolled_slope) < 1e-10
    assert difference((direct, imagined), (unrolled, other)) < 1e-10
    free = dataclasses.replace(problem[2], lagrangian=None)
    without = evaluate(Unrolled(), *problem[:2], free, *problem[3:])
    # They are part of what is maximised, and not of what is earned.
    np.testing.assert_allclose(without[0][1].return_, other.return_, rtol=1e-12)
    assert abs(without[0][0] - unrolled) > 0.1


@pytest.mark.usefixtures("float64")
def test_the_slope_under_constraints_is_that_of_differences():
    policy, *rest = constrained(make_markov_model, 7, 3)
    route = eqx.filter_jit(Unrolled(through_policy=1.0))
    slope = route(policy, *rest)[1]
    expected, way = slope_by_differences(lambda policy: route(policy, *rest)[0][0], policy, 1e-5)
    assert along(slope, way) == pytest.approx(expected, rel=1e-6)


@pytest.mark.usefixtures("float64")
def test_what_constraints_cost_by_hand():
    horizon, first = 4, 3
    states, actions = normal(horizon + 1, 2, seed=1), normal(horizon, 1, seed=2)
    multipliers = multipliers_of(CONSTRAINTS, horizon, weight=3.0)
    found = Lagrangian(CONSTRAINTS, multipliers)(states, actions, jnp.asarray(first))
    s, a = np.asarray(states), 2 * np.asarray(actions)
    times = first + np.arange(horizon)
    limits = {
        "path": np.stack([s[:-1, 0] - s[1:, 1] - 0.1, a[:, 0] + 0.01 * times - 0.2], axis=1),
        "end": s[-1:, :1] - 0.3,
        "total": (a.sum() + s[-1, 1])[None, None],
        "rate": np.abs(np.diff(a, axis=0, prepend=a[:1])) - 0.05,
    }
    total = 0.0
    for kind, values in limits.items():
        scaled = values / np.asarray(multipliers.units[kind])
        given = np.asarray(multipliers.values[kind])
        total += np.sum(np.maximum(0, given + 3 * scaled) ** 2 - given**2) / 6
    assert found == pytest.approx(total, rel=1e-12)
    # Steps that there are not cost nothing, and are no violation.
    path = Lagrangian(
        Constraints(path=CONSTRAINTS.path),
        Multipliers(
            {"path": multipliers.units["path"]},
            {"path": jnp.zeros((1, 2))},
            multipliers.weight,
            multipliers.worst,
        ),
    )
    counted = jnp.arange(horizon) < 2
    short = float(path(states[:3], actions[:2]))
    assert path(states, actions, counted=counted) == pytest.approx(short, rel=1e-12)
    assert short != path(states, actions)
    assert np.isneginf(path.limits(states, actions, counted=counted)["path"][2:]).all()


@final
class Always(Policy):
    """The same action, whatever is seen."""

    action: jax.Array

    def sample(self, state, t, noise, width=1.0):
        return self.action + 0 * noise, jnp.zeros(noise.shape[:-1])

    def mode(self, state, t):
        return self.action


@pytest.mark.usefixtures("float64")
def test_a_problem_of_one_step_is_solved_with_its_price():
    """-(a - 1)² under 2 a ≤ 0.6 is best at a = 0.3, but for what it is to stay away from there."""
    model = SimulatorModel(make("double-integrator", horizon=4, process_noise=0))
    constraints = Constraints(path=lambda state, action, t: 2 * action - 0.6)
    begun = Multipliers.begin({"path": jnp.full((1, 2, 1), 0.5)}, of_each_step=False)
    objective = Objective(
        lambda state, action, t: -jnp.sum((action - 1) ** 2) / 4,
        jnp.asarray(0.5),
        jnp.zeros(()),
    )
    given = jnp.zeros((1, 2)), jnp.zeros((1, 2, 1))

    @jax.jit
    def round_of(policy, multipliers):
        lagrangian = Lagrangian(constraints, multipliers)
        under = dataclasses.replace(objective, lagrangian=lagrangian)

        def climb(policy, _):
            slope = Unrolled()(policy, model, under, *given)[1]
            return Always(policy.action + 4e-4 * slope.action), None

        policy = jax.lax.scan(climb, policy, None, 500)[0]
        limits = lagrangian.limits(jnp.zeros((3, 2)), jnp.tile(policy.action, (2, 1)))
        return policy, multipliers.raised({"path": limits["path"][None]})

    policy, multipliers = Always(jnp.asarray([0.9])), begun
    for _ in range(60):
        policy, multipliers = round_of(policy, multipliers)
    away = 1e-3 * 0.5 / 2
    assert policy.action[0] == pytest.approx(0.3 - away, abs=1e-6)
    # The slope of the score of a step by a, over that of the constraint in its unit.
    price = (1 - 0.3 + away) / 2 / 0.5 / (2 / 0.5)
    pushed = multipliers.values["path"][0, 0] - multipliers.weight * 1e-3
    assert pushed == pytest.approx(price, rel=1e-4)
    assert multipliers.worst == pytest.approx(0, abs=1e-5)


def test_multipliers_follow_the_worst_value():
    begun = Multipliers.begin(
        {"path": jnp.asarray([[[2.0, 0.0]], [[-4.0, 0.0]]])}, of_each_step=False
    )
    np.testing.assert_array_equal(begun.units["path"], [3, 1])
    values = jnp.asarray([[[-1.5, 0.02]], [[0.3, -0.5]], [[-jnp.inf, -jnp.inf]]])
    once = begun.raised({"path": values})
    np.testing.assert_allclose(once.values["path"], [[3 * 0.101, 3 * 0.021]], rtol=1e-6)
    assert once.worst == pytest.approx(0.1)
    assert once.weight == 10
    # No better than before, it weighs more; and no multiplier is above a hundred.
    again = once.raised({"path": 1e3 * values})
    assert again.weight == 15
    np.testing.assert_allclose(again.values["path"], [[100, 3 * (0.021 + 20.001)]], rtol=1e-6)
    kept = again.raised({"path": jnp.full((1, 1, 2), -3e3)})
    np.testing.assert_array_equal(kept.values["path"], 0)
    assert (kept.worst, kept.weight) == (0, 15)
    # One multiplier for all steps follows the worst of them.
    steps = jnp.asarray([[[-1.0], [0.5], [-2.0]], [[0.25], [-1.0], [-2.0]]])
    of_all = Multipliers.begin({"path": jnp.ones((1, 3, 1))}, of_each_step=False)
    np.testing.assert_allclose(of_all.raised({"path": steps}).values["path"], [[1.503]], rtol=1e-6)
    of_each = Multipliers.begin({"path": jnp.ones((1, 3, 1))}, of_each_step=True)
    found = of_each.raised({"path": steps}).values["path"]
    np.testing.assert_allclose(found, [[0.753], [1.503], [0]], rtol=1e-6)


def test_constraints_need_the_last_state():
    objective = constrained(make_markov_model, 3, 2)[2]
    assert objective.takes_last_state
    with pytest.raises(ValueError, match="there are constraints, but no last state"):
        objective(jnp.zeros((2, 3, 2)), jnp.zeros((2, 3, 1)), jnp.zeros((2, 3)))
