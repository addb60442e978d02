"""Recorded results on the scale of another optimum."""

import shutil

import numpy as np
import pytest

from experiments._grid import Cell, GridError
from experiments._runner import RESULTS
from experiments._store import Store
from experiments.renormalise import main, renormalise

RANDOM, OLD, NEW = 798.4, 822.4756, 823.4867
RETURNS = {
    Cell("hiv-treatment", 20, "ssm-awm", "default", 0): [600.0, 815.1234, 822.0607],
    Cell("hiv-treatment", 20, "sac", "default", 0): [790.0, 800.44],
    Cell("hiv-treatment", 50, "ssm-awm", "default", 0): [805.0, 823.1],
}


def scale(optimum):
    return lambda task, horizon, return_: (
        (return_ - RANDOM) / ((optimum if horizon == 20 else 823.4229) - RANDOM)
    )


def recorded(store, optimum):
    for cell, returns in RETURNS.items():
        curve = [scale(optimum)(cell.task, cell.horizon, return_) for return_ in returns]
        final = {"return": f"{returns[-1]:.7g}", "normalized_return": f"{curve[-1]:.5f}"}
        final |= dict.fromkeys(("env_steps", "wall_seconds", "compile_seconds"), "1")
        final |= {"date": "2026-01-02", "machine": 'one, "two"', "command": "beeline train"}
        steps = list(range(len(returns)))
        store.record(
            cell, final, {"env_steps": steps, "wall_seconds": steps, "normalized_return": curve}
        )
    return store


def texts(store):
    return [(store.folder / name).read_text() for name in ("finals.csv", "curves.csv")]


@pytest.fixture
def store(tmp_path):
    return recorded(Store(tmp_path / "old"), OLD)


def test_restated_as_if_measured_on_the_new_scale(store, tmp_path):
    right = recorded(Store(tmp_path / "new"), NEW)
    restated = renormalise(store, scale(NEW))
    assert [cell.horizon for cell in restated] == [20, 20]
    old, new = restated[next(iter(RETURNS))]
    assert old == pytest.approx(0.98277, abs=1e-5)
    assert new == pytest.approx(0.94316, abs=1e-5)
    for name, curve in right.curves().items():
        found = store.curves()[name]
        np.testing.assert_allclose(found.normalized_return, curve.normalized_return, rtol=3e-5)
        np.testing.assert_array_equal(found.env_steps, curve.env_steps)
    assert texts(store)[0] == texts(right)[0]


def test_nothing_changes_where_scales_agree_or_are_restated_already(store):
    before = texts(store)
    assert renormalise(store, scale(OLD + 1e-4)) == {}
    assert texts(store) == before
    renormalise(store, scale(NEW))
    after = texts(store)
    assert renormalise(store, scale(NEW)) == {}
    assert texts(store) == after


def test_goes_on_where_it_was_stopped_between_the_files(store):
    finals = texts(store)[0]
    renormalise(store, scale(NEW))
    after = texts(store)
    (store.folder / "finals.csv").write_text(finals)
    renormalise(store, scale(NEW))
    assert texts(store) == after


def test_several_old_scales_are_refused(store):
    cell = Cell("hiv-treatment", 20, "sac", "default", 0)
    store.restate(cell, 0.5, np.array([0.4, 0.5]))
    before = texts(store)
    with pytest.raises(GridError, match="H=20 sac, default, seed 0 was measured on another scale"):
        renormalise(store, scale(NEW))
    assert texts(store) == before


@pytest.mark.slow
def test_the_committed_results_are_on_the_scale_of_today(tmp_path, monkeypatch, capsys):
    results = shutil.copytree(RESULTS, tmp_path / "results")
    monkeypatch.setattr("sys.argv", ["renormalise", "--results", str(results)])
    main()
    assert capsys.readouterr().out.startswith("0 of ")
