"""What modules compute, as JAX traces it: shapes, and a fingerprint."""

import hashlib
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np


class Traced(NamedTuple):
    """What was traced and not computed."""

    shapes: Any
    """What is returned, with `jax.ShapeDtypeStruct` in place of arrays."""
    fingerprint: str
    """Sixteen hexadecimal digits, other ones if what is computed was changed in any way."""


def trace_module(function: Callable[..., Any], module: Any, *arguments: Any) -> Traced:
    """Trace a function of a module and of arrays.

    Args:
        function: What to trace.
        module: Its first argument, with `jax.ShapeDtypeStruct` in place of arrays.
        *arguments: The others, likewise.

    Returns:
        What was traced.
    """
    places, rest = eqx.partition(module, lambda leaf: isinstance(leaf, jax.ShapeDtypeStruct))

    def of_arrays(arrays: Any, *arguments: Any) -> Any:
        return function(eqx.combine(arrays, rest), *arguments)

    traced, shapes = jax.make_jaxpr(of_arrays, return_shape=True)(places, *arguments)
    # Where functions happen to lie in memory is not part of what they compute.
    text = re.sub(r"0x[0-9a-f]+", "", str(traced))
    digest = hashlib.sha256(text.encode())
    for array in traced.consts:
        digest.update(np.asarray(array).tobytes())
    return Traced(shapes, digest.hexdigest()[:16])


def described(leaf: Any) -> str:
    """Say the type and shape of an array.

    Args:
        leaf: The array, or a `jax.ShapeDtypeStruct`.

    Returns:
        Such as "float32[3,1]"; the name of its type for anything else.
    """
    if not hasattr(leaf, "shape") or not hasattr(leaf, "dtype"):
        return type(leaf).__name__
    return f"{leaf.dtype}[{','.join(map(str, leaf.shape))}]"


def outline(tree: Any) -> str:
    """Say the types and shapes of a tree's arrays.

    Args:
        tree: The tree.

    Returns:
        The type of what holds them, and each of them; an array alone as `described`.
    """
    if jax.tree.structure(tree) == jax.tree.structure(0):
        return described(tree)
    leaves = ", ".join(map(described, jax.tree.leaves(tree)))
    return f"{type(tree).__name__}({leaves})"
