"""The command line: what it prints, the exit codes, and one line for every mistake."""

import dataclasses
import importlib.metadata
import json
import os
import re
import signal
import subprocess
import sys

import jax
import numpy as np
import pytest

import beeline.run
from beeline.cli import main
from beeline.config import BASELINES, MODELS, PRESETS, preset
from beeline.envs import names
from beeline.run import DivergedError, Interrupted, StorageError


def flags(config):
    """Give the flags that make the default configuration this one."""
    given, default = [], preset("default")
    for field in dataclasses.fields(config):
        ours, theirs = getattr(config, field.name), getattr(default, field.name)
        if not dataclasses.is_dataclass(ours):
            pairs = [(field.name, ours, theirs)]
        else:
            pairs = [
                (f"{field.name}.{f.name}", getattr(ours, f.name), getattr(theirs, f.name))
                for f in dataclasses.fields(ours)
            ]
        for name, value, usual in pairs:
            if value != usual and name != "task":
                values = value if isinstance(value, tuple) else (value,)
                given += [f"--{name.replace('_', '-')}", *map(str, values)]
    return given


@pytest.fixture
def asked(trained, monkeypatch):
    """What is asked of `train`, in place of doing it."""
    calls = []

    def collect(**options):
        calls.append(options)
        return trained

    monkeypatch.setattr(beeline.run, "train", collect)
    return calls


def refused(capsys, *arguments):
    """Run a command that must end with code 2 and one line; give that line."""
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("beeline: ")
    assert err.count("\n") == 1
    return err


@pytest.mark.usefixtures("warm")
def test_training_prints_where_the_figures_are_and_how_close_it_got(tiny, tmp_path, capsys):
    out = tmp_path / "run"
    assert main(["train", "cancer-treatment", *flags(tiny), "--out", str(out)]) == 0
    printed, errors = capsys.readouterr()
    assert errors == ""
    assert f"figure    {out}/learning_curve.png" in printed
    assert f"figure    {out}/trajectories.png" in printed
    share = re.search(r"seed 0 +return -\S+, (\S+)% of the way to the optimum", printed)
    assert share is not None
    assert 85 < float(share[1]) <= 100
    assert len(printed.splitlines()) == 7
    assert beeline.load(out).config == tiny


def test_a_run_can_be_measured_and_drawn_again(copied, tmp_path, capsys):
    assert main(["evaluate", str(copied)]) == 0
    assert "of the way to the optimum" in capsys.readouterr().out
    assert main(["evaluate", str(copied), "--json"]) == 0
    measured = json.loads(capsys.readouterr().out)
    assert measured["seeds"] == [0]
    assert measured["return"] == pytest.approx(beeline.load(copied).summary["return"], rel=1e-5)
    (copied / "trajectories.png").unlink()
    assert main(["plot", str(copied)]) == 0
    assert (copied / "trajectories.png").exists()
    together = tmp_path / "together.pdf"
    assert main(["plot", str(copied), str(copied), "--out", str(together)]) == 0
    assert together.exists()


def test_a_return_that_is_not_finite_is_null_in_json(trained, monkeypatch, capsys):
    measured = beeline.run.evaluate_run(trained)
    for name in ("return_", "normalized_return"):
        object.__setattr__(measured, name, np.full(1, np.inf))
    monkeypatch.setattr(beeline.run, "evaluate_run", lambda *_: measured)
    assert main(["evaluate", str(trained.path), "--json"]) == 0
    out = capsys.readouterr().out
    assert json.loads(out, parse_constant=pytest.fail)["return"] == [None]
    assert main(["evaluate", str(trained.path)]) == 0
    assert "seed 0    return not finite" in capsys.readouterr().out


def test_the_list_has_every_name(capsys):
    assert main(["list"]) == 0
    printed = capsys.readouterr().out
    for name in (*names(), *MODELS, *BASELINES, *PRESETS):
        assert f"\n  {name} " in printed


def test_flags_override_the_preset_wherever_it_stands(asked):
    assert main(["train", "harvest", "--fitting.learning-rate", "3e-4", "--preset", "paper"]) == 0
    assert main(["train", "harvest", "--preset=paper", "--horizon", "7", "--seed", "3"]) == 0
    paper = preset("paper", task="harvest")
    changed = dataclasses.replace(paper.fitting, learning_rate=3e-4)
    assert asked[0]["config"] == dataclasses.replace(paper, fitting=changed)
    assert asked[1]["config"] == dataclasses.replace(paper, horizon=7, seed=3)


def test_groups_of_numbers_and_switches_are_flags(asked):
    given = ["--policy.hidden", "8", "9", "--exploration.no-correlated", "--world-model.positions"]
    assert main(["train", *given]) == 0
    config = asked[0]["config"]
    assert config.policy.hidden == (8, 9)
    assert not config.exploration.correlated
    assert config.world_model.positions


def test_where_runs_go(asked):
    assert main(["train", "harvest", "--horizon", "20", "--seed", "4", "--model", "markov"]) == 0
    assert main(["train", "harvest", "--out", "elsewhere", "--overwrite"]) == 0
    assert [os.fspath(call["out"]) for call in asked] == [
        "runs/harvest-h20-markov-seed4",
        "elsewhere",
    ]
    assert [call["overwrite"] for call in asked] == [False, True]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "cancer-tretment"], "unknown task 'cancer-tretment': did you mean 'cancer-t"),
        (["train", "--model", "markow"], "unknown model 'markow': did you mean 'markov'"),
        (["train", "--preset", "papr"], "unknown preset 'papr': did you mean 'paper'"),
        (["train", "--preset=papr"], "unknown preset 'papr': did you mean 'paper'"),
        (["train", "--horizon", "1"], "horizon is 1: give an integer of at least 2"),
        (["train", "--horizon", "2.5"], "--horizon is '2.5': give an integer"),
        (["train", "--horizon", "many"], "--horizon is 'many': give an integer"),
        (["train", "--horizon"], "Missing value for argument '--horizon'"),
        (["train", "--env-steps", "1500"], "env-steps is 1500, but the warm-up takes 1500"),
        (["train", "--seeds", "0"], "seeds is 0: give an integer of at least 1"),
        (
            ["train", "one-bounce", "--horizon", "2"],
            "horizon is 2, but one-bounce takes at least 3",
        ),
        (["train", "invasive-plant", "--horizon", "5"], "invasive-plant takes at least 10: in ste"),
        (
            ["train", "--fitting.learning-rate", "0"],
            "fitting.learning-rate is 0.0: give a finite number",
        ),
        (["train", "--fitting.learning-rate", "-1e-3"], "fitting.learning-rate is -0.001: give"),
        (["train", "--improvement.learning-rate", "nan"], "improvement.learning-rate is nan"),
        (["train", "--horizn", "3"], "Unrecognized options: --horizn, 3; perhaps you meant --hor"),
        (["trian"], "unknown command 'trian': did you mean 'train'"),
        ([], "Expected one of {train, resume, evaluate, export, plot, "),
        (["plot"], "name at least one run directory to plot"),
        (["evaluate"], "Missing from beeline evaluate"),
        (["evaluate", "no/such/run"], "there is no run directory no/such/run"),
        (["plot", "no/such/run"], "there is no run directory no/such/run"),
        (["plot", "no/such/run", "nor/this"], "there is no run directory no/such/run"),
    ],
)
def test_a_mistake_is_answered_in_one_line(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert message in refused(capsys, *arguments)
    assert list(tmp_path.iterdir()) == []


def test_a_directory_in_use_is_left_alone(copied, capsys):
    before = {path.name: path.read_bytes() for path in copied.iterdir()}
    line = refused(capsys, "train", "--out", str(copied))
    assert "holds another run: replace it with --overwrite, or change --out" in line
    refused(capsys, "train", "--out", str(copied), "--overwrite", "--horizon", "1")
    (copied / "config.json").write_text("{}")
    line = refused(capsys, "train", "--out", str(copied), "--overwrite")
    assert "holds files that are not a run" in line
    after = {path.name: path.read_bytes() for path in copied.iterdir()}
    assert after == before | {"config.json": b"{}"}


@pytest.mark.parametrize("command", ["evaluate", "plot"])
def test_a_damaged_run_is_answered_in_one_line(copied, capsys, command):
    (copied / "checkpoint.npz").write_bytes(b"PK")
    assert "checkpoint.npz is not a whole checkpoint" in refused(capsys, command, str(copied))
    (copied / "config.json").write_text('{"format": "beeline-run", "schema": 0}')
    line = refused(capsys, command, str(copied))
    assert "has schema 0, this version of beeline reads 1 to 3" in line


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (DivergedError("return", 3, 7), 1, "return of seed 3 is not finite in iteration 7: lower"),
        (Interrupted(3, 9, None), 130, "interrupted after 3 of 9"),
        (Interrupted(3, 9, None, signal.SIGTERM), 143, "interrupted after 3 of 9"),
        (StorageError("cannot write to here"), 1, "cannot write to here"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (OSError(28, "No space left on device"), 1, "No space left on device"),
    ],
)
def test_a_run_that_ends_early_says_so_in_one_line(monkeypatch, capsys, error, code, line):
    def fail(**options):
        raise error

    monkeypatch.setattr(beeline.run, "train", fail)
    assert main(["train"]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert line in err
    assert err.count("\n") == 1


def test_mistakes_of_the_library_are_not_hidden(monkeypatch):
    def fail(**options):
        raise ValueError("not the user's fault")

    monkeypatch.setattr(beeline.run, "train", fail)
    with pytest.raises(ValueError, match="not the user's fault"):
        main(["train"])


def test_the_version_is_printed_with_that_of_jax(capsys):
    assert main(["--version"]) == 0
    line = capsys.readouterr().out
    assert line.startswith(
        f"beeline {importlib.metadata.version('beeline')}, jax {jax.__version__}"
    )
    assert line.count("\n") == 1


def test_help_describes_the_program(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert not end.value.code
    text = capsys.readouterr().out
    assert "Learn control policies" in text
    assert "--version" in text
    assert "beeline.run" not in text


def test_help_is_no_mistake(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["train", "--help"])
    assert not ended.value.code
    assert "--fitting.learning-rate" in capsys.readouterr().out


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="a device may be held by one process")
def test_a_process_of_its_own(tiny, trained, tmp_path):
    python = [sys.executable, "-W", "error", "-m", "beeline"]
    command = [*python, "train", *flags(tiny), "--out", "run"]
    inherited = {
        "JAX_NUMPY_DTYPE_PROMOTION": "strict",
        "JAX_NUMPY_RANK_PROMOTION": "raise",
        "JAX_TRANSFER_GUARD": "disallow",
    }
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=600,
        env=os.environ | inherited,
    )
    assert (done.returncode, done.stderr) == (0, "")
    # Another process, the same bits: the summaries agree in all but times.
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["normalized_return"] == trained.summary["normalized_return"]
    wrong = subprocess.run([*python, "train", "--horizon", "1"], capture_output=True, text=True)
    assert wrong.returncode == 2
    assert wrong.stderr == "beeline: horizon is 1: give an integer of at least 2\n"
