"""Standard streams that are closed, broken, full or of ASCII, and names that are hard to print."""

import contextlib
import os
import shlex
import shutil
import subprocess
import sys
import types
from pathlib import Path

import pytest

import beeline
from beeline.cli import main
from beeline.run import RunError, RunWarning, draw_curves
from beeline.run._errors import how_to_go_on

LIST = [sys.executable, "-W", "error", "-m", "beeline", "list"]
PLAIN = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}


def run(command, *, redirect="", **surroundings):
    words = [w if isinstance(w, str) else os.fsdecode(w) for w in command]
    shell = ["bash", "-o", "pipefail", "-c", f"{shlex.join(words)} {redirect}"]
    return subprocess.run(shell, capture_output=True, env=PLAIN | surroundings, timeout=300)


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    ("redirect", "code", "said"),
    [
        ("| head -1", {0, 141}, ""),
        ("| true", {141}, ""),
        (">&-", {0}, ""),
        ("2>&-", {0}, ""),
        ("<&- >&- 2>&-", {0}, ""),
        ("> /dev/full", {1}, "No space left on device"),
    ],
)
def test_a_stream_that_cannot_be_written_shows_no_traceback(redirect, code, said, unbuffered):
    done = run(LIST, redirect=redirect, PYTHONUNBUFFERED=unbuffered)
    assert done.returncode in code
    assert done.stderr.count(b"\n") == (1 if said else 0)
    assert said.encode() in done.stderr


def test_a_mistake_keeps_its_code_though_nobody_reads_of_it():
    mistake = [*LIST[:-1], "evaluate", "no-such-run"]
    assert run(mistake, redirect="2>&-").returncode == 2
    assert run(mistake, redirect="2>&1 | true").returncode == 2


def test_a_file_does_not_get_the_number_of_a_closed_stream(tmp_path):
    """What a library prints would else go into it."""
    program = (
        "import os, sys; from beeline.cli._streams import prepare_streams; prepare_streams(); "
        f"file = open({str(tmp_path / 'file')!r}, 'w', encoding='utf-8'); "
        "os.write(2, b'noise'); os.write(1, b'noise'); print('said'); "
        "print('said', file=sys.stderr); sys.exit(file.fileno())"
    )
    done = run([sys.executable, "-c", program], redirect="<&- >&- 2>&-")
    assert done.returncode > 2
    assert (tmp_path / "file").read_bytes() == b""


NAMES = [b"two  spaces", "café".encode(), "中文".encode(), b"\xff\xfe", b"$a$", b"_b", b"it's"]


@pytest.mark.parametrize(
    "surroundings",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONUTF8": "1"},
    ],
    ids=["ascii", "C", "utf-8"],
)
def test_names_are_printed_as_they_are_or_escaped(copied, tmp_path, surroundings):
    folders = [os.path.join(os.fsencode(tmp_path), name) for name in NAMES]
    for folder in folders:
        os.mkdir(folder)
        for file in ("config.json", "metrics.jsonl"):
            shutil.copy(os.fsencode(copied / file), folder)
    figure = os.path.join(os.fsencode(tmp_path), b"\xfe\xc3\xa9.png")
    command = [*LIST[:-1], "plot", *folders, "--out", figure]
    done = run(command, **surroundings)
    assert (done.returncode, done.stderr) == (0, b"")
    assert os.path.exists(figure)
    escaped = figure.replace("é".encode(), b"\\xe9")
    assert done.stdout == (escaped if "PYTHONIOENCODING" in surroundings else figure) + b"\n"


def test_a_name_is_printed_with_all_its_spaces(capsys, tmp_path):
    assert main(["evaluate", str(tmp_path / "two  spaces")]) == 2
    assert capsys.readouterr().err == f"beeline: there is no run directory {tmp_path}/two  spaces\n"


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
@pytest.mark.parametrize("name", [*NAMES, b"new\nline", b"plain"])
def test_the_command_that_continues_a_run_is_one_that_a_shell_takes(monkeypatch, name, encoding):
    monkeypatch.setattr(sys, "stderr", types.SimpleNamespace(encoding=encoding))
    said = how_to_go_on(Path(os.fsdecode(name))).removeprefix("continue with: beeline resume ")
    monkeypatch.undo()
    said.encode(encoding)
    assert "\n" not in said
    done = subprocess.run(["bash", "-c", f"printf %s {said}"], capture_output=True)
    assert done.stdout == name


def test_a_home_is_put_in_place_of_a_tilde(copied, tiny, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("HOME", str(copied.parent))
    monkeypatch.chdir(tmp_path)
    before = {path.name for path in tmp_path.iterdir()}
    assert beeline.load("~/copied").path == copied
    assert main(["evaluate", "~/copied"]) == 0
    with pytest.raises(RunError, match="holds another run"):
        beeline.train(config=tiny, out="~/copied")
    with pytest.raises(RunError, match="has ended"):
        beeline.resume("~/copied")
    draw_curves(["~/copied"], "~/figure.png")
    assert {path.name for path in tmp_path.iterdir()} == before | {"figure.png"}
    capsys.readouterr()
    for command in (["evaluate"], ["plot"], ["resume"], ["diagnose"], ["train", "--out"]):
        assert main([*command, "~nobody-at-all/run"]) == 2
        _, said = capsys.readouterr()
        assert said == (
            "beeline: ~nobody-at-all/run: there is no such home directory: give the whole path\n"
        )


def test_warnings_of_ours_are_no_errors_for_the_command(copied, capsys):
    shutil.copy(copied / "checkpoint.npz", copied / "checkpoint-previous.npz")
    (copied / "checkpoint.npz").write_bytes(b"PK")
    # Warnings are errors in tests: so they are for the library, and not for the command.
    with pytest.raises(RunWarning):
        beeline.load(copied)
    assert main(["evaluate", str(copied)]) == 0
    assert "going back to checkpoint-previous.npz" in capsys.readouterr().err


def test_the_bar_needs_no_standard_error(tiny, monkeypatch):
    from beeline.build import build
    from beeline.run._display import display

    monkeypatch.setattr(sys, "stderr", None)
    with (
        contextlib.closing(open(os.devnull, "w", encoding="utf-8")),
        display(build(tiny), 500, shown=None) as shown,
    ):
        shown.phase("training")
