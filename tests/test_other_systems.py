"""What Unix has and other systems lack is done without."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from beeline._atomic import replacing
from beeline._untrusted import UntrustedError, read_bytes
from beeline.run._keeper import Cadence, keeper

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
    for name in ("O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC"):
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
    with keeper(copied, trained.config, Cadence(), {}) as kept:
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
