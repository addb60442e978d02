"""Files from strangers: read exactly, or refused in one line that says where."""

import io
import zipfile

import numpy as np
import pytest

from beeline.data import DataError, DataWarning, read
from beeline.data import _csv as csv_file
from beeline.data import _table as limits

ROLES = {
    "states": ("x", "y"),
    "actions": ("u",),
    "episode": "run",
    "step": "t",
    "reward": "r",
    "terminated": "end",
}
HEADER = "run,t,x,y,u,r,end,note"
ROWS = [
    "a,0,1.5,2,0,1,0,hello",
    "a,0.1,2.5,2.1,1,2,0,",
    'a,0.2,3.5,2.2,,,1,"with, comma"',
    "b,5,4,3,-1,3,False,",
    "b,5.1,5,3.1,-0.5,4,false,",
    "b,5.2,6,3.2,0.5,5,0,",
    "b,5.3,7,3.3,9,9,0,",
]


@pytest.fixture
def file(tmp_path):
    def write(rows=ROWS, header=HEADER, name="log.csv"):
        path = tmp_path / name
        path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
        return path

    return write


def changed(row, text):
    return [*ROWS[:row], text, *ROWS[row + 1 :]]


def check(episodes):
    assert episodes.labels == ("a", "b")
    assert episodes.dt == pytest.approx(0.1)
    first, second = episodes
    np.testing.assert_array_equal(first.states, [[1.5, 2], [2.5, 2.1], [3.5, 2.2]])
    np.testing.assert_array_equal(first.actions, [[0], [1]])
    np.testing.assert_array_equal(first.rewards, [1, 2])
    assert (first.terminated, second.terminated) == (True, False)
    np.testing.assert_array_equal(second.states[:, 0], [4, 5, 6, 7])
    # The action of the last row leads nowhere.
    np.testing.assert_array_equal(second.actions[:, 0], [-1, -0.5, 0.5])


def test_a_table_in_long_form(file):
    check(read(file(), **ROLES))


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_other_delimiters_are_seen_in_the_header(file, delimiter):
    rows = [row.replace('"with, comma"', "").replace(",", delimiter) for row in ROWS]
    check(read(file(rows, HEADER.replace(",", delimiter)), **ROLES))


def test_one_long_record_is_one_episode(file):
    episodes = read(file(["1,2", "2,3", "4,5"], "x,u"), states=["x"], actions=["u"])
    assert len(episodes) == 1
    assert episodes.dt is None
    np.testing.assert_array_equal(episodes[0].states[:, 0], [1, 2, 4])


def test_times_may_be_dates(file):
    rows = [f"2024-03-31T0{hour}:00:00,{hour},{hour}" for hour in range(4)]
    episodes = read(file(rows, "t,x,u"), states=["x"], actions=["u"], step="t")
    assert episodes.dt == 3600


def test_a_constant_column_is_a_warning(file):
    with pytest.warns(DataWarning, match="column 'x' is 1 throughout"):
        read(file(["1,2", "1,3", "1,4"], "x,u"), states=["x"], actions=["u"])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (changed(1, "a,0.1,oops,2.1,1,2,0,"), "has 'oops' in line 3, column 'x': give a number"),
        (changed(1, "a,0.1,1_0,2.1,1,2,0,"), "has '1_0' in line 3, column 'x'"),
        (changed(1, "a,0.1,,2.1,1,2,0,"), "line 3, column 'x' is missing"),
        (changed(1, "a,0.1,nan,2.1,1,2,0,"), "line 3, column 'x' is missing"),
        (changed(2, "a,0.2,inf,2.1,1,2,0,"), "line 4, column 'x' is inf"),
        (changed(1, "a,0.1,1,2.1,,2,0,"), "line 3, column 'u' is missing"),
        (changed(1, "a,0.1,1,2.1,2,,0,"), "line 3, column 'r' is missing"),
        (changed(1, "a,0.1,1,2.1,2,1,2,"), "line 3, column 'end' is 2: give 0 or 1"),
        (changed(1, "a,0.1,1,2.1,2,1,no,"), "has 'no' in line 3, column 'end': give 0 or 1"),
        (changed(1, "a,0.1,1,2.1,2,1,1,"), "line 3, column 'end' is 1, but the episode goes on"),
        (changed(1, "a,x,1,2.1,2,1,1,"), "has 'x' in line 3, column 't': give a number, or a time"),
        (changed(1, "a,0,1,2.1,2,1,0,"), "line 3, column 't' repeats the 0 of the row before"),
        (changed(1, "a,-1,1,2.1,2,1,0,"), "line 3, column 't' goes back from 0 to -1"),
        (changed(5, "b,5.35,1,2.1,2,1,0,"), "column 't' .*: "),
        (
            [*ROWS, "b,5.6,1,1,1,1,0,"],
            "line 9, column 't' grows by 0.3, elsewhere by 0.1: a gap, 2 rows are missing",
        ),
        (
            [*ROWS, "b,5.45,1,1,1,1,0,"],
            "line 9, column 't' grows by 0.15, elsewhere by 0.1: unequal sampling",
        ),
        (changed(3, "b,5,4"), "has 3 cells in line 5, but 8 names in the first"),
        ([*ROWS, "a,6,1,1,1,1,0,"], "episode 'a' goes on in line 9, after another"),
        ([*ROWS, "c,6,1,1,1,1,0,"], "episode 'c' has one row, line 9"),
        ([*ROWS, ",6,1,1,1,1,0,", ",6.1,1,1,1,1,0,"], "line 9 has no episode"),
        ([], "has no rows"),
        ([*ROWS, 'b,5.4,"1,1,1'], "is no table of cells"),
    ],
)
def test_what_is_wrong_with_a_row_is_said_with_its_line(file, rows, message):
    path = file(rows)
    with pytest.raises(DataError, match=message) as refusal:
        read(path, **ROLES)
    assert str(refusal.value).startswith(str(path))
    assert "\n" not in str(refusal.value)


def test_steps_that_begin_again_need_a_column_of_episodes(file):
    rows = ["0,1,1", "1,2,2", "2,3,3", "0,1,1", "1,2,3"]
    with pytest.raises(DataError, match=r"line 5, column 't' goes back from 2 to 0: .* episodes"):
        read(file(rows, "t,x,u"), states=["x"], actions=["u"], step="t")


@pytest.mark.parametrize(
    ("roles", "message"),
    [
        ({"states": ("x", "z")}, "has no column 'z': its columns are 'run', 't', 'x'"),
        ({"states": ("x", "u")}, "column 'u' is named twice"),
        ({"actions": ()}, "no actions are named"),
    ],
)
def test_columns_that_are_not_there_are_refused(file, roles, message):
    with pytest.raises(DataError, match=message):
        read(file(), **(ROLES | roles))


def test_files_that_are_no_tables_are_refused(tmp_path, monkeypatch):
    roles = {"states": ["x"], "actions": ["u"]}
    with pytest.raises(DataError, match=r"there is no file .*none\.csv"):
        read(tmp_path / "none.csv", **roles)
    with pytest.raises(DataError, match=r"kind of file.*\.xls"):
        read(tmp_path / "log.xls", **roles)
    path = tmp_path / "log.csv"
    path.write_bytes("x,u\n1,2\n".encode("utf-16"))
    with pytest.raises(DataError, match="is not text in UTF-8"):
        read(path, **roles)
    path.write_text("x,u\n1,2\nx" + "1" * 2000, encoding="utf-8")
    monkeypatch.setattr(csv_file, "_LONGEST_LINE", 1000)
    with pytest.raises(DataError, match="has a line of more than 1000 characters"):
        read(path, **roles)
    monkeypatch.setattr(csv_file, "LARGEST_FILE", 1000)
    with pytest.raises(DataError, match="has 2009 bytes, more than the 1000"):
        read(path, **roles)
    path.write_text("x,u\n" + "1,2\n" * 9, encoding="utf-8")
    monkeypatch.setattr(limits, "LARGEST_COUNT", 8)
    with pytest.raises(DataError, match="has more than 4 rows of 2 columns"):
        read(path, **roles)
    link = tmp_path / "link.csv"
    link.symlink_to(path)
    with pytest.raises(DataError, match="is a symbolic link"):
        read(link, **roles)


def arrays():
    draws = np.random.default_rng(0)
    return {
        "states": draws.normal(size=(7, 2)),
        "actions": draws.normal(size=(7, 1)).astype(np.float32),
        "rewards": np.arange(7),
        "terminated": np.arange(7) == 2,
        "episode": np.array([0, 0, 0, 1, 1, 1, 1]),
        "step": np.array([0, 1, 2, 0, 1, 2, 3]),
        "state_names": np.array(["x", "y"]),
    }


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_archives_of_arrays(tmp_path, save):
    given = arrays()
    save(tmp_path / "log.npz", **given)
    episodes = read(tmp_path / "log.npz")
    assert episodes.state_names == ("x", "y")
    assert episodes.dt == 1
    np.testing.assert_array_equal(episodes[1].states, given["states"][3:])
    np.testing.assert_array_equal(episodes[1].actions, given["actions"][3:6])
    np.testing.assert_array_equal(episodes[0].rewards, [0, 1])
    assert [episode.terminated for episode in episodes] == [True, False]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"states": None}, "lacks the array 'states'"),
        ({"other": np.zeros(3)}, "holds the array 'other'"),
        ({"states": np.zeros(7)}, r"holds 'states' of type float64 and shape \(7,\)"),
        ({"states": np.array([[{}]])}, "holds 'states' of type object"),
        ({"actions": np.zeros((6, 1))}, "holds 'actions' of 6 rows and 'states' of 7"),
        ({"state_names": np.array(["x"])}, "holds 1 state_names for 2 state entries"),
        ({"step": np.array([0, 1, 3, 0, 1, 2, 3])}, "row 2, column 'step' grows by 2"),
        ({"actions": np.full((7, 1), np.nan)}, "row 0, column 'action 0' is missing"),
    ],
)
def test_arrays_that_are_not_as_agreed_are_refused(tmp_path, change, message):
    given = {name: array for name, array in (arrays() | change).items() if array is not None}
    np.savez(tmp_path / "log.npz", **given)
    with pytest.raises(DataError, match=message):
        read(tmp_path / "log.npz")


def test_archives_that_are_forged_or_cut_off_are_refused(tmp_path):
    path = tmp_path / "log.npz"
    np.savez(path, **arrays())
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="is not a whole NumPy archive"):
        read(path)
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f8", "fortran_order": False, "shape": (10**7, 10)}
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("states.npy", header.getvalue())
    with pytest.raises(DataError, match="'states' does not have its declared size"):
        read(path)
    with pytest.raises(DataError, match="no columns are to be named"):
        read(path, states=["x"])


def test_parquet_in_long_form(tmp_path):
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "log.parquet"
    table = {
        "run": ["a"] * 3 + ["b"] * 4,
        "t": [0, 0.1, 0.2, 5, 5.1, 5.2, 5.3],
        "x": [1.5, 2.5, 3.5, 4, 5, 6, 7],
        "y": np.array([2, 2.1, 2.2, 3, 3.1, 3.2, 3.3]),
        "u": [0.0, 1, None, -1, -0.5, 0.5, 9],
        "r": [1, 2, None, 3, 4, 5, 9],
        "end": [False, False, True, False, False, False, False],
    }
    parquet.write_table(arrow.table(table), path)
    check(read(path, **ROLES))
    parquet.write_table(arrow.table(table | {"x": [1.0, None, 1, 1, 1, 1, 1]}), path)
    with pytest.raises(DataError, match="row 1, column 'x' is missing"):
        read(path, **ROLES)
    with pytest.raises(DataError, match=r"column 'run' of type .*: give numbers"):
        read(path, states=["run"], actions=["u"])
    with pytest.raises(DataError, match="has no column 'q'"):
        read(path, states=["q"], actions=["u"])
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    with pytest.raises(DataError, match="is not a whole Parquet file"):
        read(path, **ROLES)


def test_without_pyarrow_what_to_do_is_said(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    path = tmp_path / "log.parquet"
    path.write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"pip install 'beeline\[data\]'"):
        read(path, states=["x"], actions=["u"])
