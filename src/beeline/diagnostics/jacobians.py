"""How states depend on the actions before them, in any world model.

Rows of a map are states and columns are actions: entry (t, k) is about the state after action t,
in the paper's letters about d s_{t+2} / d a_{k+1}, since the paper counts from one.

References:
    Paper, section 3 and Figure 1 (direct and circuitous gradient paths), Figure 4b.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from beeline.compute.microbatch import group_size
from beeline.gradients import open_loop
from beeline.models import WorldModel


class PathMap(NamedTuple):
    """Norms of d s_t / d a_k, zero where the action comes after the state."""

    total: Float[Array, "time time"]
    direct: Float[Array, "time time"]
    """With the states that are fed back held still."""
    circuitous: Float[Array, "time time"]
    """Norm of the rest: of the difference between the total and the direct Jacobian."""


@eqx.filter_jit
def action_jacobian(
    model: WorldModel,
    state: Float[Array, " state"],
    actions: Float[Array, "time action"],
    *,
    through_states: float = 1.0,
) -> Float[Array, "time state time action"]:
    """Differentiate every state by every action.

    Reverse mode, which adaptive integrators allow and forward mode does not. Memory grows with
    the square of the length.

    Args:
        model: The world model.
        state: The initial state, in physical units.
        actions: Actions in [-1, 1].
        through_states: Share of the gradient through predicted states that are fed back.

    Returns:
        d s_t / d a_k, in physical units of the state per unit of action.
    """
    return jax.jacrev(lambda a: open_loop(model, state, a, through_states=through_states))(actions)


@eqx.filter_jit
def path_map(
    model: WorldModel,
    state: Float[Array, " state"],
    actions: Float[Array, "time action"],
) -> PathMap:
    """Split the influence of every action on every state into direct and circuitous paths.

    A model of actions has no circuitous paths, so its map is all direct.

    Args:
        model: The world model.
        state: The initial state, in physical units.
        actions: Actions in [-1, 1].

    Returns:
        The spectral norms of the Jacobian and of its two parts.

    References:
        Paper, Figure 1: circuitous paths are those through predicted states.
    """
    total = action_jacobian(model, state, actions)
    direct = total
    if model.state_fed:
        direct = action_jacobian(model, state, actions, through_states=0.0)
    return PathMap(*(block_norms(part) for part in (total, direct, total - direct)))


@eqx.filter_jit
def first_action_norms(
    model: WorldModel,
    states: Float[Array, "sample state"],
    actions: Float[Array, "sample time action"],
) -> Float[Array, " sample"]:
    """Norm of the gradient of the final state with respect to the first action.

    Args:
        model: The world model.
        states: An initial state per sample.
        actions: A sequence of actions per sample; its length is the horizon.

    Returns:
        The spectral norm of d s_H / d a_1 for each sample.

    References:
        Paper, Figure 4b.
    """

    def norm(sample):
        state, sequence = sample

        def final(action):
            return open_loop(model, state, sequence.at[0].set(action))[-1]

        return spectral_norm(jax.jacrev(final)(sequence[0]))

    return jax.lax.map(norm, (states, actions), batch_size=group_size(*actions.shape[:2]))


def spectral_norm(matrices: Float[Array, "*batch rows columns"]) -> Float[Array, "*batch"]:
    """Largest singular value, without overflow in the squares.

    Args:
        matrices: One or many matrices.

    Returns:
        Their spectral norms; infinite or NaN where an entry is.
    """
    largest = jnp.max(jnp.abs(matrices), axis=(-2, -1))
    scale = jnp.where((largest > 0) & jnp.isfinite(largest), largest, 1)[..., None, None]
    scaled = matrices / scale
    if 1 in matrices.shape[-2:]:
        norms = jnp.sqrt(jnp.sum(scaled**2, axis=(-2, -1)))
    else:
        norms = jnp.linalg.norm(scaled, ord=2, axis=(-2, -1))
    return jnp.where(jnp.isfinite(largest), norms * scale[..., 0, 0], largest)


def block_norms(
    jacobian: Float[Array, "rows output columns input"],
) -> Float[Array, "rows columns"]:
    """Spectral norm of every (output, input) block.

    Args:
        jacobian: Blocks laid out as `jax.jacrev` returns them.

    Returns:
        One norm per block.
    """
    return spectral_norm(jacobian.swapaxes(1, 2))
