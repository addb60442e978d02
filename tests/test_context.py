"""What is known ahead of every step: who sees it, at which index, and what is refused."""

import dataclasses
import re
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import onnxruntime
import pytest

from beeline.build import build_critic, build_model, build_policy, build_reward
from beeline.config import Config, Model, Policy, Windows
from beeline.envs import Environment, check
from beeline.envs._identity import differences, identity
from beeline.export import export_policy, load_numpy
from beeline.networks.fixed import without_fixed
from beeline.networks.schedule import AHEAD, Schedule
from beeline.run import RunError
from beeline.run._longer import at_horizon

HORIZON = 8
SETPOINTS = np.array([0.0, 0.0, 0.0, 1.0, 1.0, 1.0, -1.0, -1.0])
ROOM = np.array([20.0] * HORIZON)
"""A disturbance that never changes."""


class Tracking(Environment):
    """A place that is to follow a setpoint."""

    horizon: int = eqx.field(static=True, default=HORIZON)
    name = "tracking"
    state_dim = action_dim = 1
    dt = 1.0

    def initial_state(self, *, key=None):
        return jnp.zeros(1)

    def context(self, t):
        known = jnp.stack([jnp.asarray(SETPOINTS, float), jnp.asarray(ROOM, float)], axis=-1)
        return known[t]

    def step(self, state, action, t, *, key=None):
        return 0.5 * state + action

    def reward(self, state, action, t, next_state):
        return -((next_state[0] - self.context(t)[0].astype(state.dtype)) ** 2)


class Alone(Tracking):
    """The same, of which nothing is known ahead."""

    context = None

    def reward(self, state, action, t):
        return -(state[0] ** 2)


def config(**options):
    return Config(
        task="tracking",
        environment="not traced yet",
        horizon=HORIZON,
        world_model=Model(hidden=(8,)),
        policy=Policy(hidden=(8,)),
        windows=Windows(length=4, hidden=(8,)),
        **options,
    )


KEY = jax.random.key(0)


def test_a_schedule_is_standardised_and_goes_on_after_the_last_step():
    schedule = Schedule.of(Tracking().context, HORIZON, (0, 2))
    expected = (SETPOINTS - SETPOINTS.mean()) / SETPOINTS.std()
    seen = np.asarray(schedule(jnp.arange(HORIZON + 1)))
    assert seen.shape == (HORIZON + 1, schedule.width)
    at = np.minimum(np.arange(HORIZON + 1), HORIZON - 1)
    np.testing.assert_allclose(seen[:, 0], expected[at], rtol=1e-6)
    np.testing.assert_allclose(seen[:, 2], expected[np.minimum(at + 2, HORIZON - 1)], rtol=1e-6)
    # What never changes tells nothing.
    assert not seen[:, [1, 3]].any()
    assert Schedule.of(None, HORIZON) is None
    assert jax.tree.leaves(without_fixed(schedule)) == []


def sees(function):
    """Whether a function of the step index alone gives the same in steps of one setpoint."""
    values = np.asarray([function(jnp.asarray(t)) for t in range(HORIZON)])
    return not np.allclose(values[0], values[3]), np.allclose(values[0], values[1])


def test_networks_without_a_clock_see_the_context_at_the_index_of_the_episode():
    env, drawn = Tracking(), config(imagination="windows", model="markov")
    assert drawn.windows.clock == "none"
    state, action = jnp.ones(1), jnp.ones(1)
    model = build_model(drawn, env, key=KEY)
    changes, repeats = sees(lambda t: model.step(None, state, action, t)[1])
    assert (changes, repeats) == (True, True)
    # A window that begins at 3 is no episode that begins at 0.
    later = model.standardised(jnp.ones((2, 1)), jnp.ones((2, 1)), jnp.asarray(3))
    first = model.standardised(jnp.ones((2, 1)), jnp.ones((2, 1)))
    assert not np.allclose(later, first)
    policy, critic = (build(drawn, env, key=KEY) for build in (build_policy, build_critic))
    assert policy.schedule.ahead == critic.schedule.ahead == AHEAD
    # Of step 1 more is seen ahead than of step 0.
    assert sees(lambda t: policy.distribution(state, t)[1]) == (True, False)
    assert sees(lambda t: critic.output(state, t)) == (True, False)


@pytest.mark.parametrize("name", ["lstm-awm", "lstm-history"])
def test_sequence_models_see_the_context_in_each_token(name):
    drawn = config(imagination="windows", model=name)
    states, actions = jnp.ones((3, 1)), jnp.ones((3, 1))
    model = build_model(drawn, Tracking(), key=KEY)
    predict = eqx.filter_jit(lambda first: model.standardised(states, actions, first))
    # The setpoint changes at 3: in the last token of a window from 1, in the second of one from 2.
    zero, one, two = (np.asarray(predict(jnp.asarray(first))) for first in range(3))
    np.testing.assert_allclose(zero[:2], one[:2], rtol=1e-6)
    assert not np.allclose(zero[2], one[2])
    assert not np.allclose(one[1], two[1])


def test_a_learned_reward_sees_it():
    reward = build_reward(config(reward="learned", imagination="windows"), Tracking(), key=KEY)
    assert reward.schedule.width == 2


def test_nothing_changes_without_a_context():
    drawn = config(imagination="windows", model="markov")
    for build in (build_policy, build_critic, build_model):
        network = build(drawn, Alone(), key=KEY)
        assert network.schedule is None
        widths = [leaf.shape for leaf in jax.tree.leaves(eqx.filter(network, eqx.is_array))]
        assert widths[0][0] == network.scaling.width + (build is build_model)


def test_exported_policies_look_the_context_up(tmp_path):
    env = Tracking()
    policy = build_policy(config(imagination="windows"), env, key=KEY)
    policy = eqx.tree_at(lambda p: p.network.layers[-1].weight, policy, replace_fn=lambda w: 30 * w)
    states = np.linspace(-1, 1, HORIZON, dtype=np.float32)[:, None]
    times = np.arange(HORIZON, dtype=np.int32)
    right = np.asarray(policy.mode(jnp.asarray(states), jnp.asarray(times)))
    assert np.std(right) > 0.05
    made = load_numpy(export_policy(policy, env, tmp_path / "policy.npz"))
    assert made.metadata["inputs"] == ["state", "t"]
    np.testing.assert_allclose(made(states, times), right, atol=1e-5)
    with pytest.raises(ValueError, match="sees a context: give the index of the step"):
        made(states)
    # What the page of the documentation computes is the same.
    text = (Path(__file__).parents[1] / "docs" / "export.md").read_text(encoding="utf-8")
    (code,) = (c for c in re.findall(r"```python\n(.*?)```", text, flags=re.S) if "def act(" in c)
    scope = {"state": states[3], "t": 3}
    exec(code.replace('"policy.npz"', repr(str(tmp_path / "policy.npz"))), scope)
    np.testing.assert_allclose(scope["act"](states[3], 3), right[3], atol=1e-5)
    file = export_policy(policy, env, tmp_path / "policy.onnx", to="onnx")
    session = onnxruntime.InferenceSession(file)
    (found,) = session.run(None, {"state": states, "t": times})
    np.testing.assert_allclose(found, right, atol=1e-5)
    export_policy(policy, env, tmp_path / "policy.stablehlo", to="stablehlo")


class Flat(Tracking):
    """A number in the place of an array."""

    def context(self, t):
        return jnp.asarray(1.0)


class Square(Tracking):
    """Too many axes."""

    def context(self, t):
        return jnp.ones((2, 2))


class Short(Tracking):
    """Known for fewer steps than an episode has."""

    def context(self, t):
        return jnp.asarray(SETPOINTS[: HORIZON - 2], float)[jnp.asarray(t), None]


class Pole(Tracking):
    """Not finite in the middle of an episode."""

    def context(self, t):
        return 1 / (3.0 - jnp.asarray(t, float))[None]

    def reward(self, state, action, t):
        return -(state[0] ** 2)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Flat, r"context has shape \(\), not \(n,\)"),
        (Square, r"context has shape \(2, 2\), not \(n,\)"),
        (Short, "context looks beyond the end of an array at t = 7, the last step: give it what"),
        (Pole, r"context gives \[inf\]"),
    ],
)
def test_check_refuses_a_context_that_is_none(kind, message):
    (violation, *_) = [v for v in check(kind()).violations if "context" in v.what]
    assert len(str(violation).splitlines()) <= 2
    assert check(Tracking()).ok
    assert re.search(message, violation.what)


def test_what_cannot_have_a_context_says_so():
    class Endless(Tracking):
        continuing = True

    class Other(Tracking):
        def context(self):
            return jnp.ones(1)

    with pytest.raises(ValueError, match="a task that is continuing has no context"):
        Endless()
    with pytest.raises(ValueError, match=r"context takes \(\): let it take \(t\)"):
        Other()


def test_another_context_is_another_task_and_another_length_is_refused():
    class Later(Tracking):
        def context(self, t):
            return super().context(t) + 1

    assert differences(identity(Later()), identity(Tracking())) == ["equations"]
    with pytest.raises(RunError, match="knows the context of its 8 steps alone"):
        at_horizon(Tracking(), 20)
    assert dataclasses.replace(Tracking(), horizon=4).horizon == 4
