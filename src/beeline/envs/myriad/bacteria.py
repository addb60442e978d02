"""Bacteria whose food makes a poison."""

import typing
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float
from typing_extensions import override

from beeline.envs._control_system import Bounds, ControlSystem


@typing.final
class Bacteria(ControlSystem):
    r"""Grow bacteria on a nutrient that makes a toxic by-product.

    The nutrient u speeds growth, but its by-product harms the more the fewer bacteria there are:

        ẋ = r x + A u x - B u² e⁻ˣ.

    The empty state x = 0 is absorbing and passes no gradient on to earlier steps; a random policy
    sits there most of the time.

    Attributes:
        r: Growth rate without nutrient, per unit of time.
        a: A, the growth rate per unit of nutrient.
        b: B, the harm of the by-product.
        c: C, the reward for bacteria at the end.
        x_0: The start.
        duration: T, the length of an episode.
        state_bounds: The box that states are held to.
        control_bounds: The box of allowed controls.

    State:
        | entry | meaning | unit | range |
        |---|---|---|---|
        | 0 | bacteria concentration x | 1 | [0, 10] |

    Action:
        | entry | meaning | unit | action -1 | action +1 |
        |---|---|---|---|---|
        | 0 | nutrient level u | 1 | 0 | 2 |

    Reward:
        -dt u², and C x more at the last step, of the state before the last move.

    Start:
        x = 1, always.

    End:
        After `horizon` steps, which is T = 1 unit of time; never earlier.

    References:
        - S. Lenhart and J. T. Workman, *Optimal Control Applied to Biological Models*,
            Chapman & Hall/CRC, 2007, chapter 7 (lab 3).
        - N. Howe et al., "Myriad: a real-world testbed to bridge trajectory optimization and deep
            learning", NeurIPS 2022.
    """

    name: ClassVar[str] = "bacteria"
    state_names: ClassVar[tuple[str, ...]] = ("bacteria concentration",)
    state_units: ClassVar[tuple[str, ...]] = ("1",)
    control_names: ClassVar[tuple[str, ...]] = ("nutrient level",)
    control_units: ClassVar[tuple[str, ...]] = ("1",)
    time_unit: ClassVar[str] = "1"

    r: float = 1.0
    a: float = 1.0
    b: float = 12.0
    c: float = 1.0
    x_0: tuple[float, ...] = eqx.field(default=(1.0,), static=True)
    duration: float = eqx.field(default=1.0, static=True)
    state_bounds: Bounds = eqx.field(default=((0.0, 10.0),), static=True)
    control_bounds: Bounds = eqx.field(default=((0.0, 2.0),), static=True)

    @override
    def dynamics(
        self, x: Float[Array, "state"], u: Float[Array, "action"], t: Float[ArrayLike, ""]
    ) -> Float[Array, "state"]:
        del t
        return self.r * x + self.a * u * x - self.b * u**2 * jnp.exp(-x)

    @override
    def cost(
        self, x: Float[Array, "state"], u: Float[Array, "action"], t: Float[ArrayLike, ""]
    ) -> Float[Array, ""]:
        del t, x
        return u[0] ** 2

    @override
    def terminal_cost(self, x: Float[Array, "state"]) -> Float[Array, ""]:
        return -self.c * x[0]
