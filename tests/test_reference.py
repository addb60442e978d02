"""The ends of the scale of normalised returns, before anything is measured on it."""

import numpy as np
import pytest

from beeline import envs
from beeline.control import Optimum, RandomReturn
from beeline.run import RunError, _reference


@pytest.mark.parametrize("optimal", [-1.0, -2.0, float("inf"), float("nan")])
def test_a_task_without_a_scale_is_named(optimal, monkeypatch):
    env = envs.make("harvest", horizon=20)
    plan = np.zeros((20, 1)), np.zeros((21, 1))
    found = Optimum(*plan, return_=optimal, starts=np.array([optimal]))
    monkeypatch.setattr(_reference, "solve_optimum", lambda env: found)
    monkeypatch.setattr(_reference, "random_return", lambda env: RandomReturn(-1.0, 0.1))
    with pytest.raises(RunError, match=f"harvest at horizon 20: normalised .* got {optimal} and"):
        _reference.Reference.of(env)
