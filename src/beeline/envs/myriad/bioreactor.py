"""Bacteria that clean up a contaminant."""

import typing
from typing import ClassVar

import equinox as eqx
from jax.typing import ArrayLike
from jaxtyping import Array, Float
from typing_extensions import override

from beeline.envs._control_system import Bounds, ControlSystem


@typing.final
class Bioreactor(ControlSystem):
    r"""Feed bacteria that break a contaminant down.

    Bacteria of concentration x live off the nutrient u and crowd each other out:

        ẋ = G u x - D x².

    They remove the contaminant, whose own equation has been solved by hand and leaves -K x in the
    cost. Feeding hardly pays: no feed at all (action -1) is within 2e-5 of the best return.

    Attributes:
        k: K, the reward for bacteria.
        g: G, the growth rate per unit of nutrient.
        d: D, the rate of crowding.
        x_0: The start.
        duration: T, the length of an episode.
        state_bounds: The box that states are held to.
        control_bounds: The box of allowed controls.

    State:
        | entry | meaning | unit | range |
        |---|---|---|---|
        | 0 | bacteria concentration x | 1 | [0, 1] |

    Action:
        | entry | meaning | unit | action -1 | action +1 |
        |---|---|---|---|---|
        | 0 | nutrient feed u | 1 | 0 | 1 |

    Reward:
        dt (K x - u). There is no terminal reward.

    Start:
        x = 0.5, always.

    End:
        After `horizon` steps, which is T = 2 units of time; never earlier.

    References:
        - S. Lenhart and J. T. Workman, *Optimal Control Applied to Biological Models*,
            Chapman & Hall/CRC, 2007, chapter 19 (lab 12).
        - A. Heinricher, S. Lenhart and A. Solomon, "The application of optimal control
            methodology to a well-stirred bioreactor", Natural Resource Modeling 9(1), 1995.
        - N. Howe et al., "Myriad: a real-world testbed to bridge trajectory optimization and deep
            learning", NeurIPS 2022.
    """

    name: ClassVar[str] = "bioreactor"
    state_names: ClassVar[tuple[str, ...]] = ("bacteria concentration",)
    state_units: ClassVar[tuple[str, ...]] = ("1",)
    control_names: ClassVar[tuple[str, ...]] = ("nutrient feed",)
    control_units: ClassVar[tuple[str, ...]] = ("1",)
    time_unit: ClassVar[str] = "1"

    k: float = 2.0
    g: float = 1.0
    d: float = 1.0
    x_0: tuple[float, ...] = eqx.field(default=(0.5,), static=True)
    duration: float = eqx.field(default=2.0, static=True)
    state_bounds: Bounds = eqx.field(default=((0.0, 1.0),), static=True)
    control_bounds: Bounds = eqx.field(default=((0.0, 1.0),), static=True)

    @override
    def dynamics(
        self, x: Float[Array, "state"], u: Float[Array, "action"], t: Float[ArrayLike, ""]
    ) -> Float[Array, "state"]:
        del t
        return self.g * u * x - self.d * x**2

    @override
    def cost(
        self, x: Float[Array, "state"], u: Float[Array, "action"], t: Float[ArrayLike, ""]
    ) -> Float[Array, ""]:
        del t
        return -self.k * x[0] + u[0]
