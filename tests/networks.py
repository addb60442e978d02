"""Networks for tests, drawn once: random numbers one by one are a compiled program each."""

from collections.abc import Callable, Hashable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

_WEIGHTS: dict[Hashable, list[Any]] = {}


def drawn(make: Callable[..., Any], *sizes: int, seed: int = 0, **options: Hashable) -> Any:
    """Draw a network in one program, once in a process for each set of shapes.

    Args:
        make: Its class, or what else makes it; the same object every time.
        *sizes: Positional arguments of `make`: numbers that shapes and static fields follow.
        seed: Of the key that `make` is given.
        **options: Other arguments of `make`, without arrays.

    Returns:
        The network, its weights those of the first of its shapes (of another horizon, say), in the
        precision of the test.
    """

    def draw(key: jax.Array) -> Any:
        return make(*sizes, key=key, **options)

    with jax.enable_x64(False):
        key = jax.random.key(seed)
        arrays, rest = eqx.partition(eqx.filter_eval_shape(draw, key), _is_shape)
        shapes, structure = jax.tree.flatten(arrays)
        name = (make, seed, *options.items(), *((x.shape, x.dtype) for x in shapes))
        if name not in _WEIGHTS:
            _WEIGHTS[name] = jax.tree.leaves(
                jax.jit(lambda key: eqx.filter(draw(key), eqx.is_array))(key)
            )
    return in_precision(eqx.combine(jax.tree.unflatten(structure, _WEIGHTS[name]), rest))


def in_precision(tree: Any) -> Any:
    """Convert arrays to the precision of the test.

    Args:
        tree: Any tree.

    Returns:
        The tree, its floating-point and complex arrays single or double.
    """
    precision = np.float64 if jax.config.jax_enable_x64 else np.float32

    def convert(x: Any) -> Any:
        if not eqx.is_inexact_array(x):
            return x
        return jnp.asarray(np.asarray(x).astype(np.promote_types(x.dtype, precision)))

    return jax.tree.map(convert, tree)


def normal(*shape: int, seed: int) -> jax.Array:
    """Draw standard normal numbers without compiling anything.

    Args:
        *shape: Of the array.
        seed: Of the draws.

    Returns:
        The numbers in the precision of the test.
    """
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape))


def _is_shape(leaf: Any) -> bool:
    return isinstance(leaf, jax.ShapeDtypeStruct)
