"""Averages over a batch, computed in groups that stay in a processor's cache."""

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array

Mean = TypeVar("Mean")
Each = TypeVar("Each")

_CPU_TOKENS = 1024


def group_size(batch: int, tokens: int) -> int:
    """Choose how many episodes to work on at a time.

    On a CPU the activations of about a thousand tokens stay in cache; accelerators are best
    served whole.

    Args:
        batch: Episodes in all.
        tokens: Tokens per episode.

    Returns:
        A divisor of `batch`.
    """
    if jax.default_backend() != "cpu":
        return batch
    most = max(1, _CPU_TOKENS // tokens)
    return max(size for size in range(1, batch + 1) if batch % size == 0 and size <= most)


def mean_in_groups(
    function: Callable[..., tuple[Mean, Each]], *arrays: Array | None, size: int
) -> tuple[Mean, Each]:
    """Evaluate a function of a batch group by group.

    Args:
        function: From arrays with a leading batch axis to a mean over that batch, and results
            that keep the axis.
        arrays: The batch; any but the first may be None.
        size: Episodes per group; divides the batch.

    Returns:
        The mean over the whole batch, and the results of all its members.
    """
    batch = jax.tree.leaves(arrays)[0].shape[0]
    if size == batch:
        return function(*arrays)
    groups = jax.tree.map(lambda x: x.reshape(batch // size, size, *x.shape[1:]), arrays)
    first = jax.eval_shape(function, *jax.tree.map(lambda x: x[0], groups))[0]
    zero = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), first)

    def add(total: Any, group: tuple[Array | None, ...]) -> tuple[Any, Any]:
        mean, each = function(*group)
        return jax.tree.map(jnp.add, total, mean), each

    total, each = jax.lax.scan(add, zero, groups)
    mean = jax.tree.map(lambda x: x * (size / batch), total)
    return mean, jax.tree.map(lambda x: x.reshape(batch, *x.shape[2:]), each)
