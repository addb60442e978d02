"""The experiments: each runs whole at its smallest scale, and what they share does what it says."""

import importlib
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from beeline import envs

ROOT = Path(__file__).parents[1]
FOLDERS = {
    "fig3_one_bounce": {"errors", "landscapes", "paths", "summary"},
    "fig4_double_pendulum": {
        "gradient_norms",
        "growth",
        "growth_in_episode",
        "landscapes",
        "landscape_errors",
        "ascent",
        "ascent_summary",
        "blur",
    },
    "fig2_fig6_double_pendulum_online": {"finals", "curves", "summary"},
}


@pytest.fixture(autouse=True)
def beside_the_library(monkeypatch):
    """Import from the checkout."""
    monkeypatch.syspath_prepend(str(ROOT))


@pytest.fixture
def results():
    return importlib.import_module("experiments._results")


@pytest.mark.parametrize(
    "folder",
    [
        # It does what the others do, on two models more.
        pytest.param(name, marks=pytest.mark.slow if name == "fig4_double_pendulum" else ())
        for name in FOLDERS
    ],
)
def test_the_smallest_scale_runs_and_draws(folder, tmp_path, monkeypatch, results):
    name = f"experiments.{folder}"
    run, plot = (importlib.import_module(f"{name}.{part}") for part in ("run", "plot"))
    monkeypatch.setattr(sys, "argv", [f"{name}.run", "--scale", "smoke", "--out", str(tmp_path)])
    run.main()
    assert {file.stem for file in tmp_path.glob("*.csv")} == FOLDERS[folder]
    for file in tmp_path.glob("*.csv"):
        heading = file.read_text().splitlines()[:4]
        assert heading[0] == f"# command: python -m {name}.run --scale smoke"
        assert [line.split(":")[0] for line in heading[1:]] == ["# date", "# machine", "# versions"]
        rows = results.load(file)
        assert rows
        assert all(value != "" for row in rows for value in row.values())
    plot.draw(tmp_path)
    for figure in tmp_path.glob("*.png"):
        assert figure.read_bytes().startswith(b"\x89PNG")
    assert list(tmp_path.glob("*.png"))


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_scale_names_known_models_and_affords_its_horizons(folder):
    from beeline.config import MODELS, PRESETS

    scales = importlib.import_module(f"experiments.{folder}.run").SCALES
    assert set(scales) == {"smoke", "reduced", "full"}
    for scale in scales.values():
        assert set(scale.models) <= set(MODELS)
        presets = getattr(scale, "preset", None)
        assert set([presets] if presets else scale.seeds) <= set(PRESETS)


def test_ascent_finds_the_known_best_action():
    ascent = importlib.import_module("experiments._ascent")
    offline = importlib.import_module("experiments._offline")
    env = envs.make("one-bounce", horizon=30, goal=-0.1)
    truth = offline.true_model(env)
    grid = jnp.linspace(-1, 1, 2001)
    best = float(grid[jnp.argmax(offline.landscape(truth, env, grid, seed=0))])
    starts, rates = jnp.array([best - 0.1, best + 0.1]), jnp.array([0.01, 1e-6])
    ends = ascent.ascend(truth, env, starts, rates, steps=60, seed=0)
    np.testing.assert_allclose(ends[0], best, atol=0.03)
    # A rate of next to nothing stays where it is: rates and starts are not mixed up.
    np.testing.assert_allclose(ends[1], starts, atol=1e-4)


def test_a_blur_shrinks_a_wave_as_its_width_says():
    blur = importlib.import_module("experiments.fig4_double_pendulum.blur").blur
    actions = np.linspace(-1, 1, 801)
    states = np.stack([np.sin(30 * actions), np.ones(801)], axis=1)
    blurred = blur(actions, states, 0.05)
    # Away from the edges, the Fourier transform of the Gaussian.
    np.testing.assert_allclose(
        blurred[200:-200, 0], np.exp(-((30 * 0.05) ** 2) / 2) * states[200:-200, 0], atol=1e-4
    )
    np.testing.assert_allclose(blurred[:, 1], 1)


def test_data_are_random_episodes_of_the_task():
    offline = importlib.import_module("experiments._offline")
    env = envs.make("one-bounce", horizon=8)
    states, actions = offline.episodes(env, 801, key=jax.random.key(0))
    assert states.shape == (101, 9, 2)
    assert actions.shape == (101, 8, 1)
    np.testing.assert_allclose(states[:, 1, 1], 10 * (actions[:, 0, 0] - 2), rtol=1e-6)
    assert abs(float(actions.mean())) < 0.1
    assert float(actions.std()) == pytest.approx(1 / np.sqrt(3), abs=0.03)


def test_fitting_learns():
    offline = importlib.import_module("experiments._offline")
    env = envs.make("one-bounce", horizon=8)
    errors = []
    for steps in (1, 60):
        plan = offline.Offline(transitions=400, fitting_steps=steps, batch_size=16)
        (fit,) = offline.fitted_models(env, ("markov",), ("default",), plan, seed=0)
        errors.append(fit.one_pass_error)
    assert errors[1] < 0.6 * errors[0]


def test_norms_along_an_episode_are_those_of_finite_differences():
    sensitivity = importlib.import_module("experiments.fig4_double_pendulum.sensitivity")
    offline = importlib.import_module("experiments._offline")
    env = envs.make("one-bounce", horizon=12)
    actions = jnp.array([[[0.3]] * 12, [[-0.2]] * 12])
    norms = sensitivity.norms_along(offline.true_model(env), env.initial_state(), actions)
    # Before the bounce: ten times the action in speed, less friction, and its sum in place.
    speeds = 10 * 0.9 ** np.arange(3)
    places = 0.01 * np.concatenate([[0.0], np.cumsum(speeds)[:2]])
    np.testing.assert_allclose(norms[:, :3], np.tile(np.hypot(speeds, places), (2, 1)), rtol=1e-5)


def test_growth_laws_are_told_apart():
    sensitivity = importlib.import_module("experiments.fig4_double_pendulum.sensitivity")
    spread = np.array([0.5, 1.0, 2.0])
    rows, paths = [], {}
    for name, law in (("explodes", lambda h: np.exp(0.2 * h)), ("cubic", lambda h: h**3.0)):
        for horizon in (5, 10, 20, 50, 100):
            norms = np.outer(spread, law(np.arange(2.0, horizon + 1)))
            rows += sensitivity.norm_rows(norms, horizon, name, seed=0)
        paths[name] = np.outer(spread, law(np.arange(2.0, 101)))
    table = sensitivity.growth_rows(rows, paths)
    assert len(table) == 8
    for row in table:
        assert row["law"] == ("exponential" if row["model"] == "explodes" else "polynomial")
    assert table[0]["rate_per_step"] == pytest.approx(0.2)
    assert table[-1]["degree"] == pytest.approx(3.0)


def test_results_come_back_and_intervals_hold_the_mean(tmp_path, results):
    rows = [{"name": "a", "value": 1.25}, {"name": "b", "value": -3.0}]
    results.save(tmp_path / "new" / "rows.csv", rows, "do it")
    back = results.load(tmp_path / "new" / "rows.csv")
    assert [row["name"] for row in back] == ["a", "b"]
    np.testing.assert_allclose(results.column(back, "value"), [1.25, -3.0])
    values = np.random.default_rng(0).normal(2.0, 1.0, 400)
    average = results.mean(values)
    assert average.value == pytest.approx(values.mean())
    # 1.96 standard errors of a mean of 400.
    assert average.high - average.low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.05)
    assert results.mean(np.array([3.0])) == (3.0, 3.0, 3.0)


def test_a_sample_that_is_not_finite_has_no_interval(results):
    value, low, high = results.mean(np.array([1.0, -np.inf]))
    assert value == -np.inf
    assert np.isnan([low, high]).all()


@pytest.mark.parametrize("folder", FOLDERS)
def test_committed_results_match_the_code(folder, results):
    where = ROOT / "experiments" / folder
    files = list((where / "results").glob("*.csv"))
    assert {file.stem for file in files} == FOLDERS[folder]
    assert all(file.stat().st_size < 300_000 for file in (where / "results").iterdir())
    text = (where / "README.md").read_text()
    for word in ("paper", "--scale reduced", "plot"):
        assert word in text
    assert all(len(results.load(file)) > 0 for file in files)
