"""Numbers of pages are those of the files that they come from."""

import importlib
import re
import shlex

import pytest

from experiments import _lines, claims
from experiments._benchmark import Recorded
from experiments._benchmark_figures import table
from experiments._results import load, save
from experiments._runner import RESULTS
from experiments._store import Store
from experiments.table import PAGE, page

CSV = """# by hand
task,line,horizon,median
harvest,ours,20,0.9954
bacteria,ours,20,0.95
harvest,ours,500,0.5
"""


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "experiments" / "some" / "results"
    folder.mkdir(parents=True)
    (folder / "summary.csv").write_text(CSV)
    return tmp_path


def test_every_number_is_that_of_its_file():
    pages = claims.renewed()
    for file, text in pages.items():
        assert text == file.read_text(encoding="utf-8"), f"{file}: run python -m experiments.claims"
        # Markdown takes a line that begins with a comment for HTML, and shows its asterisks.
        assert not re.search(r"^\s*<!-- (figure|cells): ", text, flags=re.M), file
    assert "<!-- figure: " in pages[claims.ROOT / "README.md"]


@pytest.mark.parametrize(
    ("claim", "said"),
    [
        ('some "{median:.3f}" task=bacteria', "0.950"),
        ('some "{median:.2f}" task=harvest line=ours', "1.00, 0.50"),
        ('some "{median:.3f} after {horizon:.0f}" horizon=500', "0.500 after 500"),
        ('some "{count}" median>=0.95', "2"),
        ('some "{count} of 3" median<0.995', "2 of 3"),
        ("experiments/some/results/summary.csv {task} horizon=500", "harvest"),
    ],
)
def test_a_figure_is_what_the_rows_give(root, claim, said):
    assert claims.figure(claim, root) == said


@pytest.mark.parametrize(
    ("claim", "said"),
    [
        ('some "{median:.3f}" task=bioreactor', "no row of"),
        ('some "{mean:.3f}" task=harvest', "KeyError: 'mean'"),
        ('some "{median:.3f}" chore=harvest', "KeyError: 'chore'"),
        ('some "{median:.3f}" harvest', "'harvest' is no condition"),
        ('other "{median:.3f}" task=harvest', "FileNotFoundError"),
        ('some "{task:.3f}" task=harvest', "ValueError"),
    ],
)
def test_a_figure_that_no_row_gives_is_refused_in_one_line(root, claim, said):
    with pytest.raises(claims.ClaimError, match=said) as refusal:
        claims.figure(claim, root)
    assert "\n" not in str(refusal.value)


def test_a_stale_number_is_replaced_and_the_rest_stays(root):
    opened = '<!-- figure: some "{median:.2f}" task=bacteria\n-->'
    text = f"It is {opened}0.11<!-- /figure --> and {opened}<!-- /figure -->, 0.11 not.\n"
    whole = f"It is {opened}0.95<!-- /figure --> and {opened}0.95<!-- /figure -->, 0.11 not.\n"
    assert claims.with_figures(text, root) == whole
    assert claims.with_figures(whole, root) == whole
    row = '| a | <!-- cells: some "{median:.2f}" task=harvest -->%s<!-- /figure --> |'
    assert claims.with_figures(row % "", root) == row % "1.00 | 0.50"


EXPERIMENTS = sorted(file.parent for file in claims.ROOT.glob("experiments/*/grid.toml"))


@pytest.mark.parametrize("folder", EXPERIMENTS, ids=lambda folder: folder.name)
def test_tables_are_those_of_the_recorded_runs(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(_lines, "save_figure", lambda *_: None)
    plot = importlib.import_module(f"experiments.{folder.name}.plot")
    recorded = Recorded.of(folder / "grid.toml", "reduced", Store(RESULTS))
    rows = plot.draw(recorded, tmp_path)
    command = f"stale: run python -m experiments.{folder.name}.plot"
    assert table(rows, "reduced") in (folder / "README.md").read_text(encoding="utf-8"), command
    save(tmp_path / "summary.csv", rows, "")
    assert load(tmp_path / "summary.csv") == load(folder / "results" / "summary.csv"), command


def test_the_page_of_results_is_that_of_the_recorded_runs():
    text = PAGE.read_text(encoding="utf-8")
    (command,) = re.findall(r"^python -m experiments\.table --variants (.*)$", text, flags=re.M)
    assert page(Store(RESULTS).finals(), shlex.split(command)) == text, (
        f"stale: run python -m experiments.table --variants {command}"
    )
