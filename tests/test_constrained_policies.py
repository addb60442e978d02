"""Policies that are trained under constraints: what a run keeps, tells, refuses and ends with."""

import dataclasses
import inspect
import json
import warnings
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import beeline
from beeline.build import imagination_of
from beeline.cli import main
from beeline.cli._returns import print_returns
from beeline.config import preset
from beeline.control import Constraints, is_deterministic, solve_optimum
from beeline.envs import Constrained, Environment, check, from_gymnasium, make
from beeline.envs._identity import equations
from beeline.run import Interrupted, RunError, RunWarning, train
from beeline.run import _training as training
from beeline.run._before import warn_of_constraints
from beeline.run._longer import at_horizon
from beeline.training import Episode
from beeline.training.breaches import broken
from beeline.training.episodes import Ends
from beeline.training.record import Record
from tests.test_resume import assert_same_bits, without_times

TASK = make("cancer-treatment", horizon=10)
CAP = 5.0
CAPPED = Constrained(TASK, Constraints(total=lambda states, actions: TASK.dt * actions.sum() - CAP))
BOUNDED = Constrained(TASK, Constraints(path=lambda state, action, t: 0.3 - state[0], rate=0.5))


@pytest.fixture(scope="module")
def short(tiny):
    """As much as tells whether a run goes on with the same bits."""
    return dataclasses.replace(tiny, env_steps=180, environment="")


@pytest.fixture(scope="module")
def run(short, tmp_path_factory, own_cache):
    out = tmp_path_factory.mktemp("constrained") / "run"
    return beeline.train(CAPPED, config=short, out=out, check=False)


def drug_of(run):
    measured = beeline.run.evaluate_run(run)
    actions = np.asarray(TASK.physical_action(jnp.asarray(measured.actions[0])))
    return TASK.dt * actions.sum(), measured


def test_a_run_tells_how_far_its_policy_breaks_a_budget(run, capsys):
    drug, measured = drug_of(run)
    assert measured.violations is not None
    expected = max(0, drug - CAP)
    np.testing.assert_allclose(measured.violations["total"], [expected], atol=1e-4)
    assert measured.violated_steps is None
    last = run.records[-1]
    np.testing.assert_allclose(last["violation"], [expected], atol=1e-4)
    assert "violated_steps" not in last
    assert last["penalty_weight"][0] >= 10
    assert last["imagined_violation"][0] >= 0
    assert run.summary["violation"] == last["violation"]
    # What returns are compared with keeps the budget too.
    constrained = solve_optimum(CAPPED).return_
    assert run.summary["optimal_return"] == pytest.approx(constrained, rel=1e-6)
    assert constrained < solve_optimum(TASK).return_ - 0.1
    print_returns(run.summary, "optimum")
    said = capsys.readouterr().out
    told = "breaks the constraints by" if expected > 0 else "keeps the constraints"
    assert f"seed 0    {told}" in said


def test_a_run_under_constraints_goes_on_with_the_same_bits(run, short, tmp_path, monkeypatch):
    measured, done = training.row, []

    def row(record, reference):
        done.append(1)
        if len(done) == 4:
            raise KeyboardInterrupt
        return measured(record, reference)

    monkeypatch.setattr(training, "row", row)
    out = tmp_path / "run"
    with pytest.raises(Interrupted):
        beeline.train(CAPPED, config=short, out=out, check=False)
    monkeypatch.setattr(training, "row", measured)
    ended = beeline.resume(out, env=CAPPED)
    assert_same_bits(ended.state, run.state)
    assert without_times(ended.records) == without_times(run.records)
    multipliers = run.state.learners["multipliers"].weights
    assert float(multipliers.values["total"].ravel()[0]) > 0
    loaded = beeline.load(out, env=CAPPED)
    assert_same_bits(loaded.state.learners["multipliers"], run.state.learners["multipliers"])


def test_evaluate_tells_it_too(run, capsys):
    module = "tests.test_constrained_policies:CAPPED"
    assert main(["evaluate", str(run.path), "--env", module, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["violations"]["total"] == told["violation"]
    assert "violated_steps" not in told
    for violation, line in ((0.0, "keeps the constraints\n"), (0.5, "0.5 at most, in 25.00% of")):
        print_returns(told | {"violation": [violation], "violated_steps": [0.25]}, "optimum")
        assert line in capsys.readouterr().out


def test_a_budget_over_another_horizon_is_another_task():
    pendulum = make("pendulum", horizon=10)
    slow = Constrained(pendulum, Constraints(path=lambda state, action, t: state[2] - 4, rate=0.5))
    assert at_horizon(slow, 12).horizon == 12
    budget = Constrained(pendulum, Constraints(total=lambda states, actions: actions.sum()))
    with pytest.raises(RunError, match="another task then, which differs in equations"):
        at_horizon(budget, 12)


def test_the_page_says_what_works(run, monkeypatch):
    page = Path(__file__).parents[1] / "docs" / "constraints.md"
    code = page.read_text(encoding="utf-8").partition("```python\n")[2].partition("```")[0]
    # The task of `run` in the place of a larger one.
    for given, smaller in (("horizon=100", "horizon=10"), ("- 7.6", f"- {CAP}")):
        assert given in code
        code = code.replace(given, smaller)
    asked = []
    monkeypatch.setattr(beeline, "train", lambda env, **given: asked.append((env, given)) or run)
    names = {}
    exec(code, names)
    ((env, given),) = asked
    assert equations(env) == equations(CAPPED)
    inspect.signature(train).bind(env, **given)
    assert names["measured"].violations["total"] == drug_of(run)[1].violations["total"]


def test_without_constraints_nothing_is_there(trained):
    assert "multipliers" not in trained.state.learners
    names = {"violation", "violated_steps", "imagined_violation", "penalty_weight"}
    assert names <= set(Record._fields)
    assert not names & set(trained.records[-1])
    assert not names & set(trained.summary)
    assert beeline.run.evaluate_run(trained).violations is None


def test_windows_take_what_is_of_steps(tiny_windows):
    config = dataclasses.replace(tiny_windows, environment="")
    run = beeline.train(BOUNDED, config=config, check=False)
    multipliers = run.state.learners["multipliers"].weights
    assert {kind: x.shape for kind, x in multipliers.values.items()} == {
        "path": (1, 1, 1),
        "rate": (1, 1, 1),
    }
    last = run.records[-1]
    assert 0 <= last["violated_steps"][0] <= 1
    assert (last["violation"][0] > 0) >= (last["violated_steps"][0] > 0)
    for kind in ("end", "total"):
        of_all = Constrained(TASK, Constraints(**{kind: lambda states, *_: states.sum()}))
        with pytest.raises(RunError, match=rf"'{kind}' of cancer-treatment is about whole ep") as e:
            beeline.train(of_all, config=config, check=False)
        assert "\n" not in str(e.value)


def test_a_budget_asks_for_whole_episodes(tiny_windows):
    config = dataclasses.replace(tiny_windows, imagination="auto")
    chosen = imagination_of(config, CAPPED)
    assert chosen.imagination == "episodes"
    assert chosen.because == "the constraint 'total' is about whole episodes"


def test_constraints_that_are_none_are_refused_before_anything_is_trained(short):
    wrong = Constrained(TASK, Constraints(path=lambda state, action, t: state > 0))
    with pytest.raises(ValueError, match="'path' gives bool of shape"):
        beeline.train(wrong, config=short)
    assert [one.rule for one in check(wrong).violations] == ["shape"]
    assert check(BOUNDED).ok


def test_baselines_say_that_they_heed_none(tiny):
    config = preset("sac-zoo")
    with pytest.warns(RunWarning, match="sac heeds no constraints: it maximises the return alone"):
        warn_of_constraints(config, CAPPED)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_constraints(config, TASK)
        warn_of_constraints(tiny, CAPPED)


def test_a_constrained_task_is_the_task():
    key = jax.random.key(0)
    state, action = jnp.asarray([0.7]), jnp.asarray([0.2])
    for name in ("name", "horizon", "dt", "state_names", "action_units", "continuing"):
        assert getattr(CAPPED, name) == getattr(TASK, name)
    np.testing.assert_array_equal(CAPPED.step(state, action, 3), TASK.step(state, action, 3))
    after = CAPPED.step(state, action, 3, key=key)
    earned = CAPPED.reward(state, action, 3, next_state=after)
    np.testing.assert_array_equal(earned, TASK.reward(state, action, 3))
    assert is_deterministic(CAPPED)
    assert equations(CAPPED) not in (equations(TASK), equations(BOUNDED))
    other = Constrained(TASK, Constraints(total=lambda s, actions: TASK.dt * actions.sum() - 6))
    assert equations(other) != equations(CAPPED)
    assert Constraints.of(TASK) is None
    # Actions are physical unless it is said otherwise.
    in_units = Constraints.of(CAPPED).along(jnp.zeros((2, 1)), jnp.asarray([[0.2]]))["total"]
    expected = TASK.dt * TASK.physical_action(action)[0] - CAP
    np.testing.assert_allclose(in_units, [[expected]], rtol=1e-6)


class Pole(Environment):
    horizon: int = eqx.field(static=True, default=4)
    name = "pole"
    state_dim = action_dim = 1
    dt = 1.0
    constraints = Constraints(end=lambda state: state - 1)

    def initial_state(self, *, key=None):
        return jnp.zeros(1)

    def step(self, state, action, t, *, key=None):
        return state + action

    def reward(self, state, action, t):
        return state[0]


def test_an_environment_may_declare_whole_constraints_and_nothing_else():
    assert check(Pole()).ok
    assert Constraints.of(Pole()).of_episodes == ("end",)

    class Wrong(Pole):
        constraints = 3.0

    with pytest.raises(ValueError, match=r"a method that takes \(state, action, t\), or Constr"):
        Wrong()
    with pytest.raises(ValueError, match="pole declares constraints already"):
        Constrained(Pole(), Constraints(rate=1.0))
    with pytest.raises(TypeError, match="Constraints"):
        Constrained(Pole(), 3.0)
    with pytest.raises(TypeError, match="nvironment"):
        Constrained("pole", Constraints(rate=1.0))


def test_simulators_on_the_host_take_none():
    gymnasium = pytest.importorskip("gymnasium")
    simulator = from_gymnasium(gymnasium.make("Pendulum-v1"))
    with pytest.raises(ValueError, match="stepped on the host, and constraints are for environm"):
        Constrained(simulator, Constraints(rate=1.0))


def test_what_is_broken_by_hand():
    states = jnp.asarray([[[0.0], [2.0], [1.0], [5.0]], [[0.0], [0.5], [0.5], [0.5]]])
    actions = jnp.zeros((2, 3, 1))
    ends = Ends(states[:, 1:], jnp.asarray([[0, 1, 0], [0, 0, 0]], bool), jnp.zeros((2, 3), int))
    keeps = Constraints(
        path=lambda state, action, t, next_state: next_state[0] - 1.5,
        end=lambda state: state[0] - 4.0,
    )
    found = broken(keeps, Episode(states, actions, actions[..., 0]))
    assert found.largest == {"path": 3.5, "end": 1.0}
    assert found.steps == pytest.approx(2 / 6)
    # After its end nothing of an episode counts.
    of_steps = dataclasses.replace(keeps, end=None)
    ended = broken(of_steps, Episode(states, actions, actions[..., 0], ends))
    assert ended.largest == {"path": 0.5}
    assert ended.steps == pytest.approx(1 / 5)
    one = broken(keeps, Episode(states[0], actions[0], actions[0, :, 0]))
    assert one.largest == found.largest


@pytest.mark.slow
def test_a_policy_under_a_budget_ends_at_the_constrained_optimum(tiny):
    config = dataclasses.replace(tiny, model="simulator", env_steps=1500)
    run = beeline.train(CAPPED, config=config, check=False)
    drug, _ = drug_of(run)
    assert drug <= CAP * (1 + 1e-3)
    assert run.records[-1]["return"][0] == pytest.approx(solve_optimum(CAPPED).return_, rel=1e-2)
