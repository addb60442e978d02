"""The ends of the scale of normalised returns, before anything is measured on it."""

import numpy as np
import pytest

from beeline import envs
from beeline.control import Optimum, RandomReturn
from beeline.run import RunWarning, _reference


def given(monkeypatch, optimal):
    found = Optimum(
        np.zeros((20, 1)), np.zeros((21, 1)), return_=optimal, starts=np.array([optimal])
    )
    monkeypatch.setattr(_reference, "solve_optimum", lambda env: found)
    monkeypatch.setattr(_reference, "random_return", lambda env: RandomReturn(-1.0, 0.1))


@pytest.mark.parametrize("optimal", [-1.0, -2.0, float("inf"), float("nan")])
def test_returns_without_a_scale_are_told_as_they_are(optimal, monkeypatch):
    given(monkeypatch, optimal)
    with pytest.warns(RunWarning, match="harvest at horizon 20 has no scale to measure returns on"):
        reference = _reference.Reference.of(envs.make("harvest", horizon=20))
    assert (reference.optimum, reference.best_return) == (None, None)
    assert np.isnan(reference.normalize(np.array([1.0, 2.0]))).all()


def test_a_return_of_the_users_own_is_the_scale(monkeypatch):
    given(monkeypatch, 7.0)
    env = envs.make("harvest", horizon=20)
    own, none, solved = (_reference.Reference.of(env, kind) for kind in ("3.0", "none", "optimum"))
    np.testing.assert_allclose(own.normalize(np.array([-1.0, 1.0, 3.0])), [0, 0.5, 1])
    np.testing.assert_allclose(solved.normalize(np.array([-1.0, 3.0, 7.0])), [0, 0.5, 1])
    assert none.best_return is None
    assert own.optimum is None


def test_nothing_is_solved_where_chance_has_a_part(monkeypatch):
    given(monkeypatch, 7.0)
    noisy = envs.make("cancer-treatment", horizon=20, process_noise=0.03)
    assert _reference.Reference.of(noisy).best_return is None
    assert _reference.Reference.of(noisy, "3.0").best_return == 3


def test_whatever_goes_wrong_with_solving_costs_the_scale_alone(monkeypatch):
    def fail(env):
        raise NotImplementedError("no derivative")

    given(monkeypatch, 7.0)
    monkeypatch.setattr(_reference, "solve_optimum", fail)
    with pytest.warns(RunWarning, match="no scale to measure returns on .no derivative."):
        reference = _reference.Reference.of(envs.make("harvest", horizon=20))
    assert reference.best_return is None
    assert reference.random_return == -1


def test_what_an_environment_says_goes_before_any_plan(monkeypatch):
    given(monkeypatch, 7.0)
    monkeypatch.setattr(_reference, "reference_return", lambda env: 3.0)
    env = envs.make("harvest", horizon=20)
    said = _reference.Reference.of(env)
    assert (said.optimum, said.best_return) == (None, 3.0)
    np.testing.assert_allclose(said.normalize(np.array([-1.0, 3.0])), [0, 1])
    # What the user says goes before both.
    assert _reference.Reference.of(env, "5.0").best_return == 5
    assert _reference.Reference.of(env, "none").best_return is None


def test_an_environment_that_cannot_say_it_is_done_without(monkeypatch):
    def fail(env):
        raise ZeroDivisionError("no reference")

    given(monkeypatch, 7.0)
    monkeypatch.setattr(_reference, "reference_return", fail)
    with pytest.warns(RunWarning, match="no scale to measure returns on .no reference."):
        reference = _reference.Reference.of(envs.make("harvest", horizon=20))
    assert reference.best_return is None
