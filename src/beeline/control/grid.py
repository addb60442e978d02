"""Dynamic programming on a grid of states."""

import itertools
import math
from collections.abc import Callable
from typing import NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.ndimage import map_coordinates
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from beeline._module import Module
from beeline.control.chance import moves_alike
from beeline.envs import Environment
from beeline.envs._transition import termination_of, transition

MOST_BYTES = 2 * 1024**3
"""What the values of all steps may take."""
_TOGETHER = 2**16
"""Transitions that are computed at a time."""


class Grid(NamedTuple):
    """A grid over coordinates that tell the state.

    A coordinate that goes round, such as an angle, needs both of its ends, which are one state.
    """

    low: tuple[float, ...]
    """Where it begins, by coordinate."""
    high: tuple[float, ...]
    """Where it ends."""
    sizes: tuple[int, ...]
    """Points by coordinate, at least 2 each."""
    state: Callable[[Array], Array]
    """From coordinates to the state."""
    coordinates: Callable[[Array], Array]
    """From a state to the coordinates; beyond the grid, the nearest of its points counts."""

    def points(self) -> Float[np.ndarray, "point coordinate"]:
        """List all points, the last coordinate running fastest.

        Returns:
            Their coordinates.
        """
        axes = map(np.linspace, self.low, self.high, self.sizes)
        return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(self.sizes))


@final
class GridSolution(Module):
    """The values of a grid's points at each step, and the actions that lead to the best of them.

    Attributes:
        env: The task.
        grid: The grid.
        actions: The actions to choose from.
        values: What the rest of an episode earns, by step index and point; 0 at the end.
    """

    env: Environment
    grid: Grid = eqx.field(static=True)
    actions: Float[np.ndarray, "choice action"]
    values: Float[np.ndarray, "times *point"]

    def value(self, state: Float[Array, "state"], t: Int[ArrayLike, ""] = 0) -> Float[Array, ""]:
        """Interpolate between the values of the points around a state.

        Interpolation errs, the more the coarser the grid is: what `mode` earns is sure.

        Args:
            state: The state.
            t: The step index.

        Returns:
            What the rest of an episode earns from there.
        """
        return _interpolate(self.grid, jnp.asarray(self.values)[t], state)

    def mode(self, state: Float[Array, "state"], t: Int[ArrayLike, ""]) -> Float[Array, "action"]:
        """Choose the action that promises most, as policies do.

        Args:
            state: The state.
            t: The step index.

        Returns:
            One of the actions to choose from, in [-1, 1].
        """
        promised = _promised(
            self.env, self.grid, self.actions, jnp.asarray(self.values)[t + 1], state, t
        )
        return jnp.asarray(self.actions, state.dtype)[jnp.argmax(promised)]


def solve_grid(env: Environment, grid: Grid, *, levels: int = 11) -> GridSolution:
    r"""Solve a task of few coordinates by dynamic programming on a grid, backwards from its end.

    V_t(s) = max_a r(s, a, t) + V_{t+1}(s') at every point, over actions on a grid of their own,
    with V_{t+1} interpolated linearly between the points around s', and V_H = 0. It finds what
    gradients miss, such as swinging to and fro first, and its error falls with the grid. A part of
    the transitions is computed at a time, so that memory is what the values take: 8 (H + 1) bytes a
    point.

    Args:
        env: The task, whose step leaves nothing to chance. The start may. Precision is raised to
            float64 for the call only.
        grid: The grid.
        levels: How many levels each entry of an action has, from -1 to 1; at least 2.

    Returns:
        The values, and a policy to play.

    Raises:
        ValueError: If the grid is none, the levels are below 2, the values would take too much
            memory, or the step leaves something to chance.

    References:
        D. P. Bertsekas, *Dynamic Programming and Optimal Control*, volume I, Athena Scientific,
        4th edition, 2017, chapter 1 and section 6.6.
    """
    _check_grid(env, grid, levels)
    axes = [np.linspace(-1.0, 1.0, levels)] * env.action_dim
    actions = np.array(list(itertools.product(*axes)))
    points = grid.points()
    values = np.zeros((env.horizon + 1, *grid.sizes))
    with jax.enable_x64(True):
        _check_moves(env, grid, points[:: max(1, len(points) // 16)])
        together = max(1, _TOGETHER // len(actions))

        @jax.jit
        def sweep(following: Array, t: Array) -> Array:
            def best(point: Array) -> Array:
                state = grid.state(point)
                return jnp.max(_promised(env, grid, actions, following, state, t))

            every = jax.lax.map(best, jnp.asarray(points), batch_size=together)
            return every.reshape(grid.sizes)

        for t in reversed(range(env.horizon)):
            values[t] = sweep(values[t + 1], t)
    return GridSolution(env, grid, actions, values)


def _promised(
    env: Environment,
    grid: Grid,
    actions: Float[ArrayLike, "choice action"],
    following: Array,
    state: Array,
    t: ArrayLike,
) -> Float[Array, "choice"]:
    terminated = termination_of(env)

    def of_one(action: Array) -> Array:
        # Always a key, as the contract says.
        after, reward = transition(env, state, action, t, key=jax.random.key(0))
        value = _interpolate(grid, following, after)
        if terminated is not None:
            value = jnp.where(terminated(state, action, t, after), 0, value)
        return reward + value

    return jax.vmap(of_one)(jnp.asarray(actions, state.dtype))


def _interpolate(grid: Grid, values: Array, state: Array) -> Float[Array, ""]:
    place = grid.coordinates(state)
    low, high = (jnp.asarray(end, place.dtype) for end in (grid.low, grid.high))
    last = jnp.asarray(grid.sizes, place.dtype) - 1
    indices = jnp.clip((place - low) / (high - low) * last, 0, last)
    return map_coordinates(values.astype(place.dtype), list(indices), order=1, mode="nearest")


def _check_grid(env: Environment, grid: Grid, levels: int) -> None:
    sides = len(grid.sizes)
    if not (sides and len(grid.low) == len(grid.high) == sides and min(grid.sizes) >= 2):
        raise ValueError(
            "a grid has low, high and sizes of one length, with at least 2 points each, got "
            f"{grid.low}, {grid.high} and {grid.sizes}"
        )
    if not all(low < high for low, high in zip(grid.low, grid.high, strict=True)):
        raise ValueError(f"a grid goes from low to high, got {grid.low} and {grid.high}")
    if levels < 2:
        raise ValueError(f"levels must be at least 2, got {levels}")
    size = 8 * (env.horizon + 1) * math.prod(grid.sizes)
    if size > MOST_BYTES:
        raise ValueError(
            f"the values of {math.prod(grid.sizes)} points at {env.horizon + 1} times would take "
            f"{size / 1024**3:.1f} GiB, more than {MOST_BYTES / 1024**3:g}: take a coarser grid"
        )


def _check_moves(env: Environment, grid: Grid, points: np.ndarray) -> None:
    states = np.asarray(jax.vmap(grid.state)(jnp.asarray(points)))
    if not moves_alike(env, states, np.zeros((len(states), env.action_dim))):
        raise ValueError(f"{env.name} moves by chance: make it without noise")
