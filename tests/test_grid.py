"""Grids: what they list is checked, trained once and recorded, whatever happens meanwhile."""

import importlib
import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import beeline
from beeline.cli import _main as cli

ROOT = Path(__file__).parents[1]
GRIDS = sorted(ROOT.glob("experiments/*/grid.toml"))


@pytest.fixture(autouse=True)
def beside_the_library(monkeypatch):
    """Import from the checkout."""
    monkeypatch.syspath_prepend(str(ROOT))


@pytest.fixture
def grid():
    return importlib.import_module("experiments._grid")


@pytest.fixture
def runner():
    return importlib.import_module("experiments._runner")


@pytest.fixture
def store(tmp_path):
    return importlib.import_module("experiments._store").Store(tmp_path / "results")


@pytest.fixture
def cell(grid):
    return grid.Cell("harvest", 20, "markov", "default env_steps=2000", 1)


BLOCK = """
[[reduced]]
tasks = ["harvest"]
horizons = [20]
models = ["markov"]
variants = ["default"]
seeds = 1
"""


def written(tmp_path, text):
    file = tmp_path / "grid.toml"
    file.write_text(text)
    return file


def test_a_grid_is_every_combination_of_each_block_once(tmp_path, grid):
    more = BLOCK.replace("[20]", "[20, 4]").replace("seeds = 1", "seeds = 2")
    cells = grid.read_grid(written(tmp_path, BLOCK + more), "reduced")
    assert cells == [
        grid.Cell("harvest", horizon, "markov", "default", seed)
        for seed in (0, 1)
        for horizon in (4, 20)
    ]
    whole = BLOCK.replace('tasks = ["harvest"]', "")
    tasks = [cell.task for cell in grid.read_grid(written(tmp_path, whole), "reduced")]
    assert tuple(tasks) == grid.TASKS
    assert len(set(tasks)) == 8


def test_a_cell_says_what_the_command_line_understands(grid):
    switches = "world_model.standardise=true world_model.positions=false"
    fields = f"paper env_steps=3000 {switches} policy.hidden=[8,4] fitting.clip=inf"
    cell = grid.Cell("bacteria", 50, "ssm-awm", fields, 7)
    config = cli._config(cli._parse(cell.arguments))
    assert config == cell.config
    assert (config.task, config.horizon, config.model, config.seed) == (
        "bacteria",
        50,
        "ssm-awm",
        7,
    )
    assert (config.preset, config.env_steps, config.policy.hidden) == ("paper", 3000, (8, 4))
    assert config.world_model.standardise
    assert not config.world_model.positions
    assert config.fitting.clip == float("inf")
    # What the variant does not name is the preset's.
    assert config.improvement.learning_rate == 1e-4


def test_what_is_not_finite_is_left_out_unless_a_variant_says_otherwise(grid, cell):
    assert cell.config.nonfinite == "skip"
    assert "--nonfinite skip" in cell.command
    stop = cell._replace(variant=f"{cell.variant} nonfinite=stop")
    assert stop.config.nonfinite == "stop"
    assert cli._config(cli._parse(stop.arguments)) == stop.config
    # A baseline has no such option.
    baseline = cell._replace(model="online-dt")
    assert cli._config(cli._parse(baseline.arguments)) == baseline.config


@pytest.mark.parametrize("counts", [[(0, 0), (2, 1)], [(3, 0), (0, 0)]])
def test_what_was_left_out_is_counted(counts, monkeypatch, runner, store, cell):
    trained = trainer([0.1, 0.3])

    def train(config, out, overwrite):
        trained(config, out, overwrite)
        file = out / "metrics.jsonl"
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        for row, (updates, episodes) in zip(rows, counts, strict=True):
            row |= {"skipped_updates": [updates], "discarded_episodes": [episodes]}
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))

    monkeypatch.setattr(beeline, "train", train)
    runner.run([cell], store)
    assert (store.finals()[cell]["skipped"], store.finals()[cell]["stopped"]) == ("3", "0")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("harvest", "harvets", "did you mean 'harvest'"),
        ("markov", "markow", "did you mean 'markov'"),
        ("[20]", "[1]", "horizon is 1"),
        ("[20]", '["20"]', "horizons is ['20']"),
        ("[20]", "[]", "horizons is []"),
        ("seeds = 1", "", "seeds is None"),
        ("default", "defualt", "did you mean 'default'"),
        ("default", "default improvement.warp=1", "improvement.warp"),
        ("default", "default seeds=2", "unknown field 'seeds'"),
        ("default", "default env_steps=10", "env-steps is 10"),
        ("default", "default env_steps=1e4", "env_steps is 10000.0"),
        ("default", "", "unknown preset ''"),
        ("seeds", "repeats", "unknown entry 'repeats'"),
        ("reduced", "smoke", "has no [[reduced]]"),
        ("[[reduced]]", "[[reduced", "cannot be read"),
    ],
)
def test_an_unknown_cell_is_refused_in_one_line(tmp_path, grid, old, new, said):
    file = written(tmp_path, BLOCK.replace(old, new))
    with pytest.raises(grid.GridError) as refusal:
        grid.read_grid(file, "reduced")
    assert said in str(refusal.value)
    assert str(file) in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("file", GRIDS, ids=lambda file: file.parent.name)
def test_every_committed_grid_can_run(file, grid):
    sizes = [len(grid.read_grid(file, scale)) for scale in ("smoke", "reduced", "full")]
    assert sizes[0] == 1
    assert sizes[1] < sizes[2]
    text = (file.parent / "README.md").read_text()
    assert f"python -m experiments.{file.parent.name}.run --scale reduced" in text
    assert f"python -m experiments.{file.parent.name}.plot --scale reduced" in text
    # Where `plot` puts its table.
    assert text.count("<!-- measured -->\n") == text.count("<!-- end -->") == 1


FINAL = dict.fromkeys(
    (
        *("env_steps", "wall_seconds", "compile_seconds", "return"),
        *("skipped", "stopped", "date", "machine", "command"),
    ),
    "1",
)


def keep(store, cell, value, seconds="60"):
    final = {**FINAL, "normalized_return": str(value), "wall_seconds": seconds}
    curve = {"env_steps": [20, 40], "wall_seconds": [0.5, 1.25], "normalized_return": [-0.5, value]}
    store.record(cell, final, curve)


def test_records_come_back_and_replace_each_other(store, cell):
    keep(store, cell, 0.25)
    keep(store, cell._replace(seed=2), 0.5)
    keep(store, cell, 0.75)
    assert {c.seed: row["normalized_return"] for c, row in store.finals().items()} == {
        1: "0.75",
        2: "0.5",
    }
    curve = store.curves()[cell]
    np.testing.assert_allclose(curve.env_steps, [20, 40])
    np.testing.assert_allclose(curve.wall_seconds, [0.5, 1.25])
    np.testing.assert_allclose(curve.normalized_return, [-0.5, 0.75])


@pytest.mark.parametrize("name", ["finals", "curves"])
def test_results_of_another_schema_are_refused_and_kept(name, store, cell, grid, runner):
    keep(store, cell, 0.5)
    file = store.folder / f"{name}.csv"
    before = file.read_text().replace("variant", "recipe", 1)
    file.write_text(before)
    with pytest.raises(grid.GridError, match=f"{name}.csv has the columns .*recipe"):
        runner.run([cell._replace(seed=2)], store)
    assert file.read_text() == before


@pytest.mark.slow
def test_the_smallest_grid_is_trained_recorded_and_not_trained_again(
    tmp_path, monkeypatch, capsys, runner, store
):
    folder = ROOT / "experiments" / "fig5a_horizons"
    arguments = ["run", "--scale", "smoke", "--out", str(store.folder)]
    monkeypatch.setattr(sys, "argv", arguments)
    runner.main(folder, "")
    ((cell, row),) = store.finals().items()
    assert row["env_steps"] == "32"
    assert float(row["wall_seconds"]) > 0
    assert float(row["compile_seconds"]) > 0
    curve = store.curves()[cell]
    np.testing.assert_array_equal(curve.env_steps, [12, 16, 20, 24, 28, 32])
    assert curve.normalized_return[-1] == pytest.approx(float(row["normalized_return"]), abs=1e-4)
    assert row["command"] == cell.command
    monkeypatch.setattr(beeline, "train", lambda **_: pytest.fail("trained again"))
    runner.main(folder, "")
    assert "1 of 1 runs are recorded" in capsys.readouterr().out


def test_a_real_run_is_recorded_as_it_ended(monkeypatch, runner, store, cell, trained):
    def train(config, out, overwrite):
        assert config == cell.config
        shutil.copytree(trained.path, out)

    monkeypatch.setattr(beeline, "train", train)
    runner.run([cell], store)
    row, curve, summary = store.finals()[cell], store.curves()[cell], trained.summary
    for name in ("return", "normalized_return"):
        assert float(row[name]) == pytest.approx(summary[name][0], rel=1e-4)
    for name in ("env_steps", "wall_seconds", "compile_seconds"):
        assert float(row[name]) == pytest.approx(summary[name], abs=0.06)
    assert (row["skipped"], row["stopped"]) == ("0", "0")
    learned = {row["env_steps"]: row["normalized_return"][0] for row in trained.records}
    assert curve.env_steps[0] == trained.records[0]["env_steps"]
    assert curve.env_steps[-1] == summary["env_steps"]
    assert len(curve.env_steps) > 20
    np.testing.assert_allclose(
        curve.normalized_return, [learned[steps] for steps in curve.env_steps], rtol=1e-4
    )
    assert not (store.folder / ".running" / cell.slug).exists()


def trainer(returns, error=None, said=None):
    """Stand in for a training that ends as told, each seed side by side 1 above the one before."""

    def train(config, out, overwrite):
        if said is not None:
            said.append(config.seed)
        out.mkdir(parents=True, exist_ok=True)
        beside = range(config.seeds)
        values = [[None if r is None else r + seed for seed in beside] for r in returns]
        lines = [
            {"env_steps": 20 * i, "wall_seconds": i, "return": v, "normalized_return": v}
            for i, v in enumerate(values, 1)
        ]
        (out / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        if error is not None:
            raise error
        (out / "summary.json").write_text('{"wall_seconds": 3.0, "compile_seconds": 4.0}')

    return train


DIVERGED = beeline.DivergedError("policy weights", 0, 3)


@pytest.mark.parametrize("returns", [[0.1, 0.3], [0.1, 0.3, None]])
def test_a_run_that_stopped_is_recorded_as_such_with_what_its_policy_had(
    returns, monkeypatch, capsys, runner, store, cell
):
    monkeypatch.setattr(beeline, "train", trainer(returns, DIVERGED))
    runner.run([cell], store)
    assert store.finals()[cell]["normalized_return"] == "0.30000"
    assert store.finals()[cell]["env_steps"] == "40"
    assert store.finals()[cell]["stopped"] == "1"
    assert "STOPPED at 0.3" in capsys.readouterr().out


def test_a_run_that_stopped_at_once_is_recorded_with_the_policy_it_began_with(
    monkeypatch, capsys, runner, store, cell
):
    begun = SimpleNamespace(return_=np.array([-3.0]), normalized_return=np.array([0.25]))
    monkeypatch.setattr(beeline, "train", trainer([], DIVERGED))
    monkeypatch.setattr(beeline, "evaluate", lambda folder, env: begun)
    runner.run([cell], store)
    row = store.finals()[cell]
    assert (row["return"], row["normalized_return"]) == ("-3", "0.25000")
    assert int(row["env_steps"]) == cell.config.warmup_episodes * cell.horizon
    assert store.curves()[cell].normalized_return.tolist() == [0.25]
    assert row["stopped"] == "1"
    assert "STOPPED at 0.25" in capsys.readouterr().out


def test_an_interrupted_grid_goes_on_with_the_same_command(monkeypatch, runner, store, cell):
    cells = [cell._replace(seed=seed) for seed in range(3)]
    monkeypatch.setattr(beeline, "train", trainer([0.5]))
    runner.run(cells[:1], store)
    monkeypatch.setattr(beeline, "train", trainer([0.5], KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        runner.run(cells, store)
    assert list(store.finals()) == cells[:1]
    trained = []
    monkeypatch.setattr(beeline, "train", trainer([0.5], said=trained))
    runner.run(cells, store)
    assert trained == [1, 2]
    assert list(store.finals()) == cells


@pytest.mark.parametrize("same", [True, False])
def test_a_killed_run_goes_on_if_it_is_still_the_same(same, monkeypatch, runner, store, cell):
    folder = store.folder / ".running" / cell.slug
    trainer([0.5])(cell.config, folder, overwrite=True)
    config = cell.config if same else cell._replace(seed=9).config
    monkeypatch.setattr(beeline, "load", lambda path, env: SimpleNamespace(config=config))
    monkeypatch.setattr(beeline, "resume", lambda p, env: trainer([0.7])(cell.config, p, True))
    monkeypatch.setattr(beeline, "train", trainer([0.6]))
    runner.run([cell], store)
    assert store.finals()[cell]["return"] == ("0.7" if same else "0.6")


def test_a_killed_run_that_cannot_go_on_begins_again(monkeypatch, runner, store, cell):
    trainer([0.5])(cell.config, store.folder / ".running" / cell.slug, overwrite=True)
    monkeypatch.setattr(beeline, "train", trainer([0.6]))
    # There is no configuration to read.
    runner.run([cell], store)
    assert store.finals()[cell]["return"] == "0.6"


def test_processes_side_by_side_take_different_cells(monkeypatch, runner, store, cell):
    cells = [cell._replace(seed=seed) for seed in range(2)]
    monkeypatch.setattr(beeline, "train", trainer([0.5]))
    with store.locked(cells[0].slug) as held:
        assert held
        runner.run(cells, store)
    assert list(store.finals()) == cells[1:]


def test_seeds_in_a_row_are_trained_side_by_side(monkeypatch, capsys, runner, store, cell):
    cells = [cell._replace(seed=seed, horizon=h) for seed in range(4) for h in (4, 20)]
    keep(store, cell._replace(seed=1), -7.0)
    trained = []
    monkeypatch.setattr(beeline, "train", trainer([0.25, 0.5], said=trained))
    runner.run(cells, store, seeds_together=True)
    # Four seeds of H = 4; 0, then 2 and 3 of H = 20.
    assert trained == [0, 0, 2]
    returns = {
        (c.horizon, c.seed): float(r["normalized_return"]) for c, r in store.finals().items()
    }
    short, long = ({seed: r for (h, seed), r in returns.items() if h == of} for of in (4, 20))
    assert short == {0: 0.5, 1: 1.5, 2: 2.5, 3: 3.5}
    assert long == {0: 0.5, 1: -7.0, 2: 0.5, 3: 1.5}
    curve = store.curves()[cells[4]]
    np.testing.assert_allclose(curve.normalized_return, [2.25, 2.5])
    row = store.finals()[cells[4]]
    assert row["command"] == f"{cells[0].command} --seeds 4"
    assert "seed 0 to 3: normalised return 0.50000, 1.50000" in capsys.readouterr().out
    assert not list((store.folder / ".running").glob("*seed?"))


def test_a_seed_that_diverged_takes_none_with_it(monkeypatch, runner, store, cell):
    cells = [cell._replace(seed=seed) for seed in range(3)]

    def train(config, out, overwrite):
        bad = range(config.seed, config.seed + config.seeds)
        trainer([0.5 + config.seed], DIVERGED if 1 in bad else None)(config, out, overwrite)

    monkeypatch.setattr(beeline, "train", train)
    runner.run(cells, store, seeds_together=True)
    assert [store.finals()[cell]["return"] for cell in cells] == ["0.5", "1.5", "2.5"]
    assert [store.finals()[cell]["compile_seconds"] for cell in cells] == ["4.0", "", "4.0"]
    assert [store.finals()[cell]["command"] for cell in cells] == [c.command for c in cells]


def test_the_time_left_follows_the_runs_most_like_those_to_come(runner, store, cell):
    like, other = cell._replace(horizon=500), cell._replace(horizon=500, model="ssm-awm")
    keep(store, cell, 0.5, seconds="59")
    keep(store, like, 0.5, seconds="3599")
    keep(store, other, 0.5, seconds="7199")
    finals = store.finals()
    again, unlike = like._replace(seed=5), like._replace(model="rnn-awm")
    assert runner._left([again], finals) == "; about 1 h 0 min left"
    # Nothing like it was recorded but the horizon: the mean of both there.
    assert runner._left([again, unlike], finals) == "; about 2 h 30 min left"
    assert runner._left([cell._replace(horizon=7)], finals) == "; about 1 h 0 min left"
    assert runner._left([], finals) == ""
