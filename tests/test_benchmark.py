"""What figures and tables say of recorded runs: the right ones, aggregated, with none left out."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]

GRID = """
[[reduced]]
tasks = ["harvest", "bacteria"]
horizons = [20, 50]
models = ["ssm-awm"]
variants = ["default", "default env_steps=5000"]
seeds = 2

[[reduced]]
label = "full gradient"
tasks = ["harvest", "bacteria"]
horizons = [20]
models = ["ssm-awm"]
variants = ["default improvement.through_policy=1.0"]
seeds = 2
"""
STEPS = np.array([1600.0, 2000.0, 4000.0, 8000.0])


@pytest.fixture(autouse=True)
def beside_the_library(monkeypatch):
    """Import from the checkout."""
    monkeypatch.syspath_prepend(str(ROOT))


@pytest.fixture
def experiment(tmp_path):
    folder = tmp_path / "some_figure"
    folder.mkdir()
    (folder / "grid.toml").write_text(GRID)
    (folder / "README.md").write_text("before\n<!-- measured -->\nold\n<!-- end -->\nafter\n")
    return folder


@pytest.fixture
def store(tmp_path):
    return importlib.import_module("experiments._store").Store(tmp_path / "runs")


def keep(store, task, horizon, variant, finals, stopped=(), skipped="0"):
    grid = importlib.import_module("experiments._grid")
    columns = importlib.import_module("experiments._store").FINAL_COLUMNS
    for seed, value in enumerate(finals):
        cell = grid.Cell(task, horizon, "ssm-awm", variant, seed)
        other = dict.fromkeys((c for c in columns if c not in cell._fields), "1")
        curve = {
            "env_steps": STEPS,
            "wall_seconds": STEPS / 100,
            "normalized_return": value * np.array([0.5, 0.8, 0.9, 1.0]),
        }
        fault = {"skipped": skipped, "stopped": int(seed in stopped)}
        store.record(cell, {**other, **fault, "normalized_return": str(value)}, curve)


def recorded_in(experiment, store):
    benchmark = importlib.import_module("experiments._benchmark")
    return benchmark.Recorded.of(experiment / "grid.toml", "reduced", store)


def test_a_run_without_a_finite_return_counts_like_random_actions(experiment, store):
    for task in ("harvest", "bacteria"):
        keep(store, task, 20, "default", [float("nan"), 0.5])
    recorded = recorded_in(experiment, store)
    point = recorded.point(recorded.lines[0], 20)
    assert [task.tolist() for task in point.scores] == [[0, 0.5]] * 2
    assert point.interval.value == pytest.approx(0.25)


def test_the_best_variant_with_every_task_counts(experiment, store):
    keep(store, "harvest", 20, "default", [0.5, 0.6])
    keep(store, "bacteria", 20, "default", [0.7, 0.9])
    # Better, but on one task only.
    keep(store, "harvest", 20, "default env_steps=5000", [0.99, 0.99])
    recorded = recorded_in(experiment, store)
    line, full = recorded.lines
    point = recorded.point(line, 20)
    assert point.variant == "default"
    assert point.runs == 4
    # A quarter of four runs is left out at either end.
    assert point.interval.value == pytest.approx((0.6 + 0.7) / 2)
    assert np.isnan([point.interval.low, point.interval.high]).all()
    assert recorded.point(line, 50) is None
    assert recorded.point(full, 20) is None
    keep(store, "bacteria", 20, "default env_steps=5000", [0.2, 0.9])
    point = recorded_in(experiment, store).point(line, 20)
    assert point.variant == "default env_steps=5000"
    assert point.interval.value == pytest.approx((0.9 + 0.99) / 2)


def test_what_is_not_run_is_said_to_be(experiment, store):
    keep(store, "harvest", 20, "default", [0.5, 0.6])
    keep(store, "bacteria", 20, "default", [0.7, 0.9])
    benchmark = importlib.import_module("experiments._benchmark")
    rows = benchmark.rows_by_horizon(recorded_in(experiment, store))
    assert [(row["horizon"], row["line"], row["runs"], row["wanted"]) for row in rows] == [
        (20, "ssm-awm", 4, 4),
        (20, "ssm-awm, full gradient", 0, 4),
        (50, "ssm-awm", 0, 4),
    ]
    assert [row["iqm"] for row in rows] == [pytest.approx(0.65), "", ""]


def test_failures_stand_beside_the_interquartile_mean(experiment, store):
    keep(store, "harvest", 20, "default", [0.5, 0.6])
    keep(store, "bacteria", 20, "default", [0.7, 0.9])
    gradient = "default improvement.through_policy=1.0"
    keep(store, "harvest", 20, gradient, [0.55, -4.0])
    keep(store, "bacteria", 20, gradient, [0.6, 0.95])
    benchmark = importlib.import_module("experiments._benchmark")
    first, other, _ = benchmark.rows_by_horizon(recorded_in(experiment, store))
    assert other["iqm"] == pytest.approx((0.55 + 0.6) / 2)
    assert other["mean"] == pytest.approx((0.55 - 4.0 + 0.6 + 0.95) / 4)
    assert other["least"] == pytest.approx(-4.0)
    assert first["first is better"] == ""
    # 3 of 4 pairs on harvest, 2 of 4 on bacteria.
    assert other["first is better"] == "0.62"
    assert (other["low"], other["high"]) == ("", "")


def test_there_is_an_interval_from_three_seeds_on(experiment, store):
    grid = experiment / "grid.toml"
    grid.write_text(GRID.replace("seeds = 2", "seeds = 3"))
    gradient = "default improvement.through_policy=1.0"
    for task in ("harvest", "bacteria"):
        keep(store, task, 20, "default", [0.5, 0.6, 0.8])
        keep(store, task, 20, gradient, [0.4, 0.7, 0.9][: 3 if task == "harvest" else 2])
    benchmark = importlib.import_module("experiments._benchmark")
    first, other, _ = benchmark.rows_by_horizon(recorded_in(experiment, store))
    assert first["low"] < first["iqm"] < first["high"]
    assert other["low"] == other["high"] == ""
    assert "[" not in other["first is better"]


def test_a_run_that_stopped_is_shown_and_no_result(experiment, store, tmp_path, monkeypatch):
    keep(store, "harvest", 20, "default", [0.5, -3.0], stopped=[1])
    keep(store, "bacteria", 20, "default", [0.7, 0.9], skipped="4")
    gradient = "default improvement.through_policy=1.0"
    keep(store, "harvest", 20, gradient, [0.2, 0.3], stopped=[0, 1])
    keep(store, "bacteria", 20, gradient, [0.6, 0.95], skipped="")
    recorded = recorded_in(experiment, store)
    benchmark = importlib.import_module("experiments._benchmark")
    first, other, _ = benchmark.rows_by_horizon(recorded)
    assert (first["runs"], first["stopped"], first["skipped"]) == (3, 1, "8 in 2")
    assert first["mean"] == pytest.approx((0.5 + (0.7 + 0.9) / 2) / 2)
    assert (other["runs"], other["stopped"], other["skipped"]) == (0, 2, "")
    assert other["iqm"] == ""
    assert len(recorded.learned(20)) == 5
    figures = importlib.import_module("experiments._benchmark_figures")
    lines = importlib.import_module("experiments._lines")
    drawn = []
    monkeypatch.setattr(lines, "save_figure", lambda figure, file: drawn.append(figure))
    for draw in (figures.by_horizon, figures.tasks, figures.ingredients, figures.learning):
        rows = draw(recorded, tmp_path)
        assert sum(row["stopped"] for row in rows) == 3
        assert "runs that stopped" in [text.get_text() for text in drawn[-1].legends[0].texts]


def test_nothing_is_marked_where_nothing_stopped(experiment, store, tmp_path, monkeypatch):
    keep(store, "harvest", 20, "default", [0.5, 0.6])
    keep(store, "bacteria", 20, "default", [0.7, 0.9])
    figures = importlib.import_module("experiments._benchmark_figures")
    lines = importlib.import_module("experiments._lines")
    drawn = []
    monkeypatch.setattr(lines, "save_figure", lambda figure, file: drawn.append(figure))
    figures.by_horizon(recorded_in(experiment, store), tmp_path)
    assert "runs that stopped" not in [text.get_text() for text in drawn[-1].legends[0].texts]


def test_curves_are_read_where_they_were_recorded(experiment, store):
    keep(store, "harvest", 20, "default", [0.5, 0.6])
    keep(store, "bacteria", 20, "default", [0.7, 0.9])
    recorded = recorded_in(experiment, store)
    budgets = np.array([1000.0, 2000.0, 7999.0, 9000.0])
    tasks = recorded.learning(recorded.lines[0], 20, budgets, "env_steps")
    shares = np.array([0.0, 0.8, 0.9, 1.0])
    for curves, finals in zip(tasks, ([0.5, 0.6], [0.7, 0.9]), strict=True):
        np.testing.assert_allclose(curves, np.outer(shares, finals))
    assert recorded.learning(recorded.lines[1], 20, budgets, "env_steps") is None


def test_a_longer_run_of_another_experiment_does_not_stretch_the_curves(experiment, store):
    keep(store, "harvest", 20, "default", [0.5, 0.6])
    mine = recorded_in(experiment, store).learned(20)
    keep(store, "harvest", 20, "default env_steps=50000", [0.9])
    keep(store, "harvest", 50, "default", [0.9])
    assert len(mine) == len(recorded_in(experiment, store).learned(20)) == 2


def test_the_ratio_is_that_of_the_first_budgets_at_the_level():
    benchmark = importlib.import_module("experiments._benchmark")
    budgets = np.array([10.0, 20.0, 40.0, 80.0])
    fast = [np.array([[0.95], [0.95], [0.96], [0.97]])] * 2
    slow = [np.array([[0.1], [0.5], [0.8], [0.95]])] * 2
    # Three seeds that are the same.
    ran = [np.repeat(task, 3, axis=1) for task in fast]
    assert benchmark.reach(ran, [np.repeat(task, 3, axis=1) for task in slow], budgets) == (8, 8, 8)
    assert benchmark.reach(fast, slow, budgets).value == 8
    assert benchmark.reach(slow, fast, budgets).value == pytest.approx(0.125)
    never = [np.full((4, 1), 0.5)] * 2
    assert np.isinf(benchmark.reach(fast, never, budgets).value)
    assert benchmark.reach(fast, never, budgets, end=40.0).value == 4
    assert benchmark.reach(never, slow, budgets, end=40.0).value == 0


def test_a_curve_that_ends_below_the_level_gives_a_bound(experiment, store):
    gradient = "default improvement.through_policy=1.0"
    for task in ("harvest", "bacteria"):
        keep(store, task, 20, "default", [1.0, 1.0])
        keep(store, task, 20, gradient, [0.5, 0.6])
    figures = importlib.import_module("experiments._benchmark_figures")
    first, other, missing = figures.learning(recorded_in(experiment, store), experiment)
    # Curves are read at 60 budgets from 1,600 to 8,000; theirs end there, ours is at 0.9 by 4,000.
    assert 4000 <= float(first["env_steps to 0.9"].replace(",", "")) < 4000 * 5 ** (1 / 59)
    assert first["env_steps to 0.9, ratio"] == ""
    assert other["env_steps to 0.9"] == "over 8,000"
    value = float(other["env_steps to 0.9, ratio"].removeprefix("over "))
    assert 2 * 5 ** (-1 / 59) < value <= 2
    assert other["env_steps to 0.9, ratio"] == f"over {value}"
    assert missing["env_steps to 0.9"] == missing["env_steps to 0.9, ratio"] == ""


@pytest.mark.parametrize(
    ("drawing", "pictures"),
    [
        ("by_horizon", {"by_horizon.png"}),
        ("tasks", {"tasks.png"}),
        ("ingredients", {"ingredients.png"}),
        ("learning", {"learning_env_steps.png", "learning_wall_seconds.png"}),
    ],
)
def test_plots_are_drawn_and_their_table_is_put_in_place(
    drawing, pictures, experiment, store, monkeypatch, capsys
):
    keep(store, "harvest", 20, "default", [0.5, 0.6])
    keep(store, "bacteria", 20, "default", [0.7, 0.9])
    figures = importlib.import_module("experiments._benchmark_figures")
    arguments = ["plot", "--runs", str(store.folder), "--out", str(experiment)]
    monkeypatch.setattr(sys, "argv", arguments)
    figures.main(experiment, getattr(figures, drawing))
    results = experiment / "results"
    assert {file.name for file in results.glob("*.png")} == pictures
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in results.glob("*.png"))
    text = (experiment / "README.md").read_text()
    assert text.startswith("before\n<!-- measured -->\nAt the scale `reduced`")
    assert text.endswith("<!-- end -->\nafter\n")
    assert "old" not in text
    assert "have not ended a run" in text
    assert "| ssm-awm, full gradient |" in text
    expected = "| harvest | 20 | ssm-awm | default | 2 | 2 | 0 | 0 | 0.550 | 0.500 | 0.600 |"
    if drawing != "tasks":
        expected = "| 20 | ssm-awm | default | 4 | 4 | 0 | 0 | 0.650 |"
    assert expected in text
    assert expected in capsys.readouterr().out


def test_grid_without_results_is_drawn_too(experiment, store, monkeypatch):
    figures = importlib.import_module("experiments._benchmark_figures")
    monkeypatch.setattr(
        sys, "argv", ["plot", "--runs", str(store.folder), "--out", str(experiment)]
    )
    figures.main(experiment, figures.by_horizon)
    assert "where 3 of 3 rows have not ended a run" in (experiment / "README.md").read_text()


def test_an_ingredient_is_judged_by_every_task_and_by_the_steps_to_a_good_policy(
    experiment, store, tmp_path
):
    keep(store, "harvest", 20, "default", [1.0, 0.99])
    keep(store, "bacteria", 20, "default", [1.0, 1.0])
    without = "default improvement.through_policy=1.0"
    keep(store, "harvest", 20, without, [0.5, 0.9])
    keep(store, "bacteria", 20, without, [0.99, 0.97])
    figures = importlib.import_module("experiments._benchmark_figures")
    whole, other, missing = figures.ingredients(recorded_in(experiment, store), tmp_path)
    assert (whole["harvest"], whole["bacteria"]) == pytest.approx((0.995, 1.0))
    assert (other["harvest"], other["bacteria"]) == pytest.approx((0.7, 0.98))
    assert missing["harvest"] == missing["bacteria"] == missing["env_steps to 0.97"] == ""
    # Its curve is at 0.9 of its end at 4,000 steps and at its end at 8,000, the last of them.
    assert whole["env_steps to 0.97"] == "8,000"
    assert other["env_steps to 0.97"] == "over 8,000"


def test_ingredients_of_many_tasks_are_drawn_four_beside_each_other(
    experiment, store, tmp_path, monkeypatch
):
    tasks = ["harvest", "bacteria", "bioreactor", "timber-harvest", "hiv-treatment"]
    grid = experiment / "grid.toml"
    grid.write_text(GRID.replace('["harvest", "bacteria"]', str(tasks).replace("'", '"')))
    for number, task in enumerate(tasks):
        keep(store, task, 50, "default", [1 - 0.1 * (number + 1)])
    figures = importlib.import_module("experiments._benchmark_figures")
    drawn = []
    lines = importlib.import_module("experiments._lines")
    monkeypatch.setattr(lines, "save_figure", lambda figure, file: drawn.append(figure))
    figures.ingredients(recorded_in(experiment, store), tmp_path)
    panels = {axes.get_title(): axes for axes in drawn[0].axes if axes.axison}
    assert list(panels) == [f"{task}, H = {horizon}" for horizon in (20, 50) for task in tasks]
    corners = np.array([axes.get_position().p0 for axes in panels.values()])
    assert len(set(corners[:, 0].round(2))) == 4
    assert len(set(corners[:, 1].round(2))) == 3
    # A dot is where its run ended, in the panel of its task and horizon.
    for number, task in enumerate(tasks):
        dots = panels[f"{task}, H = 50"].lines[0].get_xdata()
        assert dots == pytest.approx([0.1 * (number + 1)])
        assert not panels[f"{task}, H = 20"].lines
