"""`beeline train --data`, as a stranger with a file types it."""

import dataclasses
import json

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import beeline
from beeline.build import NO_DRAWS, build, imagination_of
from beeline.cli import main
from beeline.envs import Environment
from beeline.offline import System, _learning, judge, learn_system
from beeline.policies import SquashedGaussian
from beeline.run import RunError
from beeline.run._data import from_data

COLUMNS = ["--states", "x", "--actions", "u", "--episode", "run"]
SMALL = ["--horizon", "4", "--env-steps", "12", "--policy.hidden", "4", "--windows.length", "2"]
SMALL += ["--fitting.optimiser", "adam", "--world-model.hidden", "8"]


class Leak(Environment):
    """A tank that leaks."""

    name, state_dim, action_dim, dt = "leak", 1, 1, 1.0
    horizon: int
    action_low, action_high = -2.0, 2.0
    deterministic = False

    def initial_state(self, *, key=None):
        return jnp.ones(1)

    def step(self, state, action, t, *, key=None):
        return 0.8 * state + 0.3 * action

    def reward(self, state, action, t):
        return -(state[0] ** 2)


def reward(state, action, t, next_state):
    return -(next_state[0] ** 2)


def no_reward(state):
    return state


def lists(state, action, t):
    return state


@pytest.fixture(scope="module")
def there(tmp_path_factory):
    folder = tmp_path_factory.mktemp("offline")
    draws = np.random.default_rng(0)
    lines = ["run,x,u,r"]
    for run in range(12):
        x = draws.normal()
        for _ in range(6):
            u = draws.uniform(-2, 2)
            lines.append(f"{run},{x},{u},{-(x**2)}")
            x = 0.8 * x + 0.3 * u
    (folder / "log.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(_learning, "UPDATES", 6)
        patch.syspath_prepend(str(folder))
        yield folder


def command(*options):
    return main(["train", "--data", "log.csv", *COLUMNS, *options])


@pytest.fixture(scope="module")
def run(there):
    assert command("--offline", "--reward-column", "r", "--out", "done", *SMALL) == 0
    return there / "done"


def test_a_policy_is_learned_from_a_file_alone(run, capsys):
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    assert summary["imagined_steps"] == 12
    found = summary["offline"]
    assert found["true_mean"] == [None]
    assert found["behaviour_mean"][0] <= found["behaviour_best"][0]
    assert (run / "leaving_data.csv").read_text(encoding="utf-8").startswith("step,beyond_data\n0,")
    assert json.loads((run / "data.json").read_text(encoding="utf-8"))["steps"] == 60


def test_what_was_learned_is_read_back_to_the_bit(run, tmp_path):
    loaded = beeline.load(run)
    assert isinstance(loaded.env, System)
    assert loaded.env.state_names == ("x",)
    assert loaded.config.imagination == "windows"
    assert np.isfinite(beeline.evaluate(loaded).return_).all()
    assert loaded.export(tmp_path / "policy.npz").exists()


def test_its_file_is_not_trusted(run, tmp_path):
    from beeline.storage import checkpoint

    loaded = beeline.load(run)
    system = loaded.env
    from beeline.run._system_file import read_system, save_system

    file = tmp_path / "system.npz"
    save_system(file, system, None)
    about, arrays = checkpoint.peek(file).about, None
    del arrays
    for name, value in (
        ("state_dim", 10**9),
        ("state_dim", 0),
        ("starts", True),
        ("action_low", [None]),
        ("action_low", "x"),
        ("dt", "x"),
        ("hidden", []),
        ("hidden", [10**9]),
        ("state_names", [3]),
        ("state_names", ["a", "b"]),
    ):
        checkpoint.save(file, system.starts, about | {name: value})
        with pytest.raises(RunError, match=name):
            read_system(file, loaded.config, None)
    checkpoint.save(file, system.starts, about)
    with pytest.raises(RunError, match=r"system\.npz"):
        read_system(file, loaded.config, None)


def test_data_that_is_gone_is_not_replaced_by_random_actions(run, tmp_path):
    for name in ("config.json", "data.json", "system.npz"):
        (tmp_path / name).write_bytes((run / name).read_bytes())
    with pytest.raises(RunError, match="the data that it is to begin with is not in it"):
        beeline.resume(tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "--data without --offline goes on in a simulator: name the task, or add --offline"),
        (["--offline"], "nothing says what is good: give a reward with --reward module:function"),
        (["--offline", "--states", "x,q"], "has no column 'q'"),
        (["--offline", "--reward", "test_offline_command:absent"], "absent"),
        (["--offline", "--reward", "test_offline_command:Leak"], "is no function of a state"),
        (["--offline", "--reward", "test_offline_command:no_reward"], "the reward takes (state)"),
        (["--offline", "--reward", "test_offline_command:lists"], "give one number a step"),
        (["--offline", "--reward-column", "r", "--model", "gru-awm"], "model is 'gru-awm'"),
        (["--offline", "--reward-column", "r", "--caution", "-1"], "caution is -1.0"),
        (["--offline", "--reward-column", "r", "--horizon", "50"], "give --horizon 30 or less"),
        (["--offline", "--imagination", "episodes"], "only windows stay near the data"),
        (["pendulum"], "the data has states of 1 entries, and pendulum of 3"),
        (["pendulum", "--reward", "test_offline_command:reward"], "a reward can be given offline"),
    ],
)
def test_mistakes_are_said_in_one_line(there, capsys, options, message):
    assert command(*options) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("beeline: ")
    assert message in line


def test_options_of_data_without_data(capsys):
    assert main(["train", "pendulum", "--offline"]) == 2
    assert "--offline is for logged data: name the file with --data" in capsys.readouterr().err
    with pytest.raises(TypeError, match="offline and reward are for data"):
        beeline.train("pendulum", offline=True)


def test_data_takes_the_place_of_the_warm_up(there):
    episodes = beeline.data.read(there / "log.csv", states=["x"], actions=["u"], episode="run")
    config = beeline.preset("default", environment="leak", model="markov")
    config, env, logged = from_data(config, Leak(4), episodes, offline=False, task=True)
    assert config.warmup_episodes == 24
    assert config.iterations == 10_000 // 4
    config = dataclasses.replace(config, horizon=4, env_steps=100)
    algorithm = build(imagination_of(config, env, NO_DRAWS, logged.rows), env, data=logged.rows)
    *networks, key = eqx.filter_jit(algorithm.draw)(jnp.asarray(0, jnp.uint32))
    buffer = eqx.filter_jit(algorithm.bpo.init)(*networks, key=key).buffer
    assert buffer.count == 24
    assert buffer.states[0, 0, 0] == np.float32(episodes[0].states[0, 0])
    assert buffer.actions[0, 0, 0] == np.float32(episodes[0].actions[0, 0] / 2)
    np.testing.assert_allclose(buffer.rewards[:24], -(buffer.states[:24, :-1, 0] ** 2), rtol=1e-5)


def test_a_simulator_judges_and_takes_no_step_before(there):
    episodes = beeline.data.read(there / "log.csv", states=["x"], actions=["u"], episode="run")
    steps: list[int] = []

    class Counted(Leak):
        def step(self, state, action, t, *, key=None):
            steps.append(t)
            return super().step(state, action, t, key=key)

    system = learn_system(episodes, Counted(4))
    assert not steps
    assert system.action_low == (-2.0,)
    policy = SquashedGaussian(1, 1, 4, hidden_sizes=(4,), key=jax.random.key(0))
    found = judge(policy, system, episodes, Counted(4))
    assert steps
    assert found.true_mean is not None
    assert found.behaviour_mean == pytest.approx(
        np.mean([-(one.states[i : i + 4, 0] ** 2).sum() for one in episodes for i in (0, 1)])
    )
    assert found.beyond.shape == (4,)
    check_caution(system)


def check_caution(system):
    system = dataclasses.replace(system, usual=system.usual * 1e-3)
    state, action, t = jnp.ones(1), jnp.ones(1), jnp.asarray(0)
    excess = float(system.excess(state, action))
    assert excess > 0
    earned = float(system.reward(state, action, t, state))
    assert earned == pytest.approx(-1 - float(system.spread) * excess, rel=1e-5)
    assert float(system.trusting().reward(state, action, t, state)) == -1
    unsure = dataclasses.replace(system, usual=system.usual * 1e9)
    assert float(unsure.reward(state, action, t, state)) == -1
    assert float(system.step(jnp.full(1, 100.0), action, t)[0]) <= float(system.highest[0])
