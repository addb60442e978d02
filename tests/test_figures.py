"""Figures: whatever the surroundings are, the same pixels, and never the end of a run."""

import os
import re
import subprocess
import sys
from pathlib import Path

import matplotlib
import matplotlib.image
import numpy as np
import pytest

import beeline
from beeline import _drawing
from beeline.cli import main
from beeline.diagnostics import growth_figure
from beeline.run import RunError, RunWarning, draw_curves

ROOT = Path(__file__).parents[1]
DRAW = """
import os, sys
from pathlib import Path
from beeline._drawing import Figure, default_style, save_figure

with default_style():
    figure = Figure(figsize=(2, 2), dpi=50)
    figure.subplots().plot([1, 2], [3, 4])
    figure.suptitle("s_1 & 5%")
save_figure(figure, Path(sys.argv[1]))
print(os.environ.get("MPLBACKEND"))
"""
EXOTIC = """
text.usetex: True
font.family: No Such Font
lines.linewidth: 9
axes.grid: True
savefig.dpi: 7
backend: nonsense
"""


def draw_elsewhere(folder, **variables):
    """Draw in a process of its own, in a folder of its own; the pixels and what was printed."""
    file = folder / "figure.png"
    done = subprocess.run(
        [sys.executable, "-c", DRAW, str(file)],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **variables},
    )
    assert done.returncode == 0, done.stderr
    return matplotlib.image.imread(file), done.stdout.strip()


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return draw_elsewhere(tmp_path_factory.mktemp("plain"))[0]


@pytest.mark.parametrize("backend", ["module://matplotlib_inline.backend_nowhere", "nonsense"])
def test_a_backend_that_is_not_there(backend, plain, tmp_path):
    pixels, said = draw_elsewhere(tmp_path, MPLBACKEND=backend, MPLCONFIGDIR="/proc/nowhere")
    np.testing.assert_array_equal(pixels, plain)
    # It is nobody else's any less.
    assert said == backend


def test_a_style_in_the_working_folder(plain, tmp_path):
    (tmp_path / "matplotlibrc").write_text(EXOTIC)
    np.testing.assert_array_equal(draw_elsewhere(tmp_path)[0], plain)


def test_the_style_of_the_process_is_left_as_it_is(tmp_path):
    norms = {"markov": {horizon: np.array([1.0, 2.0]) * horizon for horizon in (2, 4, 8)}}
    with matplotlib.rc_context({"text.usetex": True, "lines.linewidth": 9.0}):
        before = dict(matplotlib.rcParams)
        figure = growth_figure(norms, {}, "norm")
        _drawing.save_figure(figure, tmp_path / "figure.png")
        assert dict(matplotlib.rcParams) == before
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_matplotlib_is_imported_in_one_place_alone():
    folders = (Path(beeline.__file__).parent, *(ROOT / n for n in ("experiments", "docs")))
    files = [file for folder in folders for file in folder.rglob("*.py")]
    assert len(files) > 100
    wanted = re.compile(r"^\s*(import|from) (matplotlib|pylab)", re.MULTILINE)
    importing = {file.name for file in files if wanted.search(file.read_text(encoding="utf-8"))}
    assert importing == {"_drawing.py"}


def fail(*arguments):
    raise RuntimeError("no ink,\nno paper")


@pytest.mark.filterwarnings("always::beeline.run.RunWarning")
def test_a_run_that_cannot_be_drawn_is_whole(copied, monkeypatch, capsys):
    monkeypatch.setattr("beeline.run._figures.draw_run", fail)
    longer = str(beeline.load(copied).config.env_steps + 10)
    assert main(["resume", str(copied), "--env-steps", longer]) == 0
    out, err = capsys.readouterr()
    assert err == (
        f"beeline: {copied} is trained, but its figures are not drawn (RuntimeError: no ink, no "
        f"paper): once that is mended, beeline plot {copied} draws them\n"
    )
    # Those of the shorter run are gone, and nothing is said to be there.
    assert "figure" not in out
    assert not list(copied.glob("*.png"))
    assert beeline.load(copied).summary["env_steps"] == int(longer)
    # Drawing is all that this command is for.
    assert main(["plot", str(copied)]) == 1
    assert capsys.readouterr().err == "beeline: cannot draw: no ink, no paper\n"
    monkeypatch.undo()
    assert main(["plot", str(copied)]) == 0
    assert len(list(copied.glob("*.png"))) == 2


def test_the_summary_is_there_before_a_warning_can_end_the_process(copied, monkeypatch):
    monkeypatch.setattr("beeline.run._figures.draw_run", fail)
    longer = beeline.load(copied).config.env_steps + 10
    # Warnings are errors in these tests.
    with pytest.raises(RunWarning, match="is trained, but its figures are not drawn"):
        beeline.resume(copied, env_steps=longer)
    assert beeline.load(copied).summary["env_steps"] == longer


def test_a_format_that_there_is_none_of(trained, tmp_path):
    with pytest.raises(RunError, match=r"no image format is called 'docx', choose from .*, png, "):
        draw_curves([trained.path, trained.path], tmp_path / "curves.docx")
    assert not list(tmp_path.iterdir())
