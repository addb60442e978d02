"""A pytree's arrays as one file: plain NumPy arrays by name, and no pickle.

The file is a NumPy archive, not compressed. Its members carry the names of the paths in the
pytree that the arrays come from, such as `model.scaling.mean`; the member `manifest` is a JSON
text with the schema, what the caller wants to be known of the state, and the shape, type and
checksum of each array.

Whoever wrote the file is not trusted: nothing is read before its declared size is known to be
the one that belongs there.
"""

import contextlib
import errno
import hashlib
import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from beeline.storage.archive import LARGEST_READ, Sparing, read_content, read_header
from beeline.storage.atomic import replacing
from beeline.storage.untrusted import UntrustedError, opened, parse_json, shorten

SCHEMA = 3
"""Raise this when the file changes, and keep reading what was written before.

1: no checksums. 2: a checksum for each array. 3: what learns stands together, under its name.
"""

ADDED: dict[int, dict[str, float]] = {2: {"rate": 1.0}}
"""Arrays that the state has only since a schema, with the number that fills them in older files."""

RENAMED: dict[int, dict[str, str]] = {
    3: {
        "learners.one_step.weights.": "dyna.model.",
        "learners.one_step.optimiser.": "dyna.optimiser_state.",
        "learners.model.weights.": "model.",
        "learners.model.optimiser.": "model_optimiser.",
        "learners.policy.weights.": "policy.",
        "learners.policy.optimiser.": "policy_optimiser.",
        "learners.reward.weights.": "reward.",
        "learners.reward.optimiser.": "reward_optimiser.",
        "errors": "dyna.rivals",
        "learner.student.": "learner.pupil.",
        "policy.random_returns": "policy.usual",
    }
}
"""How the names of arrays began before a schema, by how they begin since."""

_MANIFEST = "manifest"
_PRECISIONS = (np.float32, np.float64)


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; the message names the file and the fault."""


class Peek(NamedTuple):
    """What a file says of itself."""

    about: dict[str, Any]
    arrays: dict[str, Any]
    """The shape and type of each array, as declared."""
    bytes: int
    """The size of the file."""


class Checkpoint(NamedTuple):
    """What a file held."""

    tree: Any
    about: dict[str, Any]


def save(path: Path, tree: Any, about: Mapping[str, Any], *, previous: Path | None = None) -> int:
    """Write the arrays of a pytree, whole or not at all.

    Args:
        path: The file to make or to replace.
        tree: The pytree; its leaves that are not arrays are not saved.
        about: What to know of it, as plain JSON.
        previous: Where to move the file that is replaced.

    Returns:
        The size of the file in bytes.

    Raises:
        CheckpointError: If a number is not finite; nothing is written.
    """
    arrays, entries = {}, {}
    for name, leaf in _named(eqx.filter(tree, eqx.is_array)):
        arrays[name] = np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf)
        entries[name] = _kind(leaf) | {"sha256": _digest(arrays[name])}
        if not _is_finite(arrays[name]):
            raise CheckpointError(f"{path} is not written: {name!r} is not finite")
    manifest = {"schema": SCHEMA, "about": dict(about), "arrays": entries}
    text = np.asarray(json.dumps(manifest, allow_nan=False))
    with replacing(path, previous=previous) as file:
        with zipfile.ZipFile(file, "w") as archive:
            for name, array in {_MANIFEST: text, **arrays}.items():
                large = array.nbytes >= 2**30
                with archive.open(f"{name}.npy", "w", force_zip64=large) as member:
                    np.lib.format.write_array(member, array, allow_pickle=False)
        return file.tell()


def peek(path: Path) -> Peek:
    """Read what a file says of itself, without its arrays.

    Args:
        path: The file.

    Returns:
        What was said about it, what its arrays are said to be, and its size.

    Raises:
        CheckpointError: If the file is missing, damaged or of another schema.
    """
    with _reading(path) as (_, manifest, size):
        return Peek(manifest["about"], manifest["arrays"], size)


def load(path: Path, skeleton: Any) -> Checkpoint:
    """Read a file written by `save`, trusting nothing in it.

    Args:
        path: The file.
        skeleton: The pytree to fill, with `jax.ShapeDtypeStruct` in place of arrays.

    Returns:
        The skeleton filled with the file's arrays, and what was said about it.

    Raises:
        CheckpointError: If the file is missing, damaged, of another schema, holds a number that
            is not finite, or does not hold exactly the skeleton's arrays. What has other causes,
            such as memory or handles that run out, is raised as it is.
    """
    shapes, static = eqx.partition(skeleton, _is_shape)
    expected = dict(_named(shapes))
    with _reading(path) as (archive, manifest, _):
        expected = {_name_then(name, manifest["schema"]): shape for name, shape in expected.items()}
        _check_names(archive, manifest, expected)
        arrays = [_read(archive, manifest, name, shape) for name, shape in expected.items()]
    # Out here, so that no fault of a device is taken for one of the file.
    filled = map(_on_device, arrays, expected.values())
    tree = eqx.combine(jax.tree.unflatten(jax.tree.structure(shapes), filled), static)
    return Checkpoint(tree, manifest["about"])


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[tuple[zipfile.ZipFile, dict[str, Any], int]]:
    try:
        with opened(path) as (file, size), zipfile.ZipFile(Sparing(file)) as archive:
            for info in archive.infolist():
                if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
                    raise UntrustedError(f"the member {shorten(info.filename)} is not stored plain")
            yield archive, _manifest(archive), size
    except FileNotFoundError:
        raise CheckpointError(f"there is no checkpoint {path}") from None
    except _MisfitError as error:
        raise CheckpointError(f"{path} {error}") from None
    except MemoryError:
        raise
    except Exception as error:
        # An archive may send the reader to a place that no file has; else the system is at fault,
        # also where the library takes that for a bad archive.
        fault = error.__context__ if isinstance(error, zipfile.BadZipFile) else error
        if isinstance(fault, OSError) and fault.errno != errno.EINVAL:
            raise fault from None
        # A damaged archive fails in as many ways as there are bytes to damage.
        why = " ".join(ascii(str(error))[1:-1][:200].split()) or type(error).__name__
        raise CheckpointError(f"{path} is not a whole checkpoint ({why})") from error


class _MisfitError(ValueError):
    """A whole file, but not the one that is expected."""


def _manifest(archive: zipfile.ZipFile) -> dict[str, Any]:
    info = archive.getinfo(f"{_MANIFEST}.npy")
    with archive.open(info) as member:
        shape, _, kind = read_header(member)
        rest = info.file_size - member.tell()
        if shape != () or kind.kind != "U" or kind.itemsize != rest or rest > LARGEST_READ:
            raise UntrustedError("the manifest is not a text of its declared size")
        text = np.frombuffer(member.read(), kind).item()
    manifest = parse_json(text.encode())
    if not isinstance(manifest, dict):
        raise UntrustedError("the manifest is not an object")
    schema = manifest.get("schema")
    if type(schema) is not int or not 1 <= schema <= SCHEMA:
        raise _MisfitError(f"has checkpoint schema {shorten(schema)}, not 1 to {SCHEMA}")
    for name in ("about", "arrays"):
        if not isinstance(manifest.get(name), dict):
            raise UntrustedError(f"the manifest lacks {name!r}")
    return manifest


def _check_names(
    archive: zipfile.ZipFile, manifest: dict[str, Any], expected: Mapping[str, Any]
) -> None:
    members = [name.removesuffix(".npy") for name in archive.namelist()]
    if len(set(members)) < len(members):
        raise UntrustedError("two members have the same name")
    held = set(members) - {_MANIFEST}
    for name in expected:
        if name not in held and name not in _added_since(manifest["schema"]):
            raise _MisfitError(f"lacks the array {name!r}")
    for name in sorted(held):
        if name not in expected:
            raise _MisfitError(f"holds an unknown array {shorten(name)}")
    if held != manifest["arrays"].keys():
        odd = min(held ^ manifest["arrays"].keys())
        raise UntrustedError(f"{shorten(odd)} is in the manifest or in the archive, not in both")


def _name_then(name: str, schema: int) -> str:
    for later, renamed in RENAMED.items():
        if later > schema:
            since = next((since for since in renamed if name.startswith(since)), None)
            name = name if since is None else renamed[since] + name.removeprefix(since)
    return name


def _added_since(schema: int) -> dict[str, float]:
    return {k: v for later, added in ADDED.items() if later > schema for k, v in added.items()}


def _read(
    archive: zipfile.ZipFile, manifest: dict[str, Any], name: str, shape: jax.ShapeDtypeStruct
) -> np.ndarray:
    like = jax.eval_shape(jax.random.key_data, shape) if _is_key(shape) else shape
    if name not in manifest["arrays"]:
        return np.full(like.shape, _added_since(manifest["schema"])[name], like.dtype)
    array = _member(archive, name, like)
    entry = manifest["arrays"][name]
    if not isinstance(entry, dict) or {k: entry.get(k) for k in _kind(shape)} != _kind(shape):
        raise UntrustedError(f"the manifest describes {name!r} as something else")
    if manifest["schema"] > 1 and entry.get("sha256") != _digest(array):
        raise UntrustedError(f"{name!r} does not have its checksum")
    if not _is_finite(array):
        raise _MisfitError(f"holds {name!r} with numbers that are not finite")
    return array


def _on_device(array: np.ndarray, shape: jax.ShapeDtypeStruct) -> jax.Array:
    with jax.enable_x64(True):
        # In the type that it has, whatever the caller computes in.
        filled = jnp.asarray(array)
    return jax.random.wrap_key_data(filled) if _is_key(shape) else filled


def _member(archive: zipfile.ZipFile, name: str, like: jax.ShapeDtypeStruct) -> np.ndarray:
    info = archive.getinfo(f"{name}.npy")
    with archive.open(info) as member:
        shape, fortran, kind = read_header(member)
        now = jnp.result_type(float)
        if shape == like.shape and kind != like.dtype == now and kind in _PRECISIONS:
            raise _MisfitError(
                f"was written in {kind}, where JAX computes in {now} now: "
                f"set JAX_ENABLE_X64={int(kind == np.float64)}"
            )
        if shape != like.shape or kind != like.dtype:
            raise _MisfitError(
                f"holds {name!r} as {kind}{list(shape)}, "
                f"where {like.dtype}{list(like.shape)} belongs"
            )
        return read_content(member, info.file_size, shape, fortran, kind)


def _named(tree: Any) -> list[tuple[str, Any]]:
    return [
        (jax.tree_util.keystr(path, simple=True, separator="."), leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    ]


def _kind(leaf: jax.Array | jax.ShapeDtypeStruct) -> dict[str, Any]:
    return {"shape": list(leaf.shape), "dtype": str(leaf.dtype)}


def _digest(array: np.ndarray) -> str:
    return hashlib.sha256(array.tobytes()).hexdigest()


def _is_finite(array: np.ndarray) -> bool:
    return array.dtype.kind not in "fc" or bool(np.isfinite(array).all())


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _is_shape(leaf: Any) -> bool:
    return isinstance(leaf, jax.ShapeDtypeStruct)
