"""The contract checker: what is shipped keeps the contract, and what is broken is shown."""

import json
import re
from pathlib import Path
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.custom_batching import custom_vmap

from beeline import envs
from beeline.envs import ContractError, Environment, check
from beeline.envs._registry import ENTRIES

CHEAP = ("cancer-treatment",)


@pytest.mark.parametrize(
    "name",
    [
        name if name in CHEAP else pytest.param(name, marks=pytest.mark.slow)
        for name in envs.names()
    ],
)
def test_every_task_keeps_the_contract(name):
    report = check(envs.make(name, horizon=max(6, ENTRIES[name].least_horizon)), raises=True)
    assert report.ok
    assert str(report) == f"{name} keeps the contract"


def test_the_example_of_the_docs_keeps_the_contract(capsys):
    text = (Path(__file__).parents[2] / "docs" / "environments.md").read_text(encoding="utf-8")
    code = text.split("```python\n", 1)[1].split("```", 1)[0]
    exec(compile(code, "environments.md", "exec"), {"__name__": "example"})
    assert capsys.readouterr().out == "tank keeps the contract\n"


@custom_vmap
def forgets_its_batch(x):
    return x


@forgets_its_batch.def_vmap
def _(size, batched, x):
    return jnp.roll(x, 1, axis=0), batched[0]


@final
class Flawed(Environment):
    """Two entries that follow an action, and flaws."""

    flaws: tuple[str, ...] = eqx.field(static=True, default=())
    horizon: int = eqx.field(static=True, default=3)
    dt: float = eqx.field(static=True, default=0.1)
    state_dim: int = eqx.field(static=True, default=2)
    name = "flawed"
    action_dim = 1

    def initial_state(self, *, key=None):
        del key
        return jnp.asarray([0.5, 0.0], int if "whole start" in self.flaws else float)

    def step(self, state, action, t, *, key=None):
        del key
        if "wide step" in self.flaws:
            return jnp.append(state, 0.0)
        if "single step" in self.flaws:
            return state.astype(jnp.float32)
        if "short" in self.flaws and not isinstance(t, jax.core.Tracer) and t > 1:
            raise RuntimeError("over")
        if "branch" in self.flaws and t > 1:
            return state
        push = self.push(state, action)
        return state + jnp.append(push, push**2)

    def push(self, state, action):
        push = 0.3 * action
        if "stopped" in self.flaws:
            push = jax.lax.stop_gradient(push)
        if "tracer" in self.flaws and isinstance(state, jax.core.Tracer):
            push = push + 0.1
        if "batch" in self.flaws:
            push = forgets_its_batch(push)
        if "random" in self.flaws:
            push = push + 0.01 * GENERATOR.random()
        if "pole" in self.flaws:
            push = jnp.where(state[0] > 0.75, jnp.inf, push)
        if "clipped" in self.flaws:
            push = jnp.clip(push, -0.3, 0.3)
        return push

    def reward(self, state, action, t):
        if "pair" in self.flaws:
            return state, t
        if "root" in self.flaws:
            return -jnp.sqrt(state[1]) * jnp.where(t == 0, 1.0, 0.0)
        effort = jnp.abs(action[0])
        return -(state[0] ** 2) - (jnp.minimum(effort, 1) if "clipped" in self.flaws else effort)


GENERATOR = np.random.default_rng(0)


def violations(*flaws, clips_actions=False, **fields):
    report = check(Flawed(flaws, **fields), clips_actions=clips_actions)
    assert report.ok == (not report.violations)
    text = str(report)
    assert all(v.what in text and v.given in text for v in report.violations)
    return {(v.rule, v.what): v for v in report.violations}


def rules(found):
    return {rule for rule, _ in found}


def test_kinks_are_no_violations():
    assert violations("clipped", clips_actions=True) == {}


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"horizon": 1}, "horizon is 1, not an integer of at least 2"),
        ({"horizon": 3.0}, "horizon is 3.0, not an integer of at least 2"),
        ({"state_dim": 0}, "state_dim is 0, not an integer of at least 1"),
        ({"dt": float("nan")}, "dt is nan, not a finite number above 0"),
    ],
)
def test_attributes_out_of_range_are_named(fields, what):
    assert [text for _, text in violations(**fields)] == [what]


def test_what_is_no_environment_is_refused_with_all_it_lacks():
    report = check(object())
    assert len(report.violations) == 6
    with pytest.raises(ContractError, match=r"object is no subclass of beeline\.envs\.Environment"):
        check(object(), raises=True)


@pytest.mark.parametrize(
    ("flaws", "expected"),
    [
        (("wide step",), {("shape", "step has shape (3,), not (2,)")}),
        (("pair",), {("shape", "reward gives a tuple")}),
        (
            ("whole start", "pair"),
            {
                ("shape", "reward gives a tuple"),
                ("precision", "initial_state gives int32, not float32"),
                ("precision", "initial_state gives int64, not float64"),
            },
        ),
        (("single step",), {("precision", "step gives float32, not float64")}),
    ],
)
def test_shapes_and_precision_are_checked_by_tracing(flaws, expected):
    assert violations(*flaws).keys() == expected


def test_a_branch_on_a_traced_step_index_is_shown_and_the_rest_still_looked_at():
    found = violations("branch", "pole")
    assert rules(found) == {"tracing", "finite"}
    assert all("TracerBoolConversionError" in what for rule, what in found if rule == "tracing")
    (finite,) = (v for (rule, _), v in found.items() if rule == "finite")
    assert finite.given == "state [0.800000011920929, 0.09000000357627869], action [1.0], t 1"


def test_an_episode_that_ends_early_is_shown():
    found = violations("short", "branch")
    assert ("horizon", "an episode of 3 steps raises RuntimeError (over)") in found


def test_several_flaws_are_reported_together_with_inputs_that_show_them():
    found = violations("pole", "stopped", "random", clips_actions=True)
    assert {"finite", "determinism", "derivative", "clipping"} <= rules(found)
    (finite,) = (v for (rule, _), v in found.items() if rule == "finite")
    given = re.fullmatch(r"state (.*), action (.*), t (.*)", finite.given)
    state, action, t = map(json.loads, given.groups())
    env = Flawed(("pole",))
    assert not np.isfinite(env.step(jnp.asarray(state), jnp.asarray(action), t)).all()


@pytest.mark.parametrize(
    ("flaw", "rule"), [("tracer", "jit"), ("batch", "vmap"), ("root", "derivative")]
)
def test_what_only_shows_when_compiled_or_differentiated(flaw, rule):
    assert rule in rules(violations(flaw))


class Short(Environment):
    """Its functions look at what a state of one entry lacks, where they are told to."""

    reads: str = eqx.field(static=True)
    horizon: int = eqx.field(static=True, default=4)
    name = "short"
    state_dim = action_dim = 1
    dt = 0.1

    def at(self, function, values):
        return values[3] if self.reads == function else values[0]

    def initial_state(self, *, key=None):
        return jnp.zeros(1)

    def step(self, state, action, t, *, key=None):
        return state + self.at("step", action)

    def reward(self, state, action, t, next_state):
        return -(self.at("reward", next_state) ** 2)

    def terminated(self, state, action, t, next_state):
        return self.at("terminated", next_state) > 2.0


@pytest.mark.parametrize("function", ["step", "reward", "terminated"])
def test_what_a_state_lacks_is_not_read_as_its_last_entry(function):
    (found,) = check(Short(function)).violations
    assert found.rule == "shape"
    assert found.what == (
        f"{function} looks at more than a state and an action have (index 3 is out of bounds for "
        "axis 0 with size 1): what it needs has to be part of the state"
    )
    assert check(Short("nothing")).ok


class Ends(Short):
    """It says that it ends in a way that is none."""

    answer: str = eqx.field(static=True, default="")

    def terminated(self, state, action, t, next_state):
        answers = {
            "array": next_state > 2.0,
            "number": next_state[0],
            "pair": (next_state[0] > 2.0, t),
        }
        return answers[self.answer] if self.answer else bool(next_state[0] > 2.0)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ("array", "terminated has shape (1,), not ()"),
        ("number", "terminated gives float32, not bool"),
        ("pair", "terminated gives a tuple"),
        ("", "terminated raises TracerBoolConversionError"),
    ],
)
def test_an_end_is_a_boolean_of_no_axes_that_can_be_traced(answer, says):
    found = check(Ends("nothing", answer=answer)).violations
    assert any(one.what.startswith(says) for one in found)
