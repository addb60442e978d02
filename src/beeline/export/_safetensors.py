"""Weights by name, for exchange: what was learned, and nothing that can be run.

References:
    The format: https://github.com/huggingface/safetensors.
"""

import json
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jax.tree_util import DictKey, GetAttrKey, SequenceKey

from beeline.export._exportable import Exportable
from beeline.export._formats import ExportError

KEY = "beeline"
"""The entry of the file's metadata that holds the policy's, as JSON."""


def encode(exportable: Exportable) -> bytes:
    """Write all arrays of a policy, and of what was learned beside it.

    Args:
        exportable: The policy and the rest.

    Returns:
        The content of the file.

    Raises:
        ExportError: If the package is not installed.
    """
    try:
        from safetensors.numpy import save
    except ImportError as error:
        raise ExportError(
            "safetensors needs the package safetensors: install it with pip install "
            "'beeline[export]'"
        ) from error
    parts = {"policy": exportable.policy, **exportable.beside}
    arrays = {name: array for part in parts for name, array in named(part, parts[part]).items()}
    about = exportable.metadata(sees_time=exportable.sees_time())
    return save(arrays, {KEY: json.dumps(about, allow_nan=False)})


def named(part: str, tree: Any) -> dict[str, np.ndarray]:
    """Name the arrays of a module by the attributes and positions that lead to them.

    Args:
        part: What the module is called.
        tree: The module.

    Returns:
        Arrays by name, such as `policy.network.layers.0.weight`.
    """
    leaves, _ = jax.tree_util.tree_flatten_with_path(eqx.filter(tree, eqx.is_array))
    return {
        ".".join([part, *map(_step, path)]): np.ascontiguousarray(np.asarray(leaf))
        for path, leaf in leaves
    }


def _step(key: Any) -> str:
    if isinstance(key, GetAttrKey):
        return key.name
    if isinstance(key, DictKey):
        return str(key.key)
    return str(key.idx if isinstance(key, SequenceKey) else key.key)
