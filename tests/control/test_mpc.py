"""Model predictive control against the regulator that it has to be."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from beeline.control import LBFGS, MPC, closed_loop_return, lqr, plan
from beeline.control._rollout import open_loop_from
from beeline.control.mpc import Pending
from beeline.envs import make, reward_of
from beeline.models import SimulatorModel

HORIZON = 8


@pytest.fixture(scope="module")
def env():
    return make("double-integrator", horizon=HORIZON, process_noise=0)


def controller(env, **options):
    settings = {"horizon": HORIZON, "action_dim": 1, "episode": HORIZON, "starts": 1} | options
    return MPC(SimulatorModel(env), reward_of(env), **settings)


@pytest.mark.usefixtures("float64")
def test_to_the_end_of_the_episode_it_is_the_regulator_with_noise_too(env):
    noisy = make("double-integrator", horizon=HORIZON)
    search = LBFGS(tolerance=1e-12, iterations=40)
    ours = closed_loop_return(noisy, controller(env, search=search, first_search=search), 4)
    best = closed_loop_return(noisy, lqr(env).mode, 4)
    assert ours.mean == pytest.approx(best.mean, rel=1e-6)
    # Without looking again, the noise is not answered.
    blind = closed_loop_return(noisy, controller(env, every=HORIZON, first_search=search), 4)
    assert blind.mean < best.mean * (1 + 1e-3)


def test_it_plans_again_when_it_is_due_and_follows_its_plan_in_between(env):
    mpc = controller(env, every=3)
    act = jax.jit(mpc.act)
    state = jnp.asarray([0.4, 0.0])
    pending = jax.jit(mpc.start)(state)
    elsewhere = jnp.asarray([-0.4, 0.2])
    planned = np.asarray(pending.actions)
    for t in range(3):
        pending, action = act(pending, elsewhere, t)
        np.testing.assert_array_equal(action, planned[t])
    _, action = act(pending, elsewhere, 3)
    assert abs(action[0] - planned[3, 0]) > 0.1


def test_the_first_plan_is_that_of_plan(env):
    state = jnp.asarray([0.3, 0.1])
    ours = jax.jit(controller(env, starts=2).start)(state)
    wanted = plan(
        SimulatorModel(env), state, reward_of(env), HORIZON, action_dim=1, starts=2
    ).actions
    np.testing.assert_allclose(ours.actions, wanted, atol=1e-5)


def test_beyond_the_end_of_the_episode_nothing_counts(env):
    mpc = controller(env, search=LBFGS(iterations=100))
    state = jnp.asarray([0.3, 0.1])
    none = Pending(jnp.zeros((HORIZON, 1)), None)
    _, last = jax.jit(mpc.act)(none, state, HORIZON - 1)
    # An action has no more than its price there.
    np.testing.assert_allclose(last, 0, atol=1e-4)
    _, before = jax.jit(mpc.act)(none, state, HORIZON - 4)
    left = lqr(env).mode(state, HORIZON - 4)
    np.testing.assert_allclose(before, left, atol=1e-3)


def test_actions_from_a_state_on_are_played_as_steps_are(env):
    actions = jnp.asarray([[0.5], [-0.2], [1.0]])
    state = jnp.asarray([0.3, 0.1])
    states, rewards = open_loop_from(env, state, actions, 2, key=jax.random.key(0))
    reward, now = reward_of(env), state
    for t, action in enumerate(actions):
        np.testing.assert_allclose(rewards[t], reward(now, action, 2 + t), rtol=1e-6)
        now = env.step(now, env.physical_action(action), 2 + t)
        np.testing.assert_allclose(states[t + 1], now, rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"every": 9}, "every is 9, but a plan has 8 steps: plan sooner"),
        ({"every": 0}, "every must be at least 1, got 0"),
        ({"horizon": 0}, "horizon must be at least 1, got 0"),
    ],
)
def test_numbers_out_of_range_are_refused(env, options, message):
    with pytest.raises(ValueError, match=message):
        controller(env, **options)
