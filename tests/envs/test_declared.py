"""What an environment may declare: against twins that do by hand what the library does for them."""

import ast
import dataclasses
import re
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import beeline
from beeline.control import is_deterministic, random_return, reference_return, solve_optimum
from beeline.diagnostics import first_action_landscape
from beeline.envs import Environment, check, make, reward_of
from beeline.envs._identity import differences, equations, identity
from beeline.envs._trajectories import controls_of, panels
from beeline.envs.gymnasium import GymnasiumTask
from beeline.gradients import Direct, Objective, Unrolled
from beeline.models import DynamicsActionsModel, SimulatorModel
from beeline.policies import SquashedGaussian
from tests.networks import drawn, normal

ROOT = Path(__file__).parents[2]
LOW, HIGH = (0.0, -3.0), (2.0, 5.0)


class Cart(Environment):
    """Two entries, two actions: a place and a speed, a push and a brake."""

    horizon: int = eqx.field(static=True, default=5)
    name: str = eqx.field(static=True, default="cart")
    state_dim = 2
    action_dim = 2
    dt = 0.1

    def initial_state(self, *, key):
        return jnp.asarray([0.5, 0.0]) + 0 * jax.random.uniform(key, (2,))

    def step(self, state, action, t, *, key=None):
        push = jnp.tanh(action[0] - 1.0) - 0.1 * action[1] * state[1]
        return state + self.dt * jnp.stack([state[1], push - jnp.sin(state[0])])

    def reward(self, state, action, t):
        return -(state[0] ** 2) - 0.1 * jnp.sum(action**2) * jnp.cos(0.3 * t)


class Bounded(Cart):
    """It takes physical actions."""

    action_low, action_high = LOW, HIGH


class HandScaled(Cart):
    """The same, scaled by itself."""

    def scaled(self, action):
        low, high = jnp.asarray(LOW, action.dtype), jnp.asarray(HIGH, action.dtype)
        return low + 0.5 * (action + 1.0) * (high - low)

    def step(self, state, action, t, *, key=None):
        return Cart.step(self, state, self.scaled(action), t)

    def reward(self, state, action, t):
        return Cart.reward(self, state, self.scaled(action), t)


class Ahead(Cart):
    """It is rewarded for the state that a step leads to."""

    def reward(self, state, action, t, next_state):
        change = next_state - state
        return -(next_state[0] ** 2) - jnp.sin(state[1] + change[1]) + 0.1 * action[0] * t


class HandStepped(Ahead):
    """The same, from the dynamics."""

    def reward(self, state, action, t):
        return Ahead.reward(self, state, action, t, self.step(state, action, t))


class Both(Ahead):
    """Physical actions and a reward of the next state."""

    action_low, action_high = LOW, HIGH


class BothByHand(HandScaled):
    """The same by hand."""

    def reward(self, state, action, t):
        after = self.step(state, action, t)
        return Ahead.reward(self, state, self.scaled(action), t, after)


TWINS = [(Bounded, HandScaled), (Ahead, HandStepped), (Both, BothByHand)]


def test_references_are_those_of_the_twin():
    env, other = Both(), BothByHand()
    assert random_return(env, 20) == random_return(other, 20)
    ours, theirs = (solve_optimum(one, starts=1, cache=False) for one in (env, other))
    assert ours.return_ == pytest.approx(theirs.return_, rel=1e-9)
    np.testing.assert_allclose(ours.transcriptions, theirs.transcriptions, rtol=1e-9)
    assert len(ours.transcriptions) > 0
    assert np.all(np.abs(ours.actions) <= 1)
    assert is_deterministic(env)


@pytest.mark.parametrize(("kind", "twin"), TWINS)
def test_gradients_through_the_dynamics_are_those_of_the_twin(kind, twin, float64):
    policy = drawn(SquashedGaussian, 2, 2, 5, hidden_sizes=(4,))
    policy = eqx.tree_at(lambda p: p.network.layers[-1].weight, policy, replace_fn=lambda w: 60 * w)
    starts, noise = normal(3, 2, seed=1), normal(3, 5, 2, seed=2)

    def slope(env, route, model):
        objective = Objective(reward_of(env), jnp.ones(()), jnp.zeros(()))
        return eqx.filter_jit(route)(policy, model(env), objective, starts, noise)

    (value, _), expected = slope(twin(), Unrolled(), SimulatorModel)
    size = max(np.abs(leaf).max() for leaf in jax.tree.leaves(expected))
    assert size > 1e-3
    for route, model in ((Unrolled(), SimulatorModel), (Direct(), DynamicsActionsModel)):
        (ours, _), found = slope(kind(), route, model)
        np.testing.assert_allclose(ours, value, rtol=1e-12)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, atol=1e-10 * size), found, expected
        )


def test_landscapes_are_those_of_the_twin(float64):
    actions, values = 0.1 * normal(5, 2, seed=3), jnp.linspace(-1, 1, 3)
    ours, theirs = (
        first_action_landscape(SimulatorModel(env), reward_of(env), jnp.ones(2), actions, values)
        for env in (Both(), BothByHand())
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    assert np.ptp(ours) > 0.01


@pytest.fixture
def short(tiny):
    exploration = dataclasses.replace(tiny.exploration, warmup_steps=40)
    return dataclasses.replace(
        tiny, horizon=5, env_steps=60, reference="none", exploration=exploration
    )


def test_what_is_trained_is_that_of_the_twin(short):
    env = Bounded()
    ours, theirs = (beeline.train(one, config=short) for one in (env, HandScaled()))
    assert eqx.tree_equal(ours.state, theirs.state)
    assert ours.env is env
    evaluation = beeline.evaluate(ours)
    np.testing.assert_array_equal(evaluation.return_, beeline.evaluate(theirs).return_)
    assert np.all(np.abs(evaluation.actions) <= 1)
    shown = controls_of(env, evaluation.actions)[0]
    expected = np.asarray(LOW) + (evaluation.actions[0] + 1) / 2 * np.subtract(HIGH, LOW)
    np.testing.assert_allclose(shown, [*expected, expected[-1]], rtol=1e-5)


@pytest.mark.slow
def test_a_reward_of_the_next_state_is_learned_from(short):
    run = beeline.train(Both(), config=short)
    states, actions = run.state.buffer.states[0, 0], run.state.buffer.actions[0, 0]
    real = jax.vmap(reward_of(Both()))(states[:-1], actions, jnp.arange(5), states[1:])
    np.testing.assert_allclose(run.state.buffer.rewards[0, 0], real, rtol=1e-5)
    assert np.isfinite(run.records[-1]["imagined_return"]).all()


def test_in_gymnasium_actions_are_in_the_box_of_the_library():
    env, other = GymnasiumTask(Both()), GymnasiumTask(BothByHand())
    assert (env.action_space.low == -1).all()
    assert (env.action_space.high == 1).all()
    env.reset(seed=0)
    other.reset(seed=0)
    for action in np.random.default_rng(0).uniform(-1, 1, (5, 2)).astype(np.float32):
        (one, reward, *_), (same, expected, *_) = env.step(action), other.step(action)
        np.testing.assert_array_equal(one, same)
        assert reward == expected


def test_the_fingerprint_knows_bounds_and_forms_but_no_labels():
    plain = identity(Cart())
    assert "action_low" not in plain
    wider = type(Bounded)("Wider", (Bounded,), {"action_high": (2.0, 6.0)})()
    assert differences(identity(Bounded()), identity(wider)) == [
        "action_high (2.0,5.0, not 2.0,6.0)",
        "equations",
    ]
    assert len({equations(kind()) for kind in (Cart, Bounded, Ahead, Both)}) == 4

    class Explicit(Cart):
        action_low, action_high = -1, 1.0
        state_names = ("place", "speed")

    assert identity(Explicit()) == plain


class Strict(Bounded):
    """It is defined between its bounds alone, and has a flaw in there."""

    action_low, action_high = (1.0, 0.0), (3.0, 0.5)
    state_names, action_names = ["place", "speed"], ("push", "brake")
    flaw: str = eqx.field(static=True, default="")

    def step(self, state, action, t, *, key=None):
        inside = jnp.all((action > jnp.asarray([0.99, -0.01])) & (action < 3.01))
        push = action[0]
        if self.flaw == "derivative":
            push = jax.lax.stop_gradient(push)
        if self.flaw == "pole":
            push = jnp.where(push > 2.9, jnp.inf, push)
        return jnp.where(inside, state + 0.1 * jnp.stack([state[1], push]), jnp.nan)


def test_a_check_tries_what_is_between_the_bounds():
    assert check(Strict(), raises=True).ok
    (pole,) = check(Strict(flaw="pole")).violations
    assert pole.rule == "finite"
    assert re.search(r"action \[3.0, 0.0\], t 0", pole.given)
    (flaw,) = check(Strict(flaw="derivative")).violations
    assert flaw.what.startswith("entry 1 (speed) of step by action entry 0 (push) is 0, and by")
    assert not check(Strict(), clips_actions=True).ok


@pytest.mark.parametrize(
    ("member", "value", "message"),
    [
        ("action_low", (0.0,), "action_low must be a number or 2 numbers, one for each entry of"),
        ("action_high", "much", "action_high must be a number or 2 numbers, .* got 'much'"),
        ("action_high", float("inf"), "action_low must be below action_high, both finite .* inf"),
        (
            "action_low",
            (0.0, 1.0),
            r"action_low must be below .* got \(0.0, 1.0\) and 1.0",
        ),
        (
            "action_high",
            1e300,
            "action_low must be below .* finite in single precision",
        ),
        ("state_names", ("place",), r"state_names must be 2 texts, .* got \('place',\)"),
        ("action_units", "kg", "action_units must be 2 texts, one for each entry, or none"),
        ("time_unit", 3, "time_unit must be a text, got 3"),
        ("deterministic", "yes", "deterministic must be True, False or None, got 'yes'"),
        (
            "reward",
            lambda self, state, action: 0.0,
            r"reward takes \(state, action\): let it take \(state, action, t\) or \(state, act",
        ),
        (
            "reward",
            lambda self, state, action, next_state, t: 0.0,
            r"reward takes \(state, action, next_state, t\): let it take",
        ),
    ],
)
def test_what_means_nothing_is_refused_where_it_is_made(member, value, message):
    wrong = type(Cart)("Wrong", (Cart,), {member: value})
    with pytest.raises(ValueError, match=f"^cart: {message}") as caught:
        wrong()
    assert "\n" not in str(caught.value)


def test_bounds_may_be_fields_with_arrays_that_are_traced():
    class Field(Cart):
        action_low: jax.Array = eqx.field(default_factory=lambda: jnp.asarray(LOW))
        action_high: jax.Array = eqx.field(default_factory=lambda: jnp.asarray(HIGH))

    assert random_return(Field(), 20).mean == pytest.approx(random_return(Bounded(), 20).mean)

    @jax.jit
    def earned(low):
        env = Field(action_low=low)
        return reward_of(env)(jnp.ones(2), jnp.zeros(2), 0)

    expected = reward_of(Bounded())(jnp.ones(2), jnp.zeros(2), 0)
    assert float(earned(jnp.asarray(LOW))) == pytest.approx(float(expected))


@pytest.mark.parametrize("wrap", [jax.jit, eqx.filter_jit, staticmethod])
def test_the_form_of_a_reward_is_found_inside_what_wraps_it(wrap):
    def method(self, state, action, t, next_state):
        return next_state[0]

    def function(state, action, t, next_state):
        return next_state[0]

    reward = wrap(function if wrap is staticmethod else method)
    env = type(Cart)("Wrapped", (Cart,), {"reward": reward})()
    assert float(reward_of(env)(jnp.zeros(2), jnp.zeros(2), 0, jnp.ones(2))) == 1


class Wrapper(Environment):
    """A user's own around a task."""

    inner: Environment
    name = "wrapped"
    horizon = property(lambda self: self.inner.horizon)
    dt = property(lambda self: self.inner.dt)
    state_dim = property(lambda self: self.inner.state_dim)
    action_dim = property(lambda self: self.inner.action_dim)
    state_names = property(lambda self: self.inner.state_names)
    state_units = property(lambda self: self.inner.state_units)
    deterministic = property(lambda self: self.inner.deterministic)

    def initial_state(self, *, key=None):
        return self.inner.initial_state(key=key)

    def step(self, state, action, t, *, key=None):
        return self.inner.step(state, action, t, key=key)

    def reward(self, state, action, t):
        return self.inner.reward(state, action, t)

    def physical_action(self, action):
        return self.inner.physical_action(action)


def test_a_wrapper_passes_on_what_a_task_declares():
    task = make("hiv-treatment", horizon=90)
    env = Wrapper(task)
    drawn_panels = panels(env)
    assert drawn_panels.states[0].get_ylabel() == "healthy T cells\n[1/mm³]"
    assert drawn_panels.controls[0].get_ylabel() == "action 0"
    actions = np.zeros((3, 1), np.float32)
    np.testing.assert_array_equal(controls_of(env, actions), controls_of(task, actions))
    assert is_deterministic(env)
    assert not is_deterministic(Wrapper(make("harvest", horizon=20, process_noise=0.1)))


class Untold(Wrapper):
    """It passes nothing on about chance, which is tried out."""

    deterministic = None


def test_chance_is_tried_out_where_nothing_is_said():
    assert not is_deterministic(Untold(make("harvest", horizon=20, process_noise=0.1)))
    assert is_deterministic(Untold(make("harvest", horizon=20)))


def test_the_examples_of_the_docs_are_what_they_say():
    text = (ROOT / "docs" / "environments.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.S)
    names = {"__name__": "example"}
    for block in blocks:
        if "class " in block:
            exec(compile(block, "environments.md", "exec"), names)
    tank, pump, filled, labelled = (
        names[name](horizon=20) for name in ("Tank", "Pump", "Filled", "Labelled")
    )
    assert random_return(pump, 10).mean == pytest.approx(random_return(tank, 10).mean, rel=1e-9)
    after = tank.step(jnp.full(1, 0.2), jnp.ones(1), 0)
    earned = reward_of(filled)(jnp.full(1, 0.2), jnp.ones(1), 0, after)
    assert float(earned) == pytest.approx(-0.1 * ((float(after[0]) - 1) ** 2 + 0.1))
    level, inflow = panels(labelled).figure.axes
    assert level.get_ylabel() == "level [m]"
    assert inflow.get_ylabel() == "inflow above the\nmean [m³/s]"
    assert inflow.get_xlabel() == "time [s]"
    assert names["Plant"](horizon=20).continuing
    assert check(names["Plant"](horizon=5)).ok
    assert check(names["Scheduled"](horizon=5)).ok
    steadied = names["Steadied"](horizon=5)
    assert check(steadied).ok
    assert random_return(steadied, 100).mean < reference_return(steadied) < 0


def test_every_start_is_asked_for_with_a_key():
    calls = [
        (path, node)
        for folder in ("src", "experiments", "benchmarks")
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "initial_state"
    ]
    assert len(calls) > 10
    without = [str(path) for path, node in calls if [k.arg for k in node.keywords] != ["key"]]
    assert not without


def test_nothing_steps_or_rewards_past_the_contract():
    for folder in ("control", "diagnostics", "gradients", "models", "online_dt", "training"):
        for path in (ROOT / "src" / "beeline" / folder).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            assert not re.findall(r"\b(?:env|environment|task)\.(?:step|reward)\b", text), path
