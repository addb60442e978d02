"""What networks hold beside their weights."""

from typing import Any

import jax

from beeline.networks.modes import Modes
from beeline.networks.schedule import Schedule


def without_fixed(tree: Any) -> Any:
    """Leave out what no optimiser moves.

    Args:
        tree: A module, or a gradient of its shape.

    Returns:
        The same with None in the place of each `Modes` and `Schedule`.
    """

    def is_fixed(node: Any) -> bool:
        return isinstance(node, Modes | Schedule)

    return jax.tree.map(lambda node: None if is_fixed(node) else node, tree, is_leaf=is_fixed)
