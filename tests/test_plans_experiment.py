"""The experiment on plans: its tasks start anywhere, and what it writes is what it found."""

import csv
import importlib
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from beeline import envs
from beeline.control import lqr

ROOT = Path(__file__).parent.parent


@pytest.fixture
def plans(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    return importlib.import_module("experiments.plans.run")


def test_a_task_that_starts_anywhere_is_the_task_otherwise(plans):
    env = plans.timber()
    assert envs.check(env).ok
    starts = plans.starts_of(env)
    assert starts.shape == (20, 1)
    assert starts.min() >= 50
    assert starts.max() <= 150
    assert np.ptp(starts) > 50
    action = jnp.asarray([0.3])
    state = jnp.asarray(starts[0])
    np.testing.assert_array_equal(env.step(state, action, 3), env.task.step(state, action, 3))


def test_the_best_return_is_that_of_the_regulator_where_there_is_one(plans):
    env = envs.make("double-integrator", horizon=6, process_noise=0)
    states = np.array([[0.05, 0.02], [-0.03, 0.01]], np.float32)
    feedback = lqr(env)
    best = plans.best_returns(env, states)
    for state, found in zip(states, best, strict=True):
        assert found == pytest.approx(feedback.value(state), rel=1e-6)
        actions = plans._followed(env, feedback.mode, state)
        played = plans.real_return(env, state, actions)
        assert played == pytest.approx(feedback.value(state), rel=1e-4)


def test_what_is_committed_says_where_it_comes_from(plans):
    files = list(plans.RESULTS.glob("*.csv"))
    assert files
    for file in files:
        lines = file.read_text().splitlines()
        assert lines[0].startswith("# command: python -m experiments.plans.run --parts ")
        assert [line.split(":")[0] for line in lines[1:4]] == ["# date", "# machine", "# versions"]
        assert len(list(csv.DictReader(line for line in lines if line[0] != "#"))) > 1
