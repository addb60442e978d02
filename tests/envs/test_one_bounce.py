"""One-bounce against NumPy, known best actions and cases worked by hand."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from beeline import envs


def slide(first_action, horizon, goal, wall=-1.0):
    """States before each step, and the return, in NumPy."""
    position, speed, states = 0.0, 0.0, []
    for t in range(horizon):
        states.append([position, speed])
        if t == 0:
            position, speed = 0.0, 10 * (first_action - 2)
            continue
        reached = position + 0.01 * speed
        if reached > wall:
            position, speed = reached, 0.9 * speed
        else:
            position, speed = wall + (wall - reached), -speed
    return np.array(states), -((states[-1][0] - goal) ** 2)


def play(env, first_action, later=0.3):
    def advance(state, t):
        action = jnp.where(t == 0, first_action, later)[None]
        return env.step(state, action, t), (state, env.reward(state, action, t))

    return jax.lax.scan(advance, env.initial_state(), jnp.arange(env.horizon))[1]


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(("horizon", "goal", "wall"), [(3, 0.5, -1.0), (60, -0.25, -0.7)])
def test_episodes_agree_with_numpy(horizon, goal, wall):
    env = envs.make("one-bounce", horizon=horizon, goal=goal, wall=wall)
    actions = np.random.default_rng(0).uniform(-1, 1, 30)
    states, rewards = jax.jit(jax.vmap(lambda a: play(env, a)))(actions)
    for k, action in enumerate(actions):
        expected, return_ = slide(action, horizon, goal, wall)
        np.testing.assert_allclose(states[k], expected, atol=1e-12)
        np.testing.assert_allclose(rewards[k], [0.0] * (horizon - 1) + [return_], atol=1e-12)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(
    ("horizon", "goal", "best"),
    [(100, 0.5, -0.3607), (50, 0.5, -0.3765), (100, -0.25, 0.3222), (50, -0.25, 0.3108)],
)
def test_best_actions_are_the_known_ones(horizon, goal, best):
    env = envs.make("one-bounce", horizon=horizon, goal=goal)
    grid = jnp.linspace(-1, 1, 20_001)
    returns = jax.jit(jax.vmap(lambda a: play(env, a)[1].sum()))(grid)
    assert float(grid[jnp.argmax(returns)]) == pytest.approx(best, abs=1.01e-4)


def test_the_default_goal_is_a_half():
    assert envs.make("one-bounce", horizon=5).goal == 0.5


def test_a_bounce_worked_out_by_hand():
    env = envs.make("one-bounce", horizon=9)
    action = jnp.array([0.0])
    np.testing.assert_allclose(env.step(jnp.array([7.0, 7.0]), action, 0), [0, -20])
    np.testing.assert_allclose(env.step(jnp.array([0.0, -20.0]), action, 1), [-0.2, -18], rtol=1e-6)
    # It would reach -1.1: reflected by a tenth, and all its speed kept.
    np.testing.assert_allclose(env.step(jnp.array([-0.9, -20.0]), action, 1), [-0.9, 20], rtol=1e-6)
    # Away from the wall it slides on.
    np.testing.assert_allclose(env.step(jnp.array([-0.9, 20.0]), action, 1), [-0.7, 18], rtol=1e-6)


def test_only_the_last_step_pays():
    env = envs.make("one-bounce", horizon=9, goal=0.25)
    state, action = jnp.array([1.0, 3.0]), jnp.array([0.4])
    rewards = [float(env.reward(state, action, t)) for t in (0, 7, 8)]
    assert rewards == [0, 0, -0.5625]


def test_without_friction_lost_at_the_bounce_the_place_is_piecewise_linear():
    """Long after the bounce the block rests near -a, and moves by one for one with a."""
    env = envs.make("one-bounce", horizon=200)
    grid = jnp.linspace(-1, 0.9, 400)
    positions, slopes = jax.jit(
        jax.vmap(lambda a: jax.jvp(lambda a: play(env, a)[0][-1, 0], (a,), (jnp.ones_like(a),)))
    )(grid)
    assert np.all(np.abs(positions + grid) < 0.23)
    assert np.all((slopes < -0.9) & (slopes > -1.3))
    # Between the jumps, where the bounce falls into another step, slopes say how positions differ.
    rises = np.diff(positions) / np.diff(grid)
    assert np.median(np.abs(rises - slopes[:-1])) < 2e-3


def test_only_the_first_action_matters():
    env = envs.make("one-bounce", horizon=30)

    def last(actions):
        def advance(state, inputs):
            return env.step(state, *inputs), None

        return jax.lax.scan(advance, env.initial_state(), (actions, jnp.arange(30)))[0][0]

    actions = jax.random.uniform(jax.random.key(0), (30, 1), minval=-1, maxval=1)
    slopes = jax.grad(last)(actions)
    assert np.all(np.asarray(slopes[1:]) == 0)
    assert float(slopes[0, 0]) != 0


@pytest.mark.usefixtures("float64")
def test_derivatives_agree_with_finite_differences():
    env = envs.make("one-bounce", horizon=50)
    for action in (-0.93, 0.02, 0.61):
        slope = jax.grad(lambda a: play(env, a)[1].sum())(action)
        sides = [slide(action + e, 50, 0.5)[1] for e in (1e-7, -1e-7)]
        assert float(slope) == pytest.approx((sides[0] - sides[1]) / 2e-7, rel=1e-5)


@pytest.mark.usefixtures("float64")
def test_precision_follows_the_inputs():
    env = envs.make("one-bounce", horizon=5)
    assert env.initial_state().dtype == jnp.float64
    state, action = jnp.zeros(2, jnp.float32), jnp.zeros(1, jnp.float32)
    for t in (0, 3, jnp.asarray(4)):
        assert env.step(state, action, t).dtype == jnp.float32
        assert env.reward(state, action, t).dtype == jnp.float32


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match="goal must be a finite position in metres, got nan"):
        envs.make("one-bounce", horizon=5, goal=math.nan)
    with pytest.raises(ValueError, match=r"wall must be finite and left of 0, got 1\.0"):
        envs.make("one-bounce", horizon=5, wall=1.0)


def test_two_steps_are_none():
    with pytest.raises(ValueError, match="horizon is 2, but one-bounce takes at least 3: with few"):
        envs.make("one-bounce", horizon=2)
