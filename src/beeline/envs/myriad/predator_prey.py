"""Pesticide against a pest that has a predator."""

import math
import typing
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float
from typing_extensions import override

from beeline.envs._control_system import Bounds, ControlSystem


@typing.final
class PredatorPrey(ControlSystem):
    r"""Spray a given amount of pesticide so that few of a pest are left at the end.

    The pest x₁ is eaten by a predator x₂, as Lotka and Volterra have it, and the pesticide u kills
    both; z is the amount used:

        ẋ₁ = (1 - x₂) x₁ - d₁ x₁ u
        ẋ₂ = (x₁ - 1) x₂ - d₂ x₂ u
        ż = u

    The source prescribes z(T) = B. Here the distance from it has a quadratic terminal cost, whose
    weight w = 10 leaves the best plan 0.025 short of B. The testbed holds z to [0, B], where
    spraying goes on and is no longer counted; here z is not held.

    Explicit Euler overshoots: it takes the predator higher and the pest lower than they go in
    continuous time, where 0.2 to 0.35 of the pest come back by the end. Up to horizon 101 one step
    may take all of the pest, which then stays at 0: nothing is left but to use the pesticide evenly
    (-1.256 at horizon 100). At 200 the best return is -1.269, and at 500 -1.355.

    Attributes:
        d_1: d₁, the pesticide's effect on the pest.
        d_2: d₂, its effect on the predator.
        a: A, the weight of spraying.
        b: B, the amount of pesticide to be used.
        w: The weight of the distance from that amount.
        x_0: The start.
        duration: T, the length of an episode.
        state_bounds: The box that states are held to.
        control_bounds: The box of allowed controls.

    State:
        | entry | meaning | unit | range |
        |---|---|---|---|
        | 0 | pest x₁ | 1 | [0, 11] |
        | 1 | predator x₂ | 1 | [0, 11] |
        | 2 | pesticide used z | 1 | unbounded; it stays at least 0 without noise |

    Action:
        | entry | meaning | unit | action -1 | action +1 |
        |---|---|---|---|---|
        | 0 | pesticide rate u | per unit of time | 0 | 1 |

    Reward:
        -dt (A/2) u², and -x₁ - w (z - B)² more at the last step, of the state before the last move.

    Start:
        x = (10, 1, 0), always.

    End:
        After `horizon` steps, which is T = 10 units of time; never earlier.

    References:
        - S. Lenhart and J. T. Workman, *Optimal Control Applied to Biological Models*,
            Chapman & Hall/CRC, 2007, chapter 22 (lab 13).
        - B. S. Goh, G. Leitmann and T. L. Vincent, "Optimal control of a prey-predator system",
            Mathematical Biosciences 19(3-4), 1974.
        - N. Howe et al., "Myriad: a real-world testbed to bridge trajectory optimization and deep
            learning", NeurIPS 2022.
    """

    name: ClassVar[str] = "predator-prey"
    state_names: ClassVar[tuple[str, ...]] = ("pest", "predator", "pesticide used")
    state_units: ClassVar[tuple[str, ...]] = ("1",) * 3
    control_names: ClassVar[tuple[str, ...]] = ("pesticide rate",)
    control_units: ClassVar[tuple[str, ...]] = ("1",)
    time_unit: ClassVar[str] = "1"

    d_1: float = 0.1
    d_2: float = 0.1
    a: float = 1.0
    b: float = 5.0
    w: float = 10.0
    x_0: tuple[float, ...] = eqx.field(default=(10.0, 1.0, 0.0), static=True)
    duration: float = eqx.field(default=10.0, static=True)
    state_bounds: Bounds = eqx.field(
        default=((0.0, 11.0), (0.0, 11.0), (-math.inf, math.inf)), static=True
    )
    control_bounds: Bounds = eqx.field(default=((0.0, 1.0),), static=True)

    @override
    def dynamics(
        self, x: Float[Array, "state"], u: Float[Array, "action"], t: Float[ArrayLike, ""]
    ) -> Float[Array, "state"]:
        del t
        pest, predator, _ = x
        return jnp.stack(
            [
                (1.0 - predator - self.d_1 * u[0]) * pest,
                (pest - 1.0 - self.d_2 * u[0]) * predator,
                u[0],
            ]
        )

    @override
    def cost(
        self, x: Float[Array, "state"], u: Float[Array, "action"], t: Float[ArrayLike, ""]
    ) -> Float[Array, ""]:
        del t, x
        return 0.5 * self.a * u[0] ** 2

    @override
    def terminal_cost(self, x: Float[Array, "state"]) -> Float[Array, ""]:
        return x[0] + self.w * (x[2] - self.b) ** 2
