"""Diagnoses of tasks and runs, and the files that they are written to."""

import csv
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from beeline.build import build_model, build_policy
from beeline.config import Config
from beeline.diagnostics.alignment import Alignment
from beeline.diagnostics.diagnosis import TRUTH, Diagnosis, Landscape, Subject, measure
from beeline.diagnostics.jacobians import PathMap
from beeline.diagnostics.report import diagnose, write
from beeline.diagnostics.subjects import of_run
from beeline.diagnostics.tables import Table
from beeline.envs import make

HORIZONS = (5, 10, 20, 40)


def made_up():
    def curve(rate):
        return {h: np.exp(rate * h) * np.array([0.5, 1.0, 2.0]) for h in HORIZONS}

    curves = {TRUTH: curve(0.2), "flat": curve(0.0)}
    total = np.tril(np.ones((4, 4)))
    aligned = Alignment(jnp.array(0.5), jnp.array(2.0), jnp.array([0.4, 0.6]), jnp.array(0.1))
    at = np.linspace(-1, 1, 5)
    landscape = Landscape("somewhere", at, {TRUTH: at**2, "flat": 0 * at + 1})
    return Diagnosis(
        first_action_norms=curves,
        policy_gradient_norms=curves,
        alignments={"flat": dict.fromkeys(HORIZONS, aligned)},
        maps={
            TRUTH: PathMap(total, np.eye(4), total - np.eye(4)),
            "flat": PathMap(total, total, 0 * total),
        },
        map_horizon=5,
        landscapes=(landscape, landscape),
        landscape_horizon=40,
    )


def test_writing(tmp_path):
    report = write(made_up(), tmp_path / "new" / "folder")
    names = {file.name for file in report.files}
    for name in ("growth", "growth_laws", "path_shares", "paths", "alignment", "landscapes"):
        assert f"{name}.csv" in names
    for name in ("growth_first_action", "growth_policy_gradient", "paths", "alignment"):
        assert f"{name}.png" in names
    assert {"landscape_first_action.png", "landscape_policy.png", "report.md"} <= names
    assert all(file.stat().st_size > 0 for file in report.files)
    with (tmp_path / "new" / "folder" / "growth_laws.csv").open() as file:
        laws = {(row["quantity"], row["model"]): row for row in csv.DictReader(file)}
    truth = laws["first-action", TRUTH]
    assert truth["law"] == "exponential"
    assert float(truth["rate_per_step"]) == pytest.approx(0.2)
    assert laws["policy-gradient", "flat"]["law"] == "bounded"
    rows = report.tables["landscapes"].rows
    error = report.tables["landscapes"].columns.index("error")
    assert rows[1][error] == pytest.approx(np.mean(1 - np.linspace(-1, 1, 5) ** 2))
    assert "exponential" in (tmp_path / "new" / "folder" / "report.md").read_text()


def test_norms_without_a_logarithm_are_drawn_and_counted(tmp_path):
    diagnosis = made_up()
    broken = dict.fromkeys(HORIZONS, np.array([0.0, np.inf, np.nan]))
    report = write(diagnosis._replace(first_action_norms={TRUTH: broken, "flat": broken}), tmp_path)
    table = report.tables["growth"]
    assert table.rows[0][table.columns.index("left_out")] == 3
    laws = {row[:3]: row[3] for row in report.tables["growth-laws"].rows}
    assert laws["policy-gradient", TRUTH, "geometric"] == "exponential"


def test_a_model_without_a_law_is_listed(tmp_path):
    diagnosis = made_up()
    cut = {h: norms * (h < 20) for h, norms in diagnosis.first_action_norms[TRUTH].items()}
    curves = {TRUTH: cut, "flat": diagnosis.first_action_norms["flat"]}
    report = write(diagnosis._replace(first_action_norms=curves), tmp_path)
    laws = {row[:3]: row[3] for row in report.tables["growth-laws"].rows}
    assert laws["first-action", TRUTH, "geometric"] == "none: norms at fewer than four horizons"
    assert laws["first-action", "flat", "arithmetic"] == "bounded"


@pytest.mark.parametrize(
    "models", [["simulator"], pytest.param(["markov", "transformer-awm"], marks=pytest.mark.slow)]
)
def test_diagnosing_a_task(tmp_path, models):
    said = []
    report = diagnose(
        "one-bounce",
        models,
        [3],
        tmp_path,
        transitions=12,
        fit_steps=2,
        samples=2,
        points=5,
        say=said.append,
    )
    measured = report.diagnosis
    learned = set(models) - {"simulator"}
    assert set(measured.first_action_norms) == {TRUTH} | learned
    assert set(measured.alignments) == learned
    # The place and the speed two steps after a push: x = 0.01 v and v, with v = 10 (a - 2), then
    # one step of friction.
    expected = np.linalg.norm([0.1, 10 * 0.9])
    np.testing.assert_allclose(measured.first_action_norms[TRUTH][3], expected, rtol=1e-4)
    assert "growth-laws" not in report.tables
    assert measured.maps[TRUTH].total.shape == (2, 2)
    assert {f"H = 3: fitting {name}" for name in learned} <= set(said)
    assert measured.landscapes[0].returns[TRUTH].shape == (5,)


def a_run():
    config = Config(model="markov", horizon=6, env_steps=2000)
    env = make(config.task, horizon=6)
    return SimpleNamespace(
        config=config,
        env=env,
        model=build_model(config, env, key=jax.random.key(0)),
        policy=build_policy(config, env, key=jax.random.key(1)),
    )


def test_subjects_of_a_run():
    subjects = of_run(a_run(), (), (3, 6))
    assert set(subjects) == {3, 6}
    assert set(subjects[3].models) == {TRUTH, "markov"}
    with pytest.raises(ValueError, match="the run has a markov model, not rnn-awm"):
        of_run(a_run(), ("rnn-awm",), (3,))
    with pytest.raises(ValueError, match="horizon 7 is beyond the run's own 6"):
        of_run(a_run(), (), (7,))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"horizons": []}, "no horizon was given"),
        ({"horizons": [1]}, "horizon is 1: give an integer of at least 2"),
        ({"models": ["markof"]}, "unknown model 'markof': did you mean 'markov'"),
        ({"transitions": 0}, "transitions is 0"),
        ({"fit_steps": -1}, "fit-steps is -1"),
        ({"samples": 1}, "samples is 1: give an integer of at least 2"),
        ({"points": 1}, "points is 1"),
        ({"task_or_run": "one-bonce"}, "unknown task 'one-bonce'"),
        ({"preset_name": "papr"}, "unknown preset 'papr'"),
    ],
)
def test_refusals(tmp_path, change, message):
    given = {"task_or_run": "one-bounce", "models": [], "horizons": [3], "out": tmp_path / "out"}
    with pytest.raises(ValueError, match=message):
        diagnose(**(given | change))
    assert not (tmp_path / "out").exists()


def test_measuring_needs_the_truth():
    run = a_run()
    with pytest.raises(ValueError, match="lack the true one, 'truth'"):
        measure({3: Subject(run.env, {"markov": run.model}, run.policy)}, key=jax.random.key(0))


def test_table(tmp_path):
    table = Table.of([{"name": "a", "value": 1.23456}, {"name": "bcd", "value": float("nan")}])
    assert table.text() == (
        "| name | value |\n|------|-------|\n| a    | 1.235 |\n| bcd  | nan   |"
    )
    table.save(tmp_path / "table.csv")
    assert (tmp_path / "table.csv").read_text() == "name,value\na,1.23456\nbcd,nan\n"
