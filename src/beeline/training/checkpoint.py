"""A pytree's arrays as one file: plain NumPy arrays by name, and no pickle.

The file is a NumPy archive. Its members carry the names of the places in the pytree that the
arrays come from, such as `model.scaling.mean`; the member `manifest` is a JSON text with the
schema, what the caller wants to be known of the state, and the shape and type of each array.
"""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from beeline._atomic import replacing

SCHEMA = 1
"""Raise this when files written before can no longer be read."""


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; the message names the file and the fault."""


class Checkpoint(NamedTuple):
    """What a file held."""

    tree: Any
    about: dict[str, Any]


def save(path: Path, tree: Any, about: Mapping[str, Any]) -> None:
    """Write the arrays of a pytree, whole or not at all.

    Args:
        path: The file to make or to replace.
        tree: The pytree; its leaves that are not arrays are not saved.
        about: What to know of it, as plain JSON.
    """
    arrays, entries = {}, {}
    for name, leaf in _named(eqx.filter(tree, eqx.is_array)):
        arrays[name] = np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf)
        entries[name] = _kind(leaf)
    manifest = {"schema": SCHEMA, "about": dict(about), "arrays": entries}
    with replacing(path) as file, zipfile.ZipFile(file, "w") as archive:
        for name, array in {"manifest": np.asarray(json.dumps(manifest)), **arrays}.items():
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def load(path: Path, skeleton: Any) -> Checkpoint:
    """Read a file written by `save`, trusting nothing in it.

    Args:
        path: The file.
        skeleton: The pytree to fill, with `jax.ShapeDtypeStruct` in place of arrays.

    Returns:
        The skeleton filled with the file's arrays, and what was said about it.

    Raises:
        CheckpointError: If the file is missing, damaged, of another schema, or does not hold
            exactly the skeleton's arrays.
    """
    manifest, arrays = _read(path)
    wanted = dict(_named(eqx.filter(skeleton, _is_place)))
    for name in wanted:
        if name not in arrays:
            raise CheckpointError(f"{path} lacks the array {name!r}")
    for name in arrays:
        if name not in wanted:
            raise CheckpointError(f"{path} holds an unknown array {name!r}")
    filled = {name: _fill(path, name, arrays[name], place) for name, place in wanted.items()}
    places, static = eqx.partition(skeleton, _is_place)
    structure = jax.tree.structure(places)
    tree = eqx.combine(jax.tree.unflatten(structure, [filled[name] for name in wanted]), static)
    return Checkpoint(tree, manifest["about"])


def _read(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    try:
        # Opened here, for NumPy leaves the file of a damaged archive open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        manifest = json.loads(str(arrays.pop("manifest")))
        schema, _, _ = manifest["schema"], manifest["about"], manifest["arrays"]
    except FileNotFoundError:
        raise CheckpointError(f"there is no checkpoint {path}") from None
    except Exception as error:
        # A damaged archive fails in as many ways as there are bytes to damage.
        raise CheckpointError(f"{path} is not a whole checkpoint ({error})") from error
    if schema != SCHEMA:
        raise CheckpointError(f"{path} has checkpoint schema {schema!r}, not {SCHEMA}")
    return manifest, arrays


def _fill(path: Path, name: str, array: np.ndarray, place: jax.ShapeDtypeStruct) -> jax.Array:
    is_key = _is_key(place)
    like = jax.eval_shape(jax.random.key_data, place) if is_key else place
    if array.shape != like.shape or array.dtype != like.dtype:
        raise CheckpointError(
            f"{path} holds {name!r} as {array.dtype}{list(array.shape)}, "
            f"where {like.dtype}{list(like.shape)} belongs"
        )
    filled = jnp.asarray(array)
    return jax.random.wrap_key_data(filled) if is_key else filled


def _named(tree: Any) -> list[tuple[str, Any]]:
    return [
        (jax.tree_util.keystr(path, simple=True, separator="."), leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    ]


def _kind(leaf: jax.Array) -> dict[str, Any]:
    return {"shape": list(leaf.shape), "dtype": str(leaf.dtype)}


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _is_place(leaf: Any) -> bool:
    return isinstance(leaf, jax.ShapeDtypeStruct)
