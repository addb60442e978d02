"""Processes killed by SIGKILL at random instants, and one that was not: the same bits."""

import json
import random

import pytest

from beeline import run
from benchmarks import soak


@pytest.mark.slow
def test_thirty_kills_leave_no_trace(tmp_path):
    config = soak.small("cancer-treatment", "markov", 0)
    seconds = soak.train_undisturbed(config, tmp_path / "undisturbed")
    chance = random.Random(0)
    killed = while_saving = chain = 0
    while killed < 30:
        chain += 1
        folder = tmp_path / f"chain-{chain}"
        kills, saving, resumed = soak.train_with_kills(config, folder, seconds, 10, chance)
        assert resumed == kills > 0
        killed, while_saving = killed + kills, while_saving + saving
        assert soak.differences(tmp_path / "undisturbed", folder) == []
        lines = (folder / "metrics.jsonl").read_text().splitlines()
        assert [json.loads(line)["iteration"] for line in lines] == list(
            range(1, config.iterations + 1)
        )
        assert run.load(folder).summary is not None
    print(f"{killed} kills, {while_saving} of them while saving")
    assert while_saving >= 1


@pytest.mark.slow
def test_a_longer_run_is_the_same_run_when_killed(tmp_path):
    config = soak.small("cancer-treatment", "markov", 0)
    for folder in (tmp_path / "undisturbed", tmp_path / "killed"):
        soak.train_undisturbed(config, folder)
    longer = config.env_steps + 60 * config.horizon
    soak.lengthen(tmp_path / "undisturbed", longer)
    soak.lengthen(tmp_path / "killed", longer, kill_after=10)
    soak.train_undisturbed(config, tmp_path / "killed")
    assert soak.differences(tmp_path / "undisturbed", tmp_path / "killed") == []
    assert len(run.load(tmp_path / "killed").records) == config.iterations + 60
