"""The files that measurements are written to."""

import csv

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from beeline.diagnostics.alignment import Alignment
from beeline.diagnostics.diagnosis import TRUTH, Diagnosis, Landscape, Subject, measure
from beeline.diagnostics.jacobians import PathMap
from beeline.diagnostics.report import write
from beeline.diagnostics.tables import Table
from beeline.envs import make
from beeline.models import MarkovModel
from beeline.policies import SquashedGaussian

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


def test_a_figure_that_cannot_be_drawn_costs_no_number(tmp_path, monkeypatch):
    def fail(*arguments):
        raise RuntimeError("no ink")

    write(made_up(), tmp_path)
    monkeypatch.setattr("beeline.diagnostics.report.path_figure", fail)
    with pytest.warns(UserWarning, match=r"paths.png is not drawn \(RuntimeError: no ink\)"):
        report = write(made_up(), tmp_path)
    assert {"paths.csv", "alignment.png", "report.md"} <= {file.name for file in report.files}
    # Not even that of before, which would be taken for this one.
    assert not (tmp_path / "paths.png").exists()
    assert tmp_path / "paths.png" not in report.files


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


def test_measuring_needs_the_truth():
    env = make("one-bounce", horizon=3)
    model = MarkovModel(2, 1, 3, key=jax.random.key(0))
    subject = Subject(env, {"markov": model}, SquashedGaussian(2, 1, 3, key=jax.random.key(1)))
    with pytest.raises(ValueError, match="lack the true one, 'truth'"):
        measure({3: subject}, key=jax.random.key(0))


def test_table(tmp_path):
    table = Table.of([{"name": "a", "value": 1.23456}, {"name": "bcd", "value": float("nan")}])
    assert table.text() == (
        "| name | value |\n|------|-------|\n| a    | 1.235 |\n| bcd  | nan   |"
    )
    table.save(tmp_path / "table.csv")
    assert (tmp_path / "table.csv").read_text() == "name,value\na,1.23456\nbcd,nan\n"
