"""Where a number stopped being finite.

Looking costs next to nothing, for a gradient whose norm is finite is finite itself. No step is
ever taken along one that is not, and no episode that is not finite is kept, so that the weights
after an iteration are good ones whatever is then decided.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from beeline.networks.fixed import without_fixed
from beeline.training._tally import Skipped
from beeline.training.episodes import Episode


class Faults(NamedTuple):
    """What was not finite in one iteration, in the order in which it is computed."""

    collected: Int[Array, ""]
    """Where in the collected episode; see `first_in`."""
    skipped: dict[str, Skipped]
    """The first update of each learner that was not taken, by its name."""
    weights: Bool[Array, " leaf"]
    """Whether each array of `BPOState.learned` is finite after it."""
    evaluated: Int[Array, ""]
    """Where in the episode of the evaluation."""


def first_in(episode: Episode) -> Int[Array, ""]:
    """Find the first number of an episode that is not finite, in the order of its making.

    Args:
        episode: The episode.

    Returns:
        Its place when every step's state, action and reward are laid out in a row, the last
        state after them; -1 if all are finite.
    """
    states = episode.states
    if episode.ends is not None:
        # So that the state that an episode ends in is looked at.
        states = jnp.concatenate([states[:1], episode.ends.next_states])
    columns = (states[:-1], episode.actions, episode.rewards[:, None])
    laid_out = jnp.concatenate([jnp.concatenate(columns, axis=1).ravel(), states[-1]])
    bad = ~jnp.isfinite(laid_out)
    return jnp.where(bad.any(), jnp.argmax(bad), -1)


def finite_leaves(tree: Any) -> Bool[Array, " leaf"]:
    """Look at each array of numbers.

    Args:
        tree: Modules, states of optimisers.

    Returns:
        Whether all of its entries are finite, in the order of the tree.
    """
    return jnp.stack([jnp.isfinite(leaf).all() for leaf in inexact_leaves(tree)])


def inexact_leaves(tree: Any) -> list[Any]:
    """List the arrays that are not of whole numbers.

    Args:
        tree: Modules, states of optimisers.

    Returns:
        The arrays, in the order of the tree.
    """
    return jax.tree.leaves(eqx.filter(without_fixed(tree), eqx.is_inexact_array))


def leaf_names(tree: Any) -> list[str]:
    """Name those arrays.

    Args:
        tree: Modules, states of optimisers.

    Returns:
        The path of each, such as "decoder.layers.0.weight".
    """
    found = jax.tree_util.tree_leaves_with_path(
        eqx.filter(without_fixed(tree), eqx.is_inexact_array)
    )
    return [jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in found]
