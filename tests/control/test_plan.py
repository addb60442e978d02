"""Plans against linear quadratic regulators, quadratic programs, and what they claim themselves."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

from beeline import envs
from beeline.control import CEM, LBFGS, MPPI, Adam, lqr, plan
from beeline.control._rollout import open_loop
from beeline.control.plan import FINALISTS
from beeline.envs import make, reward_of
from beeline.envs._transition import move, transition
from beeline.models import ActionsModel, DynamicsActionsModel, MarkovModel, SimulatorModel
from beeline.sequence import GRU
from tests.networks import drawn

HORIZON = 12


@pytest.fixture(scope="module")
def env():
    return make("double-integrator", horizon=HORIZON, process_noise=0)


REWARDS = {}


def planned(env, state, model=SimulatorModel, **options):
    reward = REWARDS.setdefault(type(env), reward_of(env))
    return plan(model(env), state, reward, env.horizon, action_dim=env.action_dim, **options)


@pytest.mark.parametrize(
    ("search", "tolerance"),
    [
        (LBFGS(tolerance=1e-12), 1e-10),
        (Adam(iterations=400), 1e-6),
        (CEM(iterations=60, samples=256, elites=32), 2e-2),
        (MPPI(iterations=60, samples=256), 1e-2),
    ],
    ids=lambda x: type(x).__name__,
)
@pytest.mark.usefixtures("float64")
def test_where_no_bound_matters_the_plan_is_that_of_the_regulator(env, search, tolerance):
    state = np.array([0.05, -0.02])
    feedback = lqr(env)
    found = planned(env, state, search=search, starts=2)
    assert np.abs(found.actions).max() < 0.9
    assert found.return_ <= feedback.value(state) * (1 - 1e-12)
    assert found.return_ == pytest.approx(feedback.value(state), rel=tolerance)
    if type(search) in (LBFGS, Adam):
        now, wanted = jnp.asarray(state), []
        for t in range(HORIZON):
            wanted.append(feedback.mode(now, t))
            now = move(env, now, wanted[-1], t)
        np.testing.assert_allclose(found.actions, wanted, atol=1e-3)


@pytest.mark.usefixtures("float64")
def test_at_the_bounds_the_plan_is_that_of_a_quadratic_program(env):
    state = np.array([1.0, 0.5])

    @jax.jit
    @jax.value_and_grad
    def loss(actions):
        def step(state, inputs):
            return transition(env, state, *inputs)

        inputs = actions[:, None], jnp.arange(HORIZON)
        return -jax.lax.scan(step, jnp.asarray(state), inputs)[1].sum()

    best = minimize(
        lambda x: tuple(map(np.asarray, loss(x))),
        np.zeros(HORIZON),
        jac=True,
        bounds=[(-1, 1)] * HORIZON,
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
    )
    assert (np.abs(best.x) > 1 - 1e-9).any()
    assert (np.abs(best.x) < 0.9).any()
    found = planned(env, state, search=LBFGS(tolerance=1e-12), starts=3)
    assert found.return_ == pytest.approx(-best.fun, rel=1e-9)
    np.testing.assert_allclose(found.actions[:, 0], best.x, atol=1e-4)
    assert np.abs(found.actions).max() <= 1
    # Every start that is followed to the end gets there, for there is one maximum.
    np.testing.assert_allclose(found.starts[:FINALISTS], found.return_, rtol=1e-8)
    assert len(found.starts) == 3


def test_starts_are_sorted_out_in_a_heat(env):
    state = np.array([1.0, 0.5])
    whole = planned(env, state, search=LBFGS(iterations=40), starts=6)
    short = planned(env, state, search=LBFGS(iterations=10), starts=6)
    # What was left behind has what it had after the heat, which is a whole search of ten.
    np.testing.assert_allclose(whole.starts[FINALISTS:], short.starts[FINALISTS:], rtol=1e-6)
    assert (whole.starts[:FINALISTS] > short.starts[:FINALISTS]).all()
    assert LBFGS(iterations=10).heat() is None
    assert Adam().heat() is None


def test_a_plan_through_the_simulator_earns_what_it_says():
    env = make("harvest", horizon=8)
    start = env.initial_state(key=jax.random.key(0))
    by_steps = planned(env, start, starts=3)
    states, return_ = open_loop(env, jnp.asarray(by_steps.actions))
    np.testing.assert_allclose(by_steps.states, states, rtol=1e-6)
    assert by_steps.return_ == pytest.approx(float(return_), rel=1e-6)
    assert by_steps.rewards.sum() == pytest.approx(by_steps.return_, rel=1e-6)
    assert by_steps.distance is None
    # The same dynamics as a model of actions, which no state is fed back to.
    at_once = planned(env, start, DynamicsActionsModel, starts=3)
    assert at_once.return_ == pytest.approx(by_steps.return_, rel=1e-6)


@pytest.mark.parametrize("kind", ["actions", "markov"])
def test_plans_in_learned_models_are_what_the_models_say(kind):
    env = make("double-integrator", horizon=6, process_noise=0)
    if kind == "actions":
        model = drawn(partial(ActionsModel, drawn(GRU, 8)), 2, 1, 6)
    else:
        model = drawn(MarkovModel, 2, 1, 6)
    reward = reward_of(env)
    state = np.array([0.2, -0.1], np.float32)
    found = plan(model, state, reward, 4, action_dim=1, first=2, starts=2)
    carry, now = model.start(jnp.asarray(state), 4, 2), jnp.asarray(state)
    step = jax.jit(type(model).step)
    total = 0.0
    for t, action in enumerate(found.actions):
        total += reward(now, jnp.asarray(action), 2 + t)
        carry, now = step(model, carry, now, jnp.asarray(action), 2 + t)
        np.testing.assert_allclose(found.states[t + 1], now, rtol=1e-4, atol=1e-5)
    assert found.return_ == pytest.approx(float(total), rel=1e-4)
    # No other plan of the kind that searches begin with is better.
    assert found.return_ >= found.starts.max() - 1e-6


class Cliff(envs.Environment):
    """It pays to go right, but beyond 1 the episode is over."""

    horizon: int = 6
    name = "cliff"
    state_dim = action_dim = 1
    dt = 1.0

    def initial_state(self, *, key=None):
        return jnp.zeros(1)

    def step(self, state, action, t, *, key=None):
        return state + 0.5 * action

    def reward(self, state, action, t):
        return 1.0 + action[0]

    def terminated(self, state, action, t, next_state):
        return next_state[0] > 1.0


def test_nothing_is_earned_after_a_termination_and_a_value_counts_where_there_is_none():
    env = Cliff()
    options = {"search": CEM(iterations=40), "starts": 1}
    blind = planned(env, [0.0], **options)
    assert blind.return_ == pytest.approx(12, abs=0.3)
    found = planned(env, [0.0], termination=env.terminated, **options)
    # Up to the edge, and beyond it with the last step.
    assert found.return_ == pytest.approx(9, abs=0.1)
    assert (found.states[:-1] <= 1 + 1e-6).all()
    worth = planned(env, [0.0], value=Worth(), **options)
    assert worth.actions.mean() < -0.9
    assert worth.return_ == pytest.approx(300, rel=0.05)
    over = planned(env, [0.9], termination=lambda *_: jnp.asarray(True), value=Worth(), **options)
    assert over.return_ == pytest.approx(2, abs=0.01)


class Worth(eqx.Module):
    """What a state is worth."""

    def __call__(self, state, t):
        return -100 * state[0] * (t == 6)

    def unit(self, state, t):
        return jnp.ones(())


def test_the_distance_is_to_the_nearest_state_seen_in_units_of_the_data(env):
    seen = np.array([[0.0, 0.0], [3.0, 4.0]])
    found = planned(env, [3.0, 2.0], seen=seen, search=LBFGS(iterations=1), starts=1)
    assert found.distance == pytest.approx(np.sqrt(2.0))
    assert planned(env, [0.0, 0.0], seen=seen, search=LBFGS(iterations=1), starts=1).distance == 0


def test_a_program_is_compiled_once(env):
    traced = []

    def reward(state, action, t):
        traced.append(t)
        return -(state[0] ** 2) - action[0] ** 2

    for state in ([0.1, 0.2], [0.3, -0.1]):
        plan(SimulatorModel(env), state, reward, 5, action_dim=1, starts=2)
        count = len(traced)
    assert len(traced) == count
    plan(SimulatorModel(env), [1.0, 1.0], reward, 5, action_dim=1, starts=2, first=3)
    assert len(traced) == count


def test_a_guess_is_a_start(env):
    guess = np.full((HORIZON, 1), 0.3)
    found = planned(env, [0.1, 0.0], guess=guess, starts=1, search=LBFGS(iterations=1))
    assert len(found.starts) == 2
    with pytest.raises(ValueError, match=r"guess must be finite actions of shape \(12, 1\)"):
        planned(env, [0.1, 0.0], guess=guess[:-1])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"state": [0.1]}, "state must be 2 numbers, one for each entry, got 1 numbers"),
        ({"state": [0.1, np.nan]}, r"state must be finite, got \[0.1, nan\]"),
        ({"horizon": 13}, "13 steps were asked of a model of episodes of 12"),
        ({"horizon": 0}, "horizon must be at least 1, got 0"),
        ({"starts": 0}, "starts must be at least 1, got 0"),
        ({"first": -1}, "first must be at least 0, got -1"),
        ({"seen": np.zeros((3, 1))}, r"seen must be states of 2 entries, one a row, got shape"),
    ],
    ids=lambda x: "",
)
def test_faults_are_told_in_one_line(env, given, message):
    options = {"state": [0.1, 0.2], "horizon": 3, "starts": 1} | given
    with pytest.raises(ValueError, match=message) as told:
        plan(
            SimulatorModel(env),
            reward=REWARDS.setdefault(type(env), reward_of(env)),
            action_dim=1,
            search=LBFGS(iterations=1),
            **options,
        )
    assert "\n" not in str(told.value)


def test_returns_that_are_never_finite_are_told(env):
    with pytest.raises(ValueError, match="no plan has a finite return from the state"):
        plan(SimulatorModel(env), [0, 0], lambda s, a, t: a[0] / 0, 3, action_dim=1, starts=2)


@pytest.mark.parametrize(
    ("make_one", "message"),
    [
        (lambda: LBFGS(iterations=0), "LBFGS: iterations must be an integer of at least 1, got 0"),
        (lambda: LBFGS(tolerance=0.0), "LBFGS: tolerance must be above 0 and at most 1"),
        (lambda: Adam(learning_rate=3.0), "Adam: learning_rate must be above 0 and at most 2"),
        (lambda: CEM(samples=4), "CEM: elites is 16, more than samples, 4"),
        (lambda: MPPI(temperature=0.0), "MPPI: temperature must be above 0"),
    ],
    ids=lambda x: "",
)
def test_settings_that_mean_nothing_are_refused(make_one, message):
    with pytest.raises(ValueError, match=message):
        make_one()
