"""A first exercise in optimal control."""

import math
import typing
from typing import ClassVar

import equinox as eqx
from jax.typing import ArrayLike
from jaxtyping import Array, Float
from typing_extensions import override

from beeline.envs._control_system import Bounds, ControlSystem


@typing.final
class SimpleCase(ControlSystem):
    r"""Push a quantity up against its own quadratic decay.

    An exercise without a meaning in the world:

        ẋ = -x²/2 + C u.

    The best control is smooth and falls from 1 at the start to 0 at the end.

    The source has no bounds of u. An action needs some, and these leave the best control alone.
    With u held at -1.7, x would run off to -∞ within an episode.

    Attributes:
        a: A, the reward for x.
        b: B, the weight of the effort.
        c: C, the strength of the control.
        x_0: The start.
        duration: T, the length of an episode.
        state_bounds: The box that states are held to.
        control_bounds: The box of allowed controls.

    State:
        | entry | meaning | unit | range |
        |---|---|---|---|
        | 0 | quantity x | 1 | unbounded |

    Action:
        | entry | meaning | unit | action -1 | action +1 |
        |---|---|---|---|---|
        | 0 | push u | 1 | -1 | 3 |

    Reward:
        dt (A x - B u²). There is no terminal reward.

    Start:
        x = 1, always.

    End:
        After `horizon` steps, which is T = 1 unit of time; never earlier.

    References:
        - S. Lenhart and J. T. Workman, *Optimal Control Applied to Biological Models*,
            Chapman & Hall/CRC, 2007, chapter 5 (lab 1).
        - N. Howe et al., "Myriad: a real-world testbed to bridge trajectory optimization and deep
            learning", NeurIPS 2022.
    """

    name: ClassVar[str] = "simple-case"
    state_names: ClassVar[tuple[str, ...]] = ("quantity",)
    state_units: ClassVar[tuple[str, ...]] = ("1",)
    control_names: ClassVar[tuple[str, ...]] = ("push",)
    control_units: ClassVar[tuple[str, ...]] = ("1",)
    time_unit: ClassVar[str] = "1"

    a: float = 1.0
    b: float = 1.0
    c: float = 4.0
    x_0: tuple[float, ...] = eqx.field(default=(1.0,), static=True)
    duration: float = eqx.field(default=1.0, static=True)
    state_bounds: Bounds = eqx.field(default=((-math.inf, math.inf),), static=True)
    control_bounds: Bounds = eqx.field(default=((-1.0, 3.0),), static=True)

    @override
    def dynamics(
        self, x: Float[Array, "state"], u: Float[Array, "action"], t: Float[ArrayLike, ""]
    ) -> Float[Array, "state"]:
        del t
        return -0.5 * x**2 + self.c * u

    @override
    def cost(
        self, x: Float[Array, "state"], u: Float[Array, "action"], t: Float[ArrayLike, ""]
    ) -> Float[Array, ""]:
        del t
        return -self.a * x[0] + self.b * u[0] ** 2
