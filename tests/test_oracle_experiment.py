"""Controllers that know the equations: three methods find the same best plan."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

from beeline import envs

ROOT = Path(__file__).parent.parent


@pytest.fixture
def oracle(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    return importlib.import_module("experiments.process_control.oracle")


def test_a_horizon_as_long_as_the_episode_finds_the_best_plan(oracle):
    env = envs.make("stirred-tank", horizon=6)
    bound = oracle.solve_optimum(env, starts=3, cache=False).return_
    by_casadi = oracle.interior_point(env, 6)
    assert by_casadi.return_ == pytest.approx(bound, rel=1e-5)
    assert np.abs(by_casadi.actions).max() <= 1 + 1e-9
    # Who looks less far ahead earns no more.
    assert oracle.interior_point(env, 1).return_ < bound


def test_the_library_s_own_controller_is_close_to_it(oracle):
    env = envs.make("nonsmooth-control", horizon=6)
    ours, theirs = oracle.receding(env, 6), oracle.interior_point(env, 6)
    assert ours.return_ == pytest.approx(theirs.return_, rel=1e-4)


@pytest.mark.parametrize("name", ["stirred-tank", "four-tank", "nonsmooth-control"])
def test_the_equations_stated_once_more_are_those_of_the_task(oracle, name):
    import casadi

    env = envs.make(name, horizon=60)
    assert [env.state_names[i] for i in oracle.OUTPUTS[name]]
    inputs = np.mean([env.action_low, env.action_high], axis=0)
    known = [levels[0] for levels in env.disturbances]
    theirs = np.asarray(oracle._step(casadi, env)(env.x_0, inputs, known)).ravel()
    states = oracle.replayed(env, np.zeros((1, env.action_dim)), 0.0).states
    np.testing.assert_allclose(states[1, : len(env.x_0)], theirs, rtol=1e-9)


def test_casadi_has_an_extra(oracle, monkeypatch):
    monkeypatch.setitem(sys.modules, "casadi", None)
    with pytest.raises(SystemExit, match=r"pip install 'beeline\[oracle\]'"):
        oracle.interior_point(envs.make("stirred-tank", horizon=6), 2)
