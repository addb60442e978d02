"""A run that was stopped, continued or made longer; and one process at a time."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys

import jax
import numpy as np
import pytest

import beeline
from beeline.run import Interrupted, RunError, RunWarning, draw_run
from beeline.run import _training as training
from beeline.run.directory.keeper import Cadence, Keeper, keeping
from beeline.run.directory.lock import locked
from beeline.run.directory.restore import Restored, devices_then
from beeline.storage import checkpoint
from beeline.training import side_by_side
from beeline.training.side_by_side import compile_programs


def without_times(rows):
    return [{k: v for k, v in row.items() if k != "wall_seconds"} for row in rows]


def assert_same_bits(state, other):
    for ours, theirs in zip(jax.tree.leaves(state), jax.tree.leaves(other), strict=True):
        if jax.dtypes.issubdtype(getattr(ours, "dtype", None), jax.dtypes.prng_key):
            ours, theirs = jax.random.key_data(ours), jax.random.key_data(theirs)
        assert np.asarray(ours).tobytes() == np.asarray(theirs).tobytes()


@pytest.fixture
def at(monkeypatch):
    """Do something in the iterations with these numbers, before they are recorded."""
    measured, actions = training.row, {}

    def row(record, reference):
        values = measured(record, reference)
        at.done += 1
        actions.get(at.done, lambda: None)()
        return values

    def at(iteration, action, *, begun=0):
        at.done = begun
        actions.clear()
        actions[iteration] = action

    at.done = 0
    monkeypatch.setattr(training, "row", row)
    return at


def interrupt():
    raise KeyboardInterrupt


def test_a_run_that_is_stopped_goes_on_as_if_nothing_had_happened(
    tiny, trained, tmp_path, at, warm, monkeypatch
):
    out = tmp_path / "a run"
    before = signal.getsignal(signal.SIGTERM)
    at(13, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(Interrupted, match=r"13 of 40 iterations; continue with: .* '.*a run'") as e:
        beeline.train(config=tiny, out=out)
    assert e.value.signal == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == before
    assert len(beeline.load(out).records) == 13

    # Asked twice, it does not finish the iteration.
    at(20, interrupt, begun=13)
    with pytest.raises(Interrupted, match="after 19 of 40 iterations") as e:
        beeline.resume(out, checkpoint_steps=10)
    assert e.value.signal == signal.SIGINT
    loaded = beeline.load(out)
    assert len(loaded.records) == 19
    assert loaded.summary is None
    assert int(loaded.state.buffer.count[0]) == tiny.warmup_episodes + 19
    draw_run(loaded)

    # What a killed process leaves: a line too many, one that is torn, half a file.
    with (out / "metrics.jsonl").open("a") as metrics:
        metrics.write(json.dumps(loaded.records[-1]) + '\n{"iteration": 21, "env')
    (out / ".checkpoint.npz.12345").write_bytes(b"PK")
    assert len(beeline.load(out).records) == 19
    # As a new process would: compiled for the state that it starts from.
    monkeypatch.setattr(side_by_side, "compile_programs", compile_programs)
    ended = beeline.resume(out)
    assert_same_bits(ended.state, trained.state)
    assert without_times(ended.records) == without_times(trained.records)
    again = beeline.load(out)
    assert_same_bits(again.state, trained.state)
    assert again.records == ended.records
    assert not (out / ".checkpoint.npz.12345").exists()
    with pytest.raises(RunError, match=r"has ended after 500 .* with --env-steps, at least 510"):
        beeline.resume(out)


def fail(*arguments):
    """Stand in for compiling, where a test is about what comes before."""
    raise MemoryError


def test_a_run_without_a_checkpoint_begins_again(copied, monkeypatch):
    for name in ("checkpoint.npz", "summary.json"):
        (copied / name).unlink()
    with pytest.raises(RunError, match=r"there is no checkpoint .*checkpoint\.npz"):
        beeline.load(copied)
    monkeypatch.setattr(side_by_side, "compile_programs", fail)
    with (
        pytest.warns(RunWarning, match="has no checkpoint yet: it begins again"),
        pytest.raises(MemoryError),
    ):
        beeline.resume(copied)


@pytest.mark.slow
def test_a_run_that_has_ended_can_be_made_longer(copied, trained):
    with pytest.raises(RunError, match=r"env-steps is 490, but .* is a run of 500: give more"):
        beeline.resume(copied, env_steps=490)
    with pytest.raises(RunError, match="env-steps is 0: give an integer of at least 1"):
        beeline.resume(copied, env_steps=0)
    longer = beeline.resume(copied, env_steps=550)
    assert longer.config == dataclasses.replace(trained.config, env_steps=550)
    assert longer.records[:40] == trained.records
    assert [row["iteration"] for row in longer.records] == list(range(1, 46))
    states = np.asarray(longer.state.buffer.states)
    np.testing.assert_array_equal(states[:, :50], np.asarray(trained.state.buffer.states))
    assert np.ptp(states[:, 50:], axis=(1, 2)).min() > 0
    assert_same_bits(beeline.load(copied).state, longer.state)


def test_other_versions_or_cores_are_said_to_change_the_bits(trained):
    about = {"versions": {"jax": "0.1"}, "devices": 2}
    begun = Restored(trained.state, [], training.START, about)
    now = {"versions": {"jax": "0.1"}, "devices": 1}
    with pytest.warns(RunWarning, match="with other devices than there are now") as said:
        training.check_origin(trained.path, begun, now)
    assert len(said) == 1
    training.check_origin(trained.path, begun, about)


def test_a_run_goes_on_with_as_many_devices_as_it_had(trained, tmp_path):
    assert devices_then(trained.path) == jax.local_device_count()
    assert devices_then(tmp_path) is None
    for said, heeded in ((3, 3), (10**6, None), (True, None), ("2", None)):
        checkpoint.save(tmp_path / "checkpoint.npz", {}, {"devices": said})
        assert devices_then(tmp_path) == heeded


def test_nothing_is_changed_until_training_begins(copied, monkeypatch):
    before = {path.name: path.read_bytes() for path in copied.iterdir()}
    monkeypatch.setattr(side_by_side, "compile_programs", fail)
    with pytest.raises(MemoryError):
        beeline.resume(copied, env_steps=1000)
    assert {path.name: path.read_bytes() for path in copied.iterdir()} == before


def test_the_checkpoint_before_the_last_is_the_second_chance(copied, trained):
    shutil.copy(copied / "checkpoint.npz", copied / "checkpoint-previous.npz")
    content = bytearray((copied / "checkpoint.npz").read_bytes())
    content[len(content) // 2] ^= 1
    (copied / "checkpoint.npz").write_bytes(content)
    with pytest.warns(RunWarning, match=r"checkpoint\.npz is not a whole .*: going back to"):
        loaded = beeline.load(copied)
    assert_same_bits(loaded.state, trained.state)
    (copied / "checkpoint.npz").unlink()
    assert_same_bits(beeline.load(copied).state, trained.state)


def test_the_last_two_checkpoints_are_kept(copied, trained):
    with keeping(copied, trained.config, Cadence(steps=20, minutes=9.0), {}) as kept:
        due = []
        for row in trained.records[:5]:
            position = kept.append(row)
            due.append(kept.due())
            if due[-1]:
                kept.save(trained.state, position)
    assert due == [False, True, False, True, False]
    assert kept.saves == 2
    assert kept.save_bytes == (copied / "checkpoint.npz").stat().st_size
    newest, older = (
        checkpoint.peek(copied / name).about
        for name in ("checkpoint.npz", "checkpoint-previous.npz")
    )
    assert (newest["iterations"], older["iterations"]) == (4, 2)


def test_saves_keep_to_their_share_of_the_time(tiny, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("beeline.run.directory.keeper.time.monotonic", lambda: now[0])
    kept = Keeper(None, None, tiny, Cadence(minutes=0.5), {})
    for now[0], due in ((29.0, False), (30.0, True)):
        assert kept.due() is due
    kept._pause = 100.0
    for now[0], due in ((99.0, False), (100.0, True)):
        assert kept.due() is due


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"checkpoint_steps": 0}, "checkpoint-steps is 0: "),
        ({"checkpoint_minutes": 0.0}, "checkpoint-minutes is 0.0: give a number above 0"),
        ({"checkpoint_minutes": float("nan")}, "checkpoint-minutes is nan"),
    ],
)
def test_a_cadence_that_cannot_be(tiny, tmp_path, options, message):
    with pytest.raises(RunError, match=message):
        beeline.train(config=tiny, out=tmp_path / "run", **options)
    assert list(tmp_path.iterdir()) == []


HOLD = "import fcntl, sys; f = open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_EX); print(flush=True)"


def test_one_process_at_a_time(tiny, copied):
    wait = f"{HOLD}; sys.stdin.read()"
    holder = subprocess.Popen(
        [sys.executable, "-c", wait, copied / ".lock"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        before = {path.name: path.read_bytes() for path in copied.iterdir()}
        for begin in (
            lambda: beeline.resume(copied, env_steps=600),
            lambda: beeline.train(config=tiny, out=copied, overwrite=True),
        ):
            with pytest.raises(RunError, match=r"another process is writing to .*: wait until"):
                begin()
        assert {path.name: path.read_bytes() for path in copied.iterdir()} == before
        beeline.load(copied)
        holder.kill()
    # The lock ends with the process, though nothing was left to release it.
    with locked(copied):
        assert (copied / ".lock").exists()
    assert (copied / ".lock").exists()


def test_a_lock_that_is_a_link_is_not_followed(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".lock").symlink_to(tmp_path / "outside")
    with (
        pytest.raises(RunError, match=r"cannot lock .*run \(Too many levels"),
        locked(tmp_path / "run"),
    ):
        pass
    assert not (tmp_path / "outside").exists()
