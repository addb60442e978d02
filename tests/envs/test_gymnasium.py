"""The tasks through Gymnasium: its own checker, and the same episodes as without it."""

import importlib
import importlib.util
import sys

import gymnasium
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env

from beeline import envs
from beeline.envs import _gymnasium_names
from beeline.envs._gymnasium_names import gymnasium_name, register_tasks

HORIZON = 3
COMPILES_SLOWLY = "double-pendulum"


def made(task, **options):
    return gymnasium.make(gymnasium_name(task), horizon=HORIZON, **options)


def test_every_task_has_a_name():
    names = {name for name in gymnasium.registry if name.startswith("beeline/")}
    assert names == {gymnasium_name(task) for task in envs.names()}
    assert {"beeline/CancerTreatment-v0", "beeline/HIVTreatment-v0"} <= names


def test_the_order_of_imports_does_not_matter(monkeypatch):
    # This process imported beeline first. Here Gymnasium is there already.
    others = {name: spec for name, spec in gymnasium.registry.items() if "beeline" not in name}
    monkeypatch.setattr(gymnasium.envs.registration, "registry", others)
    register_tasks()
    register_tasks()
    assert gymnasium_name("harvest") in others
    assert not any(type(finder).__name__ == "_AfterImport" for finder in sys.meta_path)


def test_looking_for_the_package_is_not_importing_it(tmp_path, monkeypatch):
    (tmp_path / "simulated_gymnasium.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(_gymnasium_names, "_PACKAGE", "simulated_gymnasium")
    told = []
    monkeypatch.setattr(_gymnasium_names, "_register", lambda: told.append(True))
    before = list(sys.meta_path)
    register_tasks()
    assert importlib.util.find_spec("simulated_gymnasium") is not None
    assert told == []
    importlib.import_module("simulated_gymnasium")
    assert told == [True]
    assert sys.meta_path == before
    monkeypatch.delitem(sys.modules, "simulated_gymnasium")


# Warnings are errors here: the checker warns of what it does not refuse.
@pytest.mark.parametrize(
    "task",
    [
        pytest.param(task, marks=[pytest.mark.slow] if task == COMPILES_SLOWLY else [])
        for task in envs.names()
    ],
)
def test_the_checker_finds_nothing(task):
    env = made(task).unwrapped
    check_env(env)
    for space in (env.observation_space, env.action_space):
        assert isinstance(space, gymnasium.spaces.Box)
        assert space.dtype == np.float32


def test_an_episode_is_that_of_the_task():
    env, task = made("invasive-plant"), envs.make("invasive-plant", horizon=HORIZON)
    random = np.random.default_rng(0)
    observation, info = env.reset(seed=1)
    state = task.initial_state()
    assert info == {}
    for t in range(HORIZON):
        np.testing.assert_allclose(observation, np.append(state, t / HORIZON), rtol=1e-6)
        action = random.uniform(-1, 1, 5).astype(np.float32)
        reward = task.reward(state, jnp.asarray(action), t)
        state = task.step(state, jnp.asarray(action), t)
        observation, given, terminated, truncated, info = env.step(action)
        assert given == pytest.approx(float(reward), rel=1e-5)
        assert (terminated, truncated, info) == (t == HORIZON - 1, False, {})
    np.testing.assert_allclose(observation, np.append(state, 1.0), rtol=1e-6)
    assert observation in env.observation_space
    with pytest.raises(ResetNeeded, match=r"no episode is under way: call reset\(\) before"):
        env.step(action)


def test_bounds_are_those_of_the_state_and_of_time():
    space = made("hiv-treatment").observation_space
    low, high = np.transpose(envs.make("hiv-treatment", horizon=HORIZON).system.state_bounds)
    np.testing.assert_array_equal(space.low, np.append(low, 0).astype(np.float32))
    np.testing.assert_array_equal(space.high, np.append(high, 1).astype(np.float32))
    unbounded = made("harvest").observation_space
    assert unbounded.high[0] == np.finfo(np.float32).max


def test_noise_follows_the_seed():
    env = made("harvest", process_noise=0.01)

    def second(seed):
        env.reset(seed=seed)
        return [env.step(np.zeros(1, np.float32))[0][0] for _ in range(2)]

    one, same, other = second(0), second(0), second(1)
    assert one == same
    assert one != other
    assert second(None) != second(None)


@pytest.mark.parametrize(
    ("action", "message"),
    [([1.5], r"must lie in \[-1, 1\]"), ([np.nan], r"must lie in"), ([0.0, 0.0], "shape")],
)
def test_an_action_outside_the_box(action, message):
    env = made("cancer-treatment").unwrapped
    env.reset()
    with pytest.raises(ValueError, match=message):
        env.step(np.array(action, np.float32))
