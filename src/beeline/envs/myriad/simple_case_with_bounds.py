"""A first exercise in optimal control, with bounds of the control."""

import typing
from typing import ClassVar

import equinox as eqx
from jax.typing import ArrayLike
from jaxtyping import Array, Float
from typing_extensions import override

from beeline.envs._control_system import Bounds, ControlSystem


@typing.final
class SimpleCaseWithBounds(ControlSystem):
    r"""Push a quantity up against its own quadratic decay, within bounds.

    The equation of `SimpleCase`, where the source does bound the control:

        ẋ = -x²/2 + C u.

    The best control meets neither bound and is that of `SimpleCase`. With narrower ones, such as
    `control_bounds=((-1.0, 0.5),)`, it rests on the upper one at first.

    Attributes:
        a: A, the reward for x.
        c: C, the strength of the control.
        x_0: The start.
        duration: T, the length of an episode.
        state_bounds: The box that states are held to.
        control_bounds: The box of allowed controls, M₁ to M₂.

    State:
        | entry | meaning | unit | range |
        |---|---|---|---|
        | 0 | quantity x | 1 | [0, 3] |

    Action:
        | entry | meaning | unit | action -1 | action +1 |
        |---|---|---|---|---|
        | 0 | push u | 1 | -1 | 2 |

    Reward:
        dt (A x - u²). There is no terminal reward.

    Start:
        x = 1, always.

    End:
        After `horizon` steps, which is T = 1 unit of time; never earlier.

    References:
        - S. Lenhart and J. T. Workman, *Optimal Control Applied to Biological Models*,
            Chapman & Hall/CRC, 2007, chapter 9 (lab 4).
        - N. Howe et al., "Myriad: a real-world testbed to bridge trajectory optimization and deep
            learning", NeurIPS 2022.
    """

    name: ClassVar[str] = "simple-case-with-bounds"
    state_names: ClassVar[tuple[str, ...]] = ("quantity",)
    state_units: ClassVar[tuple[str, ...]] = ("1",)
    control_names: ClassVar[tuple[str, ...]] = ("push",)
    control_units: ClassVar[tuple[str, ...]] = ("1",)
    time_unit: ClassVar[str] = "1"

    a: float = 1.0
    c: float = 4.0
    x_0: tuple[float, ...] = eqx.field(default=(1.0,), static=True)
    duration: float = eqx.field(default=1.0, static=True)
    state_bounds: Bounds = eqx.field(default=((0.0, 3.0),), static=True)
    control_bounds: Bounds = eqx.field(default=((-1.0, 2.0),), static=True)

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
        return -self.a * x[0] + u[0] ** 2
