"""What systems without everything that Linux has still do: simulated by taking it away."""

import ctypes
import errno
import os
import signal
import sys
from types import SimpleNamespace

import pytest

from beeline import _atomic, _devices, _memory, _untrusted
from beeline._open_flags import open_flags
from beeline.config import Config
from beeline.run import _keeper
from beeline.run._stop import stopping


@pytest.fixture
def elsewhere(monkeypatch):
    """An `os` without what Windows lacks."""
    for name in ("O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "sched_getaffinity"):
        monkeypatch.delattr(os, name)


def test_flags_that_are_not_there_are_left_out(elsewhere, monkeypatch):
    assert open_flags("O_RDWR", "O_NOFOLLOW", "O_CREAT") == os.O_RDWR | os.O_CREAT
    monkeypatch.setattr(os, "O_BINARY", 1 << 15, raising=False)
    assert open_flags("O_RDONLY") == 1 << 15


def test_files_are_replaced_and_read(elsewhere, tmp_path):
    file = tmp_path / "file"
    for content in (b"one\r\n", b"two"):
        with _atomic.replacing(file, previous=tmp_path / "before") as target:
            target.write(content)
    assert _untrusted.read_bytes(file, 9) == b"two"
    assert (tmp_path / "before").read_bytes() == b"one\r\n"


def test_a_link_is_refused_without_a_flag_for_it(elsewhere, tmp_path):
    (tmp_path / "file").write_bytes(b"one")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    with pytest.raises(_untrusted.UntrustedError, match="is a symbolic link"):
        _untrusted.read_bytes(tmp_path / "link", 9)


def test_records_are_kept(elsewhere, tmp_path):
    with _keeper.keeper(tmp_path, Config(), _keeper.Cadence(), {}) as kept:
        position = kept.append({"iteration": 1})
    assert (tmp_path / "metrics.jsonl").read_bytes() == b'{"iteration": 1}\n'
    assert position.bytes == 17


@pytest.mark.parametrize(("number", "fatal"), [(errno.EINVAL, False), (errno.EIO, True)])
def test_a_file_system_that_syncs_no_folders(number, fatal, tmp_path, monkeypatch):
    def refuse(handle):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    if fatal:
        with pytest.raises(OSError, match="Input/output error"):
            _atomic.sync_folder(tmp_path)
    else:
        _atomic.sync_folder(tmp_path)


def test_cores_are_counted_without_an_affinity(elsewhere, monkeypatch):
    set_to = []
    config = SimpleNamespace(
        values={"jax_num_cpu_devices": -1}, update=lambda name, value: set_to.append(value)
    )
    monkeypatch.setattr(_devices, "jax", SimpleNamespace(config=config))
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    _devices.use_every_core(16, 24)
    # The largest number of cores that divides both batches.
    assert set_to == [4]


def test_memory_is_left_alone_where_there_is_no_such_knob(monkeypatch):
    class Library:
        """One without `mallopt`, as that of Alpine Linux."""

    monkeypatch.setattr(ctypes, "CDLL", lambda name: Library())
    assert not _memory.keep_freed_memory()
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not _memory.keep_freed_memory()


def test_a_handler_that_is_not_pythons_is_left_alone(monkeypatch):
    handlers = []

    def install(number, handler):
        if handler is None:
            raise TypeError("signal handler must be signal.SIG_IGN, signal.SIG_DFL, or a callable")
        handlers.append(handler)

    monkeypatch.setattr(signal, "signal", install)
    with stopping() as stop:
        assert stop.signal is None
    assert len(handlers) == 2
