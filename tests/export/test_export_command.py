"""Export of runs, by the command line and from Python."""

import dataclasses

import jax
import numpy as np
import pytest

from beeline.cli import main
from beeline.export import FORMATS, ExportError, load_numpy
from beeline.run import RunError


def refused(capsys, *arguments):
    """Run a command that must end with code 2 and one line; give that line."""
    assert main(["export", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("beeline: ")
    assert err.count("\n") == 1
    return err


@pytest.mark.parametrize("to", FORMATS)
def test_a_run_is_exported_beside_its_files(to, copied, capsys):
    assert main(["export", str(copied), "--to", to]) == 0
    file = copied / f"policy-seed0{FORMATS[to].suffix}"
    assert capsys.readouterr().out == f"{file}\n"
    assert file.stat().st_size > 1000
    assert main(["evaluate", str(copied)]) == 0


def test_what_is_exported_is_what_was_learned(trained, tmp_path):
    policy = load_numpy(trained.export(tmp_path / "policy.npz"))
    env, right = trained.env, jax.jit(trained.policy.mode)
    state = env.initial_state()
    for t in range(env.horizon):
        action = right(state, t)
        (given,), (wanted,) = policy(state, t), env.physical_action(action)
        low, high = policy.metadata["action"][0]["low"], policy.metadata["action"][0]["high"]
        assert abs(given - wanted) <= 1e-6 * (high - low)
        state = env.step(state, action, t)
    assert policy.metadata["task"] == "cancer-treatment"
    assert policy.metadata["model"] == "markov"
    assert policy.metadata["iterations"] == len(trained.records)


def test_each_seed_has_a_policy(pair, tmp_path):
    files = [pair.export(tmp_path / str(seed), seed=seed) for seed in pair.seeds]
    state = np.ones(pair.env.state_dim, np.float32)
    first, second = (load_numpy(file)(state, 3) for file in files)
    assert first != second
    assert [load_numpy(file).metadata["seed"] for file in files] == pair.seeds
    assert load_numpy(pair.export(tmp_path / "first"))(state, 3) == first
    with pytest.raises(RunError, match="seed is 7: this run has 0, 1"):
        pair.export(tmp_path / "seventh", seed=7)
    with pytest.raises(RunError, match="no directory: name a file"):
        pair.export()


def test_mistakes_are_told_in_one_line(copied, tmp_path, capsys):
    run = str(copied)
    assert "did you mean 'onnx'" in refused(capsys, run, "--to", "onxx")
    assert "--to" in refused(capsys, run)
    assert "there is no run directory" in refused(capsys, str(tmp_path / "none"), "--to", "numpy")
    assert "seed is 4: this run has 0" in refused(capsys, run, "--to", "numpy", "--seed", "4")
    where = [run, "--to", "numpy", "--out"]
    assert f"{tmp_path} is a folder" in refused(capsys, *where, str(tmp_path))
    missing = tmp_path / "missing" / "policy.npz"
    assert f"there is no folder {missing.parent}" in refused(capsys, *where, str(missing))
    below = copied / "config.json" / "policy.npz"
    assert "there is no folder" in refused(capsys, *where, str(below))
    taken = tmp_path / "taken"
    taken.write_text("mine")
    assert "is there already: replace it with --overwrite" in refused(capsys, *where, str(taken))
    assert taken.read_text() == "mine"
    assert main(["export", *where, str(taken), "--overwrite"]) == 0
    assert load_numpy(taken).metadata["horizon"] == 10


def test_a_folder_that_cannot_be_written_is_told(trained, tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(ExportError, match=f"cannot write to {tmp_path}"):
        trained.export(tmp_path / "policy")


def test_an_unknown_format_is_told_in_python_too(trained, tmp_path):
    with pytest.raises(ExportError, match=r"unknown format 'npz': .*numpy, onnx, stablehlo"):
        trained.export(tmp_path / "policy", to="npz")
    with pytest.raises(ExportError, match="unknown format 'npz'"):
        dataclasses.replace(trained, path=tmp_path).export(to="npz")
