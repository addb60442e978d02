"""Stable-Baselines3's own soft actor-critic, trained beside the library and measured alike."""

import importlib
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from beeline.control import lqr
from beeline.envs import make
from beeline.sac._actor import Actor
from beeline.training import evaluate, mean_return

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def beside_the_library(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))


@pytest.fixture
def rival():
    return importlib.import_module("experiments.any_start.rival")


def test_episodes_are_those_of_the_library(rival):
    env = make("double-integrator", horizon=6)
    policy = Actor(2, 1, 6, hidden_sizes=(4,), key=jax.random.key(1))
    ours = rival.measure(env, jax.vmap(policy.mode, (0, None)), episodes=5)
    theirs = mean_return(lambda key: evaluate(env, policy, key=key), 5, key=jax.random.key(0))
    np.testing.assert_allclose(ours, theirs.episodes.return_, rtol=1e-5)
    assert np.ptp(ours) > 0


def test_it_is_trained_and_recorded_once(rival, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(rival, "EPISODES", 4)
    monkeypatch.setitem(rival.TASKS, "double-integrator", rival.Settings(10, 64, "small"))
    file = tmp_path / "results" / "rival.csv"
    arguments = [
        "--tasks",
        "double-integrator",
        "--seeds",
        "1",
        "--every",
        "32",
        "--out",
        str(file),
    ]
    rival.main(arguments)
    reference, first, last = rival.read(file)
    assert tuple(reference) == rival.COLUMNS
    assert (reference["settings"], reference["env_steps"], reference["seed"]) == (
        "reference",
        "0",
        "0",
    )
    assert float(last["return"]) < float(reference["return"]) < 0
    assert [row["env_steps"] for row in (first, last)] == ["32", "64"]
    assert float(first["wall_seconds"]) <= float(last["wall_seconds"])
    before = file.read_bytes()
    rival.main(arguments)
    assert file.read_bytes() == before
    assert capsys.readouterr().out.count("double-integrator seed 0") == 2


def test_it_is_a_line_and_a_table(rival):
    plot = importlib.import_module("experiments.any_start.plot")
    benchmark = importlib.import_module("experiments._benchmark")
    grid = importlib.import_module("experiments._grid")
    block = grid.Block("windows", ("pendulum",), (200,), ("markov",), ("default",), 2)
    keys = {"task": "pendulum", "horizon": "200", "settings": "zoo"}

    def row(seed, steps, return_):
        told = {"return": str(return_), "normalized_return": str(1 + return_ / 1000)}
        spent = {"wall_seconds": str(steps), "processor_seconds": str(steps / 2)}
        return keys | {"seed": str(seed), "env_steps": str(steps)} | told | spent

    rows = [row(s, steps, -200 - s) for s in (0, 1, 2) for steps in (5000, 6000)]
    rows.append(row(0, 0, -140.5) | {"settings": "reference"})
    rows.append(row(3, 6000, -100.0) | {"settings": plot.NAME})
    empty = benchmark.Recorded([benchmark.Line("markov", block)], {}, {})
    both = plot.with_rival(empty, rows)
    assert [line.name for line in both.lines] == ["markov, windows", "sac, Stable-Baselines3"]
    point = both.point(both.lines[1], 200)
    assert point.runs == 3
    assert point.interval.value == pytest.approx(0.799)
    assert both.spent(both.lines[1], 200, "wall_seconds") == 3000
    *_, last, ours = plot.rival_table(rows).splitlines()
    assert ours.startswith(
        f"| pendulum | 200 | {plot.NAME} | 6,000 | 1 | -100 [-100, -100] | -140.5"
    )
    assert last == "| pendulum | 200 | zoo | 6,000 | 3 | -201 [-202, -200] | -140.5 | 3000 |"
    assert plot.with_rival(empty, []).point(both.lines[1], 200) is None


def test_the_default_is_judged_beside_it(rival, tmp_path, monkeypatch):
    ours = importlib.import_module("experiments.any_start.same_starts")
    plot = importlib.import_module("experiments.any_start.plot")
    files = tmp_path / "rival.csv", tmp_path / "feedback.csv"
    monkeypatch.setattr(ours, "FILE", files[0])
    monkeypatch.setattr(ours, "FEEDBACK", files[1])
    monkeypatch.setitem(ours.RUNS, "double-integrator", rival.Settings(8, 40, ours.NAME))
    best, asked = lqr(make("double-integrator", horizon=8, process_noise=0)), []

    def train(env, **given):
        asked.append(given)
        return SimpleNamespace(policy=best)

    monkeypatch.setattr(ours.beeline, "train", train)
    for _ in range(2):
        ours.main(["--tasks", "double-integrator", "--seeds", "1"])
    (row,) = rival.read(files[0])
    assert (row["settings"], row["env_steps"], row["horizon"]) == (ours.NAME, "40", "8")
    (given,) = asked
    assert given == {"model": "markov", "env_steps": 40, "seed": 0, "progress": False}
    env = make("double-integrator", horizon=8)
    earned = rival.measure(env, jax.vmap(best.mode, (0, None)))
    assert float(row["return"]) == pytest.approx(earned.mean(), rel=1e-4)
    regulator, learned = ours.read_gains(files[1])
    assert regulator | {"seed": "0"} == learned
    table = plot.feedback_table(ours.read_gains(files[1])).splitlines()
    assert [line.split(" | ")[1] for line in table[2:]] == ["position", "speed"]


def test_gains_are_those_of_the_feedback():
    ours = importlib.import_module("experiments.any_start.same_starts")
    feedback = lqr(make("unstable-pole", horizon=5, process_noise=0))
    np.testing.assert_allclose(ours.gains_of(feedback, 2), feedback.gains[0, 0], rtol=1e-5)


def test_what_is_committed_is_whole(rival):
    rows = rival.read()
    assert {row["settings"] for row in rows} > {"reference"}
    assert len(
        {tuple(row[k] for k in ("task", "settings", "seed", "env_steps")) for row in rows}
    ) == len(rows)
    for row in rows:
        assert tuple(row) == rival.COLUMNS
        assert np.isfinite(float(row["return"]))
        assert np.isfinite(float(row["normalized_return"])) == (row["task"] != "cart-pole")
        named = rival.TASKS[row["task"]].name, rival.REFERENCE, "ours: markov, default"
        assert row["settings"] in named
