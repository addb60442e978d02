"""Disks that fill up, go read-only or vanish under a run: real ones, not mocks."""

import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import equinox as eqx
import jax
import pytest

from beeline.run import StorageError
from beeline.run.directory.keeper import Cadence, Position, keeping
from beeline.storage import checkpoint

ROOT = os.geteuid() == 0


def mount(*arguments):
    done = subprocess.run(["mount", *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own, with room for the run and half a checkpoint more."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if not ROOT:
        pytest.skip("only the superuser can mount a file system")
    mount("-t", "tmpfs", "-o", "size=8m", "tmpfs", folder)
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.fixture
def run(trained, small_disk):
    return Path(shutil.copytree(trained.path, small_disk / "run"))


def fill(folder, *, leave):
    """Take all room but so many bytes."""
    status = os.statvfs(folder)
    left = status.f_bavail * status.f_frsize
    with (folder / "ballast").open("wb") as ballast:
        ballast.write(bytes(max(0, left - leave)))


def keep_on(folder, trained, spoil, *, saving=True):
    """Go on keeping a run until what is done to its disk stops it; the message."""
    with keeping(folder, trained.config, Cadence(), {}) as kept:
        kept.save(trained.state, kept.append(trained.records[0]))
        spoil()
        with pytest.raises(StorageError) as stopped:
            keep_all(kept, trained, saving=saving)
    assert "\n" not in str(stopped.value)
    return str(stopped.value)


def keep_all(kept, trained, *, saving):
    for row in trained.records[1:]:
        position = kept.append(row)
        if saving:
            kept.save(trained.state, position)


def assert_still_good(folder, trained, iterations):
    """The last good checkpoint is whole, and nothing half written lies about."""
    about = checkpoint.peek(folder / "checkpoint.npz").about
    assert about["iterations"] == iterations
    kept = checkpoint.load(folder / "checkpoint.npz", shapes(trained.state)).tree
    assert len(jax.tree.leaves(kept)) == len(jax.tree.leaves(trained.state))
    size = (folder / "metrics.jsonl").stat().st_size
    assert size >= about["records"]["bytes"]
    assert not list(folder.glob(".checkpoint*"))


def shapes(state):
    return eqx.filter_eval_shape(lambda: state)


@pytest.fixture
def fresh(run):
    (run / "metrics.jsonl").unlink()
    return run


def test_a_disk_that_is_full(fresh, trained):
    half = (fresh / "checkpoint.npz").stat().st_size // 2
    said = keep_on(fresh, trained, lambda: fill(fresh, leave=half))
    assert "No space left on device" in said
    assert "what was saved is whole; when it can be written again, continue with: beeline" in said
    assert_still_good(fresh, trained, 1)
    # With room again it goes on from there.
    (fresh / "ballast").unlink()
    about = checkpoint.peek(fresh / "checkpoint.npz").about
    with keeping(fresh, trained.config, Cadence(), {}) as kept:
        kept.begin_at(Position(1, about["records"]["bytes"], about["records"]["sha256"]))
        kept.save(trained.state, kept.append(trained.records[1]))
    assert_still_good(fresh, trained, 2)


def test_a_disk_that_is_full_for_the_records_too(fresh, trained):
    said = keep_on(fresh, trained, lambda: fill(fresh, leave=0), saving=False)
    assert "No space left on device" in said
    assert_still_good(fresh, trained, 1)


def test_a_disk_that_turns_read_only(fresh, trained, small_disk):
    def spoil():
        # As a kernel does on errors; files open for writing would forbid a polite remount.
        mount("--bind", fresh, fresh)
        mount("-o", "remount,bind,ro", fresh)

    try:
        said = keep_on(fresh, trained, spoil)
    finally:
        subprocess.run(["umount", "-l", fresh], capture_output=True)
    assert "Read-only file system" in said
    assert_still_good(fresh, trained, 1)


def test_a_directory_that_vanishes(copied, trained, tmp_path):
    (copied / "metrics.jsonl").unlink()
    said = keep_on(copied, trained, lambda: copied.rename(tmp_path / "gone"))
    assert "No such file or directory" in said
    assert "the directory is gone, and the run with it" in said
    assert_still_good(tmp_path / "gone", trained, 1)


def test_a_permission_that_is_lost(trained):
    with tempfile.TemporaryDirectory() as folder:
        run = Path(shutil.copytree(trained.path, Path(folder, "run")))
        (run / "metrics.jsonl").unlink()
        if ROOT:
            # Permissions do not bind the superuser: be nobody for a while.
            for path in (Path(folder), run, *run.iterdir()):
                os.chown(path, 65534, 65534)
            os.seteuid(65534)
        try:
            said = keep_on(run, trained, lambda: run.chmod(0o555))
        finally:
            os.seteuid(os.getuid())
        run.chmod(0o755)
        assert "Permission denied" in said
        assert_still_good(run, trained, 1)


def test_a_limit_on_the_size_of_files(copied, trained):
    """What a quota does: the process is refused more bytes, wherever it writes."""
    (copied / "metrics.jsonl").unlink()
    size = (copied / "checkpoint.npz").stat().st_size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        said = keep_on(
            copied,
            trained,
            lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, before[1])),
        )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "File too large" in said
    assert_still_good(copied, trained, 1)


@pytest.mark.slow
def test_the_command_says_it_in_one_line(run, trained, tmp_path):
    fill(run, leave=0)
    command = [sys.executable, "-m", "beeline", "resume", str(run), "--env-steps", "900"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "No space left on device" in done.stderr
    assert_still_good(run, trained, 40)
