"""Simulators that are stepped on the host: an oracle, what they may be, and their faults."""

import json
import time
from typing import final

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import beeline
from beeline.cli import main
from beeline.cli._environments import environment
from beeline.config import Config, Exploration, Fitting, Improvement, Model, Policy
from beeline.config import Windows as Windowed
from beeline.envs import Environment, SimulatorError, from_gymnasium
from beeline.envs.gymnasium import GymnasiumTask
from beeline.export import load_numpy
from beeline.policies import SquashedGaussian
from beeline.run import RunWarning
from beeline.training import act
from beeline.training._hosted_check import check_functions
from beeline.training._hosted_episodes import play_episodes, play_row
from beeline.training.windows import Windows

HORIZON = 8


@final
class Slope(Environment):
    """A ball that is pushed along a slope, and falls off its end."""

    horizon: int = eqx.field(static=True, default=HORIZON)
    name = "slope"
    state_dim = 2
    action_dim = 1
    dt = 1.0
    action_low, action_high = -2.0, 3.0
    deterministic = True

    def initial_state(self, *, key=None):
        del key
        return jnp.array([0.3, -0.1])

    def step(self, state, action, t, *, key=None):
        del t, key
        return jnp.stack([state[0] + state[1], 0.9 * state[1] + 0.3 * action[0]])

    def reward(self, state, action, t):
        return state[0] - 0.1 * action[0] ** 2

    def terminated(self, state, action, t, next_state):
        return next_state[0] > 1.0


class Counter(gymnasium.Env):
    """Observes its steps and the last action, and is cut off after some of them."""

    action_space = spaces.Box(-2.0, 4.0, (1,), np.float32)
    observation_space = spaces.Box(0.0, 100.0, (2,), np.float32)

    def __init__(self, limit=100, wrong=None):
        self.limit, self.wrong, self.resets, self.steps = limit, wrong, [], 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.resets.append(seed)
        self.t = 0
        return np.zeros(2, np.float32), {}

    def step(self, action):
        assert self.action_space.contains(action)
        self.t += 1
        self.steps += 1
        seen = np.array([self.t, action[0] + 2], np.float32), float(self.t), False
        answer = (*seen, self.t == self.limit, {})
        return answer if self.wrong is None else self.wrong(self, answer)


def opened(env, seeds=1, **options):
    simulator = from_gymnasium(env, HORIZON, **options)
    simulator.host.connect(list(range(seeds)))
    return simulator


def constant(states, times, k):
    del times, k
    return np.full((len(states), 1), 0.5, np.float32)


def test_a_host_twin_collects_what_the_program_collects():
    env = Slope()
    policy = SquashedGaussian(2, 1, HORIZON, hidden_sizes=(8,), key=jax.random.key(0))
    noise = 3 * jax.random.normal(jax.random.key(1), (HORIZON, 1))
    offsets = jnp.linspace(0, 1.5, HORIZON)[:, None]
    inside = jax.jit(lambda: act(env, policy, noise, offsets, key=jax.random.key(2)))()

    choose = jax.jit(lambda s, t, k: jnp.clip(policy.sample(s, t, noise[k])[0] + offsets[k], -1, 1))

    def outside(states, times, k):
        return np.asarray(choose(states[0], times[0], k))[None]

    twin = opened(GymnasiumTask(env, time_limit=True))
    row = play_row(twin.host, outside, HORIZON)
    assert inside.ends.terminated.sum() >= 1
    assert not row.ends.truncated[0, :-1].any()
    found = row._replace(ends=row.ends._replace(truncated=None))
    for ours, theirs in zip(jax.tree.leaves(inside), jax.tree.leaves(found), strict=True):
        np.testing.assert_allclose(theirs[0], ours, rtol=1e-6, atol=1e-6)
    assert twin.host.steps == HORIZON
    assert (twin.action_low, twin.action_high) == ((-1.0,), (1.0,))


def test_rows_go_on_after_a_truncation_and_windows_stop_at_one():
    env = Counter(limit=3)
    host = opened(env).host
    row = play_row(host, constant, HORIZON)
    np.testing.assert_array_equal(row.ends.truncated[0], [0, 0, 1, 0, 0, 1, 0, 0])
    assert not row.ends.terminated.any()
    np.testing.assert_array_equal(row.ends.times[0], [0, 1, 2, 0, 1, 2, 0, 1])
    np.testing.assert_array_equal(row.ends.next_states[0, :, 0], [1, 2, 3, 1, 2, 3, 1, 2])
    np.testing.assert_array_equal(row.states[0, :, 0], [0, 1, 2, 0, 1, 2, 0, 1, 2])
    # 0.5 lies at three quarters of the way from -2 to 4.
    np.testing.assert_array_equal(row.ends.next_states[0, :, 1], np.full(HORIZON, 4.5))
    one = jax.tree.map(lambda x: jnp.asarray(x[0]), row)
    assert one.ends.episodes == 3
    windows = Windows(4).all_of(one.states, one.actions, one.ends)
    np.testing.assert_array_equal(windows.alive, [[1, 1, 1, 0], [1, 1, 0, 0]])
    assert host.steps == env.steps == HORIZON


def test_resets_are_those_that_episodes_ask_for():
    env = Counter(limit=HORIZON)
    host = opened(env).host
    for _ in range(3):
        play_row(host, constant, HORIZON)
    # The step that ends an episode begins the next one; only the first reset has a seed.
    assert env.resets == [0, None, None, None]
    played = play_episodes(host, constant, 2, 5)
    assert played.lengths.tolist() == [[5, 5]]
    assert played.returns.tolist() == [[15.0, 15.0]]
    assert env.resets == [0, None, None, None, None]
    assert host.steps == env.steps == 3 * HORIZON + 10


def test_evaluated_episodes_stay_where_they_end():
    played = play_episodes(opened(Counter(limit=3)).host, constant, 2, 5)
    assert played.lengths.tolist() == [[3, 3]]
    np.testing.assert_array_equal(played.first.states[0, :, 0], [0, 1, 2, 3, 3, 3])
    np.testing.assert_array_equal(played.first.rewards[0], [1, 2, 3, 0, 0])


def test_one_of_two_is_reset_where_its_episode_is_too_long():
    envs = [Counter(limit=3), Counter(limit=100)]
    vector = SyncVectorEnv(
        [lambda env=env: env for env in envs], autoreset_mode=AutoresetMode.SAME_STEP
    )
    simulator = opened(vector, seeds=2)
    played = play_episodes(simulator.host, constant, 2, 5)
    assert played.lengths.tolist() == [[3, 3], [5, 5]]
    # Three episodes of the first end by themselves, and the second is reset before its second.
    assert [len(env.resets) for env in envs] == [4, 2]


def test_another_simulator_of_the_same_name_is_told_apart():
    usual, heavier, again = (
        from_gymnasium("gymnasium:Pendulum-v1", **options).identity
        for options in ({}, {"g": 5.0}, {"g": 5.0})
    )
    assert usual != heavier == again
    assert from_gymnasium(gymnasium.make("Pendulum-v1", g=5.0)).identity == heavier


def test_each_seed_steps_a_simulator_of_its_own():
    envs = [Counter(limit=3), Counter(limit=4)]
    vector = SyncVectorEnv(
        [lambda env=env: env for env in envs], autoreset_mode=AutoresetMode.SAME_STEP
    )
    simulator = opened(vector, seeds=2)
    row = play_row(simulator.host, constant, HORIZON)
    assert row.ends.truncated.sum(axis=1).tolist() == [2, 2]
    assert [env.steps for env in envs] == [HORIZON, HORIZON]
    with pytest.raises(SimulatorError, match=r"has 2 simulators, .* 3 seeds: give seeds=2"):
        simulator.host.connect([0, 1, 2])
    with pytest.raises(ValueError, match="autoreset_mode=gymnasium"):
        from_gymnasium(SyncVectorEnv([Counter]), HORIZON)


def test_observations_of_any_shape_are_laid_flat():
    class Nested(Counter):
        observation_space = spaces.Dict(
            {"grid": spaces.Box(-1, 1, (2, 2)), "kind": spaces.Discrete(3), "x": spaces.Box(0, 9)}
        )

        def reset(self, **options):
            super().reset(**options)
            return self.observed(), {}

        def step(self, action):
            _, *rest = super().step(action)
            return self.observed(), *rest

        def observed(self):
            grid = np.full((2, 2), 0.25, np.float32)
            return {"grid": grid, "kind": 1, "x": np.full(1, self.t, np.float32)}

    simulator = opened(Nested(limit=2))
    row = play_row(simulator.host, constant, 3)
    assert simulator.state_dim == 8
    np.testing.assert_array_equal(row.ends.next_states[0, 1], [0.25] * 4 + [0, 1, 0, 2])
    np.testing.assert_array_equal(row.states[0, 2], [0.25] * 4 + [0, 1, 0, 0])


@pytest.mark.parametrize(
    ("space", "said"),
    [
        (spaces.Discrete(3), "takes actions of Discrete, .* whose action space is a Box"),
        (spaces.Box(-np.inf, np.inf, (1,)), "give each entry finite bounds"),
        (spaces.Box(1.0, 1.0, (1,)), "give each entry finite bounds"),
    ],
)
def test_other_actions_are_refused(space, said):
    env = Counter()
    env.action_space = space
    with pytest.raises(ValueError, match=said):
        from_gymnasium(env, HORIZON)


def test_a_simulator_that_cannot_be_used_is_refused():
    env = Counter()
    with pytest.raises(ValueError, match="has no limit of steps in an episode: give a horizon"):
        from_gymnasium(env)
    env.observation_space = spaces.Sequence(spaces.Box(0, 1))
    with pytest.raises(ValueError, match="observations of Sequence, which have no fixed number"):
        from_gymnasium(env, HORIZON)
    with pytest.raises(ValueError, match="gymnasium makes no 'Nothing-v7'"):
        from_gymnasium("gymnasium:Nothing-v7")
    with pytest.raises(TypeError, match="reward is 'math:pi': give a function, or module:name"):
        from_gymnasium(Counter(), HORIZON, reward="math:pi")
    with pytest.raises(TypeError, match="is made already: leave out gravity"):
        from_gymnasium(Counter(), HORIZON, gravity=3)


def raising(env, answer):
    raise RuntimeError("the licence has expired\nand so on")


def hanging(env, answer):
    time.sleep(1)
    return answer


def of_nan(env, answer):
    return np.array([np.nan, 0], np.float32), *answer[1:]


def misshapen(env, answer):
    return np.zeros(3, np.float32), *answer[1:]


def infinite(env, answer):
    return answer[0], np.inf, *answer[2:]


FAULTS = [
    (raising, r"failed \(RuntimeError: the licence has expired\)"),
    (hanging, r"did not answer within 0\.2 seconds"),
    (of_nan, "gave nan as entry 0 of an observation after a step"),
    (misshapen, r"gave an observation of shape \(3,\), not \(2,\)"),
    (infinite, "gave a reward of inf"),
]


@pytest.mark.parametrize(("wrong", "said"), FAULTS, ids=[f.__name__ for f, _ in FAULTS])
def test_a_fault_discards_the_episode_and_too_many_end_the_run(wrong, said):
    def at_times(env, answer):
        env.count = getattr(env, "count", 0) + 1
        return wrong(env, answer) if env.count == 5 else answer

    env = Counter(wrong=at_times)
    host = opened(env, timeout=0.2).host
    row = host.persistently(lambda: play_row(host, constant, HORIZON))
    # All of the row is of after the fault, and all steps are counted.
    np.testing.assert_array_equal(row.ends.next_states[0, :, 0], 1 + np.arange(HORIZON))
    assert (host.steps, host.failures) == (5 + HORIZON, 1)
    hopeless = opened(Counter(wrong=wrong), timeout=0.2, failures=2).host
    with pytest.raises(SimulatorError, match=f"went wrong 2 times in a row, at last so: .*{said}"):
        hopeless.persistently(lambda: play_row(hopeless, constant, HORIZON))
    assert hopeless.failures == 2


def test_observations_outside_of_their_space_are_told_once(caplog):
    env = Counter(wrong=lambda env, answer: (answer[0] + 200, *answer[1:]))
    row = play_row(opened(env).host, constant, HORIZON)
    assert row.states[0, 1, 0] == 201
    (record,) = caplog.records
    assert "gave 201 as entry 0 of an observation, outside of the space" in record.message


def test_functions_are_held_against_the_simulator():
    def rewarded(state, action, t, next_state):
        return next_state[0]

    def over(state, action, t, next_state):
        return next_state[0] < 0

    right = opened(Counter(), reward=rewarded, termination=over)
    check_functions(right, play_row(right.host, constant, HORIZON))
    assert right.learned == {"reward": "known", "termination": "known"}
    wrong = opened(Counter(), reward=lambda state, action, t: state[0])
    with pytest.raises(SimulatorError, match=r"reward .* says 0.0 where .* says 1.0, in 8 of its"):
        check_functions(wrong, play_row(wrong.host, constant, HORIZON))
    wrong = opened(Counter(), termination=lambda s, a, t, n: n[0] > 4)
    with pytest.raises(SimulatorError, match=r"termination .* says True where .* says False, in 4"):
        check_functions(wrong, play_row(wrong.host, constant, HORIZON))


@pytest.mark.parametrize("model", ["sac", "online-dt", "simulator"])
def test_what_runs_inside_the_environment_is_refused(model):
    with pytest.raises(beeline.RunError, match="is stepped on the host: choose a world model"):
        beeline.train(Counter(), HORIZON, config=Config(model=model), progress=False)


SMALL = (
    *("--horizon", "16", "--model", "markov", "--windows.length", "4"),
    *("--windows.hidden", "8", "--world-model.hidden", "8", "--policy.hidden", "8"),
    *("--exploration.warmup-steps", "32", "--fitting.batch-size", "4"),
    *("--improvement.batch-size", "4", "--windows.env-steps-per-update", "8"),
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A small run on Gymnasium's own pendulum, by name."""
    folder = tmp_path_factory.mktemp("runs") / "pendulum"
    steps = "--env-steps", "64", "--evaluation-episodes", "2"
    command = ["train", "gymnasium:Pendulum-v1", *SMALL, *steps, "--out", str(folder)]
    assert main(command) == 0
    return folder


def test_every_step_is_counted(trained):
    run = beeline.load(trained)
    assert run.config.reward == run.config.termination == "learned"
    assert run.config.imagination == "windows"
    # The warm-up is of the first iteration; two episodes of 16 steps measure a policy.
    assert [row["simulator_steps"] for row in run.records] == [[48], [16]]
    assert [row["simulator_evaluation_steps"] for row in run.records] == [[32], [32]]
    assert run.summary["simulator_steps"] == run.summary["simulator_evaluation_steps"] == [64]
    assert run.summary["simulator_failures"] == [0]
    assert all(np.isfinite(row["return"]).all() for row in run.records)
    assert run.env.host.steps == 0


def test_a_run_is_evaluated_drawn_and_exported(trained, capsys):
    assert main(["evaluate", str(trained), "--horizon", "20", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["simulator_steps"], told["episodes"], told["random_return"]) == (40, 2, None)
    assert main(["plot", str(trained)]) == 0
    assert main(["export", str(trained), "--to", "numpy"]) == 0
    policy = load_numpy(trained / "policy-seed0.npz")
    assert np.abs(policy(np.array([1.0, 0.0, 0.0]))).max() <= 2
    capsys.readouterr()
    assert main(["diagnose", str(trained), "--horizons", "4", "8", "12", "16"]) == 2
    assert "is a simulator that is stepped on the host" in capsys.readouterr().err


def test_a_plan_in_the_model_asks_the_simulator_for_nothing(trained, capsys):
    plan = ["plan", str(trained), "--horizon", "5", "--method", "cem", "--json"]
    assert main([*plan, "--state=1,0,0"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (len(told["steps"]), told["real_rewards"]) == (5, None)
    assert main(plan) == 2
    assert "gymnasium:Pendulum-v1 is not asked for a start" in capsys.readouterr().err


def test_what_is_not_evaluated_asks_for_no_more_and_goes_on(tmp_path):
    env = Counter(limit=16)
    fields = {
        "policy": Policy(hidden=(4,)),
        "world_model": Model(hidden=(4,)),
        "windows": Windowed(length=4, hidden=(4,), env_steps_per_update=16.0),
        "exploration": Exploration(warmup_steps=32),
        "fitting": Fitting(batch_size=4),
        "improvement": Improvement(batch_size=4),
    }
    config = Config(model="markov", env_steps=48, horizon=16, **fields)
    functions = {
        "reward": lambda state, action, t, next_state: next_state[0],
        "termination": lambda state, action, t, next_state: False,
    }
    known, folder = from_gymnasium(env, 16, **functions), tmp_path / "run"
    run = beeline.train(known, config=config, out=folder, progress=False)
    assert run.config.reward == run.config.termination == "known"
    assert env.steps == run.summary["simulator_steps"][0] == 48
    assert run.records[0]["return"] == [None]
    assert (folder / "learning_curve.png").exists()
    again = Counter(limit=16)
    with pytest.warns(RunWarning, match="not with the same bits"):
        longer = beeline.resume(
            folder, env=from_gymnasium(again, 16, **functions), env_steps=64, progress=False
        )
    assert again.steps == 16
    assert longer.records[:1] == run.records
    assert longer.summary["simulator_steps"] == [64]
    # Its starts are not those of the beginning again.
    assert again.resets[0] != env.resets[0]
    with pytest.warns(RunWarning), pytest.raises(SimulatorError, match="but no function tells"):
        beeline.resume(folder, env=Counter(limit=16), env_steps=80, progress=False)


def test_functions_are_given_on_the_command_line(tmp_path, monkeypatch, capsys):
    (tmp_path / "own_cost.py").write_text("def reward(state, action, t):\n    return -state[0]\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    given = {"reward": "own_cost:reward", "g": "9.81"}
    env = environment("gymnasium:Pendulum-v1", 16, given)
    assert env.learned == {"reward": "known", "termination": "learned"}
    assert main(["train", "pendulum", "--reward", "own_cost:reward"]) == 2
    assert "pendulum has its own: a function is for a simulator" in capsys.readouterr().err
    assert main(["train", "gymnasium:Pendulum-v1", "--reward", "own_cost:rewadr"]) == 2
    assert "did you mean 'reward'" in capsys.readouterr().err
