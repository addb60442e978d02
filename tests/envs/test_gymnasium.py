"""The tasks through Gymnasium: its own checker, and the same episodes as without it."""

import copy
import importlib
import importlib.util
import pickle
import sys

import gymnasium
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium import spaces, wrappers
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env
from stable_baselines3 import SAC
from stable_baselines3.common.env_checker import check_env as check_for_agents
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import SubprocVecEnv

from beeline import envs
from beeline.envs import _gymnasium_names
from beeline.envs._gymnasium_names import gymnasium_name, register_tasks
from beeline.envs._registry import ENTRIES
from beeline.envs._trajectories import draw_episode
from beeline.envs.gymnasium import GymnasiumTask

HORIZON = 3
COMPILES_SLOWLY = "double-pendulum"


def made(task, **options):
    horizon = max(HORIZON, ENTRIES[task].least_horizon)
    return gymnasium.make(gymnasium_name(task), **{"horizon": horizon} | options)


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


# Warnings are errors here: the checker warns of what it does not refuse. Of bounds that a task does
# not have it says that they are probably too wide.
@pytest.mark.filterwarnings(r"ignore:.*A Box observation space m\w+ value is -?infinity")
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
    env = made("invasive-plant")
    task = env.unwrapped.task
    random = np.random.default_rng(0)
    observation, info = env.reset(seed=1)
    state = task.initial_state()
    assert info == {}
    for t in range(task.horizon):
        np.testing.assert_allclose(observation, np.append(state, t / task.horizon), rtol=1e-6)
        action = random.uniform(-1, 1, 5).astype(np.float32)
        reward = task.reward(state, jnp.asarray(action), t)
        state = task.step(state, jnp.asarray(action), t)
        observation, given, terminated, truncated, info = env.step(action)
        assert given == pytest.approx(float(reward), rel=1e-5)
        assert (terminated, truncated, info) == (t == task.horizon - 1, False, {})
    np.testing.assert_allclose(observation, np.append(state, 1.0), rtol=1e-6)
    assert observation in env.observation_space
    with pytest.raises(ResetNeeded, match=r"no episode is under way: call reset\(\) before"):
        env.step(action)


def test_a_limit_of_time_is_not_seen_and_truncates():
    env, other = (
        made("cancer-treatment", time_limit=True).unwrapped,
        made("cancer-treatment").unwrapped,
    )
    check_for_agents(env)
    assert env.observation_space == spaces.Box(
        other.observation_space.low[:-1], other.observation_space.high[:-1], dtype=np.float32
    )
    np.testing.assert_array_equal(env.reset(seed=1)[0], other.reset(seed=1)[0][:-1])
    ends = []
    for _ in range(HORIZON):
        action = np.full(1, 0.3, np.float32)
        (seen, reward, *end, _), (expected, same, *_) = env.step(action), other.step(action)
        np.testing.assert_array_equal(seen, expected[:-1])
        assert reward == same
        ends.append(end)
    assert ends == [[False, False]] * (HORIZON - 1) + [[False, True]]
    with pytest.raises(ResetNeeded):
        env.step(action)


def test_bounds_are_those_of_the_state_and_of_time():
    space = made("hiv-treatment").observation_space
    low, high = np.transpose(envs.make("hiv-treatment", horizon=HORIZON).system.state_bounds)
    np.testing.assert_array_equal(space.low, np.append(low, 0).astype(np.float32))
    np.testing.assert_array_equal(space.high, np.append(high, 1).astype(np.float32))


@pytest.mark.parametrize("task", envs.names())
def test_what_has_no_bound_says_so(task):
    space = made(task, horizon=20).observation_space
    unbounded = {"double-pendulum": 4, "invasive-plant": 5, "one-bounce": 2}
    unbounded |= {"cart-pole": 5, "cart-pole-balance": 4, "double-integrator": 2, "pendulum": 3}
    unbounded |= {"reaction-diffusion": 128, "unstable-pole": 2}
    unbounded |= {"myriad-cart-pole": 2, "myriad-pendulum": 1, "predator-prey": 1}
    unbounded |= {"rocket-landing": 6, "simple-case": 1, "tumour": 3}
    unbounded |= {"biofilm-reactor": 16, "crystallization": 6, "four-tank": 6}
    unbounded |= {"heat-exchanger": 24, "multistage-extraction": 12, "nonsmooth-control": 2}
    unbounded |= {"photobioreactor": 3, "stirred-tank": 3}
    only_above = {"epidemic-seirn": 4, "harvest": 1}
    assert np.isinf(space.low).sum() == unbounded.get(task, 0)
    assert np.isinf(space.high).sum() == (unbounded | only_above).get(task, 0)
    greatest = np.finfo(np.float32).max
    assert np.all(np.isinf(space.high) | (np.abs(space.high) < greatest / 2))
    assert np.all(np.isinf(space.low) | (np.abs(space.low) < greatest / 2))


def test_wrappers_see_that_a_bound_is_none():
    # Bounds of 3.4e38 instead would be rescaled: every entry to the same number.
    with pytest.raises(ValueError, match="unbounded components"):
        wrappers.RescaleObservation(made("one-bounce"), -1.0, 1.0)


@pytest.mark.parametrize("bounds", [(0.001, 1.0), (0.1, 0.3), (1 / 3, 2 / 3), (0.7, 1e39)])
def test_rounding_does_not_lead_out_of_the_box(bounds):
    start = bounds[0] if bounds[1] > 1e38 else bounds[1]
    env = made("cancer-treatment", state_bounds=(bounds,), x_0=(start,), process_noise=10.0)
    for seed in range(4):
        observation, _ = env.reset(seed=seed)
        assert observation in env.observation_space
        for _ in range(HORIZON):
            observation, *_ = env.step(np.zeros(1, np.float32))
            assert observation in env.observation_space
            assert observation[0] >= np.float32(bounds[0])


def test_agents_and_helpers_make_the_tasks_by_name():
    name = gymnasium_name("cancer-treatment")
    agent = SAC("MlpPolicy", name, device="cpu", buffer_size=10)
    assert agent.predict(np.array([0.5, 0.1], np.float32))[0].shape == (1,)
    side_by_side = make_vec_env(name, n_envs=2, env_kwargs={"horizon": HORIZON})
    np.testing.assert_allclose(side_by_side.reset(), [[0.975, 0]] * 2)
    assert side_by_side.render_mode == "rgb_array"
    both = gymnasium.make_vec(name, num_envs=2, horizon=HORIZON)
    np.testing.assert_allclose(both.reset(seed=0)[0], [[0.975, 0]] * 2)
    assert both.step(np.zeros((2, 1), np.float32))[0][:, 1] == pytest.approx([1 / 3] * 2)
    check_for_agents(made("cancer-treatment", render_mode="rgb_array").unwrapped)


@pytest.mark.slow
@pytest.mark.parametrize("context", ["spawn", "forkserver"])
def test_processes_of_their_own(context):
    # A process begun anew has not imported beeline: the name can say so.
    name = f"beeline:{gymnasium_name('cancer-treatment')}"
    asked = {"env_kwargs": {"horizon": HORIZON}, "vec_env_kwargs": {"start_method": context}}
    theirs = make_vec_env(name, n_envs=2, vec_env_cls=SubprocVecEnv, **asked)
    ours = gymnasium.make_vec(
        name,
        num_envs=2,
        vectorization_mode="async",
        vector_kwargs={"context": context},
        horizon=HORIZON,
    )
    action = np.zeros((2, 1), np.float32)
    try:
        np.testing.assert_array_equal(theirs.reset(), ours.reset(seed=0)[0])
        np.testing.assert_array_equal(theirs.step(action)[0], ours.step(action)[0])
    finally:
        theirs.close()
        ours.close()


def test_wrappers_go_around_a_task():
    env = made("bioreactor", max_episode_steps=2)
    for wrap in (
        wrappers.FlattenObservation,
        lambda env: wrappers.RescaleAction(env, *np.float32([0, 1])),
        wrappers.RecordEpisodeStatistics,
        wrappers.NormalizeObservation,
    ):
        env = wrap(env)
    env.reset(seed=0, options={"anything": 1})
    ended = [env.step(np.ones(1, np.float32))[2:4] for _ in range(2)]
    # A third step would end the problem itself.
    assert ended == [(False, False), (False, True)]


def test_an_option_that_is_not_there_is_an_unexpected_keyword():
    with pytest.raises(TypeError, match=r"unknown option of harvest 'hroizon'.*choose from a, con"):
        gymnasium.make(gymnasium_name("harvest"), hroizon=3)
    with pytest.raises(ValueError, match="unknown task 'harvets': did you mean 'harvest'"):
        GymnasiumTask("harvets")
    with pytest.raises(ValueError, match=r"unknown render_mode 'ansi': .*choose from rgb_array"):
        GymnasiumTask("harvest", render_mode="ansi")
    with pytest.raises(ValueError, match="horizon must be at least 2, got 1"):
        gymnasium.make(gymnasium_name("harvest"), horizon=1)


def test_the_episode_so_far_is_drawn():
    env = made("invasive-plant", horizon=10, render_mode="rgb_array")
    bare = env.unwrapped
    with pytest.raises(ResetNeeded, match=r"no episode has begun: call reset\(\) before render"):
        bare.render()
    env.reset(seed=0)
    frames = [env.render()]
    for _ in range(2):
        env.step(np.full(5, 0.5, np.float32))
        frames.append(env.render())
    assert all(frame.dtype == np.uint8 for frame in frames)
    assert len({frame.shape for frame in frames}) == 1
    assert frames[0].shape[2] == 3
    # Ever more of the blue line, on a background that is mostly white.
    blue = [np.sum((frame[..., 2] > 150) & (frame[..., 0] < 80)) for frame in frames]
    assert 0 < blue[0] < blue[1] < blue[2]
    assert np.mean(frames[2] == 255) > 0.8
    env.reset()
    np.testing.assert_array_equal(env.render(), frames[0])


def test_the_figure_has_names_and_units_and_the_numbers():
    env, states, actions = envs.make("hiv-treatment", horizon=20), np.eye(3), np.zeros((2, 1))
    figure = draw_episode(env, states, actions, 5, 1.25)
    healthy, _, _, control = figure.axes
    assert figure.get_suptitle() == "hiv-treatment, step 5 of 20, return 1.25"
    assert healthy.get_ylabel() == "healthy T cells\n[1/mm³]"
    assert control.get_xlabel() == "time [day]"
    assert healthy.get_xlim() == (0, 20)
    np.testing.assert_allclose(healthy.lines[0].get_xydata(), [[3, 1], [4, 0], [5, 0]])
    # An action of 0 is the middle of the control's box.
    np.testing.assert_allclose(control.lines[0].get_xydata(), [[3, 0.5], [4, 0.5], [5, 0.5]])


def test_nothing_is_drawn_unasked():
    env = GymnasiumTask("harvest", horizon=HORIZON)
    env.reset()
    with pytest.warns(UserWarning, match='nothing is rendered: make the task with render_mode="rg'):
        assert env.render() is None


def test_a_copy_goes_on_alike():
    env = made("harvest", horizon=20, process_noise=0.1)
    env.reset(seed=3)
    env.step(np.zeros(1, np.float32))
    copies = pickle.loads(pickle.dumps(env)), copy.deepcopy(env)
    action = np.ones(1, np.float32)
    expected = [env.step(action)[:3] for _ in range(2)]
    for other in copies:
        for observation, *rest in expected:
            found, *others = other.step(action)[:3]
            np.testing.assert_array_equal(found, observation)
            assert others == rest
        first, same = other.reset()[0], env.reset()[0]
        np.testing.assert_array_equal(first, same)


def test_an_episode_goes_on_from_any_moment():
    env, other = (GymnasiumTask("hiv-treatment", horizon=HORIZON) for _ in range(2))
    env.reset()
    action = np.zeros(1, np.float32)
    observation = env.step(action)[0]
    other.begin_at(observation[:-1], 1)
    np.testing.assert_array_equal(other.step(action)[0], env.step(action)[0])
    assert other.step(action)[2]


def test_noise_follows_the_seed():
    env = made("harvest", horizon=20, process_noise=0.01)

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
