"""Environments of the functional interfaces of gymnax, brax and MuJoCo Playground.

They are written here with exactly those interfaces, and stepped by hand with the same keys.
"""

import dataclasses
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import beeline
from beeline.cli import main
from beeline.config import Config, Exploration, Fitting, Improvement, Model, Policy
from beeline.config import Windows as Windowed
from beeline.envs import SimulatorError, from_jax
from beeline.training._hosted_episodes import play_episodes, play_row

HORIZON = 8
LIMIT = 5


class Params(eqx.Module):
    """Parameters of the ball, with as much of flax's dataclasses as is used."""

    push: float = 0.4
    max_steps_in_episode: int = LIMIT

    def replace(self, **changes):
        return dataclasses.replace(self, **changes)


class Ball(NamedTuple):
    place: Any
    time: Any


class Space(NamedTuple):
    low: Any
    high: Any
    shape: tuple[int, ...]


class Discrete(NamedTuple):
    n: int
    shape: tuple[int, ...] = ()


class Gymnax:
    """A ball with noise that falls off at 1, as an environment of gymnax 0.0."""

    default_params = Params()

    def reset(self, key, params):
        return self.reset_env(key, params)

    def reset_env(self, key, params):
        state = Ball(jax.random.uniform(key), 0)
        return self.get_obs(state), state

    def step(self, key, state, action, params):
        raise AssertionError("it would reset the ball and lose where it was")

    def step_env(self, key, state, action, params):
        noise = 0.01 * jax.random.normal(key)
        state = Ball(state.place + params.push * action[0] + noise, state.time + 1)
        return self.get_obs(state), state, -(action[0] ** 2), self.is_terminal(state, params), {}

    def is_terminal(self, state, params):
        return (state.place > 1) | (state.time >= params.max_steps_in_episode)

    def get_obs(self, state):
        return {"place": state.place, "all": jnp.stack([state.place, state.time + 0.0])}

    def action_space(self, params):
        return Space(-2.0, jnp.array([1.0]), (1,))


class Gymnax1(Gymnax):
    """The same of gymnax 1.0, which tells how an episode ends."""

    def is_terminal(self, state, params):
        return state.place > 1

    def is_truncated(self, state, params):
        return state.time >= params.max_steps_in_episode


class State(eqx.Module):
    """What brax and MuJoCo Playground step."""

    place: Any
    key: Any
    obs: Any
    reward: Any
    done: Any
    info: dict[str, Any]


class Brax:
    """The same ball as an environment of theirs, whose states hold keys."""

    observation_size, action_size = 1, 2

    def reset(self, rng):
        rng, now = jax.random.split(rng)
        place = jax.random.uniform(now)
        return State(place, rng, place[None], jnp.zeros(()), jnp.zeros(()), {})

    def step(self, state, action):
        rng, now = jax.random.split(state.key)
        place = state.place + 0.4 * action[1] + 0.01 * jax.random.normal(now)
        done = (place > 1).astype(jnp.float32)
        return State(place, rng, place[None], 1.0 - action[0], done, state.info)


class Limited:
    """Cuts it off, as `EpisodeWrapper` does."""

    episode_length = LIMIT
    observation_size, action_size = 1, 2

    def reset(self, rng):
        state = Brax().reset(rng)
        state.info.update(steps=jnp.zeros(()), truncation=jnp.zeros(()))
        return state

    def step(self, state, action):
        after = Brax().step(state, action)
        late = after.info["steps"] + 1 >= LIMIT
        after.info.update(steps=after.info["steps"] + 1)
        after.info.update(truncation=jnp.where(late, 1 - after.done, 0.0))
        return dataclasses.replace(after, done=jnp.where(late, 1.0, after.done))


def opened(env, seeds=1, **options):
    simulator = from_jax(env, HORIZON, **options)
    simulator.host.connect(list(range(seeds)))
    return simulator


def pushing(states, times, k):
    del times
    rows = [[0.3, -0.5] if i else [0.5, 0.9] for i in range(len(states))]
    return np.asarray(rows, np.float32)[:, : 1 if states.shape[1] == 3 else 2] * (1 + 0.1 * k)


def by_hand(reset, step, seed, actions):
    # A row of one environment: states, rewards, ends, and the states that steps led to.
    key, now = jax.random.split(jax.random.PRNGKey(seed))
    observation, state = reset(now)
    rows, count = [], 0
    for action in actions:
        key, now = jax.random.split(key)
        after, state, reward, over = step(now, state, action)
        count += 1
        row = observation, reward, over, not over and count == LIMIT, after
        observation = after
        if over or count == LIMIT:
            key, now = jax.random.split(key)
            observation, state = reset(now)
            count = 0
        rows.append(row)
    return [np.asarray(x, np.float32) for x in zip(*rows, strict=True)]


def hand_gymnax(seed, actions):
    env, params = Gymnax1(), Gymnax1.default_params

    def flat(seen):
        return jnp.concatenate([seen["all"], seen["place"][None]])

    def reset(key):
        seen, state = env.reset(key, params)
        return flat(seen), state

    def step(key, state, action):
        seen, state, reward, _, _ = env.step_env(key, state, action, params)
        return flat(seen), state, reward, bool(state.place > 1)

    return by_hand(reset, step, seed, actions)


def hand_brax(seed, actions):
    env = Brax()

    def reset(key):
        state = env.reset(key)
        return state.obs, state

    def step(key, state, action):
        after = env.step(state, action)
        return after.obs, after, after.reward, bool(after.done)

    return by_hand(reset, step, seed, actions)


@pytest.mark.parametrize(
    ("env", "hand", "low", "high"),
    [
        (Gymnax(), hand_gymnax, [-2.0], [1.0]),
        (Gymnax1(), hand_gymnax, [-2.0], [1.0]),
        (Limited(), hand_brax, [-1.0, -1.0], [1.0, 1.0]),
    ],
    ids=["gymnax", "gymnax1", "brax"],
)
def test_two_at_once_are_those_stepped_by_hand(env, hand, low, high):
    simulator = opened(env, seeds=2)
    assert (simulator.action_low, simulator.action_high) == (tuple(low), tuple(high))
    row = play_row(simulator.host, pushing, HORIZON)
    assert (simulator.host.steps, simulator.host.failures) == (HORIZON, 0)
    for seed in range(2):
        given = low + 0.5 * (np.clip(row.actions[seed], -1, 1) + 1) * np.subtract(high, low)
        states, rewards, over, cut, after = hand(seed, given.astype(np.float32))
        close = {"rtol": 1e-5, "atol": 1e-6}
        np.testing.assert_allclose(row.states[seed, :-1], states, **close)
        np.testing.assert_allclose(row.rewards[seed], rewards, **close)
        np.testing.assert_allclose(row.ends.next_states[seed], after, **close)
        np.testing.assert_array_equal(row.ends.terminated[seed], over)
        np.testing.assert_array_equal(row.ends.truncated[seed], cut)
    assert row.ends.terminated[0].any()
    assert not row.ends.terminated[1].any()
    assert row.ends.truncated[1].sum() == 1


def test_one_of_two_is_reset_where_its_episode_is_too_long():
    simulator = opened(Gymnax(), seeds=2)
    before = simulator.host.begin()
    up_and_down = np.array([[1.0], [-1.0]], np.float32)
    played = play_episodes(simulator.host, lambda states, times, k: up_and_down, 2, 4)
    assert played.lengths[0, 0] < 4
    assert played.lengths[1].tolist() == [4, 4]
    np.testing.assert_array_equal(played.first.states[:, 0], before)


def test_seeds_begin_alike_whichever_are_beside_them():
    one, two = (opened(Brax(), seeds=count).host.begin() for count in (1, 3))
    np.testing.assert_allclose(one[0], two[0], rtol=1e-6)
    assert len(np.unique(two)) == 3


def test_its_limit_is_the_horizon_unless_another_is_given():
    assert from_jax(Gymnax()).horizon == from_jax(Limited()).horizon == LIMIT
    longer = Params(max_steps_in_episode=7)
    assert from_jax(Gymnax(), params=longer).horizon == 7
    assert from_jax(Gymnax(), params=longer).identity != from_jax(Gymnax(), 7).identity
    with pytest.raises(ValueError, match="Brax has no limit of steps in an episode: give a hor"):
        from_jax(Brax())


def test_bounds_are_those_given():
    low, high = [-3.0, 0.0], 5.0
    simulator = opened(Brax(), action_low=low, action_high=high)
    assert simulator.action_low == (-3.0, 0.0)
    assert simulator.action_high == (5.0, 5.0)
    stepped = simulator.host
    stepped.begin()
    assert stepped.step(np.array([[-1.0, 0.0]])).rewards == [4.0]


def of_discrete(self, params):
    return Discrete(3)


def of_unbounded(self, params):
    return Space(-np.inf, np.inf, (1,))


@pytest.mark.parametrize(
    ("env", "said"),
    [
        (type("Left", (Gymnax,), {"action_space": of_discrete}), "Left takes actions of Discrete"),
        (type("Far", (Gymnax,), {"action_space": of_unbounded}), "give each entry finite bounds"),
        (
            type("Again", (Brax,), {"reset": lambda self, rng: self.again(rng)}),
            "it resets itself, .* without the wrapper that does so",
        ),
        (type("Odd", (Brax,), {"reset": lambda self, rng: rng.odd}), "Odd cannot be learned from"),
    ],
    ids=lambda x: None if isinstance(x, type) else "",
)
def test_what_cannot_be_learned_from_is_refused(env, said):
    def again(self, rng):
        state = Brax().reset(rng)
        state.info.update(first_obs=state.obs)
        return state

    env.again = again
    with pytest.raises(ValueError, match=said) as caught:
        from_jax(env(), HORIZON)
    assert "\n" not in str(caught.value)


def test_what_is_none_is_refused(monkeypatch):
    with pytest.raises(TypeError, match="is no environment of gymnax, brax or MuJoCo Playground"):
        from_jax(object(), HORIZON)
    with pytest.raises(TypeError, match="is made already: leave out gravity"):
        from_jax(Brax(), HORIZON, gravity=3)
    with pytest.raises(TypeError, match="params are for environments of gymnax"):
        from_jax(Brax(), HORIZON, params=Params())
    with pytest.raises(ValueError, match="'tank:Level' names no environment: give gymnax:NAME, br"):
        from_jax("tank:Level")
    real = __import__("importlib.util").util.find_spec
    missing = "gymnax", "brax", "mujoco_playground"
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: None if name in missing else real(name)
    )
    for name, package in (("gymnax:X", "gymnax"), ("playground:X", "playground")):
        with pytest.raises(ValueError, match=f"is not installed: pip install {package}$"):
            from_jax(name)


def test_a_suite_that_is_installed_makes_what_is_named(monkeypatch, capsys):
    made = {"Ball-v0": (Gymnax(), Gymnax.default_params)}
    suite = type("Suite", (), {"make": staticmethod(made.__getitem__)})
    monkeypatch.setitem(__import__("sys").modules, "gymnax", suite)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    known = from_jax("gymnax:Ball-v0", push=0.0)
    assert (known.name, known.horizon) == ("gymnax:Ball-v0", LIMIT)
    assert known.identity != from_jax("gymnax:Ball-v0").identity
    with pytest.raises(ValueError, match="gymnax makes no 'Cube'"):
        from_jax("gymnax:Cube")
    assert main(["train", "gymnax:Ball-v0", "--env.pull", "3"]) == 2
    assert "unexpected keyword argument 'pull'" in capsys.readouterr().err


def test_numbers_that_are_not_finite_are_a_fault():
    class Broken(Brax):
        def step(self, state, action):
            after = super().step(state, action)
            return dataclasses.replace(after, obs=after.obs / (after.obs < 0))

    host = opened(Broken(), failures=2).host
    with pytest.raises(SimulatorError, match=r"2 times in a row, at last so: Broken gave inf"):
        host.persistently(lambda: play_row(host, pushing, HORIZON))


def test_a_run_is_trained_on_one(tmp_path):
    fields = {
        "policy": Policy(hidden=(4,)),
        "world_model": Model(hidden=(4,)),
        "windows": Windowed(length=4, hidden=(4,), env_steps_per_update=16.0),
        "exploration": Exploration(warmup_steps=32),
        "fitting": Fitting(batch_size=4),
        "improvement": Improvement(batch_size=4),
    }
    config = Config(model="markov", env_steps=48, horizon=16, **fields)
    run = beeline.train(Gymnax(), 16, config=config, out=tmp_path / "run", progress=False)
    assert run.summary["simulator_steps"] == [48]
    assert run.config.reward == run.config.termination == "learned"
    with pytest.raises(beeline.RunError, match="hand it over"):
        beeline.load(tmp_path / "run")
    again = beeline.load(tmp_path / "run", env=Gymnax())
    assert again.env.identity == run.env.identity
