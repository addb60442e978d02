"""`beeline fit`, as a stranger with a file types it."""

import numpy as np
import pytest

from beeline.cli import main
from beeline.forecast import load


@pytest.fixture
def log(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    draws = np.random.default_rng(0)
    lines = ["run,t,T,still,u"]
    for run in range(4):
        x = draws.normal()
        for t in range(12):
            u = draws.uniform(-2, 2)
            lines.append(f"{run},{0.5 * t},{x},3,{u}")
            x = 0.8 * x + 0.3 * u
    (tmp_path / "log.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path / "log.csv"


def command(*options):
    given = ["--states", "T", "--actions", "u", "--model", "markov", "--updates", "5"]
    return main(["fit", "log.csv", *given, *options])


def test_a_file_becomes_a_model_and_a_table(log, capsys):
    assert command("--episode", "run", "--step", "t", "--window", "4", "--action-low", "-3") == 0
    said = capsys.readouterr().out
    assert "4 episodes, 44 steps in all; held out: 1 of 4 episodes" in said
    assert "| steps ahead | error" in said
    assert "believed" in said
    assert "in units of t" in said
    loaded = load(log.parent / "fits" / "log-markov-seed0")
    assert loaded.action_low == (-3.0,)
    assert loaded.predict([0.5], np.zeros((11, 1))).shape == (11, 1)
    figure = log.parent / "fits" / "log-markov-seed0" / "errors.png"
    assert figure.read_bytes().startswith(b"\x89PNG")
    assert command("--episode", "run", "--window", "4") == 2
    assert "holds another model: replace it with --overwrite" in capsys.readouterr().err
    assert command("--episode", "run", "--window", "4", "--overwrite") == 0


def test_a_constant_column_is_said_in_one_line(log, capsys):
    assert command("--episode", "run", "--window", "4", "--states", "T,still") == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("beeline: column 'still' is 3 throughout")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--step", "t"], "line 14, column 't' goes back from 5.5 to 0"),
        (["--states", "T,q"], "has no column 'q': its columns are 'run', 't', 'T', 'still', 'u'"),
        (["--states", ""], "no states are named"),
        (["--model", "gru"], "gru"),
        (["--model", "simulator"], "simulator"),
        (["--window", "100"], "windows of 100 steps were asked for"),
        (["--action-low", "a"], "action-low is 'a': give numbers"),
        (["--out", "log.csv"], "log.csv is a file"),
        (["--out", "."], "holds files that are not a fitted model"),
        (["--held-out", "2"], "the share held out is 2.0"),
        (["--updates", "0"], "updates is 0"),
    ],
)
def test_mistakes_are_said_in_one_line(log, capsys, options, message):
    assert command(*options) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("beeline: ")
    assert message in line


def test_a_file_that_is_not_there(log, capsys):
    assert main(["fit", "none.csv", "--states", "a", "--actions", "b"]) == 2
    assert capsys.readouterr().err == "beeline: there is no file none.csv\n"
