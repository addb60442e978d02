"""What Unix has and other systems lack is done without."""

import ast
import ctypes
import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from beeline.compute import devices, memory
from beeline.run._stop import stopping
from beeline.run.directory.keeper import Cadence, keeping
from beeline.storage import atomic
from beeline.storage.atomic import replacing
from beeline.storage.untrusted import UntrustedError, read_bytes

LACKING = """
import os, sys
sys.modules.update(dict.fromkeys(["fcntl", "resource", "pwd", "grp", "termios"]))
for name in ("O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "sched_getaffinity"):
    delattr(os, name)
import beeline.run, beeline.cli
"""


@pytest.mark.parametrize("top", ["src", "experiments", "benchmarks", "docs"])
def test_every_text_says_its_encoding(top):
    """Elsewhere the default is another one."""
    texts = 0
    for file in sorted((Path(__file__).parents[1] / top).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                called = getattr(node.func, "attr", getattr(node.func, "id", ""))
                owner = getattr(getattr(node.func, "value", None), "id", "")
                given = {word.arg for word in node.keywords}
                modes = [x.value for x in node.args if isinstance(x, ast.Constant)]
                is_text = called in ("read_text", "write_text") or (
                    called in ("open", "fdopen")
                    and (owner, called) not in (("os", "open"), ("archive", "open"))
                    and not any("b" in str(mode) for mode in modes)
                )
                if is_text or "text" in given & {"text", "universal_newlines"}:
                    texts += 1
                    assert "encoding" in given, (file, node.lineno)
    assert texts or top == "docs"


@pytest.fixture
def lacking(monkeypatch):
    for name in ("O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "sched_getaffinity"):
        monkeypatch.delattr(os, name)


def test_it_is_imported_without(tmp_path):
    done = subprocess.run([sys.executable, "-c", LACKING], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_files_are_written_and_read_without(lacking, tmp_path):
    with replacing(tmp_path / "file") as file:
        file.write(b"a\r\nb\x1ac")
    assert read_bytes(tmp_path / "file", 10) == b"a\r\nb\x1ac"
    (tmp_path / "link").symlink_to("file")
    with pytest.raises(UntrustedError, match="is a symbolic link"):
        read_bytes(tmp_path / "link", 10)


def test_records_are_kept_without(lacking, copied, trained, tmp_path):
    (copied / "metrics.jsonl").unlink()
    with keeping(copied, trained.config, Cadence(), {}) as kept:
        kept.save(trained.state, kept.append(trained.records[0]))
    assert (copied / "metrics.jsonl").read_bytes().count(b"\n") == 1


def test_files_are_opened_for_their_bytes(monkeypatch, tmp_path):
    """Elsewhere the system would turn line ends into others unless told not to."""
    (tmp_path / "file").write_bytes(b"x")
    original, seen = os.open, []
    monkeypatch.setattr(os, "O_BINARY", 2**30, raising=False)

    def note(path, flags, *rest):
        seen.append(flags)
        return original(path, flags & ~(2**30), *rest)

    monkeypatch.setattr(os, "open", note)
    read_bytes(tmp_path / "file", 10)
    assert [flags & 2**30 for flags in seen] == [2**30]


@pytest.mark.parametrize(("number", "fatal"), [(errno.EINVAL, False), (errno.EIO, True)])
def test_a_file_system_that_syncs_no_folders(number, fatal, tmp_path, monkeypatch):
    def refuse(handle):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    if fatal:
        with pytest.raises(OSError, match="Input/output error"):
            atomic.sync_folder(tmp_path)
    else:
        atomic.sync_folder(tmp_path)


def test_cores_are_counted_without_an_affinity(lacking, monkeypatch):
    set_to = []
    config = SimpleNamespace(
        values={"jax_num_cpu_devices": -1}, update=lambda name, value: set_to.append(value)
    )
    monkeypatch.setattr(devices, "jax", SimpleNamespace(config=config))
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    devices.use_every_core(16, 24)
    # The largest number of cores that divides both batches.
    assert set_to == [4]


def test_memory_is_left_alone_where_there_is_no_such_knob(monkeypatch):
    class Library:
        """One without `mallopt`, as that of Alpine Linux."""

    monkeypatch.setattr(ctypes, "CDLL", lambda name: Library())
    assert not memory.keep_freed_memory()
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not memory.keep_freed_memory()


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
