"""A run and its directory: what it holds, what it refuses, and what it keeps when it fails."""

import dataclasses
import gc
import json
import os
import subprocess
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import beeline
from beeline.compute.background import in_background
from beeline.config import Config
from beeline.run import DivergedError, RunError, draw_curves, draw_run, evaluate_run
from beeline.run import _figures as figures
from beeline.run import _training as training
from beeline.run._compiling import compile_cache
from beeline.run._provenance import git_revision
from beeline.run._reference import Reference
from beeline.run.directory.records import MEASURED_IN, read_rows, row
from beeline.storage.cache import cache_directory
from beeline.training import Record

FILES = {
    ".lock",
    "config.json",
    "metrics.jsonl",
    "summary.json",
    "checkpoint.npz",
    "learning_curve.png",
    "trajectories.png",
}


def contents(folder):
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


class ReachedError(Exception):
    """Raised in place of training, by tests of what comes before it."""


@pytest.fixture
def untrained(monkeypatch):
    def stop(*arguments):
        raise ReachedError

    monkeypatch.setattr(training, "_train", stop)


def test_the_directory_holds_the_run(trained, tiny):
    assert {path.name for path in trained.path.iterdir()} == FILES
    written = json.loads((trained.path / "config.json").read_text())
    assert written["config"]["fitting"]["learning_rate"] == tiny.fitting.learning_rate
    for name in ("learning_curve.png", "trajectories.png"):
        assert (trained.path / name).read_bytes().startswith(b"\x89PNG")


def test_every_iteration_has_a_line(trained, tiny):
    lines = (trained.path / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert rows == trained.records
    assert [row["iteration"] for row in rows] == list(range(1, tiny.iterations + 1))
    assert [row["env_steps"] for row in rows] == list(range(110, 501, 10))
    assert np.all(np.diff([row["wall_seconds"] for row in rows]) >= 0)
    fields = {name.rstrip("_") for name in Record._fields if name not in Record._field_defaults}
    assert fields < rows[0].keys()
    # Nothing terminates here, so that its measurements are left out.
    assert not {*Record._field_defaults} & rows[0].keys()
    assert all(len(rows[-1][name]) == 1 for name in fields)


def test_the_summary_says_how_it_ended(trained):
    summary = json.loads((trained.path / "summary.json").read_text())
    assert summary == trained.summary
    assert summary["schema"] == 3
    assert (summary["task"], summary["horizon"], summary["model"], summary["preset"]) == (
        "cancer-treatment",
        10,
        "markov",
        "default",
    )
    assert (summary["seeds"], summary["env_steps"], summary["iterations"]) == ([0], 500, 40)
    assert summary["wall_seconds"] > 0
    assert summary["compile_seconds"] > 0
    low, high = summary["random_return"], summary["optimal_return"]
    assert low < summary["return"][0] < high
    expected = (summary["return"][0] - low) / (high - low)
    assert summary["normalized_return"] == [pytest.approx(expected)]
    assert {"python", "beeline", "jax", "equinox"} <= summary["versions"].keys()
    assert summary["versions"]["jax"] == jax.__version__


def test_the_revision_is_that_of_the_checkout(tmp_path):
    def git(*command):
        identity = ("-c", "user.name=A", "-c", "user.email=a@b.c")
        subprocess.run(["git", "-C", tmp_path, *identity, *command], check=True)

    assert git_revision(tmp_path) is None
    git("init", "-q")
    (tmp_path / "__init__.py").write_text("")
    assert git_revision(tmp_path) is None
    git("add", "__init__.py")
    git("commit", "-qm", "Begin")
    revision = git_revision(tmp_path)
    assert revision is not None
    assert len(revision) == 40
    (tmp_path / "__init__.py").write_text("changed = True")
    assert git_revision(tmp_path) == f"{revision}-dirty"


def test_a_run_comes_back_as_it_was(trained):
    loaded = beeline.load(trained.path)
    assert loaded.config == trained.config
    assert loaded.records == trained.records
    assert loaded.summary == trained.summary
    for part in ("policies", "models"):
        ours, theirs = getattr(trained, part), getattr(loaded, part)
        assert len(ours) == len(theirs) == 1
        assert eqx.tree_equal(ours[0], theirs[0])
    state, t = loaded.env.initial_state(), jnp.asarray(0)
    assert np.array_equal(loaded.policy.mode(state, t), trained.policy.mode(state, t))
    assert loaded.model.predict(state[None], jnp.zeros((1, 1))).shape == (1, 1)


def test_evaluation_repeats_the_last_record(trained):
    for run in (trained, trained.path, str(trained.path)):
        measured = evaluate_run(run)
        assert measured.return_ == pytest.approx(trained.summary["return"], rel=1e-5)
        assert measured.normalized_return == pytest.approx(
            trained.summary["normalized_return"], rel=1e-4
        )
        assert measured.states.shape == (1, 11, 1)
        assert measured.actions.shape == (1, 10, 1)


@pytest.mark.usefixtures("warm")
def test_without_a_directory_nothing_is_written(tiny, trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = beeline.train(config=tiny, task="cancer-treatment", progress=False)
    assert run.path is None
    assert run.summary["normalized_return"] == trained.summary["normalized_return"]
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match="the run has no directory: train with out="):
        draw_run(run)


@pytest.fixture
def asked(trained, monkeypatch):
    """What is asked of `train`, checked as ever; what it returns is the tiny run."""
    configurations = []

    def collect(config, *rest):
        configurations.append(config)
        return trained

    monkeypatch.setattr(training, "_train", collect)
    return configurations


def test_arguments_replace_fields_of_the_configuration(tiny, asked):
    beeline.train("harvest", 12, seeds=2, seed=5, env_steps=600, model="markov", config=tiny)
    beeline.train(horizon=7, preset="paper")
    expected = dataclasses.replace(tiny, task="harvest", horizon=12, seeds=2, seed=5, env_steps=600)
    assert asked == [expected, beeline.preset("paper", horizon=7)]
    with pytest.raises(TypeError, match="give a preset or a configuration, not both"):
        beeline.train(config=tiny, preset="paper")


def test_another_run_is_replaced_only_when_asked(tiny, copied, untrained):
    before = contents(copied)
    with pytest.raises(RunError, match=r"holds another run: replace it with --overwrite"):
        beeline.train(config=tiny, out=copied)
    assert contents(copied) == before
    with pytest.raises(ReachedError):
        beeline.train(config=tiny, out=copied, overwrite=True)
    # Nothing is removed before there is something to put in its place.
    assert contents(copied) == before


@pytest.mark.usefixtures("warm")
def test_overwriting_leaves_other_files_alone(tiny, copied):
    (copied / "notes.txt").write_text("mine")
    replace_in("config.json", '"seed": 0', '"seed": 1')(copied)
    (copied / "metrics.jsonl").write_text("old")
    beeline.train(config=tiny, out=copied, overwrite=True)
    assert (copied / "notes.txt").read_text() == "mine"
    assert {path.name for path in copied.iterdir()} == FILES | {"notes.txt"}
    loaded = beeline.load(copied)
    assert loaded.seeds == [0]
    assert len(loaded.records) == tiny.iterations


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("name", ["notes.txt", "config.json"])
def test_files_that_are_no_run_are_never_replaced(tiny, tmp_path, untrained, overwrite, name):
    (tmp_path / name).write_text('{"somebody": "else"}')
    before = contents(tmp_path)
    with pytest.raises(RunError, match="holds files that are not a run"):
        beeline.train(config=tiny, out=tmp_path, overwrite=overwrite)
    assert contents(tmp_path) == before


def test_a_directory_that_cannot_be_made(tiny, tmp_path, untrained):
    (tmp_path / "file").write_text("here")
    with pytest.raises(RunError, match="file is a file: name a directory with --out"):
        beeline.train(config=tiny, out=tmp_path / "file")
    with pytest.raises(RunError, match="cannot make the directory"):
        beeline.train(config=tiny, out=tmp_path / "file" / "run")


def replace_in(name, old, new):
    def change(folder):
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1))

    return change


def truncate(name, keep):
    def change(folder):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: keep if keep >= 0 else len(content) + keep])

    return change


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda run: (run / "config.json").unlink(), "is not a run: it has no config.json"),
        (lambda run: (run / "checkpoint.npz").unlink(), r"there is no checkpoint .*\.npz"),
        (lambda run: (run / "metrics.jsonl").unlink(), "metrics.jsonl is missing"),
        (truncate("config.json", 100), "config.json is truncated or not JSON"),
        (truncate("config.json", 0), "config.json is truncated or not JSON"),
        (truncate("summary.json", -5), "summary.json is truncated or not JSON"),
        (truncate("checkpoint.npz", -200), "checkpoint.npz is not a whole checkpoint"),
        (truncate("checkpoint.npz", 2000), "checkpoint.npz is not a whole checkpoint"),
        (truncate("metrics.jsonl", -9), "metrics.jsonl has .* bytes, fewer than"),
        (truncate("metrics.jsonl", 0), "metrics.jsonl has 0 bytes, fewer than"),
        (replace_in("config.json", '"schema": 3', '"schema": 4'), "has schema 4, .* reads 1 to 3"),
        (replace_in("config.json", "beeline-run", "other"), "does not describe a run"),
        (replace_in("config.json", '"horizon": 10', '"horizon": 1'), "horizon is 1: give an"),
        (
            replace_in("config.json", '"horizon": 10', '"horizon": 11'),
            "horizon is 11, but .* saved with 10",
        ),
        (
            replace_in("config.json", '"seeds": 1', '"seeds": 2'),
            "seeds is 2, but .* saved with 1",
        ),
        (
            replace_in("config.json", '"markov"', '"transformer-awm"'),
            "model is transformer-awm, but",
        ),
        (
            replace_in("metrics.jsonl", '"entropy"', '"entropie"'),
            "does not have the checksum",
        ),
        (
            replace_in("metrics.jsonl", '"iteration": 1,', '"iteration": "x",'),
            "does not have the checksum",
        ),
    ],
)
def test_a_damaged_run_is_refused_in_one_line(copied, damage, message):
    damage(copied)
    with pytest.raises(RunError, match=message) as refused:
        beeline.load(copied)
    assert "\n" not in str(refused.value)


def test_a_directory_that_is_not_there(tmp_path):
    with pytest.raises(RunError, match=r"there is no run directory .*none"):
        beeline.load(tmp_path / "none")


def test_a_run_that_was_cut_short_has_no_summary(copied):
    (copied / "summary.json").unlink()
    assert beeline.load(copied).summary is None


def test_a_rate_without_bounds_stops_the_run(tiny, tmp_path):
    absurd = dataclasses.replace(
        tiny, fitting=dataclasses.replace(tiny.fitting, learning_rate=1e30, final_rate=1.0)
    )
    with pytest.raises(DivergedError, match=r"in model update 2 of 110 of seed 0 is .* holds what"):
        beeline.train(config=absurd, out=tmp_path / "run")
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        ".lock",
        "config.json",
        "metrics.jsonl",
        "checkpoint.npz",
    }
    # The first iteration failed: what is kept is the state before it.
    with np.load(tmp_path / "run" / "checkpoint.npz", allow_pickle=False) as archive:
        assert json.loads(str(archive["manifest"]))["about"]["iterations"] == 0
        for name in archive.files:
            assert name == "manifest" or np.all(np.isfinite(archive[name]))
    begun = beeline.load(tmp_path / "run")
    assert begun.records == []
    assert begun.summary is None
    assert np.isfinite(evaluate_run(begun).normalized_return).all()
    with pytest.raises(RunError, match=r"run has no finished iteration: there is nothing to draw"):
        draw_run(begun)


@pytest.mark.usefixtures("warm")
def test_the_bar_shows_how_it_goes(tiny, capsys):
    beeline.train(config=tiny, progress=True)
    shown = capsys.readouterr().err
    for text in ("training", "500/500 steps", "left", "model error", "normalised return"):
        assert text in shown
    beeline.train(config=tiny, progress=False)
    assert capsys.readouterr() == ("", "")


def test_the_learning_curve_says_what_it_shows(trained):
    figure = figures._learning_curve(trained, evaluate_run(trained))
    axes = figure.axes[0]
    assert axes.get_xlabel() == "environment steps, warm-up included"
    assert axes.get_ylabel() == "normalised return"
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert {"optimum", "random actions"} <= set(labels)
    curve = next(line for line in axes.lines if str(line.get_label()).startswith("real"))
    np.testing.assert_array_equal(curve.get_xdata(), np.arange(110, 501, 10))
    expected = [row["normalized_return"][0] for row in trained.records]
    np.testing.assert_allclose(np.asarray(curve.get_ydata()), expected)


def test_the_trajectories_are_in_the_units_of_the_task(trained):
    evaluation = evaluate_run(trained)
    state, control = figures._trajectories(trained, evaluation).axes
    assert (state.get_ylabel(), control.get_ylabel()) == ("tumour density", "drug strength")
    assert control.get_xlabel() == "time [day]"
    learned, optimal = state.lines
    np.testing.assert_allclose(learned.get_xdata(), np.linspace(0, 20, 11))
    np.testing.assert_allclose(np.asarray(learned.get_ydata()), evaluation.states[0, :, 0])
    best = evaluation.reference.optimum
    np.testing.assert_allclose(np.asarray(optimal.get_ydata()), best.states[:, 0])
    drug = np.asarray(control.lines[1].get_ydata())
    np.testing.assert_allclose(drug[:-1], 1 + best.actions[:, 0], atol=1e-6)


def test_every_entry_has_a_panel(trained, monkeypatch):
    config = Config(task="invasive-plant", horizon=10, model="markov")
    run = dataclasses.replace(trained, config=config, algorithm=beeline.build.build(config))
    reference = dataclasses.replace(
        evaluate_run(trained).reference,
        optimum=dataclasses.replace(
            evaluate_run(trained).reference.optimum,
            states=np.zeros((11, 5)),
            actions=np.zeros((10, 5)),
        ),
    )
    evaluation = dataclasses.replace(
        evaluate_run(trained),
        states=np.zeros((3, 11, 5)),
        actions=np.zeros((3, 10, 5)),
        return_=np.asarray([1.0, 9.0, 5.0]),
        returns=np.asarray([[1.0], [9.0], [5.0]]),
        normalized_return=np.asarray([0.1, 0.9, 0.5]),
        reference=reference,
    )
    figure = figures._trajectories(run, evaluation)
    assert len([axes for axes in figure.axes if axes.get_visible()]) == 10
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["other seeds", "learned, normalised return 0.500", "optimal"]


@pytest.mark.parametrize("suffix", ["png", "pdf", "svg"])
def test_curves_of_several_runs(trained, copied, tmp_path, suffix):
    file = tmp_path / f"curves.{suffix}"
    draw_curves([trained.path, copied], file)
    assert file.stat().st_size > 5000


def test_evaluating_a_run_keeps_nothing_of_it(trained):
    beeline.evaluate(trained)
    gc.collect()
    before = len(jax.live_arrays())
    for _ in range(2):
        beeline.evaluate(beeline.load(trained.path))
    gc.collect()
    assert len(jax.live_arrays()) <= before


def test_programs_are_cached_where_the_user_says(tmp_path, monkeypatch):
    before = jax.config.values["jax_compilation_cache_dir"]
    with compile_cache():
        assert jax.config.values["jax_compilation_cache_dir"] == os.fspath(
            cache_directory() / "xla"
        )
        jax.jit(lambda x: x * 3.25 + 1)(jnp.ones(3)).block_until_ready()
    assert any((cache_directory() / "xla").iterdir())
    assert jax.config.values["jax_compilation_cache_dir"] == before
    try:
        jax.config.update("jax_compilation_cache_dir", os.fspath(tmp_path))
        with compile_cache():
            assert jax.config.values["jax_compilation_cache_dir"] == os.fspath(tmp_path)
    finally:
        jax.config.update("jax_compilation_cache_dir", before)


def test_background_work_returns_raises_and_keeps_the_precision(float64):
    assert in_background(lambda: jnp.ones(()).dtype)() == jnp.float64
    with pytest.raises(ZeroDivisionError):
        in_background(lambda: 1 / 0)()


def test_lines_with_missing_values_can_be_read(copied):
    file = copied / "metrics.jsonl"
    replace_in("metrics.jsonl", '"entropy": [', '"entropy": [null], "spare": [')(copied)
    lines = file.read_text().splitlines()
    file.write_text(lines[0] + "\n")
    assert read_rows(file, 1)[0]["entropy"] == [None]


def test_what_is_measured_in_updates_is_recorded_only_where_some_were_due(trained):
    measured = Record(*[np.asarray([0.5, 0.5])] * len(Record._fields))
    measured = measured._replace(
        model_updates=np.asarray([3, 0]), policy_updates=np.asarray([0, 2])
    )
    line = row(measured, Reference.of(trained.env))
    assert line["model_loss"] == line["model_clip_fraction"] == [0.5, None]
    assert line["entropy"] == line["imagined_minus_real_return"] == [None, 0.5]
    assert line["normalized_imagined_return"][0] is None
    assert line["fresh_error"] == [0.5, 0.5]
    per_update = {"loss", "norm", "fraction"}
    assert {name for name in line if name.rpartition("_")[2] in per_update} <= MEASURED_IN.keys()


def test_a_sound_run_makes_no_nan(tiny):
    config = dataclasses.replace(
        tiny,
        env_steps=200,
        improvement=dataclasses.replace(tiny.improvement, env_steps_per_update=20.0),
    )
    jax.config.update("jax_debug_nans", True)
    try:
        run = beeline.train(config=config)
    finally:
        jax.config.update("jax_debug_nans", False)
    assert {line["policy_updates"][0] for line in run.records} > {0, 1}
    assert {line["entropy"][0] is None for line in run.records} == {True, False}


def test_the_readme_example_runs(asked, tmp_path, monkeypatch):
    readme = Path(__file__).parents[1] / "README.md"
    code = readme.read_text(encoding="utf-8").split("```python", 1)[1].split("```", 1)[0]
    monkeypatch.chdir(tmp_path)
    exec(compile(code, str(readme), "exec"), {"__name__": "__main__"})
    assert len(asked) >= 1
