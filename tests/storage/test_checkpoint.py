"""Arrays on disk: whole, exact, and refused when anything about them is off."""

import hashlib
import json
import zipfile

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from beeline.storage import checkpoint
from beeline.storage.checkpoint import CheckpointError


@pytest.fixture
def tree():
    return {
        "key": jax.random.split(jax.random.key(3), 2),
        "layers": (jnp.arange(6.0).reshape(2, 3), jnp.asarray([True, False])),
        "count": jnp.asarray(7),
        "empty": jnp.zeros((0, 4)),
        "strange": jnp.asarray([1e-45, 3.4e38, -0.0]),
        "name": "kept by the skeleton",
    }


@pytest.fixture
def skeleton(tree):
    return eqx.filter_eval_shape(lambda: tree)


@pytest.fixture
def path(tree, tmp_path):
    checkpoint.save(tmp_path / "state.npz", tree, {"iterations": 5})
    return tmp_path / "state.npz"


def edit(path, change):
    with np.load(path, allow_pickle=False) as archive:
        members = {name: archive[name] for name in archive.files}
    change(members)
    np.savez(path, **members)


def test_everything_comes_back(path, tree, skeleton):
    loaded, about = checkpoint.load(path, skeleton)
    assert about == {"iterations": 5}
    assert jax.tree.structure(loaded) == jax.tree.structure(tree)
    assert loaded["name"] == "kept by the skeleton"
    assert loaded["key"].dtype == tree["key"].dtype
    np.testing.assert_array_equal(
        jax.random.key_data(loaded.pop("key")), jax.random.key_data(tree.pop("key"))
    )
    for a, b in zip(jax.tree.leaves(loaded), jax.tree.leaves(tree), strict=True):
        if eqx.is_array(a):
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(np.signbit(a), np.signbit(b))
            np.testing.assert_array_equal(a, b)


def test_the_manifest_says_what_is_there(path):
    with np.load(path, allow_pickle=False) as archive:
        manifest = json.loads(str(archive["manifest"]))
        assert set(archive.files) == {"manifest", *manifest["arrays"]}
    assert manifest["schema"] == checkpoint.SCHEMA
    kinds = {name: (x["shape"], x["dtype"]) for name, x in manifest["arrays"].items()}
    assert kinds["layers.0"] == ([2, 3], "float32")
    assert kinds["key"] == ([2], "key<fry>")
    content = np.arange(6, dtype="<f4").tobytes()
    assert manifest["arrays"]["layers.0"]["sha256"] == hashlib.sha256(content).hexdigest()


def test_a_file_that_is_not_there(tmp_path, skeleton):
    with pytest.raises(CheckpointError, match=r"there is no checkpoint .*none\.npz"):
        checkpoint.load(tmp_path / "none.npz", skeleton)


@pytest.mark.parametrize("length", [0, 10, 400, -1])
def test_a_truncated_file(path, skeleton, length):
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(CheckpointError, match=r"state\.npz is not a whole checkpoint"):
        checkpoint.load(path, skeleton)


def test_a_flipped_byte(path, skeleton):
    content = bytearray(path.read_bytes())
    at = content.index(np.arange(6.0, dtype=np.float32).tobytes())
    content[at + 5] ^= 255
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="not a whole checkpoint"):
        checkpoint.load(path, skeleton)


def test_a_pickle_is_never_opened(path, skeleton):
    edit(path, lambda members: members.update(count=np.asarray([{"never": "run"}], object)))
    with pytest.raises(CheckpointError, match=r"holds 'count' as object\[1\], where int32"):
        checkpoint.load(path, skeleton)


def test_another_schema(path, skeleton):
    manifest = json.dumps({"schema": 99, "about": {}, "arrays": {}})
    edit(path, lambda members: members.update(manifest=np.asarray(manifest)))
    with pytest.raises(CheckpointError, match="has checkpoint schema 99, not 1 to 3"):
        checkpoint.load(path, skeleton)


@pytest.mark.parametrize("manifest", ["[]", '{"schema": 2}', "no JSON"])
def test_a_broken_manifest(path, skeleton, manifest):
    edit(path, lambda members: members.update(manifest=np.asarray(manifest)))
    with pytest.raises(CheckpointError, match="not a whole checkpoint"):
        checkpoint.load(path, skeleton)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.pop("layers.0"), "lacks the array 'layers.0'"),
        (lambda m: m.update(more=np.zeros(2)), "holds an unknown array 'more'"),
        (
            lambda m: m.update({"layers.0": np.zeros((3, 2), np.float32)}),
            r"holds 'layers\.0' as float32\[3, 2\], where float32\[2, 3\] belongs",
        ),
        (
            lambda m: m.update(count=np.zeros((), np.float32)),
            r"holds 'count' as float32\[\], where int32\[\] belongs",
        ),
        (
            lambda m: m.update(key=np.zeros((2, 3), np.uint32)),
            r"holds 'key' as uint32\[2, 3\], where uint32\[2, 2\] belongs",
        ),
    ],
)
def test_arrays_that_do_not_fit(path, skeleton, change, message):
    edit(path, change)
    with pytest.raises(CheckpointError, match=message):
        checkpoint.load(path, skeleton)


def test_a_failed_write_leaves_the_old_file(path, tree, skeleton, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(np.lib.format, "write_array", fail)
        with pytest.raises(OSError, match="disk full"):
            checkpoint.save(path, tree, {"iterations": 6})
    assert [file.name for file in path.parent.iterdir()] == ["state.npz"]
    assert checkpoint.load(path, skeleton).about == {"iterations": 5}


def test_the_file_is_a_plain_archive(path):
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert {name.rpartition(".")[2] for name in archive.namelist()} == {"npy"}
