"""Files from strangers: each is refused in one line, or says exactly what was written."""

import ast
import dataclasses
import json
import os
import random
import re
import resource
import shutil
import time
import warnings
import zipfile
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import beeline
from beeline.config import BASELINES, Config
from beeline.run import RunError
from beeline.run.directory import config_file as config_file
from beeline.run.directory.config_file import from_json, to_json
from beeline.run.directory.layout import SCHEMA
from beeline.storage import checkpoint
from beeline.storage.checkpoint import CheckpointError
from beeline.storage.untrusted import UntrustedError, parse_json, read_bytes
from benchmarks import soak

FIXTURES = sorted((Path(__file__).parent / "fixtures").glob("schema-*"))


def tree():
    return {
        "key": jax.random.key(3),
        "layers": (jnp.arange(6.0).reshape(2, 3), jnp.asarray([True, False])),
        "count": jnp.asarray(7),
        "empty": jnp.zeros((0, 4)),
    }


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    file = tmp_path_factory.mktemp("saved") / "state.npz"
    checkpoint.save(file, tree(), {"iterations": 5, "words": ["a", "b"]})
    return file


@pytest.fixture(scope="module")
def skeleton():
    return eqx.filter_eval_shape(tree)


def refuse(load, *arguments):
    """Load what must be refused: at once, in one line, within little memory."""
    began = time.process_time()
    with pytest.raises((RunError, CheckpointError)) as refused:
        load(*arguments)
    assert time.process_time() - began < 5
    message = str(refused.value)
    assert "\n" not in message
    assert len(message) < 1000
    assert message.isascii()
    return message


def attempt(load, *arguments):
    """Load what may be refused: what was loaded and None, or None and why not."""
    try:
        return load(*arguments), None
    except (RunError, CheckpointError) as error:
        return None, str(error)


def snapshot(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


UNSAFE = {
    "pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "yaml",
    "eval", "exec", "compile", "fromfile", "memmap", "extract", "extractall", "unpack_archive",
    "loadtxt", "genfromtxt", "tree_deserialise_leaves", "hub", "load_replay_buffer",
    "set_parameters", "load_state_dict",
}  # fmt: skip


@pytest.mark.parametrize("top", ["src/beeline", "experiments", "benchmarks", "docs"])
def test_nothing_that_executes_what_it_loads_is_used(top):
    """Names of unsafe loaders appear nowhere, and NumPy is always told to refuse pickles."""
    files = sorted((Path(__file__).parents[1] / top).rglob("*.py"))
    assert files
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in node.names]
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                used = {name.split(".")[0] for name in names}
            elif isinstance(node, ast.Call):
                called = node.func
                used = {called.id if isinstance(called, ast.Name) else getattr(called, "attr", "")}
                owner = getattr(getattr(called, "value", None), "id", "")
                # These unpickle; what a baseline saves goes through our own files.
                unpickling = owner in ("torch", "SAC", "DelayedSAC") and used == {"load"}
                assert not unpickling, (file, node.lineno)
                if owner in ("np", "numpy") and used == {"load"}:
                    refused = {k.arg: getattr(k.value, "value", None) for k in node.keywords}
                    assert refused.get("allow_pickle", False) is False, (file, node.lineno)
                # JAX compiles, and regular expressions do.
                used -= {"compile"} if isinstance(called, ast.Attribute) else set()
            else:
                continue
            assert not used & UNSAFE, (file, getattr(node, "lineno", 0))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b'{"a": 1, "b": {"c": 1, "c": 2}}', "has the field 'c' twice"),
        (b"[" * 100_000 + b"]" * 100_000, "nested too deeply"),
        (b'{"a": NaN}', "holds 'NaN', which is not a finite number"),
        (b'{"a": -Infinity}', "holds '-Infinity'"),
        (b'{"a": 1e999}', "holds '1e999'"),
        (b'{"a": ' + b"9" * 10_000 + b"}", "holds an integer of 10000 digits"),
        (b'{"a": "\xff"}', "not JSON"),
        (b'{"a": 1', "truncated or not JSON"),
        (b"", "truncated or not JSON"),
    ],
)
def test_json_is_taken_at_its_word(text, message):
    with pytest.raises(UntrustedError, match=message):
        parse_json(text)


def test_only_regular_files_of_a_sane_size_are_read(tmp_path):
    (tmp_path / "file").write_bytes(b"12345")
    assert read_bytes(tmp_path / "file", 5) == b"12345"
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "sparse").open("wb") as sparse:
        sparse.truncate(2**40)
    for name, message in (
        ("link", "is a symbolic link"),
        ("folder", "is not a regular file"),
        ("pipe", "is not a regular file"),
        ("sparse", "has 1099511627776 bytes, more than the 5"),
    ):
        with pytest.raises(UntrustedError, match=message):
            read_bytes(tmp_path / name, 5)
    with pytest.raises(FileNotFoundError):
        read_bytes(tmp_path / "none", 5)


@pytest.mark.parametrize("name", ["config.json", "metrics.jsonl", "summary.json", "checkpoint.npz"])
def test_links_out_of_the_directory_are_not_followed(copied, tmp_path, name):
    shutil.move(copied / name, tmp_path / "outside")
    (copied / name).symlink_to(tmp_path / "outside")
    if name == "metrics.jsonl":
        (copied / "summary.json").unlink()
    before = snapshot(tmp_path), snapshot(copied)
    message = refuse(beeline.resume if name == "metrics.jsonl" else beeline.load, copied)
    assert name in message
    assert "is a symbolic link" in message
    assert (snapshot(tmp_path), snapshot(copied)) == before


def change_json(name, **fields):
    def change(folder):
        data = json.loads((folder / name).read_text())
        for path, value in fields.items():
            group = data
            *groups, last = path.split("__")
            for part in groups:
                group = group[part]
            group[last] = value
        (folder / name).write_text(json.dumps(data))

    return change


def append(name, text):
    def change(folder):
        with (folder / name).open("a") as file:
            file.write(text)

    return change


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (change_json("config.json", schema=10**6), "config.json has schema 1000000, this version"),
        (change_json("config.json", schema="2"), "config.json has schema '2', this version"),
        (change_json("config.json", config__horizon=10**18), "horizon is 1000000000000000000, bey"),
        (change_json("config.json", config__horizon=10.0), "horizon is 10.0, not of type int"),
        (change_json("config.json", config__task="x" * 5000), "task has 5000 characters"),
        (change_json("config.json", config__policy__hidden=[4] * 5000), "hidden has 5000 entries"),
        (change_json("config.json", config__extra=1), "there is no field 'extra'"),
        (change_json("config.json", config__world_model__layers=900), "layers is 900, but"),
        (append("config.json", " " * 2**21), "config.json has 2...... bytes, more than"),
        (append("config.json", "[]"), "config.json is truncated or not JSON"),
        (change_json("summary.json", iterations=39), "summary.json: iterations is 39, not that"),
        (change_json("summary.json", optimal_return="8"), "optimal_return is '8', not a number"),
    ],
)
def test_a_field_that_cannot_be_is_named(copied, damage, message):
    damage(copied)
    before = snapshot(copied)
    said = refuse(beeline.load, copied)
    assert re.search(message, said), said
    assert snapshot(copied) == before


def test_a_state_that_the_file_cannot_hold_is_not_even_shaped(copied):
    (copied / "metrics.jsonl").unlink()
    about = checkpoint.peek(copied / "checkpoint.npz").about
    for field, value in (("layers", 10**6), ("hidden", [10**9]), ("width", 10**9 * 2)):
        edit_checkpoint(copied / "checkpoint.npz", about, field, value)
        change_json("config.json", **{f"config__world_model__{field}": value})(copied)
        message = refuse(beeline.load, copied)
        assert f"world_model.{field} is larger than" in message
        break_off = json.loads((copied / "config.json").read_text())
        break_off["config"]["world_model"] = about["config"]["world_model"]
        (copied / "config.json").write_text(json.dumps(break_off))


def edit_checkpoint(file, about, field, value):
    world_model = about["config"]["world_model"] | {field: value}
    forged = about | {"config": about["config"] | {"world_model": world_model}}

    def change(members):
        manifest = json.loads(str(members["manifest"])) | {"about": forged}
        members["manifest"] = np.asarray(json.dumps(manifest))

    rewrite(file, file, change)


def rewrite(source, target, change, **options):
    with np.load(source, allow_pickle=False) as archive:
        members = {name: archive[name] for name in archive.files}
    change(members)
    with zipfile.ZipFile(target, "w", **options) as archive:
        for name, array in members.items():
            if isinstance(array, bytes):
                archive.writestr(name, array)
                continue
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, array, allow_pickle=True)


def header(shape, kind="<f4"):
    text = repr({"descr": kind, "fortran_order": False, "shape": shape})
    text += " " * (63 - (10 + len(text)) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


def forge(name, content):
    def change(members):
        del members[name]
        members[f"{name}.npy"] = content

    return change


def say(**fields):
    def change(members):
        manifest = json.loads(str(members["manifest"])) | fields
        members["manifest"] = np.asarray(json.dumps(manifest))

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (forge("layers.0", header((2, 3))), "'layers.0' does not have its declared size"),
        (forge("layers.0", header((10**9, 10**9))), "holds 'layers.0' as float32[1000000000, 10"),
        (forge("layers.0", header((2, 3), "|O")), "holds 'layers.0' as object[2, 3], where"),
        (forge("layers.0", header((2, 3), ">f4")), "holds 'layers.0' as >f4[2, 3], where"),
        (forge("layers.0", header((-1,))), "holds 'layers.0' as float32[-1], where"),
        (forge("manifest", header((), "<U400000000")), "manifest is not a text of its declared"),
        (
            forge("layers.0", b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65_535),
            "the header of 'layers.0.npy' is",
        ),
        (lambda m: m.update({"../../etc/evil": np.zeros(1)}), "unknown array '../../etc/evil'"),
        (lambda m: m.update({"/etc/evil": np.zeros(1)}), "unknown array '/etc/evil'"),
        (lambda m: m.update({"layers.0": m["layers.0"] + 1}), "'layers.0' does not have its check"),
        (lambda m: m["layers.0"].fill(np.nan), "'layers.0' does not have its checksum"),
        (lambda m: m.update(count=np.asarray(7, np.int64)), "holds 'count' as int64[], where int3"),
        (say(schema=4), "has checkpoint schema 4, not 1 to 3"),
        (say(schema=True), "has checkpoint schema True, not 1 to 3"),
        (say(schema=0), "has checkpoint schema 0, not 1 to 3"),
        (say(about=[]), "the manifest lacks 'about'"),
        (say(arrays={}), "is in the manifest or in the archive, not in both"),
    ],
)
def test_a_forged_checkpoint(saved, skeleton, tmp_path, change, message):
    file = tmp_path / "state.npz"
    rewrite(saved, file, change)
    said = refuse(checkpoint.load, file, skeleton)
    assert "state.npz" in said
    assert message in said
    assert [path.name for path in tmp_path.iterdir()] == ["state.npz"]


def test_a_number_that_is_not_finite_is_named_even_with_its_checksum(saved, skeleton, tmp_path):
    def change(members):
        members["layers.0"][1, 2] = np.nan
        manifest = json.loads(str(members["manifest"]))
        digest = checkpoint._digest(members["layers.0"])
        manifest["arrays"]["layers.0"]["sha256"] = digest
        members["manifest"] = np.asarray(json.dumps(manifest))

    rewrite(saved, tmp_path / "state.npz", change)
    message = refuse(checkpoint.load, tmp_path / "state.npz", skeleton)
    assert "holds 'layers.0' with numbers that are not finite" in message


def test_what_is_not_finite_is_not_saved(saved, tmp_path):
    with pytest.raises(CheckpointError, match=r"state\.npz is not written: 'bad' is not finite"):
        checkpoint.save(tmp_path / "state.npz", {"bad": jnp.asarray([1.0, jnp.inf])}, {})
    assert list(tmp_path.iterdir()) == []


def test_a_compressed_archive_is_not_unpacked(saved, skeleton, tmp_path):
    zeros = header((2**28,)) + bytes(2**24)
    rewrite(
        saved, tmp_path / "bomb.npz", forge("layers.0", zeros), compression=zipfile.ZIP_DEFLATED
    )
    message = refuse(checkpoint.load, tmp_path / "bomb.npz", skeleton)
    assert "the member" in message
    assert "is not stored plain" in message


def test_an_archive_that_declares_a_huge_directory(saved, skeleton, tmp_path):
    """A sparse file of a terabyte whose directory is said to fill it."""
    file = tmp_path / "sparse.npz"
    with file.open("wb") as sparse:
        sparse.truncate(2**31)
        sparse.seek(2**31)
        end = b"PK\x05\x06" + bytes(4) + (60_000).to_bytes(2, "little") * 2
        sparse.write(end + (2**31 - 1).to_bytes(4, "little") + bytes(6))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "sparse.npz is not a whole checkpoint" in refuse(checkpoint.load, file, skeleton)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000


def test_two_members_of_one_name(saved, skeleton, tmp_path):
    file = Path(shutil.copy(saved, tmp_path / "twice.npz"))
    with zipfile.ZipFile(file, "a") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        archive.writestr("count.npy", header((), "<i4") + bytes(4))
    assert "two members have the same name" in refuse(checkpoint.load, file, skeleton)


def mutate(content, chance):
    """Damage bytes at random: flip, overwrite, cut, repeat, move."""
    damaged = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 8))):
        start = chance.randrange(len(damaged))
        end = min(len(damaged), start + chance.choice((1, 4, 64, 1024)))
        kind = chance.randrange(5)
        if kind == 0:
            damaged[start] ^= 1 << chance.randrange(8)
        elif kind == 1:
            damaged[start:end] = chance.randbytes(end - start)
        elif kind == 2:
            del damaged[start : chance.choice((end, len(damaged)))]
        elif kind == 3:
            damaged[start:start] = damaged[start:end]
        else:
            damaged[start:end] = bytes(end - start)
        if not damaged:
            break
    return bytes(damaged)


def check_mutated_checkpoint(content, file, skeleton, expected=None):
    file.write_bytes(content)
    content, refusal = attempt(checkpoint.load, file, skeleton)
    if content is None:
        assert "\n" not in refusal
        return False
    loaded, about = content
    if expected is None:
        assert about == {"iterations": 5, "words": ["a", "b"]}
        expected = tree()
    for ours, theirs in zip(jax.tree.leaves(loaded), jax.tree.leaves(expected), strict=True):
        if jnp.issubdtype(ours.dtype, jax.dtypes.prng_key):
            ours, theirs = jax.random.key_data(ours), jax.random.key_data(theirs)
        assert np.asarray(ours).tobytes() == np.asarray(theirs).tobytes()
    return True


@pytest.mark.parametrize(
    "cases", [200, pytest.param(5000, marks=pytest.mark.slow)], ids=["few", "many"]
)
def test_a_mutated_checkpoint_is_refused_or_equal(saved, skeleton, tmp_path, cases):
    chance, content = random.Random(cases), saved.read_bytes()
    equal = sum(
        check_mutated_checkpoint(mutate(content, chance), tmp_path / "state.npz", skeleton)
        for _ in range(cases)
    )
    # Not every byte of an archive means something, but most do.
    assert equal < cases / 4


@pytest.mark.slow
@pytest.mark.parametrize("model", BASELINES)
def test_a_mutated_checkpoint_of_a_baseline_is_refused_or_equal(model, tmp_path):
    config = dataclasses.replace(soak.small("cancer-treatment", model, 0), env_steps=36)
    run = beeline.train(config=config, out=tmp_path / "run")
    file, skeleton = run.path / "checkpoint.npz", run.algorithm.skeleton()
    chance, content = random.Random(0), file.read_bytes()
    equal = sum(
        check_mutated_checkpoint(mutate(content, chance), file, skeleton, run.state)
        for _ in range(2000)
    )
    print(f"{equal} of 2000 are equal")
    assert equal < 500


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.data())
def test_bytes_that_hypothesis_chooses(saved, skeleton, tmp_path_factory, data):
    content = bytearray(saved.read_bytes())
    edits = st.tuples(st.integers(0, len(content) - 1), st.integers(0, 255))
    for at, value in data.draw(st.lists(edits, min_size=1, max_size=8)):
        content[at] = value
    folder = tmp_path_factory.mktemp("mutated")
    check_mutated_checkpoint(bytes(content), folder / "state.npz", skeleton)


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
json_values = scalars | st.lists(scalars, max_size=3) | st.dictionaries(st.text(), scalars)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.data())
def test_a_configuration_with_anything_in_a_field(data):
    plain = to_json(Config())
    group = data.draw(st.sampled_from([plain, *(v for v in plain.values() if type(v) is dict)]))
    field = data.draw(st.sampled_from(sorted(group)))
    group[field] = value = data.draw(json_values)
    config, refusal = attempt(from_json, plain, "config.json", SCHEMA)
    if config is None:
        assert refusal.startswith("config.json: ")
        assert refusal.isascii()
    else:
        written = to_json(config)
        groups = [written, *(v for v in written.values() if type(v) is dict)]
        assert any(value == group.get(field) for group in groups)


@pytest.mark.parametrize("name", ["config.json", "metrics.jsonl", "summary.json"])
def test_mutated_text_is_refused_or_equal(copied, trained, name):
    """The state is not read anew each time: what refuses is that the files belong together."""
    chance, content = random.Random(name), (copied / name).read_bytes()
    for _ in range(2):
        (copied / name).write_bytes(mutate(content, chance))
        loaded, refusal = attempt(beeline.load, copied)
        if loaded is None:
            assert "\n" not in refusal
        else:
            assert (loaded.config, loaded.records) == (trained.config, trained.records)


@pytest.mark.parametrize("folder", FIXTURES, ids=lambda folder: folder.name)
def test_every_released_schema_is_read(folder):
    loaded = beeline.load(folder)
    assert (loaded.config.task, loaded.config.horizon, loaded.seeds) == ("harvest", 3, [7])
    assert len(loaded.records) == 4
    assert loaded.summary is not None
    with np.load(folder / "checkpoint.npz", allow_pickle=False) as archive:
        np.testing.assert_array_equal(loaded.state.buffer.states, archive["buffer.states"])
        weights = jax.tree.leaves(eqx.filter(loaded.policy, eqx.is_array))
        held = [archive[name] for name in archive.files if name.startswith("policy.")]
        assert sum(w.size for w in weights) == sum(h.size for h in held)


def test_a_run_of_the_first_schema_may_have_been_made_longer(tmp_path):
    folder = Path(shutil.copytree(FIXTURES[0], tmp_path / "run"))
    (folder / "summary.json").unlink()
    change_json("config.json", config__env_steps=30)(folder)
    before, after = beeline.load(FIXTURES[0]).state.buffer, beeline.load(folder).state.buffer
    assert (before.states.shape[1], after.states.shape[1]) == (6, 10)
    np.testing.assert_array_equal(after.states[:, :6], before.states)
    assert not np.any(after.rewards[:, 6:])


@pytest.mark.slow
def test_a_run_of_the_first_schema_goes_on_in_this_one(tmp_path):
    folder = Path(shutil.copytree(FIXTURES[0], tmp_path / "run"))
    old = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    longer = beeline.resume(folder, env_steps=24)
    again = beeline.load(folder)
    assert [row["iteration"] for row in again.records] == [1, 2, 3, 4, 5, 6]
    for row, before in zip(again.records, old, strict=False):
        assert {name: row[name] for name in before} == before
    assert again.summary == longer.summary
    assert np.all(np.isfinite(np.asarray(longer.state.buffer.states)))


def test_there_is_a_fixture_of_each_schema_before_this_one():
    assert [folder.name for folder in FIXTURES] == [f"schema-{n}" for n in range(1, SCHEMA)]


def test_a_field_that_came_later_reads_as_what_was_before(monkeypatch):
    config = dataclasses.replace(Config(), horizon=50)
    old = to_json(config)
    del old["fitting"]["clip"], old["seeds"]
    later = {"fitting.clip": float("inf"), "seeds": 3}
    monkeypatch.setattr(
        config_file, "added_since", lambda kind, schema: later.items() if schema < 2 else ()
    )
    read = from_json(old, "config.json", 1)
    assert (read.fitting.clip, read.seeds, read.horizon) == (float("inf"), 3, 50)
    with pytest.raises(RunError, match="field seeds is missing"):
        from_json(old, "config.json", 2)


def test_arrays_that_came_later_are_filled(saved, tmp_path, monkeypatch):
    rewrite(saved, tmp_path / "old.npz", say(schema=1))
    newer = eqx.filter_eval_shape(lambda: tree() | {"later": jnp.ones((2,))})
    assert "lacks the array 'later'" in refuse(checkpoint.load, tmp_path / "old.npz", newer)
    monkeypatch.setattr(checkpoint, "ADDED", {2: {"later": 0.5}})
    loaded = checkpoint.load(tmp_path / "old.npz", newer).tree
    np.testing.assert_array_equal(loaded["later"], [0.5, 0.5])
    assert "lacks the array 'later'" in refuse(checkpoint.load, saved, newer)
