"""Plans in the world models of runs, by the command line and from Python."""

import csv
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from beeline.cli import main
from beeline.control import CEM, LBFGS
from beeline.run import RunError


def refused(capsys, *arguments):
    """Run a command that must end with code 2 and one line; give that line."""
    assert main(["plan", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("beeline: ")
    assert err.count("\n") == 1
    return err


def test_a_plan_is_printed_drawn_and_written(copied, trained, capsys):
    assert main(["plan", str(copied), "--state", "0.9", "--starts", "2"]) == 0
    out = capsys.readouterr().out
    with (copied / "plan.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    told = json.loads((copied / "plan.json").read_text())
    assert (copied / "plan.png").read_bytes().startswith(b"\x89PNG")
    found = trained.plan([0.9], starts=2)
    assert len(rows) == trained.env.horizon == len(told["steps"])
    assert list(rows[0]) == ["step", "tumour density", "drug strength", "reward"]
    drug = [float(row["drug strength"]) for row in rows]
    wanted = trained.env.physical_action(jnp.asarray(found.actions))[:, 0]
    np.testing.assert_allclose(drug, wanted, atol=1e-3)
    assert float(rows[0]["tumour density"]) == pytest.approx(0.9)
    assert told["return"] == pytest.approx(found.return_, rel=1e-4)
    # What the environment gives, by hand.
    env, state, total = trained.env, jnp.asarray([0.9]), 0.0
    step = jax.jit(lambda s, a, t: (env.step(s, a, t), env.reward(s, a, t)))
    for t, action in enumerate(found.actions):
        state, reward = step(state, jnp.asarray(action), t)
        total += float(reward)
    assert told["real_rewards"] == pytest.approx(total, rel=1e-3)
    assert f"{told['predicted_rewards']:.6g} predicted, {told['real_rewards']:.6g} in the" in out
    assert out.count("\n") > trained.env.horizon
    assert "standard deviations from the nearest that the model was fitted on" in out


def test_json_is_printed_and_files_go_where_they_are_to(copied, tmp_path, capsys):
    where = ["--out", str(tmp_path), "--method", "adam", "--starts", "1"]
    assert main(["plan", str(copied), "--json", "--horizon", "4", "--first", "6", *where]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [row["step"] for row in told["steps"]] == [6, 7, 8, 9]
    assert {file.name for file in tmp_path.glob("plan.*")} == {"plan.csv", "plan.json", "plan.png"}
    assert not (copied / "plan.csv").exists()


def test_how_far_a_start_is_from_the_data_is_told(trained, pair):
    one = {"search": LBFGS(iterations=1), "starts": 1}
    buffer = trained.state.buffer
    seen = np.asarray(buffer.states[0, 3, 4])
    assert trained.plan(seen, **one).distance == 0
    assert trained.plan([5.0], **one).distance > 1
    assert trained.plan(**one).distance == 0
    first, second = (pair.plan([0.5], seed=seed, **one) for seed in pair.seeds)
    assert first.return_ != second.return_


def test_what_cannot_be_planned_is_told_in_one_line(trained, pair):
    for options, message in (
        ({"horizon": 11}, "horizon is 11 from step 0 on, but the model is of episodes of 10 steps"),
        ({"horizon": 5, "first": 6}, "from step 6 on, but .*: take at most 4"),
        ({"state": [0.1, 0.2]}, "state must be 1 numbers"),
        ({"state": [np.inf]}, "state must be finite"),
        ({"seed": 4}, "seed is 4: this run has 0"),
        ({"starts": 0}, "starts must be at least 1"),
    ):
        with pytest.raises(RunError, match=message):
            trained.plan(**{"search": CEM(iterations=1), "starts": 1, **options})


def test_mistakes_are_told_in_one_line(copied, tmp_path, capsys):
    run = str(copied)
    assert "did you mean 'lbfgs'" in refused(capsys, run, "--method", "lbgs")
    assert "state is '0.1;2'" in refused(capsys, run, "--state", "0.1;2")
    assert "state must be 1 numbers" in refused(capsys, run, "--state", "0.1,0.2")
    assert "there is no folder" in refused(capsys, run, "--out", str(tmp_path / "none"))
    assert "there is no run directory" in refused(capsys, str(tmp_path / "none"))
    assert "at most 10" in refused(capsys, run, "--horizon", "11")


CONSTRAINTS = """
from beeline.control import Constraints

cap = Constraints(total=lambda states, actions: actions.sum() - 1.0)
never = Constraints(path=lambda state, action, t: 1.0 + action)
number = 3
"""


def test_constraints_are_kept_and_what_cannot_be_is_told(copied, tmp_path, monkeypatch, capsys):
    (tmp_path / "my_limits.py").write_text(CONSTRAINTS)
    monkeypatch.chdir(tmp_path)
    run = [str(copied), "--starts", "1", "--method", "adam"]
    assert main(["plan", *run, "--json", "--constraints", "my_limits:cap"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert sum(step["drug strength"] for step in told["steps"]) == pytest.approx(1, abs=1e-2)
    assert told["feasible"]
    assert told["violations"]["total"] < 1e-2
    assert main(["plan", *run, "--constraints", "my_limits:never"]) == 1
    out, err = capsys.readouterr()
    assert "plan.csv" in out
    said = "beeline: no plan was found that keeps the constraints: this one breaks path by 1\n"
    assert err == said
    assert "my_limits:number is a int: let it be" in refused(
        capsys, *run, "--constraints", "my_limits:number"
    )
    assert "give module:name" in refused(capsys, *run, "--constraints", "cap")
