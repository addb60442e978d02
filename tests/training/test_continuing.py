"""Tasks that do not end: what sees no time, what is refused, and the best feedback for ever."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import beeline
from beeline.build import (
    build,
    build_critic,
    build_model,
    build_policy,
    build_reward,
    imagination_of,
)
from beeline.cli import main
from beeline.config import Config, Exploration, Improvement, Policy, SoftActorCritic, Windows
from beeline.control.chance import has_best_plan
from beeline.envs import Environment, check
from beeline.envs._identity import differences, identity
from beeline.envs.gymnasium import GymnasiumTask
from beeline.run import RunError

HORIZON, DISCOUNT = 6, 0.95
COST = 2.0
"""Of a squared action, beside that of a squared state."""


class Drift(Environment):
    """A place that actions shift, and that is best held at 0 for ever."""

    horizon: int = eqx.field(static=True, default=HORIZON)
    name = "drift"
    state_dim = action_dim = 1
    dt = 1.0
    continuing = True

    def initial_state(self, *, key=None):
        return jax.random.uniform(key, (1,), minval=-1.0, maxval=1.0)

    def step(self, state, action, t, *, key=None):
        return state + 0.5 * action

    def reward(self, state, action, t):
        return -(state[0] ** 2) - COST * action[0] ** 2


class Ending(Drift):
    """The same for a while."""

    continuing = False


class Falling(Drift):
    """It may end all the same."""

    def terminated(self, state, action, t, next_state):
        return jnp.abs(next_state[0]) > 4.0


class Dated(Drift):
    """Its reward changes with time."""

    def reward(self, state, action, t):
        return -(state[0] ** 2) * (1 + t)


class Odd(Drift):
    """It does not know."""

    continuing = "perhaps"


CONFIG = Config(
    task="drift",
    environment="not traced yet",
    horizon=HORIZON,
    model="simulator",
    env_steps=600,
    policy=Policy(hidden=(16,)),
    improvement=Improvement(batch_size=64),
    exploration=Exploration(warmup_steps=60),
    windows=Windows(
        length=3,
        hidden=(16,),
        activation="relu",
        discount=DISCOUNT,
        critic_rate=5e-3,
        policy_rate=1e-2,
    ),
)


def riccati(steps):
    """The gain and the value of the best feedback with so many steps to go."""
    gain = value = 0.0
    for _ in range(steps):
        gain = 0.5 * DISCOUNT * value / (COST + 0.25 * DISCOUNT * value)
        value = 1 + COST * gain**2 + DISCOUNT * value * (1 - 0.5 * gain) ** 2
    return gain, value


def test_the_policy_and_the_critic_learn_what_is_best_without_an_end():
    config = dataclasses.replace(CONFIG, windows=dataclasses.replace(CONFIG.windows, fresh=0.5))
    run = beeline.train(Drift(), config=config)
    assert run.config.imagination == "windows"
    assert run.config.because == "the task does not end"
    gain, value = riccati(500)
    half_way, _ = riccati(HORIZON // 2)
    assert half_way < 0.7 * gain
    places = jnp.asarray([[-0.8], [0.8]])
    actions = jax.vmap(lambda state: run.policy.mode(state, 0))(places)
    assert float(actions[0, 0] - actions[1, 0]) / 1.6 == pytest.approx(gain, rel=0.1)
    critic = jax.tree.map(
        lambda x: x[0] if eqx.is_array(x) else x, run.state.learners["critic"].weights.critic
    )
    at_0, at_1 = (float(critic(jnp.full(1, place), 0)) for place in (0.0, 0.8))
    # What the policy's own noise costs is the same everywhere.
    assert at_0 - at_1 == pytest.approx(value * 0.64, rel=0.2)
    assert run.summary["normalized_return"] == [None]


def test_nothing_sees_the_time():
    config = dataclasses.replace(CONFIG, imagination="windows", reward="learned", model="markov")
    key, env = jax.random.key(0), Drift()
    state, action = jnp.full(1, 0.3), jnp.full(1, -0.2)
    model = build_model(config, env, key=key)
    functions = [
        lambda t: build_policy(config, env, key=key).mode(state, t),
        lambda t: build_critic(config, env, key=key)(state, t),
        lambda t: build_reward(config, env, key=key)(state, action, t),
        lambda t: model.step(None, state, action, t)[1],
    ]
    for function in functions:
        np.testing.assert_array_equal(function(0), function(HORIZON - 1))
    # A learned reward of a task that ends has a last step of its own.
    ending = build_reward(config, Ending(), key=key)
    assert ending(state, action, 0) != ending(state, action, HORIZON - 1)


def test_a_reward_without_time_is_fitted_to_every_step_alike(float64):
    reward = build_reward(
        dataclasses.replace(CONFIG, reward="learned"), Drift(), key=jax.random.key(0)
    )
    draws = np.random.default_rng(0)
    states, actions, rewards = (
        jnp.asarray(draws.normal(size=size)) for size in ((4, 7, 1), (4, 6, 1), (4, 6))
    )
    reward = reward.standardise(reward.scaling, rewards)
    predicted = jax.vmap(jax.vmap(reward, (0, 0, None)), (0, 0, None))(states[:, :-1], actions, 0)
    expected = np.mean((np.asarray(predicted) - rewards) ** 2) / np.var(rewards)
    assert float(reward.loss(states, actions, rewards)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"imagination": "episodes"}, "whole episodes would teach the policy that nothing comes"),
        ({"windows": Windows(length=3, clock="episode")}, "no step has an index to tell: take"),
        ({"windows": Windows(length=3, clock="episode", discount=1.0)}, "discount is 1, but drift"),
        ({"windows": Windows()}, "windows.length is 16, longer than an episode of 6 steps"),
        (
            {"model": "sac", "sac": SoftActorCritic(discount=1.0), "policy": Policy()},
            "sac.discount is 1, but drift does not end",
        ),
        ({"model": "online-dt", "policy": Policy()}, "can terminate or does not end: choose"),
    ],
)
def test_what_would_know_an_end_is_refused_before_any_work(changes, says, tmp_path):
    plain = {"improvement": Improvement(), "windows": Windows()} if "model" in changes else {}
    config = dataclasses.replace(CONFIG, **plain, **changes)
    with pytest.raises(RunError, match=says) as refused:
        beeline.train(Drift(), config=config, out=tmp_path / "run", check=False)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "run" / "config.json").exists()


def test_windows_are_chosen_without_looking_at_anything():
    assert imagination_of(CONFIG, Drift()).because == "the task does not end"
    assert imagination_of(CONFIG, Falling()).because == "episodes can terminate"
    with pytest.raises(ValueError, match="whole episodes"):
        imagination_of(dataclasses.replace(CONFIG, imagination="episodes"), Falling())
    assert not has_best_plan(Drift())


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--windows.discount", "1"], "or windows.clock = episode where the task ends at the"),
        (["--windows.discount", "0"], "windows.discount is 0.0: give a discount above 0 and at"),
        (["--windows.discount", "1.1"], "windows.discount is 1.1: give a discount above 0 and at"),
        (
            ["--imagination", "windows", "--windows.length", "99"],
            "windows.length is 99, longer than an episode of 6 steps: give at most that",
        ),
        (["--windows.length", "99"], "windows.length is 99, longer than an episode of 6 steps"),
        ([], "windows.length is 16, longer than an episode of 6 steps: give at most that"),
        (["--imagination", "episodes"], "take imagination = windows"),
    ],
)
def test_the_command_line_refuses_in_one_line(options, says, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    named = f"{__name__}:Drift"
    assert main(["train", named, "--horizon", "6", "--model", "markov", *options]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.startswith("beeline: ")
    assert error.count("\n") == 1
    assert not list(tmp_path.glob("runs/*"))


def test_agents_see_no_time_and_a_truncation():
    env, other = GymnasiumTask(Drift()), GymnasiumTask(Ending())
    assert (env.observation_space.shape, other.observation_space.shape) == ((1,), (2,))
    for one, ends in ((env, (False, True)), (other, (True, False))):
        one.reset(seed=0)
        steps = [one.step(np.zeros(1, np.float32))[2:4] for _ in range(HORIZON)]
        assert steps == [(False, False)] * (HORIZON - 1) + [ends]


def test_soft_actor_critic_sees_as_much_as_agents_do():
    groups = {"policy": Policy(), "improvement": Improvement(), "windows": Windows()}
    config = dataclasses.replace(CONFIG, model="sac", **groups)
    for env, seen in ((Drift(), 1), (Ending(), 2)):
        state = build(config, env).skeleton()
        assert state.policy.mean.shape == (1, seen)
        assert state.learner.observation.shape == (1, seen)
        assert GymnasiumTask(env).observation_space.shape == (seen,)


def test_it_is_declared_by_a_boolean_and_kept_by_the_contract():
    assert check(Drift()).ok
    assert check(Falling()).ok
    (broken,) = check(Dated()).violations
    assert broken.rule == "time"
    assert "what changes with time has to be part of the state" in broken.what
    with pytest.raises(ValueError, match="continuing must be True or False, got 'perhaps'"):
        Odd()


def test_a_run_of_one_is_none_of_the_other():
    assert differences(identity(Drift()), identity(Ending())) == ["continuing (True, not None)"]
    assert "continuing" not in identity(Ending())
