"""A field that grows and spreads, to be held down by four heaters."""

import functools
import operator
import typing

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, PRNGKeyArray
from typing_extensions import override

from beeline.envs._base import Environment
from beeline.envs._checks import (
    check_action,
    check_constant,
    check_horizon,
    check_key,
    check_state,
    check_step_index,
)

CENTRES = (0.2, 0.4, 0.6, 0.8)
"""Where the actuators are."""
WIDTH = 0.05
"""Of an actuator, as the standard deviation of a bell."""
STRENGTH = 8.0
"""What an actuator adds to the field in a unit of time, at its centre."""
MODES = 5
"""Sine waves of the start."""
_DT = 0.02


def _check_cells(cells: object) -> int:
    if isinstance(cells, (bool, np.bool_)) or not isinstance(cells, typing.SupportsIndex):
        raise TypeError(f"cells must be an integer of at least 3, got {cells!r}")
    count = operator.index(cells)
    if count < 3:
        raise ValueError(f"cells must be at least 3, got {count}")
    return count


@typing.final
class ReactionDiffusion(Environment):
    r"""Hold a field at 0 that grows by itself, by four actuators.

    On x in [0, 1] the field s(x, t), 0 at both ends, follows the equation of Chafee and Infante:

        ∂s/∂t = D ∂²s/∂x² + ρ s - s³ + Σᵢ 8 aᵢ exp(-(x - cᵢ)² / (2 · 0.05²)),

    with the actuators at c = 0.2, 0.4, 0.6, 0.8. Growth outweighs diffusion in the two longest
    waves: left alone, the field leaves 0 for about ±√ρ. The state is the field at n inner points
    x_i = i / (n + 1), and a step of dt = 0.02 treats diffusion implicitly and the rest explicitly:

        s⁺ = (I + dt D L)⁻¹ (s + dt (ρ s - s³ + f(a))),

    where L is the negative second difference with zero ends.

    Attributes:
        horizon: H, the number of steps, at least 2.
        cells: n, the number of points, at least 3; a step costs n² operations.
        diffusion: D.
        growth: ρ.
        name: The task's name in the registry.
        state_dim: How many entries a state has.
        action_dim: How many entries an action has.
        dt: The length of one step.

    State:
        | entry | meaning | unit | range |
        |---|---|---|---|
        | i | field at x = (i + 1) / (n + 1) | 1 | unbounded, mostly in [-3, 3] |

    Action:
        | entry | meaning | unit | action -1 | action +1 |
        |---|---|---|---|---|
        | i | actuator at cᵢ, share of its full strength 8 | 1 | -1 | 1 |

    Reward:
        -0.2 (mean of s² + 0.01 mean of a²), of the state before the step.

    Start:
        Σ_k (g_k / k) sin(k π x) for k = 1 to 5, each g_k standard normal.

    End:
        After `horizon` steps; never earlier.

    References:
        N. Chafee and E. F. Infante, "A bifurcation problem for a nonlinear partial differential
        equation of parabolic type", Applicable Analysis 4(1), 1974.
    """

    horizon: int = eqx.field(converter=check_horizon, static=True)
    cells: int = eqx.field(default=128, converter=_check_cells, static=True)
    diffusion: float = eqx.field(default=0.05, converter=float, static=True)
    growth: float = eqx.field(default=2.0, converter=float, static=True)
    name = "reaction-diffusion"
    state_dim = typing.cast(
        typing.Any, property(lambda self: self.cells, doc="How many entries a state has.")
    )
    action_dim = len(CENTRES)
    dt = _DT
    state_names = property(lambda self: tuple(f"field at {x:.4g}" for x in _points(self.cells)))
    action_names = tuple(f"actuator at {centre:g}" for centre in CENTRES)
    deterministic = False

    def __check_init__(self) -> None:
        """Refuse constants that mean nothing.

        Raises:
            ValueError: If one is not finite, or the diffusion not above 0.
        """
        check_constant(self.name, "growth", self.growth)
        check_constant(self.name, "diffusion", self.diffusion, positive=True)

    @override
    def initial_state(self, *, key: PRNGKeyArray | None = None) -> Float[Array, "state"]:
        key = check_key(self.name, key, "initial_state")
        modes = np.arange(1, MODES + 1)
        waves = np.sin(np.pi * modes[:, None] * _points(self.cells)) / modes[:, None]
        sizes = jax.random.normal(key, (MODES,), jnp.zeros(()).dtype)
        return sizes @ jnp.asarray(waves, sizes.dtype)

    @override
    def step(
        self,
        state: Float[Array, "state"],
        action: Float[Array, "action"],
        t: Int[ArrayLike, ""],
        *,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "state"]:
        del key
        self._check(state, action, t)
        bells, spread = (
            jnp.asarray(matrix, state.dtype) for matrix in _matrices(self.cells, self.diffusion)
        )
        grown = self.growth * state - state**3 + action @ bells
        return (state + _DT * grown) @ spread

    @override
    def reward(
        self,
        state: Float[Array, "state"],
        action: Float[Array, "action"],
        t: Int[ArrayLike, ""],
    ) -> Float[Array, ""]:
        self._check(state, action, t)
        return -0.2 * (jnp.mean(state**2) + 0.01 * jnp.mean(action**2))

    def _check(self, state: Array, action: Array, t: ArrayLike) -> None:
        check_state(state, self.state_dim)
        check_action(action, self.action_dim)
        check_step_index(t)


def _points(cells: int) -> Float[np.ndarray, " cell"]:
    return np.arange(1, cells + 1) / (cells + 1)


@functools.lru_cache(maxsize=8)
def _matrices(
    cells: int, diffusion: float
) -> tuple[Float[np.ndarray, "actuator cell"], Float[np.ndarray, "cell cell"]]:
    # What each actuator does to the field, and the inverse of the implicit step: it is symmetric.
    distance = _points(cells) - np.asarray(CENTRES)[:, None]
    bells = STRENGTH * np.exp(-(distance**2) / (2 * WIDTH**2))
    line = 2 * np.eye(cells) - np.eye(cells, k=1) - np.eye(cells, k=-1)
    spread = np.linalg.inv(np.eye(cells) + _DT * diffusion * (cells + 1) ** 2 * line)
    return bells, spread
