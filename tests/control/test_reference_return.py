"""What an environment's returns are compared with where no plan is the best."""

import equinox as eqx
import numpy as np
import pytest

from beeline import envs
from beeline.control import closed_loop_return, lqr, reference, reference_return
from beeline.storage.cache import cache_directory
from tests.envs.test_declared import Cart


class Told(Cart):
    """It says what it can earn."""

    told: float = eqx.field(static=True, default=-1.5)

    @property
    def reference_return(self):
        return self.told


def test_an_environment_says_it():
    assert reference_return(Told()) == -1.5
    assert reference_return(Told(told=3)) == 3
    assert reference_return(Cart()) is None
    with pytest.raises(ValueError, match="cart: reference_return must be finite, got nan"):
        reference_return(Told(told=float("nan")))


def test_those_without_one_have_none():
    assert reference_return(envs.make("harvest", horizon=5)) is None
    assert reference_return(envs.make("cart-pole", horizon=5)) is None


@pytest.fixture
def cached(monkeypatch, tmp_path):
    monkeypatch.setenv("BEELINE_CACHE", str(tmp_path))
    return tmp_path


def test_a_linear_task_has_its_regulator(cached):
    env = envs.make("unstable-pole", horizon=20)
    feedback = lqr(envs.make("unstable-pole", horizon=20, process_noise=0))
    found = reference_return(env)
    assert found == closed_loop_return(env, feedback.mode).mean
    assert [file.suffix for file in cache_directory().iterdir()] == [".npz"]


def test_a_field_has_that_of_its_linearisation(cached):
    env = envs.make("reaction-diffusion", horizon=20, cells=16)
    zero = closed_loop_return(env, lambda state, t: np.zeros(4)).mean
    assert zero < 2 * reference_return(env) < 0


def test_it_is_solved_once_for_each_task(cached, monkeypatch):
    env = envs.make("double-integrator", horizon=10)
    first = reference_return(env)
    (file,) = cached.iterdir()
    solved = []

    def solve(env):
        solved.append(env)
        return lqr(envs.make("double-integrator", horizon=10, process_noise=0))

    monkeypatch.setitem(reference._POLICIES, type(env), solve)
    assert reference_return(env) == first
    assert not solved
    # Whatever else is in the file.
    kept = file.read_bytes()
    np.savez(file, return_=np.array(np.nan))
    for damaged in (file.read_bytes(), kept[:-30], b"nothing"):
        file.write_bytes(damaged)
        assert reference_return(env) == first
        assert file.read_bytes() == kept
    assert len(solved) == 3
    # Another constant is another task.
    reference_return(envs.make("double-integrator", horizon=10, process_noise=0.2))
    assert len(solved) == 4
    assert len(list(cached.iterdir())) == 2
    assert reference_return(env, cache=False) == first
    assert len(solved) == 5
