"""What the README promises is there: its commands, names and example."""

import re
import tomllib
from pathlib import Path

import pytest

from beeline.cli._main import _parse
from beeline.config import BASELINES, PRESETS
from beeline.envs import make, names

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^beeline (.*?)(?:\s+#.*)?$", README, flags=re.M)


@pytest.mark.parametrize("command", COMMANDS)
def test_its_commands_are_understood(command):
    assert _parse(command.split())


def test_its_commands_are_found():
    assert {command.split()[0] for command in COMMANDS} >= {"list", "train", "resume", "plot"}


def test_its_tasks_are_all_there_are_and_begin_where_it_says():
    row = re.search(r"^\| Tasks \|(.*)\|$", README, flags=re.M).group(1)
    assert set(re.findall(r"`([a-z-]+)`", row)) == set(names())
    least = {name: int(number) for name, number in re.findall(r"`([a-z-]+)` \(from (\d+)\)", row)}
    for name in names():
        assert make(name, horizon=least.get(name, 2)).horizon == least.get(name, 2)
        if name in least:
            with pytest.raises(ValueError, match=f"at least {least[name]}"):
                make(name, horizon=least[name] - 1)


def test_its_baselines_presets_and_targets_are_there():
    rows = dict(re.findall(r"^\| (Baselines|Presets) \|(.*)\|$", README, flags=re.M))
    assert {f"`--model {name}`" for name in BASELINES} <= set(
        re.findall("`.*?`", rows["Baselines"])
    )
    assert {f"`{name}`" for name in PRESETS} == set(re.findall("`.*?`", rows["Presets"]))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make (\w+)", README, flags=re.M):
        assert re.search(rf"^{target}:", makefile, flags=re.M)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert "baselines" in project["optional-dependencies"]


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#:]+)\)", README))))
def test_its_links_lead_somewhere(link):
    assert (ROOT / link).exists()
