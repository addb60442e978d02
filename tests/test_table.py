"""The page of results: medians, intervals, gaps and origins."""

import numpy as np
import pytest

from experiments._grid import TASKS, Cell, GridError
from experiments.table import page


def row(value, date="2026-01-02", stopped="0"):
    return {
        "normalized_return": value,
        "skipped": "2",
        "stopped": stopped,
        "env_steps": "10000",
        "date": date,
        "machine": "a machine",
    }


@pytest.fixture
def finals():
    runs = {
        Cell(task, 20, "markov", "default", seed): row(f"{0.9 + 0.01 * seed:.3f}")
        for task in TASKS
        for seed in range(3)
    }
    runs[Cell("harvest", 500, "sac", "default", 0)] = row("0.5", "2026-03-04")
    runs[Cell("harvest", 500, "sac", "default", 1)] = row("", "2026-03-04")
    runs[Cell("harvest", 20, "markov", "default fitting.clip=2", 0)] = row("-9")
    return runs


def cells(text, start):
    line = next(line for line in text.splitlines() if line.startswith(f"| {start} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_every_run_is_counted(finals):
    short, long = page(finals, ["default"]).split("## H = 500")
    assert cells(short, "harvest") == ["harvest", "0.910 (0.900)"]
    mean = np.mean(sorted([0.9, 0.91, 0.92] * 8)[6:-6])
    assert cells(short, "all tasks")[1].startswith(f"{mean:.3f} [0.9")
    # A run that has nothing to show counts as random actions, and tasks not run are gaps.
    assert cells(long, "harvest") == ["harvest", "0.250 (0.000)"]
    assert cells(long, "bacteria") == ["bacteria", ""]
    assert cells(long, "all tasks") == ["all tasks", ""]


def test_a_run_that_stopped_is_counted_and_no_result(finals):
    finals[Cell("harvest", 20, "markov", "default", 3)] = row("0.1", stopped="1")
    finals[Cell("bacteria", 500, "sac", "default", 0)] = row("0.4", stopped="1")
    short, long = page(finals, ["default"]).split("## H = 500")
    assert cells(short, "harvest") == ["harvest", "0.910 (0.900), 1 stopped"]
    mean = np.mean(sorted([0.9, 0.91, 0.92] * 8)[6:-6])
    assert cells(short, "all tasks")[1].startswith(f"{mean:.3f} [")
    assert cells(long, "bacteria") == ["bacteria", "1 stopped"]
    assert cells(long, "markov")[4] == "1"


def test_fewer_than_three_seeds_have_no_interval(finals):
    for task in TASKS:
        del finals[Cell(task, 20, "markov", "default", 2)]
    assert cells(page(finals, ["default"]), "all tasks")[1] == "0.905"


def test_the_page_says_where_its_numbers_come_from(finals):
    text = page(finals, ["default"])
    ended = ["24", "3", "10,000", "0", "48", "2026-01-02", "a machine"]
    assert cells(text, "markov")[1:] == ended
    assert cells(text, "sac")[6] == "2026-03-04"
    assert 'python -m experiments.table --variants "default"\n' in text
    other = page(finals, ["default fitting.clip=2"])
    assert 'python -m experiments.table --variants "default fitting.clip=2"' in other
    assert cells(other, "harvest") == ["harvest", "-9.000"]


def test_variants_stand_side_by_side(finals):
    both = ["default", "default fitting.clip=2"]
    short, long = page(finals, both).split("## H = 500")
    assert cells(short, "task") == ["task", "markov", "markov, default fitting.clip=2"]
    assert cells(short, "harvest") == ["harvest", "0.910 (0.900)", "-9.000"]
    assert cells(long, "task") == ["task", "sac"]
    assert f'--variants "{both[0]}" "{both[1]}"\n' in short
    assert cells(long, "markov, default fitting.clip=2")[1] == "1"


def test_a_variant_that_only_leaves_out_is_another_column(finals):
    text = page(finals, ["default fitting.clip=2", "default"])
    assert cells(text, "task") == ["task", "markov, default", "markov"]
    assert cells(text, "harvest") == ["harvest", "0.910 (0.900)", "-9.000"]


def test_a_variant_without_runs(finals):
    with pytest.raises(GridError, match="no run of the variant 'paper' is recorded: choose from"):
        page(finals, ["default", "paper"])
