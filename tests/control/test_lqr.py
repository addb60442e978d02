"""The linear quadratic regulator against NumPy, and against all plans at once."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from beeline import envs
from beeline.control import closed_loop_return, lqr
from beeline.envs import Environment

HORIZON, STATES, ACTIONS = 4, 3, 2


def numbers(seed=0):
    """A problem that varies with time, with every term that there can be."""
    random = np.random.default_rng(seed)
    wide = STATES + ACTIONS
    root = random.normal(size=(HORIZON, wide, wide))
    bend = root @ root.swapaxes(1, 2) / wide + 3 * np.eye(wide)
    return {
        "a": random.normal(size=(HORIZON, STATES, STATES)) * 0.6,
        "b": random.normal(size=(HORIZON, STATES, ACTIONS)) * 0.6,
        "c": random.normal(size=(HORIZON, STATES)) * 0.1,
        "bend": bend,
        "slope": random.normal(size=(HORIZON, wide)) * 0.1,
        "ahead": random.normal(size=(HORIZON, STATES)) * 0.5,
    }


P = numbers()
START = np.array([0.3, -0.2, 0.1])


class Linear(Environment):
    """It is rewarded for the state that it leaves, the action and the state that it comes to."""

    horizon: int = eqx.field(static=True, default=HORIZON)
    name = "linear"
    state_dim, action_dim, dt = STATES, ACTIONS, 1.0
    # Physical actions are three times those in [-1, 1], and one more.
    action_low, action_high = -2.0, 4.0

    def initial_state(self, *, key=None):
        return jnp.asarray(START)

    def step(self, state, action, t, *, key=None):
        share = (action - 1) / 3
        return (
            jnp.asarray(P["a"])[t] @ state + jnp.asarray(P["b"])[t] @ share + jnp.asarray(P["c"])[t]
        )

    def reward(self, state, action, t, next_state):
        y = jnp.concatenate([state, (action - 1) / 3])
        here = y @ jnp.asarray(P["bend"])[t] @ y + jnp.asarray(P["slope"])[t] @ y
        return 0.7 - here - (jnp.asarray(P["ahead"])[t] @ next_state) ** 2


def played(actions, noise=None):
    """The return of actions, or of a function that chooses them, in NumPy."""
    state, total = START, 0.0
    for t in range(HORIZON):
        action = actions(state, t) if callable(actions) else actions[t]
        after = P["a"][t] @ state + P["b"][t] @ action + P["c"][t]
        after = after + (0 if noise is None else noise[t])
        y = np.concatenate([state, action])
        total += 0.7 - y @ P["bend"][t] @ y - P["slope"][t] @ y - (P["ahead"][t] @ after) ** 2
        state = after
    return total


def unclipped(feedback):
    return lambda state, t: feedback.gains[t] @ state + feedback.offsets[t]


def test_no_plan_is_better():
    """A quadratic function of all actions is known by its values at as many points."""
    size = HORIZON * ACTIONS
    unit = np.eye(size).reshape(size, HORIZON, ACTIONS)
    level = played(np.zeros((HORIZON, ACTIONS)))
    up, down = (np.array([played(sign * one) for one in unit]) for sign in (1, -1))
    slope = (up - down) / 2
    bend = np.array([[played(i + j) for j in unit] for i in unit]) - up[:, None] - up + level
    plan = -np.linalg.solve(bend, slope)
    feedback = lqr(Linear())
    best = played(plan.reshape(HORIZON, ACTIONS))
    assert np.abs(plan).max() > 0.05
    assert feedback.value(START) == pytest.approx(best, rel=1e-9)
    assert played(unclipped(feedback)) == pytest.approx(best, rel=1e-9)
    assert feedback.gains.shape == (HORIZON, ACTIONS, STATES)


def test_the_value_under_noise_is_the_mean_over_all_that_can_happen():
    root = np.array([[0.3, 0.0, 0.1], [0.0, 0.2, 0.0], [0.0, 0.0, 0.1]])
    feedback = lqr(Linear(), noise_covariance=root @ root.T)
    # Signs of three sources of noise in each of four steps: the covariance is that of root.
    signs = np.array(list(itertools.product((-1.0, 1.0), repeat=HORIZON * STATES)))
    noise = signs.reshape(-1, HORIZON, STATES) @ root.T
    act = unclipped(feedback)
    mean = np.mean([played(act, one) for one in noise])
    assert feedback.value(START) == pytest.approx(mean, rel=1e-9)
    quiet = lqr(Linear())
    np.testing.assert_allclose(feedback.gains, quiet.gains, rtol=1e-9)
    assert feedback.value(START) < quiet.value(START) - 0.1


@pytest.mark.parametrize(
    ("name", "stiffness", "quiet", "noisy"),
    [
        ("double-integrator", 0.0, -0.0507472, -0.0870219),
        ("unstable-pole", 2.0, -0.0521638, -0.0889972),
    ],
)
def test_the_linear_tasks_against_the_textbook(name, stiffness, quiet, noisy):
    env = envs.make(name, horizon=100, process_noise=0)
    a, b = np.array([[1, 0.1], [0.1 * stiffness, 1]]), np.array([[0.0], [0.6]])
    q, r, cost, gains, spent = np.diag([0.1, 0.01]), 0.01, np.zeros((2, 2)), [], 0.0
    for _ in range(100):
        spent += 0.01 * cost[1, 1]
        gains.append(-np.linalg.solve(r + b.T @ cost @ b, b.T @ cost @ a))
        cost = q + a.T @ cost @ (a + b @ gains[-1])
    start = np.array([0.3, 0.0])
    assert -start @ cost @ start == pytest.approx(quiet, abs=1e-7)
    feedback = lqr(env, noise_covariance=np.diag([0, 0.01]))
    np.testing.assert_allclose(feedback.gains, np.array(gains[::-1]), atol=1e-9)
    np.testing.assert_allclose(feedback.offsets, 0, atol=1e-12)
    assert feedback.value(start) == pytest.approx(-start @ cost @ start - spent, rel=1e-9)
    assert feedback.value(start) == pytest.approx(noisy, abs=1e-7)
    assert lqr(env).value(start) == pytest.approx(quiet, abs=1e-7)
    # What was measured elsewhere, in 50 episodes: within three of their standard errors.
    played = closed_loop_return(envs.make(name, horizon=100), feedback.mode, 500)
    assert played.mean == pytest.approx(noisy, abs=4 * played.standard_error)
    elsewhere = {0.0: -0.0861, 2.0: -0.0880}[stiffness]
    assert noisy == pytest.approx(elsewhere, abs=3 * played.standard_error * 10**0.5)


def test_actions_are_clipped():
    feedback = lqr(envs.make("double-integrator", horizon=5, process_noise=0))
    state = jnp.array([-30.0, 0.0])
    np.testing.assert_array_equal(feedback.mode(state, 0), [1.0])
    np.testing.assert_array_equal(jax.jit(feedback.mode)(-state, 2), [-1.0])
    small = jnp.array([0.01, 0.0])
    np.testing.assert_allclose(feedback.mode(small, 1), feedback.gains[1] @ small, rtol=1e-6)


def test_about_a_state_it_is_the_linearisation():
    """A pendulum near the top is linear, and there the value is what it earns."""
    env = envs.make("pendulum", horizon=40)
    feedback = lqr(env, around=np.array([1.0, 0.0, 0.0]))
    with jax.enable_x64(True):

        @jax.jit
        def play(state):
            def advance(state, t):
                action = env.physical_action(feedback.mode(state, t))
                return env.step(state, action, t), env.reward(state, action, t)

            last, rewards = jax.lax.scan(advance, state, jnp.arange(40))
            return last, rewards.sum()

        for angle in (0.0, 0.02, 0.1):
            start = jnp.array([np.cos(angle), np.sin(angle), 0.0])
            last, earned = play(start)
            assert float(earned) == pytest.approx(feedback.value(start), rel=0.02, abs=1e-12)
            assert abs(float(last[1])) < 0.1 * angle + 1e-12


@pytest.mark.slow
def test_reaction_diffusion_as_measured_elsewhere():
    env = envs.make("reaction-diffusion", horizon=100)
    played = closed_loop_return(env, lqr(env, around=np.zeros(128)).mode, 500)
    assert played.mean == pytest.approx(-0.714, abs=3 * played.standard_error * 10**0.5)
    nothing = closed_loop_return(env, lambda state, t: jnp.zeros(4), 500)
    assert nothing.mean == pytest.approx(-13.8, abs=3 * nothing.standard_error * 10**0.5)


class Other(Linear):
    """One that is not linear-quadratic, in one of several ways."""

    wrong: str = eqx.field(static=True, default="")

    def step(self, state, action, t, *, key=None):
        bent = 1e-3 * state**2 if self.wrong == "step" else 0.0
        held = jnp.clip(state, -50, 50) if self.wrong == "held" else state
        drawn = jax.random.normal(key, state.shape) if self.wrong == "noise" else 0.0
        return Linear.step(self, held, action, t) + bent + drawn

    def reward(self, state, action, t, next_state):
        earned = Linear.reward(self, state, action, t, next_state)
        share = jnp.sum(((action - 1) / 3) ** 2)
        return earned + {"reward": jnp.cos(state[0]), "convex": 100 * share}.get(self.wrong, 0.0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("step", "linear is not linear-quadratic: its step at t = 3 is not linear in state and"),
        ("held", "linear is not linear-quadratic: its step at t = 3 is not linear in state and"),
        ("reward", "its reward at t = 3 is not quadratic in state and action; give around= a"),
        ("noise", "linear moves by chance: make it without noise, and give the covariance"),
        ("convex", "linear has no best action at t = 3: its return is not concave in the action"),
    ],
)
def test_what_has_no_such_feedback_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        lqr(Other(wrong=wrong))


def test_shapes_that_do_not_fit():
    with pytest.raises(
        ValueError, match=r"noise_covariance must have shape \(3, 3\), got \(2, 2\)"
    ):
        lqr(Linear(), noise_covariance=np.eye(2))
    with pytest.raises(ValueError, match=r"around must have shape \(3,\), got \(2,\)"):
        lqr(Linear(), around=np.zeros(2))
