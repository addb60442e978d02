"""What failed is named: a whole file is never called damaged, nor passed over for an older one."""

import errno
import os
import re
import shutil
import subprocess
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import beeline
from beeline.cli import main
from beeline.run import RunError
from beeline.run.directory.restore import devices_then
from beeline.storage import archive, checkpoint


@pytest.fixture
def two(copied):
    """A run whose checkpoints are both whole."""
    shutil.copy(copied / "checkpoint.npz", copied / "checkpoint-previous.npz")
    return copied


def snapshot(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def fail_once(monkeypatch, owner, name, error):
    """Fail the first call only, so that a second attempt would succeed."""
    original, failed = getattr(owner, name), []

    def call(*arguments, **options):
        if not failed:
            failed.append(name)
            raise error
        return original(*arguments, **options)

    monkeypatch.setattr(owner, name, call)
    return failed


EXHAUSTED = jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 8 bytes.")


@pytest.mark.parametrize(
    ("owner", "name", "error"),
    [
        (np, "frombuffer", MemoryError()),
        (np.lib.format, "read_array_header_1_0", MemoryError()),
        (checkpoint, "_digest", MemoryError()),
        (checkpoint, "parse_json", MemoryError()),
        (jnp, "asarray", MemoryError()),
        (jnp, "asarray", EXHAUSTED),
        (jnp, "asarray", RuntimeError("Unable to initialize backend")),
        (jax.random, "wrap_key_data", EXHAUSTED),
        (os, "open", OSError(errno.EMFILE, "Too many open files")),
        (os, "open", PermissionError(errno.EACCES, "Permission denied")),
        (os, "open", OSError(errno.EIO, "Input/output error")),
        (os, "fdopen", OSError(errno.ENOMEM, "Cannot allocate memory")),
        (archive.Sparing, "read", OSError(errno.EIO, "Input/output error")),
    ],
)
def test_a_fault_of_the_system_is_not_one_of_the_file(two, monkeypatch, owner, name, error):
    config = beeline.load(two).config
    monkeypatch.setattr("beeline.run.directory.layout.read_config", lambda path: config)
    failed = fail_once(monkeypatch, owner, name, error)
    with pytest.raises(type(error)) as raised:
        beeline.load(two)
    assert failed
    assert "whole" not in str(raised.value)


@pytest.mark.parametrize("name", ["config.json", "summary.json", "metrics.jsonl", "checkpoint.npz"])
def test_a_file_that_may_not_be_opened_is_named(two, monkeypatch, capsys, name):
    original = os.open

    def refuse(path, *rest, **options):
        if os.fspath(path).endswith("/" + name):
            raise PermissionError(errno.EACCES, "Permission denied", os.fspath(path))
        return original(path, *rest, **options)

    monkeypatch.setattr(os, "open", refuse)
    assert main(["evaluate", str(two)]) == 1
    _, said = capsys.readouterr()
    assert said == f"beeline: [Errno 13] Permission denied: '{two / name}'\n"
    if name == "config.json":
        # Nor is a run taken for something else, which might be written over.
        assert main(["train", "--out", str(two)]) == 1
        assert "Permission denied" in capsys.readouterr().err


def test_memory_that_runs_out_is_said_in_one_line(two, monkeypatch, capsys):
    fail_once(monkeypatch, checkpoint, "_digest", MemoryError())
    assert main(["evaluate", str(two)]) == 1
    assert capsys.readouterr().err == "beeline: out of memory\n"


def test_a_header_that_is_nested_deeply_is_still_a_damaged_file(tmp_path):
    file = tmp_path / "state.npz"
    checkpoint.save(file, {"x": jnp.zeros(1)}, {})
    content = file.read_bytes()
    for nested in (b"[" * 60_000, b"-" * 60_000, b"(" * 900, b"-" * 900):
        header = b"\x93NUMPY\x01\x00" + (len(nested)).to_bytes(2, "little") + nested
        with np.load(file) as archive:
            manifest = archive["manifest"]
        with checkpoint.zipfile.ZipFile(tmp_path / "forged.npz", "w") as forged:
            with forged.open("manifest.npy", "w") as member:
                np.lib.format.write_array(member, manifest)
            forged.writestr("x.npy", header)
        place = {"x": jax.ShapeDtypeStruct((1,), "float32")}
        with pytest.raises(checkpoint.CheckpointError, match="whole checkpoint"):
            checkpoint.load(tmp_path / "forged.npz", place)
    assert file.read_bytes() == content


COMMANDS = {
    "evaluate": ["evaluate", "RUN"],
    "plot": ["plot", "RUN"],
    "resume": ["resume", "RUN", "--env-steps", "900"],
    "train": ["train", "cancer-treatment", "--out", "NEW"],
    "train over it": ["train", "cancer-treatment", "--out", "RUN", "--overwrite"],
    "diagnose": ["diagnose", "harvest", "--out", "NEW"],
    "diagnose a run": ["diagnose", "RUN", "--out", "NEW"],
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("error", [RuntimeError("no backend 'cuda'"), AssertionError()])
def test_a_platform_that_is_not_there(two, tmp_path, monkeypatch, capsys, command, error):
    def fail():
        raise error

    before = snapshot(tmp_path)
    monkeypatch.setattr(jax, "devices", fail)
    places = {"RUN": str(two), "NEW": str(tmp_path / "new")}
    assert main([places.get(word, word) for word in COMMANDS[command]]) == 2
    out, said = capsys.readouterr()
    assert out == ""
    assert said.count("\n") == 1
    assert "JAX_PLATFORMS" in said
    assert {name: content for name, content in snapshot(tmp_path).items() if name != ".lock"} == {
        name: content for name, content in before.items() if name != ".lock"
    }
    assert not (tmp_path / "new").exists()


def test_a_platform_that_is_not_there_in_a_process_of_its_own(two):
    surroundings = os.environ | {"JAX_PLATFORMS": "no-such-platform"}
    command = [sys.executable, "-m", "beeline", "evaluate", str(two)]
    done = subprocess.run(command, capture_output=True, text=True, env=surroundings, timeout=300)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(
        "beeline: JAX cannot compute with JAX_PLATFORMS=no-such-platform ("
    )
    assert done.stderr.count("\n") == 1


ASK = r"checkpoint\.npz was written in {}, where JAX computes in {} now: set JAX_ENABLE_X64={}"


@pytest.mark.parametrize("command", ["evaluate", "plot", "resume", "diagnose"])
def test_a_run_of_the_other_precision_names_the_variable(two, float64, capsys, command):
    before = snapshot(two)
    assert main([command, str(two)]) == 2
    _, said = capsys.readouterr()
    if command != "resume":
        assert re.search(ASK.format("float32", "float64", 0), said)
    assert said.count("\n") == 1
    with pytest.raises(RunError, match=ASK.format("float32", "float64", 0)):
        beeline.resume(two, env_steps=900)
    assert {name: before[name] for name in before} == {
        name: content for name, content in snapshot(two).items() if name in before
    }


def test_a_run_of_double_precision_names_the_variable_too(two, trained):
    about = checkpoint.peek(two / "checkpoint.npz").about
    assert about["precision"] == trained.summary["precision"] == "float32"
    with jax.enable_x64(True):
        wide = jax.tree.map(
            lambda x: x.astype("float64") if eqx.is_inexact_array(x) else x, trained.state
        )
        checkpoint.save(two / "checkpoint.npz", wide, about)
    shutil.copy(two / "checkpoint.npz", two / "checkpoint-previous.npz")
    with pytest.raises(RunError, match=ASK.format("float64", "float32", 1)):
        beeline.load(two)


def test_the_devices_are_those_of_the_checkpoint_that_is_left(two):
    """A crash between two renames leaves the one before alone."""
    newest = two / "checkpoint.npz"
    then = devices_then(two)
    assert then == jax.local_device_count()
    newest.unlink()
    assert devices_then(two) == then
    newest.write_bytes(b"PK")
    assert devices_then(two) == then
