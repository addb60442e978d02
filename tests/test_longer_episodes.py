"""Policies in episodes of another length than they were trained for."""

import dataclasses
import json

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

import beeline
from beeline.cli import main
from beeline.config import Exploration
from beeline.envs import Environment, make
from beeline.envs._transition import transition
from beeline.policies import Policy
from beeline.run import RunError
from beeline.run._longer import HeldClock, at_horizon


class Clock(Policy):
    """Its action is the time that it sees."""

    def sample(self, state, t, noise, width=1.0):
        return self.mode(state, t) + noise, jnp.zeros(noise.shape[:-1])

    def mode(self, state, t):
        return jnp.broadcast_to(jnp.asarray(t, state.dtype), state.shape)


class Line(Environment):
    """A place that stays, and is paid for once more where the episode ends."""

    horizon: int = eqx.field(static=True)
    name = "line"
    state_dim = action_dim = 1
    dt = 1.0

    def initial_state(self, *, key=None):
        return jnp.ones(1)

    def step(self, state, action, t, *, key=None):
        return state + action

    def reward(self, state, action, t):
        return jnp.where(t == self.horizon - 1, 5.0, 1.0).astype(state.dtype) * state[0]


class Fixed(Line):
    """It has one horizon alone."""

    name = "fixed"

    def __init__(self):
        self.horizon = 8


@pytest.mark.parametrize(
    ("more", "seen"),
    [
        (4, [0, 1, 2, 3, 3, 3, 3, 3, 4, 5]),
        (1, [0, 1, 2, 3, 3, 4, 5]),
        (0, [0, 1, 2, 3, 4, 5]),
    ],
)
def test_the_clock_stands_still_in_the_middle(more, seen):
    held, state = HeldClock(Clock(), 3, more), jnp.zeros(1)
    told = [float(held.mode(state, t)[0]) for t in range(6 + more)]
    assert told == seen
    assert [float(held.sample(state, t, state)[0][0]) for t in range(6 + more)] == seen


@pytest.fixture(scope="module")
def run(tiny_windows, own_cache, tmp_path_factory):
    config = dataclasses.replace(
        tiny_windows,
        task="pendulum",
        horizon=12,
        env_steps=36,
        evaluation_episodes=2,
        exploration=Exploration(warmup_steps=24),
        reference="none",
    )
    return beeline.train(config=config, out=tmp_path_factory.mktemp("longer") / "run")


def test_a_policy_is_played_beyond_its_horizon(run):
    measured = beeline.evaluate(run, 20)
    assert measured.states.shape == (1, 21, 3)
    env, state = make("pendulum", horizon=20), measured.states[0, 0]
    earned = 0.0
    for t in range(20):
        seen = t if t < 6 else max(6, t - 8)
        action = run.policy.mode(jnp.asarray(state), seen)
        np.testing.assert_allclose(measured.actions[0, t], action, atol=1e-3)
        state, reward = transition(env, jnp.asarray(state), action, t)
        earned += float(reward)
    assert measured.returns[0, 0] == pytest.approx(earned, rel=1e-3)
    assert beeline.evaluate(run, 12).returns.tolist() == beeline.evaluate(run).returns.tolist()
    short = beeline.evaluate(run, 5)
    np.testing.assert_allclose(short.actions, beeline.evaluate(run).actions[:, :5], atol=1e-5)


def test_the_command_line_does_too(run, capsys):
    assert main(["evaluate", str(run.path), "--horizon", "20", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["return"] == pytest.approx(beeline.evaluate(run, 20).return_.tolist())
    assert told["normalized_return"] == [None]
    for given, says in (("1", "at least 2, got 1"), ("0", "at least 2, got 0")):
        assert main(["evaluate", str(run.path), "--horizon", given]) == 2
        error = capsys.readouterr().err
        assert says in error
        assert error.count("\n") == 1


def test_a_task_that_is_another_at_another_horizon_is_refused():
    assert at_horizon(make("pendulum", horizon=50), 200) == make("pendulum", horizon=200)
    with pytest.raises(RunError, match=r"horizon is 200, but cancer-treatment is another task"):
        at_horizon(make("cancer-treatment", horizon=100), 200)
    with pytest.raises(RunError, match=r"line is another task then, which differs in equations"):
        at_horizon(Line(8), 12)
    with pytest.raises(RunError, match=r"cannot be made anew with other than 8 steps .*a field"):
        at_horizon(Fixed(), 12)


def test_a_return_of_ones_own_counts_for_its_horizon_alone(run):
    scaled = dataclasses.replace(run, config=dataclasses.replace(run.config, reference="-10"))
    assert beeline.evaluate(scaled).reference.best_return == -10
    assert beeline.evaluate(scaled, 20).reference.best_return is None
