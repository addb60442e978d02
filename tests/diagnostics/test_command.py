"""`beeline diagnose`."""

import pytest

from beeline.cli import main


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["one-bonce"], "unknown task or run 'one-bonce': did you mean 'one-bounce'?"),
        (["one-bounce", "--models", "markof"], "unknown model 'markof'"),
        (["one-bounce", "--horizons", "5", "1"], "horizon is 1: give an integer of at least 2"),
        (["one-bounce", "--samples", "1"], "samples is 1: give an integer of at least 2"),
    ],
)
def test_mistakes_take_one_line(capsys, tmp_path, arguments, message):
    assert main(["diagnose", *arguments, "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_directory_that_is_not_a_run(capsys, tmp_path):
    assert main(["diagnose", str(tmp_path)]) == 2
    assert "is not a run" in capsys.readouterr().err


@pytest.mark.slow
def test_four_horizons_of_a_task(capsys, tmp_path):
    given = ["diagnose", "one-bounce", "--models", "markov", "--horizons", "3", "4", "5", "6"]
    small = ["--samples", "2", "--points", "5", "--transitions", "20", "--fit-steps", "2"]
    assert main([*given, *small, "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "first-action" in printed
    assert str(tmp_path / "report.md") in printed
    assert (tmp_path / "growth_first_action.png").stat().st_size > 0
